"""The embedded stack holds what it promises: to tests, which are all built on it, and to a person's shell."""

import json
import os
import shutil
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil  # type: ignore[import-untyped]  # ships no types
import psycopg
import pytest
import redis

from devstack import DevstackError, Stack, mail, stack
from devstack.client import Line
from devstack.places import CHECKOUT, Places

_LIMIT_S = 30.0
_HOLDER = """
import sys
from devstack import stack
with stack(sys.argv[1], fresh=True, given={}):
    print("held", flush=True)
    sys.stdin.read()
"""


def _name(purpose: str) -> str:
    return f"test-{purpose}-{os.getpid()}"


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


def _devstack(*arguments: str, checkout: Path = CHECKOUT, **env: str) -> subprocess.CompletedProcess[str]:
    """`python -m devstack …`, as if nothing had told it of any address."""
    own = {name: value for name, value in os.environ.items() if name not in {"KAFKA_BROKERS", "DATABASE_URL"}}
    command = [sys.executable, "-m", "devstack", *arguments]
    return subprocess.run(
        command, cwd=checkout, env=own | env, capture_output=True, text=True, check=False, timeout=120
    )


def _parts_of(name: str) -> dict[str, Any]:
    line = Line.to(Places(name))
    assert line is not None
    answer = line.ask("status")
    line.close()
    assert answer is not None
    return dict(answer["parts"])


def _pids(name: str) -> list[int]:
    control = json.loads(Places(name).control.read_text())
    return [control["pid"], *(part["pid"] for part in _parts_of(name).values())]


def _all_gone(pids: list[int]) -> bool:
    return not any(map(psutil.pid_exists, pids))


@pytest.fixture(scope="module")
def one() -> Iterator[Stack]:
    """A stack of this module's own: its parts may be killed."""
    with stack(_name("one"), fresh=True, given={}) as own:
        yield own


