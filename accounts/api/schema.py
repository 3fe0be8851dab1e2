"""What drf-spectacular cannot read from the views: the one form that every error answer has.

A post-processing hook, named in SPECTACULAR_SETTINGS; docs/openapi.json is the result, kept in step by a test.
"""

from typing import Any

from drf_spectacular.utils import OpenApiParameter

from accounts.api.problems import KINDS, MEDIA_TYPE

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    required=True,
    description="The ETag of what was read, or `*`.",
)


def add_problems(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Give each operation its error answer."""
    result["components"]["schemas"] |= {"Problem": _problem(), "FieldError": _field_error()}
    answer = {"description": "Any error", "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for operations in result["paths"].values():
        for operation in operations.values():
            operation["responses"]["default"] = answer
    return result


def _problem() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "description": "RFC 9457; docs/problems.md explains each code.",
        "required": ["type", "title", "status", "detail", "instance", "code", "request_id"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "instance": text,
            "code": {"type": "string", "enum": sorted(KINDS)},
            "request_id": text,
            "errors": {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}},
        },
    }


def _field_error() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["code", "detail"],
        "properties": {
            "pointer": text,
            "parameter": text,
            "header": text,
            "code": text,
            "detail": text,
            "params": {"type": "object", "additionalProperties": True},
        },
    }
