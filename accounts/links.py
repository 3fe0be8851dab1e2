"""The links of mails: one a user and purpose, good for a while, for one use. Those that undo stand side by side.

`outside.mail` makes one when it builds the mail; the services of passwords, addresses and lifecycle find it by the
token that comes back, and use it in the transaction of what it allows. Stored is the token's hash alone.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from accounts import opaque
from accounts.errors import Refused
from accounts.models import Link, OutsideCall, User
from accounts.names import EmailAddress


class Lasts(NamedTuple):
    """How long a link is good, for the database and for a person."""

    seconds: int
    words: str


LASTS: Mapping[str, Lasts] = {
    Link.Purpose.VERIFY: Lasts(24 * 3600, "24 hours"),
    Link.Purpose.RESET: Lasts(30 * 60, "30 minutes"),
    Link.Purpose.INVITE: Lasts(24 * 3600, "24 hours"),
    Link.Purpose.CHANGE_EMAIL: Lasts(24 * 3600, "24 hours"),
    Link.Purpose.UNDO_EMAIL: Lasts(7 * 24 * 3600, "7 days"),
}
# Whoever took the account over would end the one by changing the address once more, and the other is the owner's way.
OUTLIVING = (Link.Purpose.UNDO_EMAIL, Link.Purpose.RESTORE)

# A mail that was held up makes no link in place of one that was asked for later; and one that is sent again, because
# its sender died, none in place of its own that was spent meanwhile.
_PUT = """
insert into accounts_link as known
    (user_id, purpose, hash, email_canonical, email, call_id, asked_at, created_at, expires_at)
values (%s, %s, %s, %s, %s, %s, %s, now(), coalesce(%s::timestamptz, now() + make_interval(secs => %s)))
on conflict (user_id, purpose) where not (purpose = 'undo_email') do update set
    hash = excluded.hash, email_canonical = excluded.email_canonical, email = excluded.email,
    call_id = excluded.call_id, asked_at = excluded.asked_at, created_at = excluded.created_at,
    expires_at = excluded.expires_at, spent_at = null
where known.asked_at < excluded.asked_at or (known.call_id = excluded.call_id and known.spent_at is null)
    or (known.asked_at = excluded.asked_at and known.call_id <> excluded.call_id)
returning true
"""

# A mail that is still owed has no row: it finds this one, which is spent and was asked for later. What is owed in the
# transaction of the end itself, as the link to a new address is, has the same time and may take its place.
_VOID = """
insert into accounts_link as known
    (user_id, purpose, hash, email_canonical, call_id, asked_at, created_at, expires_at, spent_at)
select %s, purpose, sha256(gen_random_uuid()::text::bytea), '', gen_random_uuid(), now(), now(), now(), now()
from unnest(%s::text[]) as ended(purpose)
on conflict (user_id, purpose) where not (purpose = 'undo_email') do update set
    call_id = excluded.call_id, asked_at = excluded.asked_at, spent_at = coalesce(known.spent_at, excluded.spent_at)
"""


class InvalidLink(Refused):
    """Unknown, used, expired, replaced by a newer one, or no longer this user's: nobody is told which."""


@dataclass(frozen=True, slots=True)
class Found:
    """A link that may still be used, and whose it is; `email` is the address that it gives the user, if any."""

    hash: bytes
    user_id: UUID
    purpose: str
    email_canonical: str
    email: str

    def opens(self, user: User) -> bool:
        """Whether this user, as the row is now, may be changed by it."""
        if self.purpose == Link.Purpose.UNDO_EMAIL:
            return user.status in (User.Status.ACTIVE, User.Status.PENDING_DELETION)
        is_restored = self.purpose == Link.Purpose.RESTORE
        status = User.Status.PENDING_DELETION if is_restored else User.Status.ACTIVE
        return user.status == status and user.email_canonical == self.email_canonical


