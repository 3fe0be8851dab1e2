"""What a batch leaves in the log and the metrics: as much as helps, and no line a record at full speed."""

import logging
import time

import pytest
from django.db import connection, transaction
from prometheus_client import REGISTRY
from pythonjsonlogger.json import JsonFormatter
from uuid_utils.compat import uuid7

from events.kafka import Record
from events.models import ParkedDelivery
from events.routing import Delivery
from tests.integration.batching import Handler, handle, record
from tests.integration.counting import Counted, raw
from tests.integration.raw_records import Raw

pytestmark = pytest.mark.usefixtures("effects")


def of_type(name: str, n: int) -> Record:
    """The n-th record, of a type that this version does not know."""
    known = raw(1)
    return record(Raw(known.key, known.value, tuple({**dict(known.headers), "ce_type": name.encode()}.items())), n)


def unknown(count: int) -> list[Record]:
    return [of_type("test.newer", n) for n in range(count)]


def lines(caplog: pytest.LogCaptureFixture, beginning: str) -> list[logging.LogRecord]:
    return [line for line in caplog.records if line.message.startswith(beginning)]


def test_a_few_unknown_types_have_a_line_each_and_many_have_one_together(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "events")
    handle(unknown(20))
    assert [line.__dict__["offset"] for line in lines(caplog, "unknown type")] == list(range(20))
    caplog.clear()
    handle(unknown(21))
    assert [line.__dict__["records"] for line in lines(caplog, "unknown type")] == [21]


def test_types_that_nobody_knows_are_one_series_together() -> None:
    def series() -> set[tuple[str, ...]]:
        return {(one.name, *one.labels.values()) for metric in REGISTRY.collect() for one in metric.samples}

    handle(unknown(1))
    before = series()
    handle([of_type(f"test.newer-{n}", n) for n in range(100)])

    assert series() == before


CANARY = "canary-4711"


def quote_it(event: Counted, _delivery: Delivery) -> None:
    """By itself, and by what it came of."""
    try:
        dict[str, str]()[event.name]
    except KeyError as error:
        raise ValueError(f"nobody is called {event.name}") from error


def have_postgresql_quote_it(event: Counted, _delivery: Delivery) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into effects (event_id, handler, name, pid) values (%s, '', %s, 0)", [uuid7(), event.name]
        )


def quote_it_after_the_commit(event: Counted, delivery: Delivery) -> None:
    transaction.on_commit(lambda: quote_it(event, delivery))


@pytest.mark.parametrize(
    ("handler", "line", "classes", "place"),
    [
        (quote_it, "delivery failed", ("ValueError", "KeyError"), "in quote_it"),
        (
            have_postgresql_quote_it, "delivery failed", ("IntegrityError", "NotNullViolation"),
            "in have_postgresql_quote_it",
        ),
        (quote_it_after_the_commit, "not settled", ("ValueError", "KeyError"), "in quote_it"),
    ],
)  # fmt: skip
def test_an_error_is_told_by_class_and_place_and_never_by_what_it_quotes(
    handler: Handler, line: str, classes: tuple[str, str], place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "events")
    handle([record(raw(1, CANARY))], handler)
    [told] = [vars(one) for one in lines(caplog, line)]
    assert (told["error"], told["cause"]) == classes
    assert place in told["stack"]
    written = [JsonFormatter().format(one) + logging.Formatter().format(one) for one in caplog.records]
    assert CANARY not in "".join(written)


def test_the_parked_delivery_keeps_the_words() -> None:
    handle([record(raw(1, CANARY))], have_postgresql_quote_it)
    assert f"{CANARY}, null" in ParkedDelivery.objects.get().error


def handled_after(topic: str) -> tuple[float, float]:
    """How many records, and their seconds altogether."""
    name, labels = "kafka_consumer_handled_seconds", {"topic": topic}
    count, seconds = (REGISTRY.get_sample_value(f"{name}_{what}", labels) for what in ("count", "sum"))
    return count or 0.0, seconds or 0.0


def test_a_record_without_a_time_is_not_measured_and_one_of_long_ago_is() -> None:
    topic = "told.events"
    handle([Record(topic, 0, n, timestamp_ms, None, (), None) for n, timestamp_ms in enumerate((-1, 0))])
    assert handled_after(topic) == (0, 0)

    handle([Record(topic, 0, 2, 1, None, (), None)])
    count, seconds = handled_after(topic)
    assert (count, round(seconds - time.time(), -2)) == (1, 0)
