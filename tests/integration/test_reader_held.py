"""The reader's held keys: given in order once they are due, many together, and nothing else waits for them."""

from collections import defaultdict

import pytest

from events.outbox.reader import Reader
from events.outbox.session import Parameters, Row, Session
from events.outbox.store import OrderKey, Pending
from tests.integration.reading import ALL, NO_LIMIT, Reading, buffers_of_next_read, make, reading
from tests.integration.relaying import database_url

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_held_key_is_given_in_order_once_it_is_due_and_stops_nobody() -> None:
    make(3, key="bad")
    make(2, key="well")
    with reading() as one:
        bad = [record for record in one.read() if record.key == "bad"]
        one.reader.hold_back(bad[0], wait_s=0)
        one.reader.forget(record.id for record in bad)
        make(1, key="bad")
        make(1, key="well")
        assert one.read_keys() == ["well"]
        held = one.reader.read_held(limit=10, bytes_most=NO_LIMIT)
        assert [record.id for record in held] == [bad[0].id]
        assert one.reader.read_held(limit=10, bytes_most=NO_LIMIT) == []  # as long as its head is not settled
        one.mark(held)
        one.read()
        rest = one.reader.read_held(limit=10, bytes_most=NO_LIMIT)
        assert [record.key for record in rest] == ["bad"] * 3
        assert rest[:2] == [again for again in rest if again.id in {record.id for record in bad}]
        assert one.reader.read_held(limit=10, bytes_most=NO_LIMIT) == []
        make(1, key="bad")
        assert one.read_keys() == ["bad"]


class CountingSession(Session):
    """Counts its statements."""

    statements = 0

    def run(self, statement: str, parameters: Parameters = ()) -> list[Row]:
        self.statements += 1
        return super().run(statement, parameters)


def ids_by_key(records: list[Pending]) -> dict[OrderKey, list[int]]:
    found: dict[OrderKey, list[int]] = defaultdict(list)
    for record in records:
        found[record.order_key].append(record.id)
    return found


def hold_all(one: Reading) -> dict[OrderKey, list[int]]:
    """Read everything and have each key's first record refused; gives what is held. All of it is due at once."""
    records = one.read(limit=5_000)
    for head in {record.order_key: record for record in reversed(records)}.values():
        one.reader.hold_back(head, wait_s=0)
    one.reader.forget(record.id for record in records)
    return ids_by_key(records)


def test_a_thousand_held_keys_that_come_due_together_take_a_handful_of_statements() -> None:
    for n in range(10):
        make(300, topic=f"was-missing-{n}")  # 100 keys
    with reading() as one:
        one.session = session = CountingSession(database_url())
        one.reader = Reader(session)
        held = hold_all(one)
        before = session.statements
        heads = one.reader.read_held(limit=1_000, bytes_most=NO_LIMIT)
        assert [record.id for record in heads] == sorted(ids[0] for ids in held.values())
        refused_again, taken = heads[::10], [head for n, head in enumerate(heads) if n % 10]
        for record in refused_again:
            one.reader.hold_back(record, wait_s=60)
        one.reader.forget(record.id for record in refused_again)
        one.mark(taken)
        one.read()
        rest: list[Pending] = []
        while records := one.reader.read_held(limit=1_000, bytes_most=NO_LIMIT):
            rest += records
        assert session.statements - before <= 7  # a mark and a read among them
        assert ids_by_key(rest) == {head.order_key: held[head.order_key][1:] for head in taken}
        assert len(rest) == 1_800


def test_held_keys_are_read_within_the_bounds_and_none_is_left_out() -> None:
    make(50, key="long")
    make(4)
    with reading() as one:
        held = hold_all(one)
        heads = [one.reader.read_held(limit=3, bytes_most=NO_LIMIT), one.reader.read_held(limit=3, bytes_most=1)]
        heads += [one.reader.read_held(limit=3, bytes_most=NO_LIMIT)]
        assert [len(records) for records in heads] == [3, 1, 1]
        for records in heads:
            one.mark(records)
        one.read()
        rest: list[Pending] = []
        while records := one.reader.read_held(limit=3, bytes_most=300):
            assert len(records) <= 2  # of 203 bytes each
            rest += records
        assert [record.id for record in rest] == held["made", "long"][1:]


def test_what_is_held_of_shards_that_were_left_is_not_given_until_they_are_back() -> None:
    make(2, key="bad")
    with reading() as one:
        held = hold_all(one)
        others = ALL - {0}
        one.reader.leave({0})
        assert one.read(shards=others) == []
        assert one.reader.read_held(limit=10, bytes_most=NO_LIMIT) == []
        assert ids_by_key(one.read(shards=ALL)) == held


def test_thousands_behind_a_held_key_are_passed_once_and_keep_no_memory() -> None:
    with reading() as one:
        make(1, key="bad")
        (head,) = one.read()
        one.reader.hold_back(head, wait_s=60)
        one.reader.forget([head.id])
        make(20_000, key="bad")
        make(5, key="well")
        found: list[str] = []
        reads = 0
        while len(found) < 5:
            found += one.read_keys()
            reads += 1
        assert reads <= 22
        assert len(one.reader._known) == 5
        make(1, key="well")
        assert buffers_of_next_read(one) < 200  # to the floor, 5,000 ids back; all of them take 400
