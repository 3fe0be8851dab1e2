"""A new user: by registration, by staff, or by the operator as a superuser.

Called by `api.registration`, `api.administration`, the admin and `createsuperuser`; `tasks` makes those users whose
registration was only noted (REGISTRATION_REVEALS_EMAIL off). The event goes on in `events.outbox.relay`; `routes` says
who welcomes the user.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

from accounts import passwords
from accounts.errors import Refused
from accounts.event_types import UserRegistered
from accounts.models import PendingRegistration, User
from accounts.models.session import Client
from accounts.names import EmailAddress, Username
from accounts.outside import notices, queue
from accounts.selectors import UserNotFound
from accounts.services import idempotency, staff
from accounts.services.changes import EmailTaken, UsernameTaken, count_revealing, refuse_withheld, save, withhold
from accounts.services.credentials import InvalidCredentials, locked_as_verified, refuse_unless_active
from accounts.services.idempotency import Done, RequestKey
from accounts.services.opening import OpenSession, open_session
from accounts.services.transactions import in_transaction
from events.envelope import Actor
from events.outbox.publish import publish
from events.trace import current_traceparent, following

# What the queue has not brought by then; and so many at once.
SWEEP_AFTER_S, SWEEP_MOST = 10, 100
# What a registration that is only noted keeps of the user.
_NOTED = (
    "username", "username_canonical", "email", "email_canonical", "display_name", "locale", "password",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """Who is to be made: names by the rules of `names`, the password one that `passwords.refuse_weak` let pass."""

    username: Username
    email: EmailAddress
    display_name: str = ""
    locale: str = "en"
    time_zone: str = "UTC"


def register(
    *, new: NewUser, password: str, client: Client, now: datetime, key: RequestKey | None = None
) -> OpenSession:
    """Make a user who signed up, with a first session. Publishes user.registered.

    With a `key` that was used already, it opens a new session of the user that was made then.
    Raises UsernameTaken, EmailTaken, RateLimited; KeyReused, RequestInProgress, InvalidCredentials for the key.
    """
    count_revealing(client)
    done = idempotency.find(key)
    if done is None:
        # Hashing takes long: no transaction and no lock is open meanwhile.
        opened = _register(_unsaved(new, passwords.hashed(password), now), client, key, now)
        if opened:
            return opened
        done = idempotency.find(key)
    return _register_again(done, password, client, now)


def request_registration(
    *, new: NewUser, password: str, client: Client, now: datetime, key: RequestKey | None = None
) -> None:
    """Note who wants to sign up; nothing here depends on whether the names are taken. `complete` finds out.

    Raises RateLimited; KeyReused and RequestInProgress for the key.
    """
    count_revealing(client)
    if idempotency.find(key) is None:
        _note(_unsaved(new, passwords.hashed(password), now), key)


def create_superuser(*, new: NewUser, password: str, now: datetime) -> User:
    """Make a superuser, on the operator's word. Publishes user.registered. Raises UsernameTaken, EmailTaken."""
    user = _unsaved(new, passwords.hashed(password), now)
    user.is_staff = user.is_superuser = True
    return _create_superuser(user)


def create_by_staff(
    *, new: NewUser, groups: Collection[Group], by: User | None, now: datetime, key: RequestKey | None = None
) -> User:
    """Make a user without a password, who sets one by the link that is mailed. Publishes user.registered.

    With a `key` that was used already, it gives the user that was made then.
    Raises NotAllowed, UsernameTaken, EmailTaken; FieldRefused for a group that is gone; KeyReused, RequestInProgress
    for the key.
    """
    done = idempotency.find(key)
    made = None if done else _create_by_staff(_unsaved(new, passwords.no_hash(), now), groups, by, key)
    return made or _made_before(done or idempotency.find(key))


@in_transaction
def complete(registration_id: UUID, *, now: datetime) -> None:
    """Make the user of a registration that was noted, or owe a mail that says why not. Publishes user.registered."""
    waiting = PendingRegistration.objects.select_for_update(skip_locked=True)
    noted = waiting.filter(pk=registration_id).first()
    if noted is None:
        return
    with following(noted.traceparent):
        names = {field: getattr(noted, field) for field in _NOTED}
        user = User(**names, created_at=now, updated_at=now)
        try:
            with transaction.atomic():
                save(user)
                refuse_withheld(user)
        except (UsernameTaken, EmailTaken) as taken:
            _say_why_not(noted, taken)
        else:
            publish(_registered(user), actor=Actor("user", str(user.pk)))
        noted.delete()


