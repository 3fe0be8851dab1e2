"""The main job, end to end and seen from outside: `python -m devstack demo`, which is `make demo`.

On a stack of its own: calls the REST API as a person's client would, then follows each event through the outbox
table, the relay's and the consumer's and the worker's log, to the mailbox. It shares no code with the application.
"""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.policy import default as modern
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import redis
from rich.console import Console

from devstack import ports
from devstack.api import Stack, stack
from devstack.errors import DevstackError
from devstack.logbook import LogBook
from devstack.run import environment, manage, started

HOP_LIMIT_S = 30.0


ANN, CHIEF = "ann", "chief"
PASSWORD, NEXT_PASSWORD = "a long enough password", "another quite long one"
LOGIN, ME, ADMIN = "/api/v1/users/login", "/api/v1/users/me", "/api/v1/admin/users/{ann}"


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the API and what must come of it. `who` signs in with a path of its own, and then has a token."""

    title: str
    path: str
    body: dict[str, Any]
    event: str
    handlers: tuple[str, ...]
    who: str = ANN
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    is_mailed: bool = False


STEPS = (
    Step(
        "Ann registers",
        "/api/v1/users/register",
        {"username": ANN, "email": "ann@example.com", "password": PASSWORD},
        "user.registered",
        ("send-welcome", "initialise-settings", "count-registration"),
        is_mailed=True,
    ),
    Step(
        "Ann logs in",
        LOGIN,
        {"identifier": ANN, "password": PASSWORD},
        "user.logged_in",
        ("write-login-log", "update-last-login", "check-login"),
    ),
    Step(
        "Ann updates her profile",
        ME,
        {"display_name": "Ann Other"},
        "user.updated",
        ("refresh-profile", "sync-webhooks"),
        method="PATCH",
        headers={"If-Match": '"1"'},
    ),
    Step(
        "Ann changes her password",
        f"{ME}/password",
        {"current_password": PASSWORD, "new_password": NEXT_PASSWORD},
        "user.password_changed",
        ("mail-password-changed", "log-password-changed"),
        is_mailed=True,
    ),
    Step(
        "An administrator suspends Ann",
        f"{ADMIN}/suspend",
        {"reason": "too many complaints"},
        "user.status_changed",
        ("tell-status", "refresh-profile-status", "sync-webhooks-status"),
        who=CHIEF,
        is_mailed=True,
    ),
    Step(
        "The administrator deletes Ann, at once",
        f"{ADMIN}/delete",
        {"reason": "asked for by letter", "immediately": True},
        "user.deleted",
        ("clean-up", "sync-webhooks-deleted"),
        who=CHIEF,
        is_mailed=True,
    ),
)


class NotSeen(DevstackError):
    """A hop did not show within its limit."""


def show() -> int:
    """Run the demo; 0 only when every hop of every event was seen. Raises DevstackError otherwise."""
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()
    with _running(console) as demo:
        demo.sign_in_chief()
        for step in STEPS:
            demo.take(step)
            if step.event == "user.logged_in":
                demo.read_profile()
        demo.nothing_is_left_of_ann()
    seconds = time.monotonic() - began
    console.print(f"\n[bold green]All of it was seen[/], set-up included, in {seconds:.0f} s.\n{_NEXT}")
    return 0


_NEXT = """
What to look at next:
  make run                       the same processes in the foreground, on port 8080
  docs/flow.md                   a registration and a leaving, file by file
  accounts/routes.py             which handlers each event goes to
  accounts/services/             where a change and its event are written together"""


@contextmanager
def _running(console: Console) -> Iterator["Demo"]:
    """A fresh stack with the application on it."""
    name = f"demo-{os.getpid()}"
    port = ports.free()
    book = LogBook()
    console.print("PostgreSQL, Kafka, Valkey and a mail catcher start …")
    with stack(name, fresh=True, given={}) as parts:
        console.print("Tables and topics are made; web, relay, consumer, worker and beat start …")
        with started(parts, name=name, port=port, out=book):
            named = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
            create = ["createsuperuser", "--noinput", f"--username={CHIEF}", "--email=chief@example.com"]
            manage(create, env=environment(parts, port) | named, out=book)
            yield Demo(console, parts, f"http://127.0.0.1:{port}", book)


@dataclass
class Demo:
    """A client of the API that follows what it causes."""

    console: Console
    parts: Stack
    address: str
    book: LogBook
    user_id: str = ""
    tokens: dict[str, str] = field(default_factory=dict)
    mails: set[Path] = field(default_factory=set)

    def sign_in_chief(self) -> None:
        """The administrator was made at the command line."""
        self.tokens[CHIEF] = self._call("POST", LOGIN, {"identifier": CHIEF, "password": PASSWORD}, {})["token"]

    def take(self, step: Step) -> None:
        """Make the call, then show each hop of its event."""
        path = step.path.format(ann=self.user_id)
        self.console.print(f"\n[bold]{step.title}[/]  {step.method} {path}")
        self.mails = set(self._mails_to_ann())
        sent = time.time()
        answer = self._call(step.method, path, step.body, self._authorised(step))
        self._hop("answered", sent, time.time(), _told(answer))
        if "token" in answer:
            self.user_id, self.tokens[step.who] = answer["user"]["id"], answer["token"]
        self._follow(step, sent)

    def nothing_is_left_of_ann(self) -> None:
        """The row says that there was somebody, and no more."""
        self.console.print("\n[bold]What is left of Ann[/]  in PostgreSQL and Valkey")
        sent = time.time()
        [row] = self._rows("select status, username, email from accounts_user where id = %s", self.user_id)
        if row["status"] != "deleted" or "ann" in f"{row['username']} {row['email']}":
            raise NotSeen(f"the row of a deleted user is {row}")
        self._hop("row", sent, time.time(), f"{row['status']}, username {row['username']}, no address")
        told = "select count(*) as n from events_outbox where key = %s and convert_from(value, 'utf8') like '%%ann@%%'"
        [found] = self._rows(told, self.user_id)
        if found["n"]:
            raise NotSeen("the outbox still has her address")
        self._hop("outbox", sent, time.time(), "her events are there, without name and address")
        cache = redis.Redis.from_url(self.parts.environ["REDIS_URL"])
        if cache.hget(f"usercenter:profile:{self.user_id}", "profile"):
            raise NotSeen("the cache still has her profile")
        self._hop("cache", sent, time.time(), "a tombstone, no profile")

    def read_profile(self) -> None:
        """The first read puts the profile into the cache."""
        path = f"/api/v1/users/{self.user_id}/profile"
        self.console.print(f"\n[bold]Ann's profile is read[/]  GET {path}")
        cache = redis.Redis.from_url(self.parts.environ["REDIS_URL"])
        if cache.exists(f"usercenter:profile:{self.user_id}"):
            raise NotSeen("the profile was in the cache before anybody read it")
        for where in ("from PostgreSQL", "from the cache"):
            sent = time.time()
            profile = self._call("GET", path, None, {"Authorization": f"Bearer {self.tokens[ANN]}"})
            self._hop("answered", sent, time.time(), f"{where}: {profile['username']}, version {profile['version']}")
            self._wait("the profile in the cache", lambda: cache.exists(f"usercenter:profile:{self.user_id}"))

    def _follow(self, step: Step, sent: float) -> None:
        record = self._wait(f"{step.event} published", lambda: self._published(step.event))
        event_id = str(record["event_id"])
        self._hop("committed", sent, record["committed_at"].timestamp(), f"the change, with its event {event_id}")
        place = f"{record['topic']}, partition {record['partition']}, offset {record['offset']}"
        self._hop("Kafka", sent, record["published_at"].timestamp(), place)
        for handler in step.handlers:
            self._handled(sent, event_id, handler)
        if step.is_mailed:
            self._mailed(sent)

    def _handled(self, sent: float, event_id: str, handler: str) -> None:
        wanted = {"event": "handled", "event_id": event_id, "handler": handler}
        line = self._wait(f"{handler} in the log", lambda: self.book.find(**wanted))
        at = datetime.fromisoformat(line["handled_at"]).timestamp()
        self._hop("handler", sent, at, f"{handler} ({line['ms']:.1f} ms of its own)")

    def _mailed(self, sent: float) -> None:
        mail = self._wait("the mail in the mailbox", lambda: next(iter(set(self._mails_to_ann()) - self.mails), None))
        self._hop("mail", sent, mail.stat().st_mtime, _headline(mail))

    def _mails_to_ann(self) -> Iterator[Path]:
        for mail in self.parts.mailbox.glob("*.eml"):
            if message_from_bytes(mail.read_bytes())["To"] == "ann@example.com":
                yield mail

    def _published(self, event: str) -> dict[str, Any] | None:
        query = (
            "select *, pg_xact_commit_timestamp(xid::xid) as committed_at from events_outbox"
            " where key = %s and type = %s and published_at is not null"
        )
        return next(iter(self._rows(query, self.user_id, event)), None)

    def _rows(self, query: LiteralString, *values: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.parts.environ["DATABASE_URL"], row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(query, values).fetchall()

    def _authorised(self, step: Step) -> dict[str, str]:
        token = self.tokens.get(step.who)
        return {**step.headers, **({"Authorization": f"Bearer {token}"} if token else {})}

    def _call(self, method: str, path: str, body: dict[str, Any] | None, headers: Mapping[str, str]) -> dict[str, Any]:
        own = {"Content-Type": "application/json", "User-Agent": "usercenter-demo"}
        sent = json.dumps(body).encode() if body else None
        request = urllib.request.Request(self.address + path, data=sent, headers={**own, **headers}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            raise NotSeen(f"{method} {path} was answered with {error.code}: {error.read().decode()}") from None

    def _wait(self, what: str, look: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + HOP_LIMIT_S
        while not (found := look()):
            if time.monotonic() > deadline:
                raise NotSeen(f"not seen within {HOP_LIMIT_S:.0f} s: {what}\n{self.book.tail()}")
            time.sleep(0.01)
        return found

    def _hop(self, hop: str, since: float, at: float, what: str) -> None:
        self.console.print(f"  {(at - since) * 1000:8.1f} ms  [cyan]{hop:<10}[/] {what}")


def _told(answer: Mapping[str, Any]) -> str:
    if "token" in answer:
        return f"user {answer['user']['id']}, a token"
    version = f", version {answer['version']}" if "version" in answer else ""
    return f"status {answer['status']}{version}"


def _headline(mail: Path) -> str:
    message = message_from_bytes(mail.read_bytes(), policy=modern)
    return f"{message['Subject']!r} to {message['To']}"
