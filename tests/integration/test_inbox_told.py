"""What a batch leaves in the log and the metrics: as much as helps, and no line a record at full speed."""

import logging
import time

import pytest
from prometheus_client import REGISTRY

from events.kafka import Record
from tests.integration.batching import handle, record
from tests.integration.counting import raw
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
