"""Retention of the inbox: what is old is forgotten behind a horizon, and nothing from behind it runs silently."""

from dataclasses import replace
from datetime import datetime, timedelta
from io import StringIO
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from uuid_utils.compat import uuid7

from events.conf import EventsSettings
from events.inbox import batch, operator_store, retention, retries
from events.inbox.dead_letters import replay
from events.inbox.group import Group
from events.kafka import Record
from events.models import InboxHorizon, InboxRecord, ParkedDelivery
from tests.integration.counting import ROUTES, raw, rows
from tests.integration.raw_records import Raw
from usercenter.tasks import prune

pytestmark = pytest.mark.usefixtures("effects")

GROUP = Group(name="test", routes=ROUTES)
NOW = timezone.now()
OLD, YOUNG = NOW - timedelta(days=31), NOW - timedelta(days=29)


def id_of(at: datetime) -> UUID:
    """A new event's, of that time."""
    return UUID(int=(int(at.timestamp() * 1000) << 80) | (uuid7().int & ((1 << 80) - 1)))


def record(n: int, event_id: UUID) -> Record:
    source = raw(n, event_id=event_id)
    return Record("user.events", 0, n, int(NOW.timestamp() * 1000), source.key, source.headers, source.value)


def handle(*records: Record, received_at: datetime | None = None) -> None:
    batch.handle(records, GROUP)
    if received_at:
        InboxRecord.objects.filter(received_at__gt=NOW).update(received_at=received_at)


def inbox(*words: str) -> list[str]:
    out = StringIO()
    call_command("inbox", *words, stdout=out)
    return out.getvalue().splitlines()


def test_a_pruned_event_that_comes_again_has_no_second_effect_and_does_not_vanish() -> None:
    old, young = record(1, id_of(OLD)), record(2, id_of(YOUNG))
    handle(old, received_at=OLD)
    handle(young, received_at=YOUNG)

    assert inbox("prune") == ["forgotten: 1"]
    handle(old, young)

    assert rows() == [("ann", 1), ("ann", 2)]
    letter = ParkedDelivery.objects.get()
    assert (letter.offset, letter.handler, letter.reason) == (
        1,
        "",
        "older-than-inbox: it may have been handled before",
    )


def test_an_event_that_waited_out_a_long_outage_is_handled_once_an_operator_says_so() -> None:
    handle(record(1, id_of(OLD)), received_at=OLD)
    inbox("prune")
    handle(record(2, id_of(OLD)))
    assert rows() == [("ann", 1)]

    replay(list(ParkedDelivery.objects.values_list("id", flat=True)))
    retries.retry_due(GROUP, within_s=10)

    assert rows() == [("ann", 1), ("ann", 2)]
    assert ParkedDelivery.objects.count() == 0
    handle(record(2, id_of(OLD)), record(2, id_of(OLD)))
    assert rows() == [("ann", 1), ("ann", 2)]


def test_an_old_event_is_handled_as_any_other_while_nothing_was_pruned() -> None:
    handle(record(1, id_of(OLD)))
    assert rows() == [("ann", 1)]


def test_what_was_received_late_is_kept_as_long_as_what_came_in_time() -> None:
    late = record(1, id_of(OLD))
    handle(late, received_at=YOUNG)
    assert inbox("prune") == ["forgotten: 0"]
    handle(late)
    assert rows() == [("ann", 1)]
    assert ParkedDelivery.objects.count() == 0


def test_records_that_could_not_be_read_are_forgotten_by_the_time_they_came() -> None:
    junk = [Record("user.events", 0, offset, 0, None, Raw().headers, None) for offset in range(20)]
    handle(*junk[:10], received_at=OLD)
    handle(*junk[10:], received_at=YOUNG)
    assert InboxRecord.objects.count() == 20
    assert retention.prune(before=NOW - timedelta(days=30)) >= 9  # one in 70 has an id like that of an event to come
    assert InboxRecord.objects.filter(received_at=YOUNG).count() == 10
    assert ParkedDelivery.objects.count() == 20


def test_every_group_is_pruned_and_has_a_horizon_of_its_own() -> None:
    for name in ("one", "two"):
        batch.handle([record(1, id_of(OLD))], replace(GROUP, name=name))
    InboxRecord.objects.update(received_at=OLD)
    assert retention.prune(before=NOW - timedelta(days=30)) == 2
    assert set(InboxHorizon.objects.values_list("group", flat=True)) == {"one", "two"}


def test_the_horizon_never_moves_back() -> None:
    operator_store.move_horizon(group="test", before=YOUNG)
    operator_store.move_horizon(group="test", before=OLD)
    assert InboxHorizon.objects.get().before == YOUNG


def test_it_goes_in_steps_and_leaves_nothing_old() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """insert into events_inbox ("group", event_id, received_at)
            select 'test', (lpad(to_hex((extract(epoch from %(at)s::timestamptz) * 1000)::bigint + n), 12, '0')
                || '70008000000000000000')::uuid, %(at)s from generate_series(1, 2500) as n""",
            {"at": OLD},
        )
    handle(record(1, id_of(YOUNG)), received_at=YOUNG)
    assert retention.prune(before=NOW - timedelta(days=30)) == 2_500
    assert InboxRecord.objects.count() == 1


def test_days_to_keep_may_be_given_but_never_less_than_the_topics_and_a_week() -> None:
    handle(record(1, id_of(YOUNG)), received_at=YOUNG)
    with pytest.raises(CommandError, match=r"^--keep-days: 14 or more: a week longer than the topics keep theirs$"):
        inbox("prune", "--keep-days", "13")
    with pytest.raises(CommandError, match=r"^--keep-days: 36500 at most$"):
        inbox("prune", "--keep-days", "36501")
    assert inbox("prune", "--keep-days", "28") == ["forgotten: 1"]


def test_beats_task_forgets_by_the_setting() -> None:
    handle(record(1, id_of(OLD)), received_at=OLD)
    handle(record(2, id_of(YOUNG)), received_at=YOUNG)
    prune()
    assert InboxRecord.objects.count() == 1


def test_a_setting_below_the_topics_and_a_week_is_refused() -> None:
    settings = replace(EventsSettings.current(), inbox_retention_d=13)
    assert [str(problem) for problem in settings.problems()] == [
        "INBOX_RETENTION_D: must be 14 or more: a week longer than the topics keep theirs, got 13"
    ]


def test_the_status_tells_what_is_set_aside_and_how_far_back_the_inbox_reaches() -> None:
    assert inbox("status", "--group", "test")[-1] == "test: never pruned"
    operator_store.move_horizon(group="test", before=OLD)
    handle(Record("user.events", 0, 0, 0, None, (), None))
    assert inbox("status", "--group", "test") == [
        "test: 0 to be retried, 0 waiting behind others of their keys",
        "test: 1 dead letters, 0 waiting behind one",
        f"test: knows every event since {OLD:%Y-%m-%d %H:%M:%S} UTC",
    ]
