"""S30: whatever stands in a body's member, of every operation that has a body, is taken as described or refused."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.acceptance.described import FAILED, Operation, operations_where, whole
from tests.acceptance.hostile import BROKEN, STRANGE_NAMES, WRITTEN_VALUES
from tests.acceptance.trying import INVALID, MALFORMED, People, Trial, Try, with_member
from tests.acceptance.web import Web

WITH_A_BODY = operations_where(lambda operation: operation.members)


def tries_of(name: str, schema: Any) -> Iterator[tuple[str, Try]]:
    """Every hostile value of a member, as it is written: what the description refuses must be, by the member's name."""
    described = Draft202012Validator(whole(schema))
    for case, written in WRITTEN_VALUES.items():
        refused = not described.is_valid(json.loads(written))
        told = Try(f"{name}: {case}", must=INVALID if refused else None, about=f'"/{name}' if refused else "")
        yield written, told
    for case, written in BROKEN.items():
        yield written, Try(f"{name}: {case}", must=MALFORMED)


@pytest.mark.parametrize("operation", WITH_A_BODY, ids=str)
def test_every_member_is_taken_as_described_or_refused(web: Web, people: People, operation: Operation) -> None:
    with Trial(web, operation, people) as trial:
        tried: set[str] = set()
        for number, shown in enumerate(trial.bodies()):
            right = trial.ask(Try("a right body", body=json.dumps(shown).encode()))
            assert right.status < FAILED or right.told not in (INVALID, MALFORMED)
            for name in shown.keys() - tried:
                for written, one in tries_of(name, operation.members[name]):
                    # Each text that is taken costs a hash here; the other ways are a sign-in's, and so is the first.
                    if number == 0 or one.must:
                        trial.ask(replace(one, body=with_member(trial.bodies()[number], name, written)))
            tried |= shown.keys()
        assert tried == operation.members.keys(), "no example has them all"


@pytest.mark.parametrize("operation", WITH_A_BODY, ids=str)
def test_no_member_comes_twice_and_none_is_unknown(web: Web, people: People, operation: Operation) -> None:
    with Trial(web, operation, people) as trial:
        body = trial.bodies()[0]
        for name in STRANGE_NAMES:
            sent = json.dumps(body | {name: 1}).encode()
            trial.ask(Try(f"unknown {name}", body=sent, must=INVALID, about="unknown_field"))
        for name, value in body.items():
            sent = with_member(body, name, json.dumps(value))[:-1] + f", {json.dumps({name: value})[1:]}".encode()
            trial.ask(Try(f"{name} twice", body=sent, must=MALFORMED))
