"""What README.md prints for a reader to type works as it is printed, but for the port."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from devstack.places import CHECKOUT
from tests.acceptance.serving import serving
from tests.acceptance.web import Web

README = (CHECKOUT / "README.md").read_text()
EXAMPLE = re.compile(r"<!-- example: (\w+) -->\n```\1\n(.*?)```", re.DOTALL)
RUN_BY = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [".venv/bin/python", "-c"]}


@pytest.fixture(scope="module")
def running(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """As `make run` has it: under DEBUG the guide's own password will do."""
    with serving(tmp_path_factory.mktemp("web") / "log", DEBUG="on") as web:
        yield web


def run(kind: str, printed: str, web: Web) -> str:
    """What it says; everything else than success of each command fails."""
    typed = printed.replace("localhost:8080", f"localhost:{web.port}")
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    done = subprocess.run(
        [*RUN_BY[kind], typed], cwd=CHECKOUT, env=environ, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.django_db
def test_the_examples_work_one_after_the_other_as_they_are_printed(running: Web) -> None:
    examples = EXAMPLE.findall(README)
    assert [kind for kind, _ in examples] == ["sh", "sh", "sh", "python"]

    by_curl, more_by_curl, by_httpie, in_python = (run(kind, printed, running) for kind, printed in examples)

    assert '"token"' in by_curl
    assert '"Test User"' in more_by_curl
    assert "Ann Lee" in by_httpie
    assert in_python.splitlines() == ["200 Bob Roe", "204", "409 username-taken"]
    told = running.sql("select username, display_name, version from accounts_user order by username")
    assert told == [("ann", "Ann Lee", 2), ("bob", "Bob Roe", 2), ("testuser", "Test User", 2)]
    ends = "select count(*) filter (where ended_at is not null), count(*) from accounts_session"
    assert running.sql(ends) == [(3, 4)]
    published = "select type, count(*) from events_outbox group by type order by type"
    assert running.sql(published) == [
        ("user.logged_in", 1), ("user.logged_out", 3), ("user.registered", 3), ("user.updated", 3),
    ]  # fmt: skip


@pytest.mark.django_db
def test_health_and_metrics_are_where_the_table_has_them(running: Web) -> None:
    metrics, health = (
        run("sh", printed, running) for printed in re.findall(r"`(curl -s http://localhost:\S+)`", README)
    )

    assert "# TYPE django_http_requests_before_middlewares_total counter" in metrics
    assert health == '{"status": "ok"}'
