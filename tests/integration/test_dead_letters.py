"""Dead letters: kept whole, copied to their topic through the outbox, replayed and discarded by operators."""

import secrets
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from events.errors import Permanent
from events.inbox import batch, retries
from events.inbox import dead_letters as letters
from events.inbox.group import Group
from events.kafka import Record
from events.models import OutboxRecord, ParkedDelivery
from events.outbox.store import decode_headers
from events.routing import Delivery, RetryPolicy, Routes, on, unhandled
from tests.integration.counting import Counted, leave_row, raw, rows
from tests.integration.operating import acted, operator

pytestmark = pytest.mark.usefixtures("effects")

TIMESTAMP_MS = 1_795_000_000_000


class World:
    """A handler that refuses some for good, and its group."""

    def __init__(self, *, after_death: Any = "wait") -> None:
        self.refused = {1}
        self.flaky: set[int] = set()
        route = on(Counted, self._handle, name="tested", retry=RetryPolicy(after_death=after_death))
        self.group = Group(name="test", routes=Routes(route))

    def _handle(self, event: Counted, delivery: Delivery) -> None:
        if event.n in self.flaky:
            raise ValueError("not now")
        if event.n in self.refused:
            raise Permanent("not this one")
        leave_row(event, delivery)

    def poll(self, *numbers: int, name: str = "ann") -> None:
        batch.handle([record(n, name) for n in numbers], self.group)

    def retry(self) -> None:
        retries.retry_due(self.group, within_s=10)


@pytest.fixture
def world() -> World:
    return World()


def record(n: int, name: str = "ann") -> Record:
    source = raw(n, name)
    return Record("user.events", 0, n, TIMESTAMP_MS, source.key, source.headers, source.value)


def dead_letters(*words: str) -> list[str]:
    out = StringIO()
    call_command("dead_letters", *words, stdout=out)
    return out.getvalue().splitlines()


def letter_ids() -> list[int]:
    return list(ParkedDelivery.objects.filter(dead_at__isnull=False).order_by("id").values_list("id", flat=True))


def replayed_by_command(ids: list[int]) -> None:
    assert dead_letters("replay", *map(str, ids)) == [f"replayed: {len(ids)}; a running consumer tries them now"]


def discarded_by_command(ids: list[int]) -> None:
    assert dead_letters("discard", *map(str, ids)) == [f"discarded: {len(ids)}"]


def by_admin(action: str) -> Callable[[list[int]], None]:
    def act(ids: list[int]) -> None:
        [told] = acted(ParkedDelivery, action, ids, by=operator(), sure="on")
        assert told.split(".")[0] == f"{action.capitalize()}ed: {len(ids)}"

    return act


@pytest.mark.parametrize("replay", [replayed_by_command, by_admin("replay")])
def test_a_replay_that_succeeds_lets_what_waited_behind_it_follow_in_order(
    world: World, replay: Callable[[list[int]], None]
) -> None:
    world.poll(0, 1, 2, 3)
    world.poll(4, 5)
    world.retry()
    assert rows() == [("ann", 0)]

    world.refused.clear()
    replay(letter_ids())
    world.retry()

    assert rows() == [("ann", n) for n in range(6)]
    assert ParkedDelivery.objects.count() == 0


def test_a_replay_that_fails_again_is_a_dead_letter_again_and_the_others_wait_on(world: World) -> None:
    world.poll(1, 2)
    replayed_by_command(letter_ids())
    world.retry()
    assert len(letter_ids()) == 1
    assert rows() == []
    assert OutboxRecord.objects.filter(topic="user.events.dlq").count() == 2


@pytest.mark.parametrize("discard", [discarded_by_command, by_admin("discard")])
def test_what_waited_behind_a_discarded_letter_goes_on_in_order(
    world: World, discard: Callable[[list[int]], None]
) -> None:
    world.poll(1, 2, 3)
    discard(letter_ids())
    world.retry()
    assert rows() == [("ann", 2), ("ann", 3)]
    assert ParkedDelivery.objects.count() == 0


