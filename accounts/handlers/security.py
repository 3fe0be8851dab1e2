"""user.logged_in: is there anything unusual about it? What is found goes out as user.security_alert.

Its own handlers (`warnings`) tell the user, and keep it in the security log.
"""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from django.db import connection

from accounts.event_types import Sign, UserLoggedIn, UserSecurityAlert
from accounts.handlers.logins import as_json, readable
from events.envelope import Actor
from events.outbox.operator_store import is_ours
from events.outbox.publish import publish
from events.routing import Delivery
from events.trace import following

# Whether the log has an earlier success. Each is one look into an index, be the log analyzed or not: it asks for an
# order that no other way gives so cheaply, and `exists` would drop that. The latest comes from the index of times:
# `= 'success'` would open the one of places to it, which has none. By device alone that one is skipped through.
_CAME_BEFORE = """(
    select at from accounts_loginrecord as earlier
    where earlier.user_id = login.user_id and earlier.at < login.at and {which}
    limit 1
) is not null"""
_SUCCESS = "earlier.outcome = 'success'"
_DEVICE, _NETWORK = "earlier.device = login.device", "earlier.network = login.network"
_USER_CAME_BEFORE = _CAME_BEFORE.format(which="earlier.outcome <> 'failure' order by at desc")
_DEVICE_CAME_BEFORE = _CAME_BEFORE.format(which=f"{_SUCCESS} and {_DEVICE} order by network")
_NETWORK_CAME_BEFORE = _CAME_BEFORE.format(which=f"{_SUCCESS} and {_NETWORK} order by device")
_BOTH_CAME_BEFORE = _CAME_BEFORE.format(which=f"{_SUCCESS} and {_NETWORK} and {_DEVICE}")

# A failure for another reason had the right password. Most often the last try was a success, and one row says so.
_TRIED_BEFORE = """
    from accounts_loginrecord as tried
    where tried.user_id = login.user_id and tried.at < login.at and tried.at >= login.at - interval '1 hour'
        and (tried.outcome = 'success' or tried.reason = 'wrong_password')
"""
_THREE_FAILED = f"""
    (select outcome {_TRIED_BEFORE} order by at desc limit 1) = 'failure'
    and (
        select count(*) = 3 and bool_and(outcome = 'failure') and min(at) > coalesce(login.last_at, '-infinity')
        from (select at, outcome {_TRIED_BEFORE} order by at desc, outcome desc limit 3) as latest
    )
"""  # noqa: S608 - pieced together from constants

# What one batch knows of itself are the times of its own earlier logins; the log is asked about the rest, and about
# most logins no more than whether this device came from this network before. Of whom was erased nothing is said again.
_UNUSUAL = f"""
with login as (
    select *,
        max(at) over (partition by user_id order by at groups between unbounded preceding and 1 preceding) as last_at,
        min(at) over (partition by user_id, device) < at as device_came,
        min(at) over (partition by user_id, network) < at as network_came,
        min(at) over (partition by user_id, network, device) < at as both_came
    from json_to_recordset(%s::json) as login(
        event_id uuid, user_id uuid, session_id uuid, at timestamptz, device text, ip inet, network text
    )
),
suspect as materialized (
    select *,
        not (both_came or {_BOTH_CAME_BEFORE}) and (last_at is not null or {_USER_CAME_BEFORE}) as is_elsewhere,
        coalesce({_THREE_FAILED}, false) as after_failures
    from login
),
judged as materialized (
    select *,
        is_elsewhere and device <> '' and not (device_came or {_DEVICE_CAME_BEFORE}) as new_device,
        is_elsewhere and network <> '' and not (network_came or {_NETWORK_CAME_BEFORE}) as new_network
    from suspect as login where is_elsewhere or after_failures
)
select event_id, after_failures, new_device, new_network from judged
where (after_failures or new_device or new_network) and exists (
    select from accounts_user as owner where owner.id = judged.user_id and owner.status <> 'deleted'
)
"""  # noqa: S608 - as above
_SIGNS: Sequence[Sign] = ("after_failures", "new_device", "new_network")


def check_login(logins: Sequence[tuple[UserLoggedIn, Delivery]]) -> None:
    """Publish user.security_alert for each login from a new device or network, or after three wrong passwords.

    New is what no earlier login of the user came from; a first login has nothing to compare with, and what was erased
    is neither new nor known. The failures lie within the hour before, with no login between.

    Earlier is judged by `at` alone, over the login log and these logins together, so it makes no difference which of
    them the log has already, nor, while they come in order, how they are grouped. Two at the same instant are not
    earlier than one another. Nothing here tells a repeat: each event comes once, since the inbox takes it in once.
    """
    found = _unusual(logins)
    suspects = [(event, delivery) for event, delivery in logins if delivery.event_id in found]
    ours = _published_by_us(suspects)
    for event, delivery in suspects:
        if delivery.event_id in ours:
            # A batch has a trace of its own; an alert belongs to that of its login.
            with following(delivery.traceparent):
                publish(_alert(event, found[delivery.event_id]), actor=Actor("system"))


def _unusual(logins: Sequence[tuple[UserLoggedIn, Delivery]]) -> Mapping[UUID, tuple[Sign, ...]]:
    """The signs by event id, where there are any."""
    with connection.cursor() as cursor:
        cursor.execute(_UNUSUAL, [as_json(logins)])
        return {
            event_id: tuple(sign for sign, is_there in zip(_SIGNS, shown, strict=True) if is_there)
            for event_id, *shown in cursor.fetchall()
        }


def _published_by_us(logins: Sequence[tuple[UserLoggedIn, Delivery]]) -> Collection[UUID]:
    """Asked about the few alone: what others wrote into the topic may stand in the log, but must not send mail."""
    claims = [(delivery.event_id, event.key, event.type) for event, delivery in logins]
    return is_ours(claims) if claims else ()


def _alert(event: UserLoggedIn, signs: tuple[Sign, ...]) -> UserSecurityAlert:
    return UserSecurityAlert(
        user_id=event.user_id,
        version=event.version,
        kind="unusual_login",
        at=event.at,
        device=event.device,
        ip=readable(event.ip),
        signs=signs,
    )
