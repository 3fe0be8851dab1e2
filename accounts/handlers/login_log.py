"""user.logged_in: the login log, and when the user last signed in."""

from django.db import connection

from accounts.event_types import UserLoggedIn
from accounts.models import LoginRecord
from accounts.models.login_record import network_of
from events.routing import Delivery

_MOVE_FORWARD = """
insert into accounts_lastlogin as last (user_id, at) values (%(user_id)s, %(at)s)
on conflict (user_id) do update set at = excluded.at where last.at < excluded.at
"""


def write_login_log(event: UserLoggedIn, delivery: Delivery) -> None:
    """Keep the login, once an event."""
    login = LoginRecord(
        event_id=delivery.event_id,
        user_id=event.user_id,
        at=event.at,
        session_id=event.session_id,
        device=event.device,
        ip=event.ip,
        network=network_of(event.ip),
    )
    LoginRecord.objects.bulk_create([login], ignore_conflicts=True)


def update_last_login(event: UserLoggedIn, _delivery: Delivery) -> None:
    """Move the last login on to this one; never back."""
    with connection.cursor() as cursor:
        cursor.execute(_MOVE_FORWARD, {"user_id": event.user_id, "at": event.at})
