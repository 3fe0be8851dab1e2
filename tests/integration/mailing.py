"""What tests of notices and mail share: a user to tell something, the mailbox and its reader, processes beside them."""

import os
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.event_types import UserRegistered
from accounts.models import OutsideCall, User
from accounts.outside import calls
from events.outbox.publish import publish


class Mailbox:
    """The mail catcher's folder, as it is filled from now on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = set(folder.glob("*.eml"))
        self._known = dict[Path, tuple[str, EmailMessage]]()

    def files(self) -> list[Path]:
        """One a mail, the oldest first."""
        return sorted(set(self._folder.glob("*.eml")) - self._before)

    def mails(self) -> list[EmailMessage]:
        """`X-Envelope-To` says whom each was really for."""
        return [mail for _, mail in map(self._read, self.files())]

    def mails_to(self, address: str) -> list[EmailMessage]:
        """Those that were really for this address."""
        return [mail for to, mail in map(self._read, self.files()) if to == address]

    def _read(self, file: Path) -> tuple[str, EmailMessage]:
        # A file is whole once it is there, and stays as it is: who waits for a mail asks many times, and a message
        # reads a header anew each time that it is asked for it.
        if file not in self._known:
            mail = message_from_bytes(file.read_bytes(), policy=policy.default)
            self._known[file] = str(mail["X-Envelope-To"]), mail
        return self._known[file]


def text_of(mail: EmailMessage) -> str:
    """What a mail program shows that shows no HTML."""
    return _part(mail, "plain")


def html_of(mail: EmailMessage) -> str:
    """What the others show."""
    return _part(mail, "html")


class Shown(HTMLParser):
    """What a mail program makes of HTML: its words, its tags, and each attribute as it was meant."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self._words: list[str] = []
        self.feed(html)
        self.close()

    @property
    def words(self) -> list[str]:
        """Between white space, wherever lines break."""
        return "".join(self._words).split()

    @property
    def leads_to(self) -> list[str | None]:
        """Whatever can be clicked, or is loaded."""
        return [value for name, value in self.attributes if name not in ("style", "lang", "charset")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    def handle_comment(self, data: str) -> None:
        self.tags.add(f"<!--{data}")


def _part(mail: EmailMessage, subtype: str) -> str:
    """Of a mail that is these two and nothing else, the richer one last (RFC 2046, 5.1.4)."""
    assert mail.get_content_type() == "multipart/alternative"
    parts = {part.get_content_type(): part for part in mail.iter_parts()}
    assert list(parts) == ["text/plain", "text/html"]
    part = parts[f"text/{subtype}"]
    assert isinstance(part, EmailMessage)
    return str(part.get_content()).replace("\r\n", "\n")


def registered_user(username: str = "ann", *, email: str = "ann@example.com") -> User:
    """A user of any name and address, whatever the front door would say to them."""
    user = User(
        username=username, username_canonical=username, email=email, email_canonical=email, password="x",
        created_at=timezone.now(), updated_at=timezone.now(),
    )  # fmt: skip
    with transaction.atomic():
        user.save(force_insert=True)
        publish(registration_of(user))
    return user


def registration_of(user: User) -> UserRegistered:
    return UserRegistered(
        user_id=user.id, version=1, username=user.username, email=user.email, display_name="", locale="en",
        registered_at=user.created_at,
    )  # fmt: skip


def change_behind_the_doors(user: User, **columns: Any) -> None:
    """Without an event, by the one way there is."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("select accounts_unguarded('a test')")
        User.objects.filter(pk=user.pk).update(**columns)
    user.refresh_from_db()


def owed_to(user_id: UUID) -> OutsideCall:
    """A welcome mail that nobody was told of."""
    with transaction.atomic():
        calls.owe(kind="welcome", user_id=user_id, key=f"{uuid7()}/send-welcome", facts={"registered_on": "2026-11-24"})
    return OutsideCall.objects.get(user_id=user_id)


def as_time_goes_by(call: OutsideCall) -> None:
    """The next attempt is due: the lease is over, or the wait after a failure."""
    OutsideCall.objects.filter(pk=call.pk).update(next_attempt_at=Now() - timedelta(seconds=1))


def owed_before(call: OutsideCall) -> None:
    """It was asked for earlier than what follows in this transaction, which has one time for all."""
    OutsideCall.objects.filter(pk=call.pk).update(created_at=call.created_at - timedelta(minutes=1))


def reread(call: OutsideCall) -> OutsideCall:
    """As it stands now."""
    return OutsideCall.objects.get(pk=call.pk)


def environ_for_processes() -> dict[str, str]:
    """For a process of ours beside the tests: their environment, and the database that they use."""
    at = connection.settings_dict
    password = f":{quote(at['PASSWORD'], safe='')}" if at["PASSWORD"] else ""
    address = f"postgres://{at['USER']}{password}@{at['HOST']}:{at['PORT']}/{at['NAME']}"
    return os.environ | {"DATABASE_URL": address, "DATABASE_DIRECT_URL": address}