def make(call: OutsideCall, user: User, purpose: str) -> str | None:
    """The token for this mail, the same at each repeat, in place of an older's. None once that is spent, or late."""
    token = _token_of(call.id)
    if purpose == Link.Purpose.UNDO_EMAIL:
        return token if _unspent(token).exists() else None
    email = call.email if purpose == Link.Purpose.CHANGE_EMAIL else ""
    until, lasts_s = (user.delete_after, None) if purpose == Link.Purpose.RESTORE else (None, LASTS[purpose].seconds)
    of_user = user.pk, purpose, opaque.digest(token), user.email_canonical, email
    with connection.cursor() as cursor:
        cursor.execute(_PUT, (*of_user, call.id, call.created_at, until, lasts_s))
        return token if cursor.fetchone() else None


def hold(address: EmailAddress, user: User, *, call_id: UUID, now: datetime) -> None:
    """Keep the address that the user has just lost, for who still reads its mail: this call's link gives it back.

    It is made with the change, not with its mail: from this moment nobody else can take the address.
    """
    Link.objects.create(
        user=user,
        purpose=Link.Purpose.UNDO_EMAIL,
        hash=opaque.digest(_token_of(call_id)),
        email_canonical=address.canonical,
        email=address.text,
        call_id=call_id,
        asked_at=now,
        created_at=now,
        expires_at=now + timedelta(seconds=LASTS[Link.Purpose.UNDO_EMAIL].seconds),
    )


def is_held(email_canonical: str, *, but_for: User) -> bool:
    """Whether another user may still have the address back."""
    held = Link.objects.filter(purpose=Link.Purpose.UNDO_EMAIL, email_canonical=email_canonical, spent_at=None)
    return held.filter(expires_at__gt=Now()).exclude(user_id=but_for.pk).exists()


def find(token: str, *purposes: str, now: datetime) -> Found:
    """The link that this token opens; `use` decides. Raises InvalidLink."""
    found = _unspent(token).filter(purpose__in=purposes, expires_at__gt=now).first()
    if found is None:
        raise InvalidLink
    return Found(bytes(found.hash), found.user_id, found.purpose, found.email_canonical, found.email)


def use(found: Found) -> User:
    """Lock the link's user, spend the link, and give the user. Raises InvalidLink, then nothing was done.

    Of two that use it at once the row lets one through.
    """
    user = next(iter(User.objects.locked([found.user_id])), None)
    if user is None or not found.opens(user):
        raise InvalidLink
    if not _spend(Link.objects.filter(hash=found.hash)):
        raise InvalidLink
    return user


def void_all(user: User, *, but_for: Collection[str] = ()) -> None:
    """End all links of the locked user, those too whose mails are still owed, but for some purposes.

    Of changes of address only those are undone no more whose links there are: each has one.
    """
    ended = {purpose.value for purpose in Link.Purpose} - set(but_for)
    if Link.Purpose.UNDO_EMAIL in ended:
        _spend(Link.objects.filter(user=user, purpose=Link.Purpose.UNDO_EMAIL))
    with connection.cursor() as cursor:
        cursor.execute(_VOID, [user.pk, sorted(ended - {Link.Purpose.UNDO_EMAIL.value})])


def take_back(user: User, address: EmailAddress) -> bool:
    """Whether the address is held for the locked user, who has it again: then it is as if its link had been used."""
    held = Link.objects.filter(user=user, purpose=Link.Purpose.UNDO_EMAIL, spent_at=None, expires_at__gt=Now())
    own = held.filter(email_canonical=address.canonical).order_by("created_at").first()
    if own:
        _void_undos_since(own)
    return own is not None


def void_later_undos(found: Found) -> None:
    """The changes that are undone with this one cannot be undone in turn."""
    _void_undos_since(Link.objects.get(hash=found.hash))


def _void_undos_since(own: Link) -> None:
    _spend(Link.objects.filter(user=own.user_id, purpose=Link.Purpose.UNDO_EMAIL, created_at__gte=own.created_at))


def _token_of(call_id: UUID) -> str:
    return opaque.derived_token("link", str(call_id))


def _unspent(token: str) -> QuerySet[Link]:
    return Link.objects.filter(hash=opaque.digest(token), spent_at=None)


def _spend(found: QuerySet[Link]) -> int:
    """How many are spent by this."""
    return found.filter(spent_at=None).update(spent_at=Now())
