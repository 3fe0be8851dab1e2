"""S30: what stands in a path, a query or a header of any operation is taken as described or refused."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.acceptance.described import Operation, operations_where
from tests.acceptance.hostile import (
    HEADERS,
    IDS_OF_NOTHING,
    KNOWN_HEADERS,
    NO_IDS,
    QUERY_VALUES,
    ROUNDS,
    STRANGE_QUERIES,
)
from tests.acceptance.trying import INVALID, MALFORMED, People, Trial, Try
from tests.acceptance.web import LOGIN, PASSWORD, Web

NOT_FOUND = (404, "not-found")
OPERATIONS = operations_where(lambda operation: operation.is_of_the_api)
WITH_AN_ID = operations_where(lambda operation: operation.parameters("path"))
# What a parameter of these types is, letter by letter. Any other text may be taken.
TAKEN = {"integer": r"[1-9][0-9]?|100", "boolean": r"true|false", "date-time": r"\d{4}-\d\d-\d\dT\S+"}


def is_refused(schema: Any, sent: str) -> bool:
    """Whether the description has no such value, as far as a pattern tells."""
    if "enum" in schema:
        return sent not in schema["enum"]
    pattern = TAKEN.get(schema.get("format", schema["type"]), schema.get("pattern", ""))
    return re.search(f"^(?:{pattern})$", sent) is None or len(sent) > schema.get("maxLength", len(sent))


def queries(operation: Operation) -> Iterator[Try]:
    """Every hostile value of each parameter, each twice, and parameters that there are not."""
    for name, schema in operation.parameters("query").items():
        for value in QUERY_VALUES:
            must = INVALID if is_refused(schema, unquote_plus(value)) else None
            yield Try(f"{name}={value}", query=f"?{name}={value}", must=must, about=f'"{name}"' if must else "")
        yield Try(f"{name} twice", query=f"?{name}=1&{name}=1", must=INVALID, about="repeated")
        yield Try(f"{name}[]", query=f"?{name}[]=1", must=INVALID, about="unknown_field")
    yield Try("more of them than anyone counts", query="?" + "&" * 1_100, must=MALFORMED)
    for query in STRANGE_QUERIES:
        yield Try(query, query=query, must=INVALID, about="unknown_field")


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_parameter_of_a_query_is_taken_as_described_or_refused(
    web: Web, people: People, operation: Operation
) -> None:
    with Trial(web, operation, people) as trial:
        for one in queries(operation):
            trial.harmless(one)


@pytest.mark.parametrize("operation", WITH_AN_ID, ids=str)
def test_what_is_no_id_is_nowhere(web: Web, people: People, operation: Operation) -> None:
    with Trial(web, operation, people) as trial:
        ids = trial.ids
        for name in operation.parameters("path"):
            for value in NO_IDS:
                path = operation.path.format(**ids | {name: value})
                trial.ask(Try(f"{name} {value}", path, body=None if operation.is_safe else b"{}", must=NOT_FOUND))
            for value in IDS_OF_NOTHING:
                trial.harmless(Try(f"{name} {value}", operation.path.format(**ids | {name: value})))


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_no_header_makes_an_operation_do_another_thing(web: Web, people: People, operation: Operation) -> None:
    with Trial(web, operation, people) as trial:
        usual = trial.harmless(Try("nothing hostile"))
        same = usual.status, "" if operation.is_safe else usual.json["code"]
        for number, headers in enumerate(ROUNDS):
            trial.harmless(Try(f"round {number}", headers=headers, must=same))
        for name, value, must in HEADERS:
            trial.harmless(Try(f"{name}: {value}", headers=[(name, value)], must=must))
        for name, values in KNOWN_HEADERS.items():
            for value in values if name in operation.parameters("header") else values[-1:]:
                trial.harmless(Try(f"{name}: {value}", headers=[(name, value)]))


def test_a_sign_in_takes_a_device_of_any_name(web: Web, people: People) -> None:
    body = json.dumps({"identifier": people.somebody["user"]["username"], "password": PASSWORD}).encode()
    [login] = operations_where(lambda operation: operation.path == LOGIN)

    with Trial(web, login, people) as trial:
        for number, headers in enumerate(ROUNDS):
            opened = trial.ask(Try(f"round {number}", headers=headers, body=body, must=(200, "")))
            trial.wrong += [] if opened.headers["X-Request-ID"].isascii() else [f"round {number}: its id"]
