"""The judge sees what was planted: a loss, a duplicate, a step back, a changed byte; and nothing where nothing is."""

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace

import psycopg
import pytest
from kafka import KafkaProducer  # type: ignore[import-untyped]  # ships no types

from tests.faults.ledger import NOTE, Delivery, Fault, LedgerBroken, Verdict, Written, judge, value_of

HEADERS = {
    "ce_specversion": "1.0",
    "ce_id": "0199",
    "ce_source": "here",
    "ce_type": "load.written",
    "ce_subject": "ann",
    "ce_time": "2026-01-01T00:00:00Z",
    "ce_dataschema": "here/schemas/load.written/1",
    "content-type": "application/json",
    "traceparent": "00-1-1-01",
}
WRITTEN = [
    Written(key, n, f"{key}-{n}", f'{{"of":"{key}","mark":"{key}-{n}","text":""}}'.encode())
    for key in ("ann", "bob")
    for n in (1, 2, 3)
]


def delivered(*marks: str) -> list[Delivery]:
    """So many records, ann's in partition 0 and bob's in partition 1, sent a second apart."""
    return [
        Delivery(
            partition=int(mark.startswith("bob")),
            offset=offset,
            key=mark[:3].encode(),
            headers=headers_of(mark[:3]),
            value=f'{{"of":"{mark[:3]}","mark":"{mark}","text":""}}'.encode(),
            sent_ms=offset * 1000,
        )
        for offset, mark in enumerate(marks)
    ]


def headers_of(key: str) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value.encode()) for name, value in (HEADERS | {"ce_subject": key}).items())


ALL = ("ann-1", "ann-2", "ann-3", "bob-1", "bob-2", "bob-3")


def test_all_in_order_is_well() -> None:
    verdict = judge(WRITTEN, delivered(*ALL))
    verdict.raise_if_broken()
    assert verdict.figures == {
        "written": 6, "delivered": 6, "lost": 0, "reordered": 0, "corrupted": 0, "unwritten": 0, "duplicates": 0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("marks", "wrong"),
    [
        (("ann-1", "ann-3", "bob-1", "bob-2", "bob-3"), {"lost": 1}),
        (("ann-1", "ann-2", "bob-1", "bob-2", "bob-3"), {"lost": 1}),
        ((), {"lost": 6}),
        (("ann-2", "ann-1", "ann-3", "bob-1", "bob-2", "bob-3"), {"reordered": 1}),
        (("ann-3", "ann-1", "ann-2", "bob-1", "bob-2", "bob-3"), {"reordered": 2}),
        ((*ALL, "ann-4"), {"unwritten": 1}),
    ],
)
def test_what_is_planted_is_counted_and_refused(marks: Sequence[str], wrong: dict[str, int]) -> None:
    verdict = judge(WRITTEN, delivered(*marks))
    assert verdict.figures == {**judge(WRITTEN, delivered(*ALL)).figures, **wrong, "delivered": len(marks)}
    with pytest.raises(LedgerBroken, match=f"{next(iter(wrong))}: {next(iter(wrong.values()))}, first"):
        verdict.raise_if_broken()


def test_duplicates_are_a_number_and_break_no_order() -> None:
    verdict = judge(WRITTEN, delivered("ann-1", "ann-2", "ann-1", "ann-2", "ann-3", "bob-1", "bob-1", *ALL[4:]))
    verdict.raise_if_broken()
    assert verdict.figures["duplicates"] == 3


def test_a_late_copy_does_not_hide_that_the_first_came_out_of_order() -> None:
    verdict = judge(WRITTEN, delivered("ann-2", "ann-1", "ann-2", "ann-3", *ALL[3:]))
    assert [entry.mark for entry in verdict.reordered] == ["ann-1"]


def test_a_key_in_two_partitions_has_no_order() -> None:
    arrived = delivered(*ALL)
    arrived[1] = replace(arrived[1], partition=1)
    assert [entry.mark for entry in judge(WRITTEN, arrived).reordered] == ["ann-2"]


@pytest.mark.parametrize(
    "change",
    [
        lambda whole: replace(whole, value=whole.value + b" "),
        lambda whole: replace(whole, key=b"bob"),
        lambda whole: replace(whole, key=None),
        lambda whole: replace(whole, headers=whole.headers[:-1]),
        lambda whole: replace(whole, headers=(*whole.headers, ("more", b""))),
        lambda whole: replace(whole, headers=headers_of("bob")),
    ],
)
def test_any_other_byte_is_corrupt(change: Callable[[Delivery], Delivery]) -> None:
    arrived = delivered(*ALL)
    arrived[0] = change(arrived[0])
    verdict = judge(WRITTEN, arrived)
    assert verdict.corrupted == [arrived[0]]
    assert verdict.figures["lost"] == 0


def test_copies_that_differ_are_corrupt() -> None:
    arrived = delivered("ann-1", *ALL)
    others = tuple((name, b"other" if name == "ce_id" else value) for name, value in arrived[1].headers)
    arrived[1] = replace(arrived[1], headers=others)
    assert judge(WRITTEN, arrived).corrupted == [arrived[1]]


def test_a_duplicate_is_explained_by_a_fault_between_its_copies_alone() -> None:
    verdict = judge(WRITTEN, delivered(*ALL, "bob-3"))  # sent at 5 s and at 6 s
    assert verdict.unexplained([Fault(since_s=5.5, until_s=5.7)]) == []
    assert verdict.unexplained([Fault(since_s=4.0, until_s=5.2)]) == []
    assert len(verdict.unexplained([Fault(since_s=1.0, until_s=4.9), Fault(since_s=6.1, until_s=9.0)])) == 1
    assert len(verdict.unexplained([])) == 1


def test_a_record_that_had_long_arrived_is_no_explained_duplicate() -> None:
    verdict = judge(WRITTEN, delivered(*ALL, "ann-1"))  # sent at 0 s and at 6 s
    assert len(verdict.unexplained([Fault(since_s=5.5, until_s=5.7)])) == 1


def test_the_judge_reads_ledger_and_topic_for_itself(
    database_url: str, topic: str, verdict: Callable[[], Verdict]
) -> None:
    values = {mark: value_of(key="ann", mark=mark, text="größer") for mark in ("first", "second")}
    with psycopg.connect(database_url) as connection:
        for mark, value in values.items():
            connection.execute(NOTE, {"key": "ann", "mark": mark, "value": value})
    with pytest.raises(LedgerBroken, match="lost: 2"):
        verdict()
    produce(topic, [values["first"], values["second"], values["first"]])
    assert verdict().figures["duplicates"] == 1
    assert verdict().unexplained([Fault(since_s=0, until_s=time.time())]) == []
    assert len(verdict().unexplained([Fault(since_s=0, until_s=1)])) == 1
    produce(topic, [json.dumps({"mark": "nobody's"}).encode()])
    with pytest.raises(LedgerBroken, match="unwritten: 1"):
        verdict()


def produce(topic: str, values: list[bytes]) -> None:
    with closing(KafkaProducer(bootstrap_servers=os.environ["KAFKA_BROKERS"])) as producer:
        for value in values:
            producer.send(topic, key=b"ann", value=value, headers=list(headers_of("ann"))).get(10)
