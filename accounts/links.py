"""The links of mails: one a user and purpose, good for a while, for one use.

`outside.mail` makes one when it builds the mail; `services.passwords` and `services.addresses` find it by the token
that comes back, and use it in the transaction of what it allows. Stored is the token's hash alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts import opaque
from accounts.errors import Refused
from accounts.models import Link, OutsideCall, User


class Lasts(NamedTuple):
    """How long a link is good, for the database and for a person."""

    seconds: int
    words: str


LASTS: Mapping[str, Lasts] = {
    Link.Purpose.VERIFY: Lasts(24 * 3600, "24 hours"),
    Link.Purpose.RESET: Lasts(30 * 60, "30 minutes"),
}

# A mail that was held up makes no link in place of one that was asked for later; and one that is sent again, because
# its sender died, none in place of its own that was spent meanwhile.
_PUT = """
insert into accounts_link as known (user_id, purpose, hash, email_canonical, call_id, asked_at, created_at, expires_at)
values (%s, %s, %s, %s, %s, %s, now(), now() + make_interval(secs => %s))
on conflict (user_id, purpose) do update set hash = excluded.hash, email_canonical = excluded.email_canonical,
    call_id = excluded.call_id, asked_at = excluded.asked_at, created_at = excluded.created_at,
    expires_at = excluded.expires_at, spent_at = null
where known.asked_at < excluded.asked_at or (known.call_id = excluded.call_id and known.spent_at is null)
returning true
"""


class InvalidLink(Refused):
    """Unknown, used, expired, replaced by a newer one, or no longer this user's: nobody is told which."""


@dataclass(frozen=True, slots=True)
class Found:
    """A link that may still be used, and whose it is."""

    hash: bytes
    user_id: UUID
    email_canonical: str


def make(call: OutsideCall, user: User, purpose: str) -> str | None:
    """The token for this mail, the same at each repeat, in place of an older's. None once that is spent, or late."""
    token = opaque.derived_token("link", str(call.id))
    of_user = user.pk, purpose, opaque.digest(token), user.email_canonical
    with connection.cursor() as cursor:
        cursor.execute(_PUT, (*of_user, call.id, call.created_at, LASTS[purpose].seconds))
        return token if cursor.fetchone() else None


def find(token: str, purpose: str, *, now: datetime) -> Found:
    """The link that this token opens; `use` decides. Raises InvalidLink."""
    of_token = Link.objects.filter(hash=opaque.digest(token), purpose=purpose, spent_at=None, expires_at__gt=now)
    found = of_token.values_list("hash", "user_id", "email_canonical").first()
    if found is None:
        raise InvalidLink
    return Found(bytes(found[0]), *found[1:])


def use(found: Found) -> User:
    """Lock the link's user, spend the link, and give the user. Raises InvalidLink, then nothing was done.

    Of two that use it at once the row lets one through.
    """
    user = next(iter(User.objects.locked([found.user_id])), None)
    if user is None or not user.is_active or user.email_canonical != found.email_canonical:
        raise InvalidLink
    if not _spend(Link.objects.filter(hash=found.hash)):
        raise InvalidLink
    return user


def void(user: User, *purposes: str) -> None:
    """End the user's links of these purposes, in the caller's transaction."""
    _spend(Link.objects.filter(user=user, purpose__in=purposes))


def _spend(found: QuerySet[Link]) -> int:
    """How many are spent by this."""
    return found.filter(spent_at=None).update(spent_at=Now())