def test_a_discarded_letter_does_not_come_back_with_its_record(world: World) -> None:
    first = record(1)
    batch.handle([first], world.group)
    discarded_by_command(letter_ids())
    batch.handle([first], world.group)
    assert letter_ids() == []
    assert rows() == []


def test_a_route_may_let_later_events_go_on_after_a_death() -> None:
    world = World(after_death="continue")
    world.poll(0, 1, 2)
    world.poll(3)
    assert rows() == [("ann", 0), ("ann", 2), ("ann", 3)]
    assert len(letter_ids()) == 1


def test_many_are_chosen_by_what_they_have_in_common(world: World) -> None:
    world.refused = {1, 2}
    for name in ("ann", "bob"):
        world.poll(1, name=name)
    batch.handle([Record("user.events", 0, 9, TIMESTAMP_MS, b"cid", (), b"junk")], world.group)
    assert [line.rpartition(": ")[2] for line in dead_letters("list", "--reason", "permanent")] == ["Permanent"] * 2
    assert dead_letters("replay", "--reason", "permanent") == ["replayed: 2; a running consumer tries them now"]
    assert dead_letters("discard", "--all") == ["discarded: 1"]
    assert dead_letters("list") == []


@pytest.mark.parametrize("words", [(), ("1", "--all"), ("1", "--topic", "user.events")])
def test_which_ones_must_be_said_in_one_way(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match="Which ones"):
        dead_letters("discard", *words)


def test_what_is_not_dead_is_left_alone(world: World) -> None:
    world.poll(1, 2)
    waiting = ParkedDelivery.objects.get(dead_at=None)
    assert letters.discard([waiting.id], routes=world.group.routes) == []
    assert dead_letters("replay", str(waiting.id)) == ["replayed: 0; a running consumer tries them now"]
    assert ParkedDelivery.objects.count() == 2


def test_one_is_shown_with_its_traceback_and_its_data_only_on_demand(world: World) -> None:
    world.poll(1)
    [letter_id] = letter_ids()
    shown = dead_letters("show", str(letter_id))
    assert "events.errors.Permanent: not this one" in shown
    assert "ce_type: b'test.counted'" in shown
    assert not any('"n":1' in line for line in shown)
    assert any('"n":1' in line for line in dead_letters("show", str(letter_id), "--value"))


def test_the_letter_keeps_the_record_whole_and_its_copy_says_where_it_came_from(world: World) -> None:
    first = record(1)
    batch.handle([first], world.group)
    letter = ParkedDelivery.objects.get()
    assert (bytes(letter.key or b""), bytes(letter.value or b"")) == (first.key, first.value)
    copy = OutboxRecord.objects.get()
    assert (copy.topic, copy.key, bytes(copy.value)) == ("user.events.dlq", "ann", first.value)
    headers = dict(decode_headers(bytes(copy.headers)))
    assert headers.items() >= dict(first.headers).items()
    assert {name: value for name, value in headers.items() if name.startswith("dlq_")} == {
        "dlq_group": b"test",
        "dlq_handler": b"tested",
        "dlq_reason": b"permanent: Permanent",
        "dlq_event_id": str(letter.event_id).encode(),
        "dlq_topic": b"user.events",
        "dlq_partition": b"0",
        "dlq_offset": b"1",
        "dlq_attempts": b"1",
    }


def test_a_record_too_large_for_its_topic_is_kept_and_a_stub_goes_out(world: World) -> None:
    large = Record("user.events", 0, 7, TIMESTAMP_MS, b"\xff", (("h\0", b"\xff"),), b"x" * 5_000_000)
    batch.handle([large], world.group)
    letter = ParkedDelivery.objects.get()
    assert len(letter.value or b"") == 5_000_000
    copy = OutboxRecord.objects.get()
    headers = dict(decode_headers(bytes(copy.headers)))
    assert (copy.key, bytes(copy.value), headers["dlq_stub"]) == (str(letter.event_id), b"", b"too-large")
    assert "h\0" not in headers