def waiting() -> Sequence[UUID]:
    """Registrations that were noted some seconds ago and are not complete, the oldest first."""
    before = timezone.now() - timedelta(seconds=SWEEP_AFTER_S)
    noted = PendingRegistration.objects.filter(created_at__lt=before).order_by("created_at")
    return list(noted.values_list("pk", flat=True)[:SWEEP_MOST])


@in_transaction
def _register(user: User, client: Client, key: RequestKey | None, now: datetime) -> OpenSession | None:
    """None when the same request was done meanwhile."""
    if not idempotency.claim(key, user.pk, now=now):
        return None
    save(user)
    refuse_withheld(user)
    opened = open_session(user, client, now)
    publish(_registered(user), actor=Actor("user", str(user.pk)))
    return opened


def _register_again(done: Done | None, password: str, client: Client, now: datetime) -> OpenSession:
    """The body was the same, so who asks knew the password; it must still be the user's."""
    user = User.objects.filter(pk=done.user_id).first() if done and done.user_id else None
    if not passwords.is_right(password, user.password if user else None) or user is None:
        raise InvalidCredentials
    return _open_again(user, client, now)


@in_transaction
def _open_again(known: User, client: Client, now: datetime) -> OpenSession:
    user = locked_as_verified(known)
    refuse_unless_active(user)
    return open_session(user, client, now)


@in_transaction
def _note(user: User, key: RequestKey | None) -> None:
    if not idempotency.claim(key, None, now=user.created_at):
        return
    noted = PendingRegistration.objects.create(
        **{field: getattr(user, field) for field in _NOTED}, traceparent=current_traceparent()
    )
    transaction.on_commit(partial(queue.offer, noted.pk, queue.COMPLETE_REGISTRATION), robust=True)


def _say_why_not(noted: PendingRegistration, taken: Refused) -> None:
    """The address has an account: its owner is told. Else the username alone is another's: who asked is told.

    An address that may be given back has no owner for the while, and nobody is told.
    """
    kind = "already_registered" if isinstance(taken, EmailTaken) else "username_taken"
    if not User.objects.filter(username_canonical=noted.username_canonical).exists():
        # Were the address free, its user would have the name now: nobody is to find out by asking for it.
        withhold(noted.username_canonical)
    if User.objects.filter(email_canonical=noted.email_canonical).exists():
        kind = "already_registered"
    address = EmailAddress(noted.email, noted.email_canonical)
    notices.request_by_address(kind=kind, email=address, key=f"registration/{noted.pk}")


@in_transaction
def _create_superuser(user: User) -> User:
    save(user)
    publish(_registered(user), actor=Actor("system"))
    return user


@in_transaction
def _create_by_staff(user: User, groups: Collection[Group], by: User | None, key: RequestKey | None) -> User | None:
    """None when the same request was done meanwhile."""
    staff.refuse_barred(by)
    granted = staff.grantable(groups, by=by)
    if not idempotency.claim(key, user.pk, now=user.created_at):
        return None
    save(user)
    user.groups.set(granted)
    publish(_registered(user), actor=staff.actor_of(by))
    return user


def _made_before(done: Done | None) -> User:
    user = User.objects.filter(pk=done.user_id).first() if done and done.user_id else None
    if user is None:
        raise UserNotFound
    return user


def _unsaved(new: NewUser, password_hash: str, now: datetime) -> User:
    return User(
        username=new.username.text,
        username_canonical=new.username.canonical,
        email=new.email.text,
        email_canonical=new.email.canonical,
        display_name=new.display_name,
        locale=new.locale,
        time_zone=new.time_zone,
        password=password_hash,
        created_at=now,
        updated_at=now,
    )


def _registered(user: User) -> UserRegistered:
    return UserRegistered(
        user_id=user.id,
        version=user.version,
        username=user.username,
        email=user.email,
        display_name=user.display_name,
        locale=user.locale,
        registered_at=user.created_at,
    )
