"""user.logged_in: is there anything unusual about it? What is found goes to the security log."""

from collections.abc import Sequence

from django.db import connection

from accounts.event_types import UserLoggedIn
from accounts.handlers.logins import as_json
from accounts.models import SecurityRecord
from events.routing import Delivery

# What one batch knows of itself are two minima; the table is asked about the rest, each by one look into an index
# whatever the statistics say (`offset 0` keeps these looks from becoming a join over the whole table).
_NOTE_NEW = """
with login as (
    select *, min(at) over (partition by user_id) as first_at,
        min(at) over (partition by user_id, device, network) as first_same_at
    from json_to_recordset(%s::json)
        as login(event_id uuid, user_id uuid, at timestamptz, device text, ip inet, network text)
)
insert into accounts_securityrecord (event_id, kind, user_id, at, device, ip)
select event_id, %s, user_id, at, device, ip from login
where ip is not null and first_same_at = at
    and (first_at < at or exists (
        select from accounts_loginrecord as earlier
        where earlier.user_id = login.user_id and earlier.outcome = 'success' and earlier.at < login.at
        offset 0
    ))
    and not exists (
        select from accounts_loginrecord as earlier
        where earlier.user_id = login.user_id and earlier.outcome = 'success'
            and earlier.device = login.device and earlier.network = login.network and earlier.at < login.at
        offset 0
    )
order by event_id
on conflict (event_id, kind) do nothing
"""


def check_login(logins: Sequence[tuple[UserLoggedIn, Delivery]]) -> None:
    """Note each login from a device and network that no earlier one of the user came from, once an event.

    Earlier is judged by `at` alone, over the login log and these logins together, so it makes no difference which of
    them the log has already, nor, while they come in order, how they are grouped. Two at the same instant are not
    earlier than one another. A first login has nothing to compare with; an erased address neither.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_NEW, [as_json(logins), SecurityRecord.Kind.NEW_DEVICE])
