"""The operations as docs/openapi.json describes them, so that a new one is tried by itself, and its say on answers."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator

from tests.acceptance.web import Answer
from tests.openapi import WRITTEN, resolved

PROBLEM = "application/problem+json"
FAILED = 400
_URI_PATH = re.compile(r"/(?!/)(?:[\w.~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*", re.ASCII)


@dataclass(frozen=True)
class Operation:
    """A method of a path; `told` is all that is said of it."""

    method: str
    path: str
    told: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def is_public(self) -> bool:
        """Whether nobody need be signed in."""
        return bool(self.told["security"] != [{"bearer": []}])

    @property
    def is_administration(self) -> bool:
        return self.path.startswith("/api/v1/admin/")

    @property
    def is_safe(self) -> bool:
        return self.method == "GET"

    @property
    def is_of_the_api(self) -> bool:
        """Not a document beside it, which takes whatever comes along."""
        return self.path.startswith("/api/")

    def parameters(self, place: str) -> dict[str, Any]:
        """The schemas of its parameters that stand in `query`, `path` or `header`."""
        parameters = [resolved(one) for one in self.told.get("parameters", [])]
        return {one["name"]: one["schema"] for one in parameters if one["in"] == place}

    @property
    def example(self) -> dict[str, Any] | None:
        """A body for it."""
        shown: dict[str, Any] | None = self._media.get("example")
        return shown

    @property
    def members(self) -> dict[str, Any]:
        """The schemas of its body's members."""
        schema = resolved(self._media.get("schema", {}))
        members: dict[str, Any] = schema.get("properties", {})
        return members

    @property
    def _media(self) -> Any:
        return self.told.get("requestBody", {}).get("content", {}).get("application/json", {})

    def misfits(self, answer: Answer) -> list[str]:
        """What an answer has that this operation is not said to answer."""
        told = self.told["responses"].get(str(answer.status))
        if told is None:
            return [f"{answer.status} is not described"]
        described = resolved(told)
        missing = [f"no {name}" for name in described["headers"] if is_due(name, answer) and name not in answer.headers]
        return missing + (problem_misfits(answer, described) if answer.status >= FAILED else [])


def is_due(header: str, answer: Answer) -> bool:
    """What comes with each answer, and what a refusal is useless without."""
    return header in ("X-Request-ID", "Cache-Control") or (header == "WWW-Authenticate" and answer.status == 401)


def problem_misfits(answer: Answer, described: Any = None) -> list[str]:
    """What of a refusal is not as all are, or not one of those that are described."""
    kind = answer.headers["Content-Type"]
    if kind != PROBLEM:
        return [f"{kind} for {answer.status}"]
    problem = answer.json
    codes = described["content"][PROBLEM]["examples"] if described else [problem.get("code")]
    if problem.get("code") not in codes:
        return [f"{problem.get('code')} is not described for {answer.status}"]
    wrong = [error.message for error in _form_of(problem["code"]).iter_errors(problem)]
    if not _URI_PATH.fullmatch(problem["instance"]):
        wrong.append(f"{problem['instance']!r} is no path of a URI")
    if problem["request_id"] != answer.headers["X-Request-ID"] or problem["status"] != answer.status:
        wrong.append(f"another request_id or status: {problem}")
    return wrong


def whole(found: Any) -> Any:
    """Without references."""
    if isinstance(found, dict):
        return {name: whole(value) for name, value in resolved(found).items()}
    return [whole(value) for value in found] if isinstance(found, list) else found


@cache
def _form_of(code: str) -> Draft202012Validator:
    name = "".join(word.capitalize() for word in code.split("-")) + "Problem"
    return Draft202012Validator(whole(WRITTEN["components"]["schemas"][name]) | {"additionalProperties": False})


def operations_where(holds: Callable[[Operation], object]) -> list[Operation]:
    """Those of which it is so."""
    return [operation for operation in OPERATIONS if holds(operation)]


OPERATIONS = [
    Operation(method.upper(), path, told)
    for path, methods in WRITTEN["paths"].items()
    for method, told in methods.items()
]
