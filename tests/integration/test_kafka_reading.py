"""What we lean on in kafka-python's fetcher: a new version of it must pass here first."""

import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from kafka.record.util import calc_crc32c  # type: ignore[import-untyped]  # ships no types

from devstack import Stack
from events.conf import EventsSettings
from events.inbox.consumer import Gone
from events.kafka import BrokersAway, Consumer, NoOffset, Record
from events.kafka import _consumer as kafka_consumer
from tests.integration.consuming import admin, commit
from tests.integration.raw_records import Raw, Topic
from tests.waiting import wait_for


def joined(topic: Topic) -> closing[Consumer]:
    """The one member of a group that starts at the oldest record."""
    commit(topic, {0: 0, 1: 0, 2: 0})
    settings = replace(EventsSettings.current(), group=topic.name)
    return closing(Consumer(settings, topics=[topic.name], assignments=Gone()))


@pytest.fixture
def consumer(topic: Topic) -> Iterator[Consumer]:
    with joined(topic) as consumer:
        yield consumer


def read(consumer: Consumer, number: int) -> list[Record]:
    found: list[Record] = []
    wait_for(lambda: found.extend(consumer.poll(timeout_s=0.2)) or len(found) >= number)
    return found


def log_of(topic: Topic) -> Path:
    """Where the broker keeps partition 0. The test's own machine is the broker's."""
    with admin() as client:
        (broker,) = client.describe_log_dirs()
    (folder,) = [one["log_dir"] for one in broker["log_dirs"]]
    return Path(folder) / f"{topic.name}-0" / "00000000000000000000.log"


def rewrite(path: Path, changes: Mapping[int, tuple[int, bytes]], *, sealed: bool) -> None:
    """Put bytes into a batch, by its offset, at so many bytes from its start; with a checksum that is right again."""
    content, at = bytearray(path.read_bytes()), 0
    while at < len(content):
        base, length = struct.unpack_from(">qi", content, at)
        if base in changes:
            position, put = changes[base]
            content[at + position : at + position + len(put)] = put
            if sealed:
                struct.pack_into(">I", content, at + 17, calc_crc32c(memoryview(content)[at + 21 : at + 12 + length]))
        at += 12 + length
    with path.open("r+b") as log:
        log.write(content)


def write_one_by_one(topic: Topic, number: int) -> None:
    """Each in a batch of its own."""
    for n in range(number):
        topic.write(Raw(b"k", b"%d" % n, (("h", b"1"),)))


def test_what_is_read_is_what_was_written(consumer: Consumer, topic: Topic) -> None:
    headers = (("h", b"1"), ("\u00fc", b""), ("h", b"2"))
    topic.write(Raw(b"k", b"v" * 300, headers), Raw(None, b""), Raw(b"k", None), partition=1)
    first, second, third = read(consumer, 3)
    assert first == Record(topic.name, 1, 0, first.timestamp_ms, b"k", headers, b"v" * 300)
    assert second == Record(topic.name, 1, 1, second.timestamp_ms, None, (), b"")
    assert third == Record(topic.name, 1, 2, third.timestamp_ms, b"k", (), None)
    assert abs(first.timestamp_ms - time.time() * 1000) < 60_000


def test_a_member_that_polls_briefly_and_seldom_joins_all_the_same(consumer: Consumer, topic: Topic) -> None:
    topic.write(Raw(b"k", b"v"))

    def polls() -> list[Record]:
        time.sleep(0.2)  # waits for nothing: it is the pause itself, in which an answer to a join comes
        return consumer.poll(timeout_s=0.001)

    wait_for(polls)


def test_a_member_whose_join_is_answered_between_two_polls_comes_to_own_a_new_partition(
    topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_consumer, "_LOOK_FOR_PARTITIONS_EVERY_S", 1)
    with joined(topic) as consumer:
        wait_for(lambda: consumer.poll(timeout_s=0.2) or len(consumer.assignment()) == 3)
        with admin() as client:
            client.create_partitions({topic.name: 4})

        def polls_around_its_answer() -> None:
            with monkeypatch.context() as in_a_hurry:
                in_a_hurry.setattr(kafka_consumer, "_JOIN_WITHIN_S", 0.0)
                wait_for(lambda: consumer.poll(timeout_s=0.001) or consumer._is_joining())
            wait_for(lambda: consumer._client._coordinator._join_task.is_done)
            wait_for(lambda: consumer.poll(timeout_s=0.001))

        # It asks where to begin as soon as it owns it.
        with pytest.raises(NoOffset, match=rf"\('{topic.name}', 3\)"):
            polls_around_its_answer()


def test_a_batch_that_cannot_be_read_is_told_once_and_the_next_one_follows(consumer: Consumer, topic: Topic) -> None:
    write_one_by_one(topic, 8)
    attributes, payload = 21, 61
    zstd, lies_long, lies_inside, no_name = b"\0\4", b"\x7e", b"\x7e", b"\xff"
    at_1, at_3, at_5, at_6 = (
        (attributes, zstd),
        (payload, lies_long),
        (payload + 4, lies_inside),
        (payload + 10, no_name),
    )
    rewrite(log_of(topic), {1: at_1, 3: at_3, 5: at_5, 6: at_6}, sealed=True)
    found = read(consumer, 8)
    assert [(record.offset, record.flaw) for record in found] == [
        (0, ""), (1, "unreadable: record batch, compression"), (2, ""), (3, "unreadable: record batch, form"),
        (4, ""), (5, "unreadable: record"), (6, "unreadable: a header name is not UTF-8"), (7, ""),
    ]  # fmt: skip


def test_a_batch_whose_checksum_stays_wrong_is_told_once_and_the_next_one_follows(
    consumer: Consumer, topic: Topic
) -> None:
    write_one_by_one(topic, 3)
    rewrite(log_of(topic), {1: (61 + 6, b"!")}, sealed=False)
    found = read(consumer, 3)
    assert [(record.offset, record.flaw) for record in found] == [
        (0, ""), (1, "unreadable: record batch, checksum"), (2, ""),
    ]  # fmt: skip


def test_the_cluster_says_its_id(consumer: Consumer) -> None:
    with admin() as client:
        told = client.describe_cluster()["cluster_id"]
    assert consumer.cluster_id(timeout_s=10) == told


def test_a_cluster_that_is_away_has_no_id_within_the_limit(parts: Stack) -> None:
    nobody = replace(EventsSettings.current(), brokers=("127.0.0.1:1",))
    began = time.monotonic()
    with closing(Consumer(nobody, topics=["things"], assignments=Gone())) as away, pytest.raises(BrokersAway):
        away.cluster_id(timeout_s=0.3)
    assert time.monotonic() - began < 6
