"""The values that the description's examples have: of a member by its name, else by what its schema says.

`accounts.api.schema` puts them beside each body; a test holds each against its schema.
"""

from collections.abc import Mapping
from typing import Any

from accounts.api.problems import Kind

Json = dict[str, Any]

_ID = "01920f3e-7b1a-7cc3-98c4-dc0c0c07398f"
_TIME = "2026-01-31T12:00:00Z"
_LINK_TOKEN = "3q2-7wAbCdEfGhIjKlMnOpQrStUvWxYz0123456789A"  # noqa: S105 - nobody's
_ABSENT = object()
_PASSWORD = "correct horse battery"  # noqa: S105 - nobody's

_BY_NAME: Mapping[str, Any] = {
    "username": "ann",
    "identifier": "ann",
    "name": "send-welcome",
    "display_name": "Ann Lee",
    "email": "ann@example.com",
    "new_email": "ann.lee@example.com",
    "password": _PASSWORD,
    "current_password": _PASSWORD,
    "new_password": "purple monkey dishwasher",
    "token": "eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiIwMTkyMGYzZSJ9.c2lnbmF0dXJl",
    "refresh_token": "o1rBq0n9yJ3m5kU2cXhV7wZpL4tGdEaSfQiNvMxRbY8",
    "token_type": "Bearer",
    "expires_in": 300,
    "refresh_expires_in": 1_209_600,
    "locale": "en",
    "time_zone": "Europe/Zurich",
    "groups": ["support"],
    "reason": "asked for by phone",
    "status_reason": "asked for by phone",
    "until": "2099-01-31T12:00:00Z",
    "status_until": None,
    "delete_after": "2026-03-02T12:00:00Z",
    "device_name": "Ann's laptop",
    "browser": "Firefox",
    "os": "Linux",
    "ip": "198.51.100.7",
    "host": "hooks.example.com",
    "topic": "user.events",
    "type": "user.registered",
    "kind": "welcome",
    "ActorAnswer.kind": "user",
    "error": "",
    "min_length": 8,
    "max_length": 256,
    "failed_logins": 0,
    "offset": 41,
    "next": "WyIyMDI2LTAxLTMxIl0:1vbQ0a:signature",
    "count": 1,
    # Of members that exclude each other, one way.
    "LoginInput.username": _ABSENT,
    "LoginInput.email": _ABSENT,
    "RestoreInput.identifier": _ABSENT,
    "RestoreInput.password": _ABSENT,
    "ConfirmResetInput.token": _LINK_TOKEN,
    "LinkInput.token": _LINK_TOKEN,
    "RestoreInput.token": _LINK_TOKEN,
}
_BY_FORMAT: Mapping[str, Any] = {"uuid": _ID, "date-time": _TIME}
_BY_TYPE: Mapping[str, Any] = {"string": "text", "integer": 1, "boolean": True, "object": {}, "null": None}


def example_of(schema: Json, schemas: Mapping[str, Json]) -> Any:
    """A value that the schema allows; `schemas` are the components that it may refer to."""
    return _example("", schema, schemas)


def problem_example(kind: Kind) -> Json:
    """An answer with this code."""
    told = {
        "type": f"https://users.example.com/problems/{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail or f"{kind.title}.",
        "instance": "/api/v1/users/me",
        "code": kind.code,
        "request_id": _ID,
    }
    return told | (
        {"detail": "1 field needs attention.", "errors": [_FIELD]} if kind.code == "validation-error" else {}
    )


_FIELD = {"pointer": "/display_name", "code": "display_name_too_long", "detail": "At most 100 characters.",
          "params": {"max": 100}}  # fmt: skip


def _example(name: str, schema: Json, schemas: Mapping[str, Json]) -> Any:
    """`name` is the component's or, with the component's before it and a dot, the member's."""
    if "oneOf" in schema:
        return _example(name, schema["oneOf"][0], schemas)
    if "$ref" in schema:
        component = schema["$ref"].rpartition("/")[2]
        return _example(component, schemas[component], schemas)
    if "properties" in schema:
        members = {one: _example(f"{name}.{one}", its, schemas) for one, its in schema["properties"].items()}
        return {one: value for one, value in members.items() if value is not _ABSENT}
    return _value(name, schema, schemas)


def _value(name: str, schema: Json, schemas: Mapping[str, Json]) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    for known in (name, name.rpartition(".")[2]):
        if known in _BY_NAME:
            return _BY_NAME[known]
    if "items" in schema:
        return [_example("", schema["items"], schemas)]
    kind = schema.get("type", "string")
    return _BY_FORMAT.get(schema.get("format", ""), _BY_TYPE[kind if isinstance(kind, str) else kind[0]])
