"""user.logged_in: the login log, and when the user last signed in. One statement each, however many logins.

Rows are written in the order of their primary keys: two consumers that overlap would deadlock otherwise.
"""

from collections.abc import Sequence

import msgspec
from django.db import connection

from accounts.event_types import UserLoggedIn
from accounts.handlers.logins import as_json
from events.routing import Delivery

_WRITE = """
insert into accounts_loginrecord (id, user_id, at, session_id, device, ip, network)
select event_id, user_id, at, session_id, device, ip, network from json_to_recordset(%s::json) as login(
    event_id uuid, user_id uuid, at timestamptz, session_id uuid, device text, ip inet, network text
)
order by event_id
on conflict do nothing
"""

_MOVE_FORWARD = """
insert into accounts_lastlogin as last (user_id, at)
select user_id, max(at) from json_to_recordset(%s::json) as login(user_id uuid, at timestamptz)
group by user_id
order by user_id
on conflict (user_id) do update set at = excluded.at where last.at < excluded.at
"""


def write_login_log(logins: Sequence[tuple[UserLoggedIn, Delivery]]) -> None:
    """Keep each login, once an event."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [as_json(logins)])


def update_last_login(logins: Sequence[tuple[UserLoggedIn, Delivery]]) -> None:
    """Move each user's last login on to the latest of these; never back."""
    rows = [{"user_id": event.user_id, "at": event.at} for event, _ in logins]
    with connection.cursor() as cursor:
        cursor.execute(_MOVE_FORWARD, [msgspec.json.encode(rows).decode()])
