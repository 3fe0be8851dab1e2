"""Logins as their handlers get them: events with their deliveries, in lists; and what stands behind them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from django.db import connection, transaction
from uuid_utils.compat import uuid7

from accounts.event_types import Sign, UserLoggedIn, UserSecurityAlert
from accounts.handlers import login_log, security
from accounts.models import LoginRecord, User
from events.conf import EventsSettings
from events.envelope import Envelope, Stamp, seal
from events.inbox import batch
from events.kafka import Record
from events.models import OutboxRecord, ParkedDelivery
from events.outbox import store
from events.outbox.store import NewRecord
from events.routing import Delivery, on_batch
from tests.integration.batching import TIMESTAMP_MS, group_of

Login = tuple[UserLoggedIn, Delivery]
Handler = Callable[[Sequence[Login]], None]
Told = tuple[UUID, datetime, str | None, str | None, tuple[Sign, ...]]

NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
WRITERS: tuple[Handler, ...] = (login_log.write_login_log, login_log.update_last_login)
HANDLERS: tuple[Handler, ...] = (*WRITERS, security.check_login)


def logged_in(user_id: UUID, at: datetime, *, device: str = "Firefox", ip: str | None = "203.0.113.7") -> UserLoggedIn:
    return UserLoggedIn(user_id=user_id, version=1, session_id=uuid7(), at=at, device=device, ip=ip)


def brought(event: UserLoggedIn, event_id: UUID | None = None, traceparent: str = "") -> Login:
    event_id = event_id or uuid7()
    return event, Delivery(event_id=event_id, handler="test", occurred_at=event.at, traceparent=traceparent)


def published(*logins: Login) -> None:
    """What signing in has left in the database: these events in the outbox; and their users, behind the doors."""
    names = {event.user_id: f"u{event.user_id.hex}" for event, _ in logins}
    users = [
        User(
            id=user_id, username=name, username_canonical=name, email=f"{name}@example.com",
            email_canonical=f"{name}@example.com", password="x", created_at=NINE, updated_at=NINE,
        )
        for user_id, name in names.items()
    ]  # fmt: skip
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select accounts_unguarded('a test')")
        User.objects.bulk_create(users, ignore_conflicts=True)
        cursor.execute("select accounts_guarded()")
        for event, delivery in logins:
            store.insert(NewRecord(delivery.event_id, event.type, _sealed(event, delivery)))


def failed(user_id: UUID, *times: datetime, reason: str = "wrong_password") -> None:
    """Tries that were no logins."""
    outcome = LoginRecord.Outcome.FAILURE
    LoginRecord.objects.bulk_create(
        LoginRecord(user_id=user_id, at=at, outcome=outcome, reason=reason, device="") for at in times
    )


def arrive(logins: Iterable[Login], *handlers: Handler) -> None:
    """One batch of the consumer's, each handler in a group of its own: its inbox keeps repeats from it."""
    records = [_record_of(event, delivery) for event, delivery in logins]
    for handler in handlers:
        name = f"{handler.__module__}.{handler.__name__}"
        batch.handle(records, group_of(on_batch(UserLoggedIn, handler, name="test"), name=name))
    assert not ParkedDelivery.objects.exists()


def told() -> Counter[Told]:
    """What the alerts say that were published; each says it of an unusual login."""
    records = OutboxRecord.objects.filter(type="user.security_alert")
    alerts = [UserSecurityAlert.from_json(bytes(record.value)) for record in records]
    assert all((alert.kind, alert.version) == ("unusual_login", 1) for alert in alerts)
    return Counter((alert.user_id, alert.at, alert.device, alert.ip, alert.signs) for alert in alerts)


def as_told(login: UserLoggedIn, *signs: Sign) -> Told:
    """What the alert about this login should say."""
    return login.user_id, login.at, login.device, login.ip, signs


def _record_of(event: UserLoggedIn, delivery: Delivery) -> Record:
    sealed = _sealed(event, delivery)
    return Record("user.events", 0, 0, TIMESTAMP_MS, sealed.key.encode(), tuple(sealed.headers), sealed.value)


def _sealed(event: UserLoggedIn, delivery: Delivery) -> Envelope:
    source, traceparent = EventsSettings.current().source, delivery.traceparent
    stamp = Stamp(id=delivery.event_id, source=source, time=event.at, traceparent=traceparent)
    return seal(event, topic="user.events", stamp=stamp)