@pytest.mark.parametrize("key", [secrets.token_bytes(3_000), secrets.token_hex(2_000).encode()], ids=["bytes", "text"])
def test_a_key_too_long_for_an_index_stops_nothing(world: World, key: bytes) -> None:
    headers = tuple((name, key if name == "ce_subject" else value) for name, value in raw(1).headers)
    progress = batch.handle([Record("user.events", 0, 7, TIMESTAMP_MS, key, headers, b"{}")], world.group)
    assert progress.settled == {("user.events", 0): 8}
    letter = ParkedDelivery.objects.get()
    assert (bytes(letter.key or b""), letter.reason) == (key, "too-large: key")
    assert OutboxRecord.objects.get().key == str(letter.event_id)


def test_a_header_without_a_value_stops_nothing_not_even_when_it_is_replayed(world: World) -> None:
    headers: Any = (("x", None), *raw(1).headers)
    batch.handle([Record("user.events", 0, 7, TIMESTAMP_MS, b"ann", headers, b"{}"), record(2)], world.group)
    assert rows() == [("ann", 2)]
    copy = OutboxRecord.objects.get()
    assert dict(decode_headers(bytes(copy.headers)))["x"] == b""
    replayed_by_command(letter_ids())
    world.retry()
    assert ParkedDelivery.objects.get().reason == "unreadable: header x is not UTF-8 text"
    assert "x: None" in dead_letters("show", str(letter_ids()[0]))


def test_what_no_later_version_can_open_is_told_copied_and_holds_back_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World(after_death="continue")
    world.flaky = {1}
    world.poll(1, 2)
    assert rows() == []
    stricter = Group(name="test", routes=Routes(on(Stricter, leave_row, name="tested",
                     retry=RetryPolicy(after_death="continue"))))  # fmt: skip
    ParkedDelivery.objects.filter(attempts=1).update(next_attempt_at=timezone.now())
    retries.retry_due(stricter, within_s=10)
    assert [letter.reason for letter in ParkedDelivery.objects.all()] == ["data-invalid: value"] * 2
    assert OutboxRecord.objects.filter(topic="user.events.dlq").count() == 2
    assert caplog.messages.count("dead letter") == 2


class Stricter(Counted, frozen=True, kw_only=True):
    """Needs a member that nobody wrote."""

    missing: str


def test_what_is_set_aside_for_a_handler_that_is_gone_can_be_discarded(world: World) -> None:
    world.poll(1, 2)
    gone = Group(name="test", routes=Routes(unhandled(Counted, because="a test")))
    replayed_by_command(letter_ids())
    retries.retry_due(gone, within_s=10)
    ids = list(ParkedDelivery.objects.order_by("id").values_list("id", flat=True))
    assert letters.discard(ids, routes=gone.routes) == ids
    assert ParkedDelivery.objects.count() == 0


def test_a_record_that_cannot_be_read_comes_once_with_an_identity_of_its_own(world: World) -> None:
    junk = Record("user.events", 0, 7, TIMESTAMP_MS, b"ann", (), b"junk")
    for _ in range(2):
        batch.handle([junk, junk], world.group)
    letter = ParkedDelivery.objects.get()
    assert UUID(str(letter.event_id)).version == 5
    assert OutboxRecord.objects.count() == 1


def test_a_letter_of_a_newer_version_is_handled_after_the_upgrade(world: World) -> None:
    class Upgraded(Counted, frozen=True, kw_only=True):
        schema_version = 2
        upcasters = {1: lambda data: data}

    source = raw(5)
    newer = tuple(
        (name, value[:-1] + b"2" if name == "ce_dataschema" else value) for name, value in source.headers
    )  # fmt: skip
    batch.handle([Record("user.events", 0, 5, TIMESTAMP_MS, source.key, newer, source.value)], world.group)
    assert ParkedDelivery.objects.get().reason == "version-unknown: 2"
    replayed_by_command(letter_ids())
    world.retry()
    assert ParkedDelivery.objects.get().reason == "version-unknown: 2"

    upgraded = Group(name="test", routes=Routes(on(Upgraded, leave_row, name="tested")))
    replayed_by_command(letter_ids())
    retries.retry_due(upgraded, within_s=10)
    assert rows() == [("ann", 5)]
    assert ParkedDelivery.objects.count() == 0
