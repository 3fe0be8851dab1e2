"""docs/openapi.json is what the views say."""

import json
from pathlib import Path
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

from accounts.api.problems import KINDS

OPERATIONS = 44
PUBLIC = (
    "register", "login", "refresh", "logout", "email/verify", "email/verify/resend", "password/reset",
    "password/reset/confirm", "password/policy", "restore", "email/change/confirm", "email/change/undo",
)  # fmt: skip
FILE = Path(__file__).parents[2] / "docs/openapi.json"


@pytest.fixture(scope="module")
def described() -> Any:
    return json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True)))  # type: ignore[no-untyped-call]  # it has no types


def test_the_committed_description_is_the_codes(described: Any) -> None:
    written = json.loads(FILE.read_text())

    assert written == described, "write it anew: manage.py spectacular --format openapi-json --file docs/openapi.json"


def test_every_operation_tells_its_errors_and_who_may_ask(described: Any) -> None:
    operations = {
        (method, path): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    public = {path for (_, path), operation in operations.items() if {} in operation.get("security", [{}])}

    assert public == {f"/api/v1/users/{path}" for path in PUBLIC}
    assert len(operations) == OPERATIONS
    assert all("application/problem+json" in op["responses"]["default"]["content"] for op in operations.values())
    assert described["components"]["schemas"]["Problem"]["properties"]["code"]["enum"] == sorted(KINDS)


def test_a_password_is_only_ever_sent(described: Any) -> None:
    answers = [schema for name, schema in described["components"]["schemas"].items() if "Answer" in name]

    assert answers
    assert not any("password" in member for schema in answers for member in schema["properties"])
