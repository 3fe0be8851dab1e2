"""What is too much for one transaction is taken in parts; the next batch begins with what fitted."""

import time
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from events.inbox import batch, deliveries
from events.inbox import delivery as delivery_module
from events.routing import Delivery, on, on_batch
from tests.integration.batching import Handler, group_of, records_of
from tests.integration.counting import Counted, leave_row, rows

pytestmark = pytest.mark.usefixtures("effects")

KEYS = [f"k{n}" for n in range(8)]


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of a second of handlers' time is much."""
    monkeypatch.setattr(deliveries, "_TRANSACTION_MOST_MS", 250)


def taking(seconds: float) -> Handler:
    def handler(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        time.sleep(seconds)  # the handler under test is slow

    return handler


def test_slow_handlers_share_smaller_transactions_and_the_loop_is_seen_to_go_on() -> None:
    steps: list[int] = []
    group = group_of(on(Counted, taking(0.08), name="tested"))
    progress = batch.handle(records_of(KEYS), group, goes_on=lambda: steps.append(len(rows())) or True)
    assert progress.settled == {("user.events", 0): 8}
    assert [n for _, n in rows()] == list(range(8))
    assert len(steps) >= 3
    assert steps == sorted(set(steps))


def test_the_next_batch_begins_with_what_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers_s = [0.0]  # by their own word, whatever a busy machine adds
    monkeypatch.setattr(delivery_module, "time", SimpleNamespace(perf_counter=lambda: handlers_s[0]))

    def handler(event: Counted, delivery: Delivery) -> None:
        leave_row(event, delivery)
        handlers_s[0] += 0.08

    group = group_of(on(Counted, handler, name="tested"))
    first = batch.handle(records_of(KEYS[:4]), group)
    assert first.at_once == 2
    steps: list[int] = []
    batch.handle(records_of(KEYS), group, at_once=2, goes_on=lambda: steps.append(len(rows())) or True)
    assert steps[0] == 6
    assert batch.handle(records_of(KEYS[:1]), group, at_once=2).at_once == 3


def test_one_that_is_slow_alone_is_handled_all_the_same() -> None:
    batch.handle(records_of(KEYS[:1]), group_of(on(Counted, taking(0.4), name="tested")))
    assert rows() == [("k0", 0)]


def test_what_there_is_no_time_for_is_taken_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_BATCH_MOST_S", 0.2)
    group = group_of(on(Counted, taking(0.15), name="tested"))
    progress = batch.handle(records_of(KEYS), group, at_once=1)
    assert progress.settled == {("user.events", 0): progress.unsettled["user.events", 0]}
    assert 0 < progress.settled["user.events", 0] < 8
    assert progress.away is None
    assert len(rows()) == progress.settled["user.events", 0]


def test_what_is_left_when_a_stop_is_asked_for_is_not_begun() -> None:
    group = group_of(on(Counted, leave_row, name="tested"))
    progress = batch.handle(records_of(KEYS), group, at_once=2, goes_on=lambda: False)
    assert (progress.settled, progress.unsettled) == ({("user.events", 0): 2}, {("user.events", 0): 2})
    assert [n for _, n in rows()] == [0, 1]


def test_a_slow_handler_of_batches_gets_smaller_ones() -> None:
    sizes: list[int] = []

    def handler(pairs: Sequence[tuple[Counted, Delivery]]) -> None:
        sizes.append(len(pairs))
        time.sleep(0.08 * len(pairs))  # as above
        for event, delivery in pairs:
            leave_row(event, delivery)

    batch.handle(records_of(KEYS), group_of(on_batch(Counted, handler, name="tested")))
    assert sizes[0] == 8
    assert [n for _, n in rows()] == list(range(8))
