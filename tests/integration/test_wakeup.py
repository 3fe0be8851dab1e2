"""A sleeping relay is woken by the commit itself, never misses one, and costs publishers nothing while it is awake."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, ClassVar, LiteralString

import pytest
from django.db import connection, transaction

from devstack import Stack
from events.outbox import wakeup
from events.outbox.lock_session import LockSession
from events.outbox.publish import publish
from events.outbox.store import shard_of
from tests.integration.relaying import Noted, commit, database_url
from tests.integration.sharing import ALL
from tests.integration.waking import Observer, Sleeper, sleeper
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SLEEP_S = wakeup._SLEEP_S
LONG_S = 15.0  # a sleep here, so that a busy machine's delay is not taken for one
SOON_S = 10.0  # what only a notification is sure to reach
EVEN = frozenset(range(0, 64, 2))
COMMITS = 600


@pytest.fixture
def url(parts: Stack) -> str:
    return database_url()


@pytest.fixture(autouse=True)
def long_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup, "_SLEEP_S", LONG_S)


@pytest.fixture
def observer(url: str) -> Iterator[Observer]:
    with closing(Observer(url)) as observer:
        yield observer


def seen_after(*sleepers: Sleeper, seen: int) -> float:
    """How long it takes until they have seen so many together."""
    began_at = time.monotonic()
    while sum(one.seen for one in sleepers) < seen:
        assert time.monotonic() - began_at < 30
        time.sleep(0.000_1)  # far less than the times that are measured here
    return time.monotonic() - began_at


def key_of(shards: frozenset[int]) -> str:
    return next(str(n) for n in range(10_000) if shard_of(str(n)) in shards)


def test_no_commit_is_missed_by_one_who_falls_asleep(url: str) -> None:
    """The next commit comes when the last one was seen, a moment earlier or later than the sleep begins."""
    chance = random.Random(7)  # noqa: S311 - chance, not a secret
    with sleeper(url, owned=EVEN) as even, sleeper(url, owned=ALL - EVEN) as odd:
        for n in range(COMMITS):
            commit(Noted(of=str(chance.randrange(10_000)), n=n))
            seen_after(even, odd, seen=n + 1)
            time.sleep(chance.uniform(0.001, 0.006))  # around the moment of falling asleep
    assert (even.missed, odd.missed) == (0, 0)


def test_no_commit_is_missed_among_open_transactions(url: str) -> None:
    """Flags cannot go up while a publisher's transaction is open; some are, some are not, at random."""

    def write(seed: int) -> None:
        chance = random.Random(seed)  # noqa: S311 - chance, not a secret
        for n in range(50):
            with transaction.atomic():
                publish(Noted(of=f"{seed}-{chance.randrange(1_000)}", n=n))
                time.sleep(chance.uniform(0, 0.02))  # the load itself: open for so long
            time.sleep(chance.uniform(0, 0.1))  # and then closed
        connection.close()

    with sleeper(url) as awake:
        writers = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert seen_after(awake, seen=200) < SOON_S


def test_a_sleep_that_nobody_ends_is_a_second_long(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup, "_SLEEP_S", SLEEP_S)
    with sleeper(url) as asleep:
        wait_for(lambda: len(asleep.sleeps) >= 5)
        assert 1 <= min(asleep.sleeps[1:]) < 1.5  # a busy machine prolongs some, not all


def test_nobody_notifies_while_no_relay_sleeps(url: str, observer: Observer) -> None:
    commit(Noted(of="user", n=1))
    assert observer.heard(within_s=0.3) == []
    with sleeper(url):
        wait_for(lambda: observer.flags() == 64)
        commit(Noted(of="user", n=2))
        assert observer.heard(within_s=SOON_S) == [str(shard_of("user"))]
    wait_for(lambda: observer.flags() == 0)


def test_a_rolled_back_record_wakes_nobody(url: str, observer: Observer) -> None:
    with sleeper(url):
        wait_for(lambda: observer.flags() == 64)
        with transaction.atomic():
            publish(Noted(of="user", n=1))
            transaction.set_rollback(True)
        assert observer.heard(within_s=0.3) == []


def test_only_the_owner_of_the_shard_is_woken(url: str, observer: Observer) -> None:
    with sleeper(url, owned=EVEN) as asleep:
        wait_for(lambda: observer.flags() == 32)
        commit(Noted(of=key_of(ALL - EVEN), n=1))
        assert observer.heard(within_s=0.3) == []
        commit(Noted(of=key_of(EVEN), n=1))
        assert seen_after(asleep, seen=1) < SOON_S


