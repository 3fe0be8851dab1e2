"""Retention: `manage.py outbox prune` and beat's task delete what was published long ago, and nothing else."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.core.management import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.conf import EventsSettings
from events.models import OutboxRecord
from events.outbox.retention import prune
from events.outbox.store import _BACKLOG
from tests.integration.operating import ids, outbox
from tests.integration.relaying import Noted, commit
from usercenter import tasks

pytestmark = pytest.mark.django_db


NOW = timezone.now()
OLD, YOUNG = NOW - timedelta(days=31), NOW - timedelta(days=29)


def written(at: datetime, *, published: bool = True, is_dead: bool = False) -> int:
    known = set(ids())
    commit(Noted(of="a", n=1))
    [mine] = set(ids()) - known
    state = {"published_at": at if published else None, "dead_at": at if is_dead else None}
    OutboxRecord.objects.filter(id=mine).update(created_at=at, **state)
    return mine


def test_only_what_was_published_long_ago_goes() -> None:
    written(OLD)
    pending, gone = written(OLD, published=False), written(OLD, published=False, is_dead=True)
    written(OLD)
    young = written(YOUNG)

    assert outbox("prune") == ["deleted: 2"]
    assert ids() == [pending, gone, young]


def sent_again(record_id: int) -> int:
    """The id of this dead record's copy, which was published long ago."""
    outbox("requeue", str(record_id))
    [copy] = OutboxRecord.objects.filter(requeue_of=record_id)
    OutboxRecord.objects.filter(id=copy.id).update(created_at=OLD, published_at=OLD)
    return copy.id


def test_a_dead_record_that_was_requeued_is_known_as_such_however_long_ago_that_was() -> None:
    gone = written(OLD, published=False, is_dead=True)
    copy = sent_again(gone)
    OutboxRecord.objects.filter(id=copy).update(published_at=None, dead_at=OLD)
    copy_of_copy = sent_again(copy)

    assert outbox("prune") == ["deleted: 0"]
    assert outbox("requeue", "--all-dead") == ["requeued: 0"]
    assert ids() == [gone, copy, copy_of_copy]
    assert dead_as_told() == 0


def test_a_copy_goes_as_others_do_when_its_record_was_published_after_all() -> None:
    late = written(OLD, published=False, is_dead=True)
    sent_again(late)
    OutboxRecord.objects.filter(id=late).update(published_at=OLD, dead_at=None)

    assert outbox("prune") == ["deleted: 2"]


def dead_as_told() -> int:
    """What the gauge would show of dead records."""
    with connection.cursor() as cursor:
        cursor.execute(_BACKLOG, [1])
        return int(cursor.fetchone()[2])


def test_days_to_keep_may_be_given_but_never_less_than_the_topics_and_a_week() -> None:
    young = written(YOUNG)

    assert outbox("prune", "--keep-days", "30") == ["deleted: 0"]
    with pytest.raises(CommandError, match=r"^--keep-days: 14 or more: a week longer than the topics keep theirs$"):
        outbox("prune", "--keep-days", "13")
    with pytest.raises(CommandError, match=r"^--keep-days: 36500 at most$"):
        outbox("prune", "--keep-days", "36501")
    assert ids() == [young]
    assert outbox("prune", "--keep-days", "28") == ["deleted: 1"]


def fill(records: int, *, at: datetime) -> None:
    """So many published records."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into events_outbox (event_id, topic, key, shard, type, headers, value, created_at, published_at)"
            " select gen_random_uuid(), 't', 'k', 0, 'x', '', '', %s, %s from generate_series(1, %s)",
            [at, at, records],
        )


def test_it_goes_in_steps_of_1000_and_stops_at_the_first_that_are_too_young() -> None:
    fill(2_500, at=OLD)
    fill(4_000, at=YOUNG)

    with CaptureQueriesContext(connection) as ran:
        assert prune(before=NOW - timedelta(days=30)) == 2_500

    assert len(ran) == 4  # 1,000; 1,000; 500 and 500 too young; 1,000 too young
    assert OutboxRecord.objects.count() == 4_000


def test_pending_records_at_the_front_hide_nothing_behind_them() -> None:
    fill(1_500, at=OLD)
    OutboxRecord.objects.update(published_at=None)
    fill(10, at=OLD)

    assert prune(before=NOW - timedelta(days=30)) == 10
    assert OutboxRecord.objects.filter(published_at=None).count() == 1_500


def test_beats_task_prunes_by_the_setting() -> None:
    young = written(YOUNG)
    written(OLD)

    tasks.prune()

    assert ids() == [young]


def test_a_setting_below_the_topics_and_a_week_is_refused() -> None:
    settings = EventsSettings.current()

    assert [str(problem) for problem in replace(settings, outbox_retention_d=13).problems()] == [
        "OUTBOX_RETENTION_D: must be 14 or more: a week longer than the topics keep theirs, got 13"
    ]
    assert replace(settings, outbox_retention_d=14).problems() == []
