"""What the description has beside what drf-spectacular reads from the views: errors, headers, examples, tags.

All of it follows from what an operation is (who may ask, what it takes and gives), but for the errors of its own, which
the view names by `refuses`. `complete` is the hook that SPECTACULAR_SETTINGS names; docs/openapi.json is the result,
kept in step by a test. The parts that operations refer to are in `schema_parts`, the values shown in `examples`.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from accounts.api.examples import example_of
from accounts.api.inputs import Text
from accounts.api.problems import KINDS
from accounts.api.schema_parts import ABOUT, COMPONENTS, JWKS_PATHS, component_of, response_of

Json = dict[str, Any]

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="The ETag of what was read, or `*`.",
)
LOCATION = OpenApiParameter(
    "Location",
    {"type": "string", "format": "uri-reference"},
    OpenApiParameter.HEADER,
    required=True,
    description="Where it can be followed.",
    response=[202],
)
ACCEPTED = OpenApiResponse({"$ref": "#/components/schemas/Accepted"}, "The rest goes by mail.")

_OWN = "x-refusals"
_TAGS = (
    ("administration", re.compile(r"/admin/")),
    ("password", re.compile(r"/password")),
    ("sessions and logs", re.compile(r"/sessions|-log$")),
    ("signing in", re.compile(r"/(login|refresh|logout|logout-all|reauthenticate|jwks\.json)$")),
    ("account", re.compile(r"")),
)
_IN_ORDER = ("account", "signing in", "password", "sessions and logs", "administration")
_EVERYWHERE = (
    "forbidden", "internal-error", "malformed-request", "not-acceptable", "unavailable", "unsupported-media-type",
)  # fmt: skip
_WITH_ETAG = ("AdminUserAnswer", "SettingsAnswer", "UserAnswer")


def refuses(*codes: str) -> Json:
    """For `extend_schema(extensions=…)`: the errors of this operation that nothing else about it tells."""
    return {_OWN: codes}


def complete(result: Json, **_: Any) -> Json:
    """The description, with all that each operation may answer."""
    result["info"]["description"] = ABOUT
    result["tags"] = [{"name": tag} for tag in _IN_ORDER]
    components, paths = result["components"], result["paths"]
    for kind, parts in deepcopy(COMPONENTS).items():
        components.setdefault(kind, {}).update(parts)
    for name, schema in components["schemas"].items():
        if name.endswith("Input"):
            _close(schema)
    paths |= deepcopy(JWKS_PATHS)
    for path, operations in paths.items():
        for method, operation in operations.items():
            _complete(path, method, operation, components)
    return result


def _close(taken: Json) -> None:
    """Of a body that is asked for: nothing else is taken, and empty is what a pattern allows to be empty."""
    taken["additionalProperties"] = False
    for member in taken["properties"].values():
        member.update(member.pop("oneOf", [{}])[0])


def _complete(path: str, method: str, operation: Json, components: Json) -> None:
    operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
    operation["tags"] = [next(tag for tag, pattern in _TAGS if pattern.search(path))]
    if operation["security"] == [{}]:
        operation["security"] = []  # what generators of clients take as: no token is needed
    body = operation.get("requestBody", {}).get("content", {})
    for media in body.values():
        media["example"] = example_of(media["schema"], components["schemas"])
    for status, answer in operation["responses"].items():
        _complete_answer(status, answer, components["schemas"])
    codes = {*_codes_of(path, method, operation), *operation.pop(_OWN, ())}
    for status in sorted({KINDS[code].status for code in codes}):
        alike = sorted(code for code in codes if KINDS[code].status == status)
        components["responses"].setdefault("-or-".join(alike), response_of(alike))
        operation["responses"][str(status)] = {"$ref": f"#/components/responses/{'-or-'.join(alike)}"}
    every = [{"$ref": f"#/components/parameters/{name}"} for name in components["parameters"]]
    operation["parameters"] = [*operation.get("parameters", []), *every]


def _codes_of(path: str, method: str, operation: Json) -> Iterator[str]:
    """The errors that follow from what is asked for."""
    yield from _EVERYWHERE
    if path.startswith("/api/"):
        yield "validation-error"
    named = {parameter["name"] for parameter in operation.get("parameters", [])}
    if operation["security"] == [{"bearer": []}]:
        yield from ("invalid-token", "token-expired", "session-revoked")
    if "{" in path:
        yield "not-found"
    if method != "get":
        yield "payload-too-large"
    if "If-Match" in named:
        yield from ("precondition-failed", "precondition-required")
    if "Idempotency-Key" in named:
        yield from ("request-in-progress", "idempotency-key-reused")


def _complete_answer(status: str, answer: Json, schemas: Json) -> None:
    """Of a success: its headers, and an example."""
    names = ["X-Request-ID", "Cache-Control"]
    for media in answer.get("content", {}).values():
        media.setdefault("example", example_of(media["schema"], schemas))
        of = component_of(media["schema"])
        names += ["ETag"] if of in _WITH_ETAG else ["Link"] if of.endswith("Page") else []
    names += ["Location"] if status == "201" else []
    answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names} | answer.get("headers", {})
    answer["description"] = answer["description"] or "Done."


class _TextSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]  # drf-spectacular is untyped
    """A field of `inputs` says by its `described` which strings it takes."""

    target_class = Text
    match_subclasses = True

    def map_serializer_field(self, auto_schema: object, direction: str) -> Json:
        return {"type": "string", **({} if self.target.allow_blank else {"minLength": 1}), **self.target.described}
