"""user.logged_in: the login log, and when the user last signed in. One statement each, however many logins.

Rows are written in the order of their primary keys: two consumers that overlap would deadlock otherwise.
"""

from collections.abc import Sequence

import msgspec
from django.db import connection

from accounts.event_types import UserLoggedIn
from accounts.handlers.logins import as_json
from events.routing import Delivery

# Asked by the primary key whatever the statistics say; once a login where the result is materialized.
_IS_DELETED = "(select status from accounts_user where id = login.user_id) is not distinct from 'deleted'"

# A batch comes to these handlers after the clean-up of its deleted users: what it erases must not come back.
_WRITE = f"""
with login as materialized (
    select *, {_IS_DELETED} as is_deleted from json_to_recordset(%s::json) as login(
        event_id uuid, user_id uuid, at timestamptz, session_id uuid, device text, ip inet, network text
    )
)
insert into accounts_loginrecord (id, user_id, at, session_id, device, ip, network)
select event_id, user_id, at, session_id, case when is_deleted then '' else device end,
    case when not is_deleted then ip end, case when is_deleted then '' else network end
from login
order by event_id
on conflict do nothing
"""  # noqa: S608 - a constant

_MOVE_FORWARD = f"""
insert into accounts_lastlogin as last (user_id, at)
select user_id, max(at) from json_to_recordset(%s::json) as login(user_id uuid, at timestamptz)
where not {_IS_DELETED}
group by user_id
order by user_id
on conflict (user_id) do update set at = excluded.at where last.at < excluded.at
"""  # noqa: S608 - a constant


def write_login_log(logins: Sequence[tuple[UserLoggedIn, Delivery]]) -> None:
    """Keep each login, once an event; of who is deleted, without device and address."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [as_json(logins)])


def update_last_login(logins: Sequence[tuple[UserLoggedIn, Delivery]]) -> None:
    """Move each user's last login on to the latest of these; never back, and not of who is deleted."""
    rows = [{"user_id": event.user_id, "at": event.at} for event, _ in logins]
    with connection.cursor() as cursor:
        cursor.execute(_MOVE_FORWARD, [msgspec.json.encode(rows).decode()])
