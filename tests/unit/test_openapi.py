"""docs/openapi.json is what the views say, whole: each operation with its errors, headers and examples."""

import json
from collections.abc import Iterator
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator, FormatChecker

from accounts.api.problems import KINDS
from tests.openapi import WRITTEN, resolved

OPERATIONS = 45
PUBLIC = {
    "/.well-known/jwks.json",
    *(
        f"/api/v1/users/{path}"
        for path in (
            "register", "login", "refresh", "logout", "email/verify", "email/verify/resend", "password/reset",
            "password/reset/confirm", "password/policy", "restore", "email/change/confirm", "email/change/undo",
        )
    ),
}  # fmt: skip
# Told in words: no operation is asked by a method that it does not have.
OF_NO_OPERATION = {"method-not-allowed"}
SCHEMAS = WRITTEN["components"]["schemas"]
CALLS = {
    (method, path): operation for path, methods in WRITTEN["paths"].items() for method, operation in methods.items()
}


def answers(*, errors: bool) -> Iterator[tuple[str, str, Any]]:
    """Path, status and answer: the errors, or the others."""
    for (_, path), operation in CALLS.items():
        for status, answer in operation["responses"].items():
            if (status >= "400") is errors:
                yield path, status, resolved(answer)


def test_the_committed_description_is_the_codes() -> None:
    described = json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True)))  # type: ignore[no-untyped-call]  # it has no types

    assert described == WRITTEN, "write it anew: make schemas"


def test_every_operation_says_who_may_ask() -> None:
    public = {path for (_, path), operation in CALLS.items() if operation["security"] != [{"bearer": []}]}

    assert public == PUBLIC
    assert len(CALLS) == OPERATIONS
    assert len({operation["operationId"] for operation in CALLS.values()}) == OPERATIONS
    assert all(operation["summary"] and operation["description"] and operation["tags"] for operation in CALLS.values())


def test_every_code_is_an_answer_of_an_operation_and_no_other_is() -> None:
    named = {
        code
        for *_, answer in answers(errors=True)
        for code in answer["content"]["application/problem+json"]["examples"]
    }

    assert named == KINDS.keys() - OF_NO_OPERATION
    assert SCHEMAS["Problem"]["properties"]["code"]["enum"] == sorted(KINDS)


def test_an_error_has_its_codes_status_and_no_default_hides_another() -> None:
    for path, status, answer in answers(errors=True):
        for code in answer["content"]["application/problem+json"]["examples"]:
            assert str(KINDS[code].status) == status, (path, code)
        assert ("WWW-Authenticate" in answer["headers"]) == (status == "401")
        assert "X-Request-ID" in answer["headers"]


def wrong(schema: Any, value: Any) -> list[str]:
    told = {**schema, "components": WRITTEN["components"]}
    return [error.message for error in Draft202012Validator(told, format_checker=FormatChecker()).iter_errors(value)]


def bodies() -> Iterator[tuple[str, Any]]:
    """Where a body is told, and what of it."""
    for (method, path), operation in CALLS.items():
        for kind, media in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{method} {path} {kind}", media
        for status, answer in operation["responses"].items():
            for media in resolved(answer).get("content", {}).values():
                yield f"{method} {path} {status}", media


def test_every_body_has_an_example_that_its_schema_allows() -> None:
    for place, media in bodies():
        shown = (
            [media["example"]] if "example" in media else [resolved(one)["value"] for one in media["examples"].values()]
        )
        assert shown, place
        for example in shown:
            assert wrong(media["schema"], example) == [], place


def test_a_wrong_example_would_be_seen() -> None:
    [user] = [media for place, media in bodies() if place == "get /api/v1/users/me 200"]

    assert wrong(user["schema"], user["example"] | {"version": "1"}) != []


def test_no_body_takes_what_is_not_told() -> None:
    taken = [media["schema"] for place, media in bodies() if place.endswith("json")]

    assert taken
    assert all(resolved(schema)["additionalProperties"] is False for schema in taken)


def test_every_success_tells_its_headers() -> None:
    named = {(path, status): set(answer["headers"]) for path, status, answer in answers(errors=False)}

    assert all({"X-Request-ID", "Cache-Control"} <= headers for headers in named.values())
    assert "ETag" in named["/api/v1/users/me", "200"]
    assert "Link" in named["/api/v1/users/me/sessions", "200"]
    assert {place for place, headers in named.items() if "Location" in headers} == {
        ("/api/v1/users/register", "201"),
        ("/api/v1/admin/users", "201"),
        ("/api/v1/admin/users/{user_id}/delete", "202"),
    }


def test_a_password_is_only_ever_sent() -> None:
    told = [schema for name, schema in SCHEMAS.items() if "Answer" in name]

    assert told
    assert not any("password" in member for schema in told for member in schema["properties"])
