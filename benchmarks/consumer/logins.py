"""What every variant reads: sign-ins of 5,000 users, sealed as publish() seals them, in one topic.

`in_django consumer.logins COUNT` sends so many and notes in the table `sent` what was sent, for `tables` to check by.
No user is a row: neither the inbox nor these handlers ask for one.
"""

import random
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.utils import timezone
from kafka import KafkaProducer  # type: ignore[import-untyped]  # ships no types
from uuid_utils.compat import uuid7

from accounts.event_types import UserLoggedIn
from events.conf import EventsSettings
from events.envelope import Actor, Envelope, Stamp, seal
from events.trace import new_traceparent

USERS = 5_000
FAILS_EVERY = 100  # by the number that stands in the session's id
_AWAY_SHARE = 0.05  # of the sign-ins come from another device and network than the user's own
_DEVICES = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
)
_SENT = """
insert into sent (event_id, user_id, at, fails)
select * from unnest(%s::uuid[], %s::uuid[], %s::timestamptz[], %s::bool[])
"""

Login = tuple[Stamp, UserLoggedIn]


def main(arguments: Sequence[str]) -> None:
    """Send, and note."""
    logins = list(_logins(int(arguments[0]), EventsSettings.current()))
    _send([seal(event, topic=topic, stamp=stamp) for topic, stamp, event in logins])
    stamps_and_events = [(stamp.id, event.user_id, event.at, fails(event)) for _, stamp, event in logins]
    with connection.cursor() as cursor:
        cursor.execute(_SENT, list(map(list, zip(*stamps_and_events, strict=True))))


def fails(event: UserLoggedIn) -> bool:
    """Whether the handler that fails for 1 % fails for this one."""
    return event.session_id.int % FAILS_EVERY == 0


def _logins(count: int, settings: EventsSettings) -> Iterator[tuple[str, Stamp, UserLoggedIn]]:
    chance = random.Random(count)  # noqa: S311 - the same sign-ins in every run; nothing is secret
    users = [UUID(int=chance.getrandbits(128), version=4) for _ in range(USERS)]
    first_at = timezone.now() - timedelta(milliseconds=count)
    for n in range(count):
        who = chance.randrange(USERS)
        event = _login(users[who], who, n, at=first_at + timedelta(milliseconds=n), chance=chance)
        actor = Actor("user", str(event.user_id))
        stamp = Stamp(id=uuid7(), source=settings.source, time=event.at, traceparent=new_traceparent(), actor=actor)
        yield settings.topics[event.topic], stamp, event


def _login(user_id: UUID, who: int, n: int, *, at: datetime, chance: random.Random) -> UserLoggedIn:
    is_away = chance.random() < _AWAY_SHARE
    place = chance.randrange(1 << 16) if is_away else who
    return UserLoggedIn(
        user_id=user_id,
        version=1,
        session_id=UUID(int=chance.getrandbits(96) // FAILS_EVERY * FAILS_EVERY + n % FAILS_EVERY),
        at=at,
        device=_DEVICES[(who + is_away) % len(_DEVICES)],
        ip=f"10.{place >> 8}.{place & 255}.{1 + n % 254}",
    )


def _send(envelopes: Sequence[Envelope]) -> None:
    producer = KafkaProducer(
        bootstrap_servers=list(EventsSettings.current().brokers), api_version=(4, 0), acks="all",
        enable_idempotence=True, compression_type="snappy", linger_ms=5, batch_size=1_000_000,
    )  # fmt: skip
    with closing(producer):
        futures = [
            producer.send(envelope.topic, envelope.value, envelope.key.encode(), list(envelope.headers))
            for envelope in envelopes
        ]
        producer.flush()
        if not all(future.succeeded() for future in futures):
            raise SystemExit("not every record was acknowledged")
