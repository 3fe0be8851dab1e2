"""Consumers under faults and load: each event has one effect, each key's in order, and nothing is set aside for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack import Stack
from tests.faults import effects
from tests.faults.fleet import Fleet
from tests.faults.members import QUICK_TO_DOUBT, QUICK_TO_END, Group
from tests.faults.proxy import in_front_of

pytestmark = pytest.mark.django_db(transaction=True)

STOPS_WITHIN_S = 20.0  # as the settings say
TAKEN_OVER_WITHIN_S = 60.0  # what a paused member has locked would stay so for ever


@pytest.fixture
def group(fleet: Fleet, database_url: str, tmp_path: Path) -> Iterator[Group]:
    effects.create_effects(database_url)
    yield Group(fleet, tmp_path)
    effects.drop_effects(database_url)


def test_members_come_leave_are_killed_sleep_in_a_transaction_and_hang(group: Group) -> None:
    first, second, hanging = group.begins(group.member, group.member, lambda: group.member(QUICK_TO_END))
    third = group.member()
    group.misses(third, None)  # it stands by: there are three partitions
    assert first.process.terminate(within_s=STOPS_WITHIN_S) == 0
    group.works(third)
    with group.standing_in_its_transaction(third):
        third.process.pause()
        second.process.kill()
    group.handles_what_is_there(within_s=TAKEN_OVER_WITHIN_S)
    third.process.resume()
    group.works(third, hanging)
    hanging.process.may_end()
    hanging.breaks("hang")
    group.fleet.wait(lambda: not hanging.process.is_alive)
    assert hanging.process.terminate() == 70  # its own code, from before
    assert hanging.process.has_said('"event": "consumer hangs"')
    assert hanging.process.has_said("in leave_effect")
    group.ends_well()
    assert third.process.terminate(within_s=STOPS_WITHIN_S) == 0


def test_what_is_away_is_waited_for_and_told_and_sigterm_ends_the_wait(group: Group, parts: Stack) -> None:
    with in_front_of(parts.postgres) as postgres, in_front_of(parts.kafka) as kafka:
        url = postgres.url(group.fleet.database_url)
        members = without_database, without_kafka, without_cache = group.begins(
            lambda: group.member(QUICK_TO_DOUBT, DATABASE_URL=url, DATABASE_DIRECT_URL=url),
            lambda: group.member(KAFKA_BROKERS=kafka.address),
            group.member,
        )

        def all_wait() -> None:
            without_cache.breaks("away")
            group.misses(without_database, "database")
            group.misses(without_kafka, "kafka")
            group.misses(without_cache, effects.HANDLER)

        postgres.cut()
        kafka.cut()
        group.works(*members)
        postgres.half_open()
        kafka.half_open()
        all_wait()
        postgres.heal()
        kafka.heal()
        without_cache.heals("away")
        group.works(*members)
        postgres.refuse()
        kafka.refuse()
        all_wait()
        for member in members:
            member.process.ask_to_end()
        assert [member.process.exit_code(within_s=STOPS_WITHIN_S) for member in members] == [0, 0, 0]
        last = group.member(KAFKA_CONSUMER_BATCH="500")
        group.works(last)
        group.ends_well()
        assert last.process.terminate(within_s=STOPS_WITHIN_S) == 0
