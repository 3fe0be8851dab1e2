"""A stranger who knows docs/openapi.json alone finds nothing that is otherwise."""

from pathlib import Path

import pytest

from tests.acceptance.contract import BY_LINK, SETTINGS, Asked, ask
from tests.acceptance.described import OPERATIONS
from tests.acceptance.serving import serving
from tests.acceptance.web import PASSWORD, Web, superuser

SEED, EXAMPLES = 4711, 8
NAMES = {operation.told["operationId"] for operation in OPERATIONS}
PHASES = ["  ✅ Examples", "  ✅ Coverage", "  ✅ Fuzzing", "  ✅ Stateful"]
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

    assert [line for line in found.summary.splitlines() if line.startswith("  ✅")] == PHASES
    assert found.operations == NAMES
    assert {operation for operation in NAMES if not found.count(operation, "2")} == BY_LINK
    assert {code for *_, code in found.answers} >= REFUSALS


def test_the_longest_query_that_is_described_is_no_longer_than_the_server_reads(web: Web) -> None:
    lists = {str(operation): operation.parameters("query") for operation in OPERATIONS}
    endless = [
        f"{operation}: {name}"
        for operation, parameters in lists.items()
        for name, schema in parameters.items()
        if schema["type"] == "string" and not {"enum", "format", "maxLength"} & schema.keys()
    ]
    assert not endless

    users = lists["GET /api/v1/admin/users"]
    longest = {name: "\U0010ffff" * schema["maxLength"] for name, schema in users.items() if "maxLength" in schema}
    longest["cursor"] = "a" * users["cursor"]["maxLength"]
    answer = web.read("/api/v1/admin/users", superuser(web)["token"], **longest)
    assert answer.codes == [("group", "unknown_group")]
