"""A stranger who knows docs/openapi.json alone finds nothing that is otherwise."""

import json
from pathlib import Path

import pytest

from devstack.places import CHECKOUT
from tests.acceptance.contract import BY_LINK, SETTINGS, Asked, ask
from tests.acceptance.serving import serving
from tests.acceptance.web import PASSWORD, Web, superuser

SEED, EXAMPLES = 4711, 8
PATHS = json.loads((CHECKOUT / "docs/openapi.json").read_text())["paths"]
OPERATIONS = {operation["operationId"] for methods in PATHS.values() for operation in methods.values()}
# A run that met none of these would have been a shallow one.
REFUSALS = {
    "email-taken", "invalid-credentials", "invalid-link", "invalid-state", "invalid-token", "malformed-request",
    "method-not-allowed", "not-found", "precondition-failed", "precondition-required", "session-revoked",
    "unsupported-media-type", "username-taken", "validation-error",
}  # fmt: skip


@pytest.fixture(scope="module")
def asked(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Web, Asked]:
    """All phases and all checks, of every operation."""
    folder: Path = tmp_path_factory.mktemp("contract")
    with serving(folder / "log", **SETTINGS) as web:
        chief = superuser(web)["user"]["username"], PASSWORD
        return web, ask(web.port, chief=chief, seed=SEED, examples=EXAMPLES, folder=folder)


@pytest.mark.django_db
def test_schemathesis_finds_nothing(asked: tuple[Web, Asked]) -> None:
    web, found = asked

    assert found.found_nothing, found.told
    assert not [line for line in web.log_lines() if '"level": "ERROR"' in line]


@pytest.mark.django_db
def test_it_has_looked_behind_the_doors(asked: tuple[Web, Asked]) -> None:
    _, found = asked

    assert found.operations == OPERATIONS
    assert {operation for operation in OPERATIONS if not found.count(operation, "2")} == BY_LINK
    assert {code for *_, code in found.answers} >= REFUSALS
