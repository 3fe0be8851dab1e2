"""From the outbox to Kafka while all is well: what arrives, where, in which order, and what is marked."""

import logging
import threading
from uuid import UUID

import pytest
from django.db import connection, transaction

from events.models import OutboxRecord
from events.outbox import store
from events.outbox.publish import publish
from events.trace import current_trace_id, following
from tests.integration.relaying import Noted, Topics, all_records, commit, first_arrivals, pending, relaying
from tests.waiting import LIMIT_S, wait_for


class TracedLog(logging.Handler):
    """Messages, each with the trace under which it was written."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append((record.getMessage(), current_trace_id()))


pytestmark = pytest.mark.django_db(transaction=True)


def test_each_record_arrives_once_and_byte_for_byte(own_topics: Topics) -> None:
    commit(*(Noted(of=f"user-{n % 7}", n=n, text="Zoë ☂") for n in range(50)))
    with relaying():
        wait_for(lambda: pending() == 0)
    arrived = {(record.partition, record.offset): record for record in all_records(own_topics.user_events)}
    assert len(arrived) == 50
    for kept in OutboxRecord.objects.all():
        record = arrived.pop((kept.partition, kept.offset))
        assert record.key == kept.key.encode()
        assert record.value == bytes(kept.value)
        assert list(record.headers) == list(store.decode_headers(bytes(kept.headers)))
        assert UUID(dict(record.headers)["ce_id"].decode()) == kept.event_id
    assert arrived == {}


def test_the_partition_is_that_of_every_other_client(own_topics: Topics) -> None:
    # Java's murmur2, made positive, modulo 3: what its own producer takes for these keys.
    commit(Noted(of="21", n=0), Noted(of="foobar", n=0), Noted(of="a-little-bit-long-string", n=0))
    with relaying():
        wait_for(lambda: pending() == 0)
    partitions = {record.key.decode(): record.partition for record in all_records(own_topics.user_events)}
    assert partitions == {"21": 0, "foobar": 0, "a-little-bit-long-string": 2}


def test_order_within_each_key_under_many_writers(own_topics: Topics) -> None:
    def write(keys: range) -> None:
        for n in range(20):
            commit(*(Noted(of=str(key), n=n) for key in keys))
        connection.close()

    writers = [threading.Thread(target=write, args=(range(first, first + 10),)) for first in (0, 10, 20, 30)]
    with relaying():
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        wait_for(lambda: pending() == 0)
    records = all_records(own_topics.user_events)
    assert len(records) == 800
    assert first_arrivals(records) == {str(key): list(range(20)) for key in range(40)}


def test_a_record_that_commits_late_is_read_though_higher_ids_are_gone(own_topics: Topics) -> None:
    has_written, may_commit = threading.Event(), threading.Event()

    def commit_late() -> None:
        with transaction.atomic():
            publish(Noted(of="late", n=1))
            has_written.set()
            assert may_commit.wait(LIMIT_S)
        connection.close()

    late = threading.Thread(target=commit_late)
    with relaying():
        late.start()
        assert has_written.wait(LIMIT_S)
        commit(Noted(of="other", n=1))
        wait_for(lambda: OutboxRecord.objects.filter(key="other", published_at__isnull=False).exists())
        may_commit.set()
        late.join()
        commit(Noted(of="late", n=2))
        wait_for(lambda: pending() == 0)
    lowest = OutboxRecord.objects.order_by("id").values_list("key", flat=True)[0]
    assert lowest == "late"
    assert first_arrivals(all_records(own_topics.user_events)) == {"late": [1, 2], "other": [1]}


def test_what_the_relay_logs_of_a_record_carries_the_trace_of_its_change(own_topics: Topics) -> None:
    with following("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
        commit(Noted(of="user", n=1))
    log = TracedLog()
    logging.getLogger("events").addHandler(log)
    try:
        with relaying():
            wait_for(lambda: pending() == 0)
    finally:
        logging.getLogger("events").removeHandler(log)
    assert ("published", "0af7651916cd43dd8448eb211c80319c") in log.seen
    (record,) = all_records(own_topics.user_events)
    assert dict(record.headers)["traceparent"] == b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