@pytest.fixture
def holder() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts processes that hold a fresh stack until they are killed."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", _HOLDER, name]
        process = subprocess.Popen(command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_stacks_at_once_have_different_ports_and_data(one: Stack) -> None:
    with stack(_name("two"), fresh=True, given={}) as two:
        ports = [port for name in ("one", "two") for part in _parts_of(_name(name)).values() for port in part["ports"]]
        assert len(ports) == 10
        assert len(set(ports)) == 10
        with psycopg.connect(one.environ["DATABASE_URL"], autocommit=True) as database:
            database.execute("CREATE TABLE only_here ()")
        with psycopg.connect(two.environ["DATABASE_URL"]) as database, pytest.raises(psycopg.errors.UndefinedTable):
            database.execute("SELECT FROM only_here")


def test_a_second_start_finds_the_data_and_the_addresses_of_the_first() -> None:
    places = Places(_name("kept"))
    try:
        with stack(places.name, given={}) as first, psycopg.connect(first.environ["DATABASE_URL"]) as database:
            database.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        with stack(places.name, given={}) as second, psycopg.connect(second.environ["DATABASE_URL"]) as database:
            assert database.execute("SELECT answer FROM kept").fetchone() == (42,)
            assert second.environ == first.environ
    finally:
        shutil.rmtree(places.folder)
        places.lock.unlink()
        places.supervisor_log.unlink()


def test_the_database_is_durable_and_has_no_prepared_transactions(one: Stack) -> None:
    with psycopg.connect(one.environ["DATABASE_URL"]) as database:
        settings = "SELECT current_setting('fsync'), current_setting('max_prepared_transactions'), current_database()"
        assert database.execute(settings).fetchone() == ("on", "0", "usercenter")
        version = database.execute("SHOW server_version").fetchone()
    assert version is not None
    assert version[0].startswith("18.")


def test_a_fresh_stack_leaves_nothing_behind() -> None:
    places = Places(_name("brief"))
    with stack(places.name, fresh=True, given={}):
        pids = _pids(places.name)
        assert not _all_gone(pids)
    _wait(lambda: _all_gone(pids))
    assert not list(places.folder.parent.glob(f"{places.name}*"))


def test_a_fresh_stack_is_refused_while_one_of_its_name_runs(one: Stack) -> None:
    assert one
    with pytest.raises(DevstackError, match="is running"), stack(_name("one"), fresh=True, given={}):
        pass


def test_the_parts_end_when_their_holder_is_killed(holder: Callable[[str], subprocess.Popen[str]]) -> None:
    name = _name("orphan")
    process = holder(name)
    pids = _pids(name)
    process.kill()
    _wait(lambda: _all_gone(pids))
    _wait(lambda: not Places(name).folder.exists())


def test_the_parts_live_until_the_last_of_two_holders_is_gone(holder: Callable[[str], subprocess.Popen[str]]) -> None:
    name = _name("shared")
    first = holder(name)
    with stack(name, given={}) as second:
        first.kill()
        first.wait()
        with psycopg.connect(second.environ["DATABASE_URL"]) as database:
            assert database.execute("SELECT 1").fetchone() == (1,)
        pids = _pids(name)
    _wait(lambda: _all_gone(pids))


def test_the_parts_end_when_the_supervisor_itself_is_killed(holder: Callable[[str], subprocess.Popen[str]]) -> None:
    places = Places(_name("headless"))
    holder(places.name)
    supervisor, *parts = _pids(places.name)
    try:
        psutil.Process(supervisor).kill()
        _wait(lambda: _all_gone(parts))
    finally:
        shutil.rmtree(places.folder)
        places.lock.unlink()
        places.supervisor_log.unlink()


def test_a_paused_part_ends_too_when_the_supervisor_is_killed(holder: Callable[[str], subprocess.Popen[str]]) -> None:
    places = Places(_name("still"))
    holder(places.name)
    supervisor, *parts = _pids(places.name)
    try:
        psutil.Process(_parts_of(places.name)["valkey"]["pid"]).suspend()
        psutil.Process(supervisor).kill()
        _wait(lambda: _all_gone(parts))
    finally:
        shutil.rmtree(places.folder)
        places.lock.unlink()
        places.supervisor_log.unlink()


def test_a_killed_broker_comes_back_on_its_port_with_its_topics(one: Stack) -> None:
    own = ("--stack", _name("one"))
    assert _devstack("kafka-topics", "--create", "--topic", "survivor", *own).returncode == 0
    before = _parts_of(_name("one"))["kafka"]
    one.kafka.kill()
    assert _parts_of(_name("one"))["kafka"]["state"] == "ended (-9)"
    assert _all_gone([before["pid"]])
    one.kafka.start()
    after = _parts_of(_name("one"))["kafka"]
    assert after["ports"] == before["ports"]
    assert after["pid"] != before["pid"]
    # The address is not said: the tool gets the stack's.
    assert "survivor" in _devstack("kafka-topics", "--list", *own).stdout.split()


def test_a_crashed_database_comes_back_with_what_was_committed(one: Stack) -> None:
    with psycopg.connect(one.environ["DATABASE_URL"], autocommit=True) as database:
        database.execute("CREATE TABLE committed AS SELECT 1")
        one.postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            database.execute("SELECT 1")
    one.postgres.start()
    with psycopg.connect(one.environ["DATABASE_URL"]) as database:
        assert database.execute("SELECT * FROM committed").fetchone() == (1,)


def test_a_database_stops_although_a_client_stays(one: Stack) -> None:
    with psycopg.connect(one.environ["DATABASE_URL"]) as database:
        one.postgres.stop()
        with pytest.raises(psycopg.OperationalError):
            database.execute("SELECT 1")
    one.postgres.start()


def test_a_paused_part_answers_nobody_until_it_is_resumed(one: Stack) -> None:
    client = redis.Redis.from_url(one.environ["REDIS_URL"], socket_timeout=0.3, retry=None)
    assert client.ping()
    one.valkey.pause()
    with pytest.raises(redis.TimeoutError):
        client.ping()
    one.valkey.resume()
    _wait(lambda: bool(client.ping()))
    client.close()


def test_a_restart_empties_the_cache(one: Stack) -> None:
    with redis.Redis.from_url(one.environ["REDIS_URL"]) as client:
        client.set("key", "value")
        one.valkey.stop()
        one.valkey.start()
        assert client.get("key") is None


def test_a_mail_becomes_a_file_and_is_printed(one: Stack) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "centre@example.org", "zoë@example.org", "Grüße"
    message.set_content("Willkommen, Zoë!\n.\nEnde\n")
    address = urlsplit(one.environ["EMAIL_URL"])
    assert address.hostname is not None
    assert address.port is not None
    with smtplib.SMTP(address.hostname, address.port) as client:
        client.send_message(message, to_addrs=["zoë@example.org", "hidden@example.org"])
    (file,) = one.mailbox.glob("*.eml")
    kept = mail.read(file)
    assert kept["Subject"] == "Grüße"
    assert kept["X-Envelope-To"] == "zoë@example.org, hidden@example.org"
    assert kept.get_content().splitlines() == ["Willkommen, Zoë!", ".", "Ende"]
    printed = _devstack("mail", "--stack", _name("one")).stdout
    assert "Subject: Grüße" in printed
    assert "Willkommen, Zoë!" in printed
    assert f"1 mails in {one.mailbox}" in printed


def test_the_addresses_can_be_read_by_a_shell(one: Stack) -> None:
    script = f'set -a; eval "$({sys.executable} -m devstack env --stack {_name("one")})"; exec {sys.executable} -c "$0"'
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    shell = subprocess.run(["bash", "-c", script, show], cwd=CHECKOUT, capture_output=True, check=True)
    assert one.environ.items() <= json.loads(shell.stdout).items()
    assert set(one.environ) == {
        "DATABASE_URL", "DATABASE_DIRECT_URL", "KAFKA_BROKERS", "REDIS_URL", "CELERY_BROKER_URL", "EMAIL_URL"
    }  # fmt: skip


def test_up_holds_until_down() -> None:
    places = Places(_name("shell"))
    own = ("--stack", places.name)
    try:
        assert "DATABASE_URL=postgres://" in _devstack("up", *own).stdout
        pids = _pids(places.name)
        status = _devstack("status", *own)
        assert status.returncode == 0
        assert "0 holders, kept up" in status.stdout
        assert _devstack("down", *own).returncode == 0
        _wait(lambda: _all_gone(pids))
        assert _devstack("status", *own).returncode == 1
        assert "is not running" in _devstack("env", *own).stderr
    finally:
        _devstack("down", *own)
        for file in (places.lock, places.supervisor_log):
            file.unlink()
        shutil.rmtree(places.folder)


def test_an_address_from_the_environment_wins_and_its_part_is_not_started(one: Stack) -> None:
    elsewhere = {"DATABASE_URL": "postgres://elsewhere/a", "KAFKA_BROKERS": "elsewhere:9092", "EMAIL_URL": "smtp://e"}
    name = _name("some")
    with stack(name, fresh=True, given=elsewhere) as parts:
        assert list(_parts_of(name)) == ["valkey"]
        assert parts.environ["DATABASE_URL"] == "postgres://elsewhere/a"
        assert parts.environ["DATABASE_DIRECT_URL"] == "postgres://elsewhere/a"
        assert parts.environ["KAFKA_BROKERS"] == "elsewhere:9092"
        assert parts.environ["EMAIL_URL"] == "smtp://e"
        assert parts.environ["REDIS_URL"] != one.environ["REDIS_URL"]
        with pytest.raises(DevstackError, match="not this stack's own"):
            parts.kafka.stop()


def test_containers_without_an_engine_are_refused_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with (
        pytest.raises(DevstackError, match="needs a container engine"),
        stack(_name("containers"), given={"STACK": "containers"}),
    ):
        pass


@pytest.mark.parametrize("folder", ["größe", "back\\slash", "com,ma"])
def test_a_checkout_where_kafka_would_write_elsewhere_is_refused(tmp_path: Path, folder: str) -> None:
    checkout = tmp_path / folder
    shutil.copytree(CHECKOUT / "devstack", checkout / "devstack")
    refused = _devstack("up", checkout=checkout)
    assert refused.returncode == 1
    assert "a non-ASCII character, a backslash or a comma" in refused.stderr
    assert not (checkout / ".devstack").exists()


def test_a_taken_port_is_refused_at_once_by_its_name(one: Stack) -> None:
    taken = str(urlsplit(one.environ["REDIS_URL"]).port)
    refused = _devstack("run", "--stack", _name("never"), PORT=taken)
    assert refused.returncode == 1
    assert f"Port {taken} is taken. Choose another with PORT=" in refused.stderr
    assert not Places(_name("never")).folder.exists()
