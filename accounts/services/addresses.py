"""An e-mail address is shown to be the user's, or becomes another: by the link that was mailed there.

Called by `api.addresses`, and by `administration` for what staff changes. The first link comes with the welcome mail.
Whoever reads the mail of the address that was given up can have it back for some days: an open session may be a
thief's.
"""

from datetime import datetime
from uuid import UUID, uuid4

from accounts import links
from accounts.conf import AccountsSettings
from accounts.links import Found
from accounts.models import Link, SecurityRecord, Session, User
from accounts.models.session import Client
from accounts.names import EmailAddress, parse_email
from accounts.outside import notices
from accounts.outside.mail import told_time
from accounts.services import security_log
from accounts.services.changes import EmailTaken, change, columns_of, count_revealing, locked_owner
from accounts.services.transactions import in_transaction
from events.envelope import Actor


def request_verification(*, email: EmailAddress, client: Client) -> None:
    """Owe a mail with a new link to whoever has this address and has not shown it yet, if anyone."""
    notices.request_by_address(kind="verify", email=email, client=client)


def verify_email(*, token: str, now: datetime) -> None:
    """Note that the link's user reads the mail of this address. Publishes user.updated. Raises InvalidLink."""
    _verify(links.find(token, Link.Purpose.VERIFY, now=now), now)


def request_change(*, session: Session, new_email: EmailAddress, client: Client, now: datetime) -> None:
    """Owe a mail with a link to the new address, and one that says so to the old. Nothing changes yet.

    Raises EmailTaken, and RateLimited, where that may be told; else the mail says it. SessionRevoked if the user may
    not act any more.
    """
    if AccountsSettings.current().registration_reveals_email:
        count_revealing(client)
    _request_change(session, new_email, client, now)


@in_transaction
def _request_change(session: Session, new_email: EmailAddress, client: Client, now: datetime) -> None:
    user = locked_owner(session, now=now)
    if AccountsSettings.current().registration_reveals_email:
        _refuse_taken(new_email, user)
    if new_email.canonical == user.email_canonical:
        return
    if notices.request_by_address(kind="change_email", email=new_email, client=client, user_id=user.pk):
        facts = {"at": told_time(now)}
        notices.request(kind="email_change_asked", user_id=user.pk, key=f"email_change_asked/{uuid4()}", facts=facts)


def confirm_change(*, token: str, client: Client, now: datetime) -> None:
    """Let the user have the link's address. Publishes user.updated. Raises InvalidLink, EmailTaken."""
    _confirm(links.find(token, Link.Purpose.CHANGE_EMAIL, now=now), client, now)


def undo_change(*, token: str, client: Client, now: datetime) -> None:
    """Give the user the former address back, and end all sessions. Publishes user.updated.

    Raises InvalidLink, EmailTaken.
    """
    _undo(links.find(token, Link.Purpose.UNDO_EMAIL, now=now), client, now)


def give_up(user: User, *, now: datetime) -> None:
    """Before staff gives the locked user another address: the present one hears of it.

    No mailed link undoes what staff does, nor what was done before: where the account was a thief's, so is the mailbox.
    """
    links.void_all(user)
    _tell_former(user, now)


def owe_way_back(user: User) -> None:
    """Once the locked user, who waits for the deletion, has another address: the link back was the former one's."""
    until = user.delete_after
    facts = {"reason": user.status_reason, "until": told_time(until) if until else ""}
    notices.request(kind="pending_deletion", user_id=user.pk, key=f"pending_deletion/{uuid4()}", facts=facts)


@in_transaction
def _verify(link: Found, now: datetime) -> None:
    user = links.use(link)
    change(user, {"email_verified": True}, actor=Actor("user", str(user.pk)), now=now)


@in_transaction
def _confirm(link: Found, client: Client, now: datetime) -> None:
    user = links.use(link)
    links.void_all(user, but_for=links.OUTLIVING)
    is_back = links.take_back(user, parse_email(link.email))
    call_id = _tell_former(user, now)
    # What nobody has shown to be theirs may be a stranger's, and a thief's is what is left for an address of before.
    if call_id and user.email_verified and not is_back:
        links.hold(EmailAddress(user.email, user.email_canonical), user, call_id=call_id, now=now)
    security_log.note(SecurityRecord.Kind.EMAIL_CHANGED, user.pk, now=now, client=client)
    _set(user, link, now)


@in_transaction
def _undo(link: Found, client: Client, now: datetime) -> None:
    user = links.use(link)
    links.void_later_undos(link)
    links.void_all(user, but_for=[Link.Purpose.UNDO_EMAIL])
    Session.objects.filter(user=user).end(now=now)
    if user.status == User.Status.PENDING_DELETION:
        owe_way_back(user)
    security_log.note(SecurityRecord.Kind.EMAIL_CHANGE_UNDONE, user.pk, now=now, client=client)
    _set(user, link, now)


def _tell_former(user: User, now: datetime) -> UUID | None:
    """Owe a mail to the address that the user has yet; it has a link where the address is held by then."""
    key, facts = f"email_changed/{uuid4()}", {"at": told_time(now)}
    return notices.request(kind="email_changed", user_id=user.pk, key=key, facts=facts, email=user.email)


def _set(user: User, link: Found, now: datetime) -> None:
    columns = columns_of({"email": parse_email(link.email)}) | {"email_verified": True}
    change(user, columns, actor=Actor("user", str(user.pk)), now=now)


def _refuse_taken(email: EmailAddress, user: User) -> None:
    others = User.objects.filter(email_canonical=email.canonical).exclude(pk=user.pk)
    if others.exists() or links.is_held(email.canonical, but_for=user):
        raise EmailTaken("new_email")
