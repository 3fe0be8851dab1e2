"""The parts of the description that its operations refer to: problems, headers, what any request may carry, the keys.

`accounts.api.schema` puts them in; this is data.
"""

from typing import Any

from accounts.api.examples import problem_example
from accounts.api.problems import KINDS, MEDIA_TYPE, Kind

Json = dict[str, Any]

ABOUT = """\
Requests and answers are JSON in UTF-8. Every error is `application/problem+json` (RFC 9457): branch on `code` and \
`errors[].code`, which stay; `title` and `detail` are for people. Unknown members and parameters are refused. A path \
asked by another method answers 405 `method-not-allowed` with `Allow`, an unknown path 404 `not-found`.

Times are RFC 3339 in UTC, ids UUIDs. Clients must accept members and words that they do not know: within v1 things \
are only added. Lists come in pages: `next` is the `cursor` of the next one, as is the `Link` header's.

A change names the version that it is meant for (`If-Match`: the `ETag` of what was read). Access tokens come by the \
`Authorization: Bearer` header alone.

What is no HTTP, and a request line or header field of more than 8190 bytes, the HTTP server refuses by a plain page."""

_TEXT = {"type": "string"}


def _header(description: str, *, required: bool = False, **schema: Any) -> Json:
    return {"description": description, "required": required, "schema": {"type": "string", **schema}}


_HEADERS: Json = {
    "X-Request-ID": _header("Names this request in our logs.", required=True, pattern="^[A-Za-z0-9-]{8,64}$"),
    "Cache-Control": _header("Nothing of it is to be kept.", required=True, const="no-store"),
    "ETag": _header("The version, for `If-Match`.", required=True, pattern='^"[1-9][0-9]*"$'),
    "Location": _header("Where it is from now on.", required=True, format="uri-reference"),
    "Link": _header("The next page, where there is one."),
    "WWW-Authenticate": _header(
        "`Bearer`, and what was wrong with a token that came.", required=True, pattern="^Bearer"
    ),
    "Retry-After": _header("Seconds.", required=True, pattern="^[0-9]+$"),
    "RateLimit": _header("What is left of the quota."),
    "RateLimit-Policy": _header("The quota."),
}
_HEADERS_OF_CODES = {
    "precondition-failed": ("ETag",),
    "request-in-progress": ("Retry-After",),
    "unavailable": ("Retry-After",),
    "rate-limited": ("Retry-After", "RateLimit", "RateLimit-Policy"),
}
_UNAUTHORIZED = 401

_PARAMETERS: Json = {
    "X-Request-ID": {
        "in": "header",
        "name": "X-Request-ID",
        "description": "Taken over where it is 8 to 64 letters, digits and hyphens; else the answer has another.",
        "schema": _TEXT,
    },
    "traceparent": {
        "in": "header",
        "name": "traceparent",
        "description": "W3C Trace Context: the events that follow from this request carry its trace.",
        "schema": _TEXT,
    },
}


def schema_of_problem(kind: Kind) -> str:
    """The name of the schema of an answer with this code."""
    return f"{kind.code.title().replace('-', '')}Problem"


