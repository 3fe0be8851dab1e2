"""docs/openapi.json serves generators: a typed Python client is made of it, and does what a client does."""

import subprocess
import sys
from pathlib import Path

import pytest

from devstack.places import CHECKOUT
from tests.acceptance.described import OPERATIONS
from tests.acceptance.web import Web

# By nothing but the package: what is sent and what comes back has types.
SCRIPT = """
import sys
from uuid import uuid4
from made import AuthenticatedClient, Client
from made.api.account import change_me, get_me, register
from made.api.sessions_and_logs import end_session
from made.api.signing_in import login, logout, refresh
from made.models import (
    EmailTakenProblem, InvalidTokenProblem, LoginInput, NotFoundProblem, PatchedProfileInput, RefreshAnswer,
    RefreshInput, RegisterInput, SessionRevokedProblem, TokenAnswer, UserAnswer, UsernameTakenProblem,
    ValidationErrorProblem,
)

url = sys.argv[1]
anyone = Client(base_url=url)
made = register.sync(client=anyone, body=RegisterInput("made", "made@example.com", "correct horse battery"))
assert isinstance(made, TokenAnswer), made
taken = register.sync(client=anyone, body=RegisterInput("made", "other@example.com", "correct horse battery"))
assert isinstance(taken, UsernameTakenProblem) and taken.code == "username-taken", taken
taken = register.sync(client=anyone, body=RegisterInput("other", "made@example.com", "correct horse battery"))
assert isinstance(taken, EmailTakenProblem) and taken.code == "email-taken", taken
weak = register.sync(client=anyone, body=RegisterInput("weak", "weak@example.com", "x"))
assert isinstance(weak, ValidationErrorProblem) and weak.errors[0].code == "password_too_short", weak

opened = login.sync(client=anyone, body=LoginInput("correct horse battery", identifier="made"))
assert isinstance(opened, TokenAnswer) and opened.user.id == made.user.id, opened
renewed = refresh.sync(client=anyone, body=RefreshInput(opened.refresh_token))
assert isinstance(renewed, RefreshAnswer) and renewed.session_id == opened.session_id, renewed

signed_in = AuthenticatedClient(base_url=url, token=renewed.token)
me = get_me.sync_detailed(client=signed_in)
assert isinstance(me.parsed, UserAnswer) and me.parsed.version == 1, me
changed = change_me.sync(
    client=signed_in, body=PatchedProfileInput(display_name="Made"), if_match=me.headers["ETag"]
)
assert isinstance(changed, UserAnswer) and (changed.display_name, changed.version) == ("Made", 2), changed

gone = end_session.sync(uuid4(), client=signed_in)
assert isinstance(gone, NotFoundProblem) and gone.code == "not-found", gone
nobody = get_me.sync(client=AuthenticatedClient(base_url=url, token="none"))
assert isinstance(nobody, InvalidTokenProblem) and nobody.code == "invalid-token", nobody
assert logout.sync_detailed(client=signed_in).status_code == 204
ended = get_me.sync(client=signed_in)
assert isinstance(ended, SessionRevokedProblem) and ended.code == "session-revoked", ended
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the package is; a warning, which stands for something left out, fails."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "config.yml").write_text("post_hooks: []\n")
    generator = Path(sys.executable).with_name("openapi-python-client")
    command = [
        str(generator), "generate", "--path", str(CHECKOUT / "docs/openapi.json"), "--meta", "none",
        "--output-path", str(folder / "made"), "--config", str(folder / "config.yml"), "--fail-on-warning",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_operation_is_in_it(made: Path) -> None:
    functions = {module.stem for module in made.glob("made/api/*/*.py")} - {"__init__"}

    assert functions == {operation.told["operationId"] for operation in OPERATIONS}


def test_it_registers_signs_in_refreshes_and_reads(web: Web, made: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, f"http://localhost:{web.port}"],
        cwd=made, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert web.sql("select display_name, version from accounts_user where username = 'made'") == [("Made", 2)]
