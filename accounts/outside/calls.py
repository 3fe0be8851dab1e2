"""Every statement on the outside calls: owe one, take one, settle it.

`notices` owes; `attempts` takes a call, makes it and settles it. Taking moves `next_attempt_at` on by a lease, so
that a taker that dies is followed by another, and two never have the same call at once. Times are the database's.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.db import connection
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from uuid_utils.compat import uuid7

from accounts.models import OutsideCall
from events.errors import EventsError
from events.trace import current_traceparent

# More than a mail server can make a sender wait: ten answers, each within EMAIL_TIMEOUT. A webhook takes less.
LEASE_S = 120

_OWE = """
insert into accounts_outsidecall
  (id, key, kind, user_id, email, facts, traceparent, created_at, attempts, next_attempt_at, error)
values (%(id)s, %(key)s, %(kind)s, %(user_id)s, %(email)s, %(facts)s, %(traceparent)s, now(), 0, now(), '')
on conflict (key) do nothing returning id
"""
_TAKE = """
update accounts_outsidecall
set attempts = attempts + 1, next_attempt_at = statement_timestamp() + make_interval(secs => %(lease_s)s)
where id = (
  select id from accounts_outsidecall
  where settled_at is null and failed_at is null and next_attempt_at <= statement_timestamp()
    and (%(id)s::uuid is null or id = %(id)s::uuid)
    and (%(kind)s::text is null or kind = %(kind)s::text) and kind <> all(%(but)s::text[])
  order by next_attempt_at limit 1 for update skip locked)
returning *
"""


class NobodyToTell(EventsError):
    """Nothing is owed any more: whom it is about is gone, nobody would get it, or it would be pointless."""


def owe(*, kind: str, key: str, facts: dict[str, str], user_id: UUID | None = None, email: str = "") -> UUID | None:
    """Write the call, to a user or to an address, due at once; gives its id, or None where `key` is known already."""
    values: dict[str, str | UUID | None] = {
        "id": uuid7(),
        "key": key,
        "kind": kind,
        "user_id": user_id,
        "email": email,
        "facts": json.dumps(facts),
        "traceparent": current_traceparent(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_OWE, values)
        row = cursor.fetchone()
    return row[0] if row else None


def take(call_id: UUID | None = None, *, kind: str | None = None, but: Sequence[str] = ()) -> OutsideCall | None:
    """Take this call, or the one that is due the longest, for LEASE_S; None where none is due.

    Of one `kind` where it is given; never of those in `but`.
    """
    wanted = {"id": call_id, "kind": kind, "but": list(but), "lease_s": LEASE_S}
    return next(iter(OutsideCall.objects.raw(_TAKE, wanted)), None)


def settle(call: OutsideCall, *, skipped: str = "") -> None:
    """The call was made; or it is not needed any more, and `skipped` says why."""
    unsettled = OutsideCall.objects.filter(pk=call.pk, settled_at=None)
    unsettled.update(settled_at=Now(), failed_at=None, error=skipped, email="")


def retry(call: OutsideCall, *, in_s: float, error: str, counts: bool) -> None:
    """Make the call due again in so many seconds; an attempt that does not count is given back."""
    attempts = F("attempts") if counts else F("attempts") - 1
    _mine(call).update(next_attempt_at=Now() + timedelta(seconds=in_s), attempts=attempts, error=error)


def give_up(call: OutsideCall, *, error: str) -> None:
    """The call can never be made, or was tried often enough."""
    _mine(call).update(failed_at=Now(), error=error, email="")


def forget(user_id: UUID) -> None:
    """Nothing is owed to this user any more, and of what was nothing is kept that tells of them."""
    of_user = OutsideCall.objects.filter(user_id=user_id)
    of_user.filter(settled_at=None, failed_at=None).update(settled_at=Now(), error="the user is gone")
    of_user.update(facts={}, email="")


def _mine(call: OutsideCall) -> QuerySet[OutsideCall]:
    # Once the lease is over, what comes of the call is for its next taker to say.
    return OutsideCall.objects.filter(pk=call.pk, next_attempt_at=call.next_attempt_at, settled_at=None, failed_at=None)