def test_an_open_transaction_costs_its_own_shard_polling_and_no_other(url: str, observer: Observer) -> None:
    open_key, other_key = key_of(EVEN), key_of(ALL - EVEN)
    with transaction.atomic():
        publish(Noted(of=open_key, n=1))
        with sleeper(url) as asleep:
            wait_for(lambda: observer.flags() == 63)
            other = threading.Thread(target=commit_and_close, args=(Noted(of=other_key, n=1),))
            other.start()
            assert observer.heard(within_s=SOON_S) == [str(shard_of(other_key))]
            other.join()
            assert seen_after(asleep, seen=1) < SOON_S
            transaction.set_rollback(True)


def commit_and_close(event: Noted) -> None:
    commit(event)
    connection.close()


def test_without_notify_it_polls(url: str, observer: Observer) -> None:
    with sleeper(url, notify=False) as asleep:
        wait_for(lambda: len(asleep.sleeps) >= 12)
        assert observer.flags() == 0
        assert min(asleep.sleeps[-4:]) == pytest.approx(0.25, abs=0.1)  # a busy machine prolongs some, not all
        commit(Noted(of="user", n=1))
        assert seen_after(asleep, seen=1) < SOON_S
        assert observer.heard(within_s=0.3) == []


@pytest.mark.parametrize("change", [lambda one: one.stop.ask(), lambda one: setattr(one, "owned", EVEN)])
def test_a_sleep_ends_when_it_should_stop_or_owns_other_shards(
    url: str, observer: Observer, change: Callable[[Sleeper], None]
) -> None:
    with sleeper(url) as asleep:
        wait_for(lambda: observer.flags() == 64)
        slept = len(asleep.sleeps)
        changed_at = time.monotonic()
        change(asleep)
        wait_for(lambda: len(asleep.sleeps) > slept)
        assert time.monotonic() - changed_at < SOON_S


class Watched(LockSession):
    """Does what it is told to, once, in the moment before flags go up."""

    before_raising: ClassVar[list[Callable[[], None]]] = []

    def ask(self, query: LiteralString, **values: object) -> list[tuple[Any, ...]]:
        if query == wakeup._RAISE and self.before_raising:
            self.before_raising.pop()()
        return super().ask(query, **values)


@pytest.fixture
def before_raising(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Takes what is to happen between flags down and flags up."""
    monkeypatch.setattr(wakeup, "LockSession", Watched)
    Watched.before_raising.clear()
    return Watched.before_raising


@pytest.mark.parametrize(
    ("before", "after"),
    [(ALL, EVEN), (EVEN, ALL), (EVEN, ALL - EVEN)],
    ids=["fewer shards", "more shards", "other shards"],
)
def test_a_commit_while_the_flags_are_down_for_a_change_of_shards_is_seen_at_once(
    url: str,
    observer: Observer,
    before_raising: list[Callable[[], None]],
    before: frozenset[int],
    after: frozenset[int],
) -> None:
    committed_at: list[float] = []
    key = key_of(after - before or after)

    def commit_now() -> None:
        commit_and_close(Noted(of=key, n=1))
        committed_at.append(time.monotonic())

    with sleeper(url, owned=before) as asleep:
        wait_for(lambda: observer.flags() == len(before))
        before_raising.append(commit_now)
        asleep.owned = after
        seen_after(asleep, seen=1)
        assert time.monotonic() - committed_at[0] < SOON_S
        assert observer.heard(within_s=0.1) == []  # it found no flag, so only a look could see it
        wait_for(lambda: observer.flags() == len(after))


def test_it_polls_while_the_database_restarts_and_sleeps_again_after_it(url: str, parts: Stack) -> None:
    with sleeper(url) as asleep:
        with closing(Observer(url)) as observer:
            wait_for(lambda: observer.flags() == 64)
        parts.postgres.kill()
        parts.postgres.start()
        connection.close()
        commit(Noted(of="user", n=1))
        seen_after(asleep, seen=1)
        with closing(Observer(url)) as observer:
            wait_for(lambda: observer.flags() == 64)
            commit(Noted(of="user", n=2))
            assert observer.heard(within_s=SOON_S) == [str(shard_of("user"))]
        assert seen_after(asleep, seen=2) < SOON_S