def component_of(schema: Json) -> str:
    """The name of the component that a schema refers to; empty where it is none."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def response_of(codes: list[str]) -> Json:
    """The answer with one of these codes, which have one status."""
    refs = [{"$ref": f"#/components/schemas/{schema_of_problem(KINDS[code])}"} for code in codes]
    return {
        "description": " / ".join(KINDS[code].title for code in codes) + ".",
        "headers": _headers_of(codes),
        "content": {
            MEDIA_TYPE: {
                "schema": refs[0] if len(refs) == 1 else {"oneOf": refs},
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }


def _headers_of(codes: list[str]) -> Json:
    """A header that only some of the codes have is not required."""
    own = [set(_HEADERS_OF_CODES.get(code, ())) for code in codes]
    always = {"X-Request-ID", "Cache-Control", *set.intersection(*own)}
    if KINDS[codes[0]].status == _UNAUTHORIZED:
        always.add("WWW-Authenticate")
    sometimes = set.union(*own) - always
    return {name: {"$ref": f"#/components/headers/{name}"} for name in sorted(always)} | {
        name: _HEADERS[name] | {"required": False} for name in sorted(sometimes)
    }


def _problem(**known: Json) -> Json:
    members = {
        "type": {"type": "string", "format": "uri"},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "instance": {"type": "string", "format": "uri-reference"},
        "code": {"type": "string", "enum": sorted(KINDS)},
        "request_id": _TEXT,
    }
    errors = {"type": "array", "items": {"$ref": "#/components/schemas/FieldError"}}
    return {
        "type": "object",
        "description": "RFC 9457; docs/problems.md explains each code.",
        "required": list(members),
        "properties": members | known | {"errors": errors},
    }


def _problem_of(kind: Kind) -> Json:
    """Written out, since generators of clients cannot narrow a member that another schema has."""
    return _problem(status={"type": "integer", "const": kind.status}, code={"type": "string", "const": kind.code}) | {
        "description": f"{kind.title}."
    }


_ACCEPTED: Json = {"type": "object", "description": "Nothing in it: the rest goes by mail."}
_FIELD_ERROR: Json = {
    "type": "object",
    "description": "What is wrong with one member (`pointer`), query parameter or header.",
    "required": ["code", "detail"],
    "properties": {
        "pointer": {"type": "string", "format": "json-pointer"},
        "parameter": _TEXT,
        "header": _TEXT,
        "code": _TEXT,
        "detail": _TEXT,
        "params": {"type": "object", "description": "The rule's numbers.", "additionalProperties": {"type": "integer"}},
    },
}
_JSON_WEB_KEY: Json = {
    "type": "object",
    "description": "RFC 7517 and RFC 8037: the public half of an Ed25519 key.",
    "required": ["kty", "crv", "x", "kid", "use", "alg"],
    "properties": {
        "kty": {"type": "string", "const": "OKP"},
        "crv": {"type": "string", "const": "Ed25519"},
        "x": _TEXT,
        "kid": {"type": "string", "description": "Its RFC 7638 thumbprint."},
        "use": {"type": "string", "const": "sig"},
        "alg": {"type": "string", "const": "EdDSA"},
    },
}
_KEY_SET: Json = {
    "type": "object",
    "required": ["keys"],
    "properties": {"keys": {"type": "array", "items": {"$ref": "#/components/schemas/JsonWebKey"}}},
}
_A_KEY = {
    "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "use": "sig", "alg": "EdDSA",
    "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
}  # fmt: skip

COMPONENTS: Json = {
    "schemas": {
        "Accepted": _ACCEPTED,
        "Problem": _problem(),
        "FieldError": _FIELD_ERROR,
        "JsonWebKey": _JSON_WEB_KEY,
        "KeySet": _KEY_SET,
    }
    | {schema_of_problem(kind): _problem_of(kind) for kind in KINDS.values()},
    "headers": _HEADERS,
    "parameters": _PARAMETERS,
    "examples": {code: {"value": problem_example(kind)} for code, kind in KINDS.items()},
    "responses": {},
}

# A plain view, which drf-spectacular does not see.
JWKS_PATHS: Json = {
    "/.well-known/jwks.json": {
        "get": {
            "operationId": "get_jwks",
            "description": "The public keys that verify our access tokens, the signing one first.",
            "security": [],
            "responses": {
                "200": {
                    "description": "They may be kept for five minutes.",
                    "headers": {
                        "X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"},
                        "Cache-Control": _header("How long.", required=True, const="public, max-age=300"),
                    },
                    "content": {
                        "application/json": {
                            "schema": {"$ref": "#/components/schemas/KeySet"},
                            "example": {"keys": [_A_KEY]},
                        }
                    },
                },
            },
        }
    }
}
