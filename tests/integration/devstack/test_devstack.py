"""The embedded stack holds what it promises to the tests, which are all built on it."""

import subprocess
from collections.abc import Callable

import psutil  # type: ignore[import-untyped]  # ships no types
import psycopg
import pytest
import redis

from devstack import DevstackError, Stack, stack
from devstack.places import Places
from tests.integration.devstack.stacks import all_gone, own_name, parts_of, pids_of, run_devstack
from tests.waiting import wait_for


def test_two_stacks_at_once_have_different_ports_and_data(one: Stack) -> None:
    with stack(own_name("two"), fresh=True, given={}) as two:
        ports = [
            port for name in ("one", "two") for part in parts_of(own_name(name)).values() for port in part["ports"]
        ]
        assert len(ports) == 14
        assert len(set(ports)) == 14
        with psycopg.connect(one.environ["DATABASE_URL"], autocommit=True) as database:
            database.execute("CREATE TABLE only_here ()")
        with psycopg.connect(two.environ["DATABASE_URL"]) as database, pytest.raises(psycopg.errors.UndefinedTable):
            database.execute("SELECT FROM only_here")


def test_a_second_start_finds_the_data_and_the_addresses_of_the_first(kept: Places) -> None:
    with stack(kept.name, given={}) as first, psycopg.connect(first.environ["DATABASE_URL"]) as database:
        database.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with stack(kept.name, given={}) as second, psycopg.connect(second.environ["DATABASE_URL"]) as database:
        assert database.execute("SELECT answer FROM kept").fetchone() == (42,)
        assert second.environ == first.environ


def test_the_database_is_durable_and_has_no_prepared_transactions(one: Stack) -> None:
    with psycopg.connect(one.environ["DATABASE_URL"]) as database:
        settings = "SELECT current_setting('fsync'), current_setting('max_prepared_transactions'), current_database()"
        assert database.execute(settings).fetchone() == ("on", "0", "usercenter")
        version = database.execute("SHOW server_version").fetchone()
    assert version is not None
    assert version[0].startswith("18.")


def test_a_fresh_stack_is_refused_while_one_of_its_name_runs(one: Stack) -> None:
    assert one
    with pytest.raises(DevstackError, match="is running"), stack(own_name("one"), fresh=True, given={}):
        pass


def test_the_parts_end_when_their_holder_is_killed(holder: Callable[[str], subprocess.Popen[str]]) -> None:
    name = own_name("orphan")
    process = holder(name)
    pids = pids_of(name)
    process.kill()
    wait_for(lambda: all_gone(pids))
    wait_for(lambda: not Places(name).folder.exists())


def test_the_parts_live_until_the_last_of_two_holders_is_gone_and_leave_nothing(
    holder: Callable[[str], subprocess.Popen[str]],
) -> None:
    name = own_name("shared")
    first = holder(name)
    with stack(name, given={}) as second:
        first.kill()
        first.wait()
        with psycopg.connect(second.environ["DATABASE_URL"]) as database:
            assert database.execute("SELECT 1").fetchone() == (1,)
        pids = pids_of(name)
    wait_for(lambda: all_gone(pids))
    assert not list(Places(name).folder.parent.glob(f"{name}*"))


def test_the_parts_end_when_the_supervisor_is_killed_even_a_paused_one(
    kept: Places, holder: Callable[[str], subprocess.Popen[str]]
) -> None:
    holder(kept.name)
    supervisor, *parts = pids_of(kept.name)
    psutil.Process(parts_of(kept.name)["valkey"]["pid"]).suspend()
    psutil.Process(supervisor).kill()
    wait_for(lambda: all_gone(parts))


def test_a_killed_broker_comes_back_on_its_port_with_its_topics(one: Stack) -> None:
    own = ("--stack", own_name("one"))
    assert run_devstack("kafka-topics", "--create", "--topic", "survivor", *own).returncode == 0
    before = parts_of(own_name("one"))["kafka"]
    one.kafka.kill()
    assert parts_of(own_name("one"))["kafka"]["state"] == "ended (-9)"
    assert all_gone([before["pid"]])
    one.kafka.start()
    after = parts_of(own_name("one"))["kafka"]
    assert after["ports"] == before["ports"]
    assert after["pid"] != before["pid"]
    # The address is not said: the tool gets the stack's.
    assert "survivor" in run_devstack("kafka-topics", "--list", *own).stdout.split()


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
    wait_for(lambda: bool(client.ping()))
    client.close()


def test_a_restart_empties_the_cache(one: Stack) -> None:
    with redis.Redis.from_url(one.environ["REDIS_URL"]) as client:
        client.set("key", "value")
        one.valkey.stop()
        one.valkey.start()
        assert client.get("key") is None


def test_an_address_from_the_environment_wins_and_its_part_is_not_started(one: Stack) -> None:
    elsewhere = {"DATABASE_URL": "postgres://elsewhere/a", "KAFKA_BROKERS": "elsewhere:9092", "EMAIL_URL": "smtp://e"}
    name = own_name("some")
    with stack(name, fresh=True, given=elsewhere) as parts:
        assert list(parts_of(name)) == ["valkey"]
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
        stack(own_name("containers"), given={"STACK": "containers"}),
    ):
        pass
