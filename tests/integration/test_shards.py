"""Relays share the shards fairly, and whatever becomes of one of them, its shards are soon another's, never both's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from django.db import connection

from devstack import Stack
from events.outbox.lock_session import Pooled
from events.outbox.shards import Shards
from tests.faults.proxy import in_front_of
from tests.integration.pooling import Pooler
from tests.integration.relaying import database_url
from tests.integration.sharing import ALL, member_process, members, owned
from tests.waiting import LIMIT_S, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SESSION_LIMIT_S = 5.0
MARGIN_S = 10.0


@pytest.fixture
def url(parts: Stack) -> str:
    return database_url()


def test_one_two_and_three_members_share_fairly(url: str) -> None:
    with members(url, 64) as (first,):
        assert first.shards.owned == ALL
        with members(url, 64) as (second,):
            wait_for(lambda: owned(first, second) == [32, 32])
            assert first.shards.owned | second.shards.owned == ALL
            with members(url, 64) as (third,):
                wait_for(lambda: owned(first, second, third) == [21, 21, 22])
                assert first.shards.owned | second.shards.owned | third.shards.owned == ALL
            wait_for(lambda: owned(first, second) == [32, 32])
        wait_for(lambda: first.shards.owned == ALL)


def test_members_that_join_at_once_share_fairly(url: str) -> None:
    with members(url, 64, 64, 64, 64) as joined:
        wait_for(lambda: owned(*joined) == [16, 16, 16, 16])
        assert frozenset().union(*(member.shards.owned for member in joined)) == ALL


def test_what_a_capped_member_leaves_is_shared_by_the_others(url: str) -> None:
    with members(url, 10, 64, 64) as joined:
        wait_for(lambda: owned(*joined) == [10, 27, 27])
        assert len(joined[0].shards.owned) == 10


def test_a_shard_stays_locked_until_its_owner_releases_it(url: str) -> None:
    owner = Shards(url)
    owner.start()
    try:
        with members(url, 64) as (other,):
            wait_for(lambda: len(owner.leaving) == 32)
            assert owner.owned | owner.leaving == ALL
            assert owner.owned.isdisjoint(owner.leaving)
            assert other.shards.owned == frozenset()
            released = frozenset(sorted(owner.leaving)[:20])
            owner.release(released)
            assert owner.leaving.isdisjoint(released)
            wait_for(lambda: other.shards.owned == released)
            owner.release(owner.owned)  # not what is its own
            owner.release(owner.leaving)
            wait_for(lambda: owned(other) == [32])
            assert owner.owned | other.shards.owned == ALL
    finally:
        owner.close()


def test_a_killed_members_shards_are_free_at_once(url: str) -> None:
    with member_process(url) as process, members(url, 64) as (other,):
        wait_for(lambda: process.owns(32))
        killed_at = time.monotonic()
        process.process.kill()
        wait_for(lambda: other.shards.owned == ALL)
        assert time.monotonic() - killed_at < SESSION_LIMIT_S - 1  # the other way there is


def test_a_paused_members_shards_are_free_in_time_and_it_knows_when_it_wakes(url: str) -> None:
    with member_process(url) as process, members(url, 64) as (other,):
        wait_for(lambda: process.owns(32))
        said, paused_at = len(process.said), time.monotonic()
        process.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: other.shards.owned == ALL)
        assert time.monotonic() - paused_at < SESSION_LIMIT_S + MARGIN_S  # without the limit, never
        process.process.send_signal(signal.SIGCONT)
        wait_for(lambda: len(process.said) > said and process.owns(32))
        first, *_, last = process.said[said:]
        assert first == {"is_fresh": False, "owned": 0, "epoch": 1}
        assert last == {"is_fresh": True, "owned": 32, "epoch": 2}


def test_a_member_whose_main_loop_hangs_loses_its_shards(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.outbox.shards._STUCK_AFTER_S", 1.0)  # 10 s would show nothing more
    with members(url, 64, 64) as (stuck, other):
        wait_for(lambda: owned(stuck, other) == [32, 32])
        stuck.stop_moving()
        wait_for(lambda: not stuck.shards.is_fresh)
        assert owned(stuck, other) == [0, 32]
        wait_for(lambda: other.shards.owned == ALL)
        stuck.shards.stamp()
        wait_for(lambda: stuck.shards.epoch == 2)


# The main loop hangs in a write that nobody reads. With the seconds and looks of earnest it would show nothing more.
HANGS_IN_ITS_OUTPUT = """
import sys, django
django.setup()
from events.outbox import shards
shards._STUCK_AFTER_S, shards._LOOKS_MOST = 1.0, 8
shards.Shards(sys.argv[1]).start()
sys.stdout.write("x" * 10_000_000)
"""


def test_a_process_whose_main_loop_hangs_ends_although_its_log_hangs_too(url: str) -> None:
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": "usercenter.settings"}
    argv = [sys.executable, "-c", HANGS_IN_ITS_OUTPUT, url]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=environ) as process:
        assert process.wait(LIMIT_S) == 70


def test_members_outlast_a_crash_of_the_database(url: str, parts: Stack) -> None:
    with members(url, 64, 64) as (one, two):
        wait_for(lambda: owned(one, two) == [32, 32])
        parts.postgres.kill()
        try:
            wait_for(lambda: owned(one, two) == [0, 0])
        finally:
            parts.postgres.start()
            connection.close()
        wait_for(lambda: owned(one, two) == [32, 32])
        assert (one.shards.epoch, two.shards.epoch) == (2, 2)


def test_a_reset_connection_is_noticed_at_once(url: str, parts: Stack) -> None:
    with in_front_of(parts.postgres) as proxy, members(proxy.url(url), 64) as (cut,):
        assert cut.shards.owned == ALL
        proxy.refuse()
        wait_for(lambda: not cut.shards.owned)
        proxy.heal()
        wait_for(lambda: cut.shards.owned == ALL)
        assert cut.shards.epoch == 2


def test_a_member_behind_a_silent_connection_stops_before_its_shards_are_anothers(url: str, parts: Stack) -> None:
    with in_front_of(parts.postgres) as proxy, members(proxy.url(url), 64) as (silent,), members(url, 64) as (other,):
        wait_for(lambda: owned(silent, other) == [32, 32])
        proxy.half_open()
        wait_for(lambda: not silent.shards.owned)
        assert owned(other) == [32]
        wait_for(lambda: other.shards.owned == ALL)
        proxy.heal()
        wait_for(lambda: owned(silent, other) == [32, 32])
        assert silent.shards.epoch == 2


@pytest.fixture(params=["with a process number of its own", "with that of the session behind it"])
def pooler(request: pytest.FixtureRequest, parts: Stack) -> Iterator[Pooler]:
    pooler = Pooler(parts.postgres.ports[0], hides_process="own" in request.param)
    yield pooler
    pooler.close()


def test_a_transaction_pooler_is_refused(url: str, pooler: Pooler) -> None:
    refused = Shards(pooler.url(url))
    with pytest.raises(Pooled):
        refused.start()
    refused.close()
