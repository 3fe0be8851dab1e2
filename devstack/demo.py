"""The main job, end to end and seen from outside: `python -m devstack demo`, which is `make demo`.

On a stack of its own: calls the REST API as a person's client would, then follows each event through the outbox
table, the relay's and the consumer's and the worker's log, to the mailbox. It shares no code with the application.
"""

import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.policy import default as modern
from pathlib import Path
from typing import Any

import psycopg
import redis
from rich.console import Console

from devstack import ports
from devstack.api import Stack, stack
from devstack.errors import DevstackError
from devstack.logbook import LogBook
from devstack.run import started

HOP_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Step:
    """One call of the API and what must come of it."""

    title: str
    path: str
    body: dict[str, str]
    event: str
    handlers: tuple[str, ...]
    mail: str | None = None


STEPS = (
    Step(
        "Ann registers",
        "/api/v1/users/register",
        {"username": "ann", "email": "ann@example.com", "password": "a long enough password"},
        "user.registered",
        ("send-welcome", "initialise-settings", "count-registration"),
        mail="welcome",
    ),
    Step(
        "Ann logs in",
        "/api/v1/users/login",
        {"identifier": "ann", "password": "a long enough password"},
        "user.logged_in",
        ("write-login-log", "update-last-login", "check-login"),
    ),
)


class NotSeen(DevstackError):
    """A hop did not show within its limit."""


def show() -> int:
    """Run the demo; 0 only when every hop of every event was seen. Raises DevstackError otherwise."""
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()
    with _running(console) as demo:
        for step in STEPS:
            demo.take(step)
        demo.read_profile()
    seconds = time.monotonic() - began
    console.print(f"\n[bold green]All of it was seen[/], set-up included, in {seconds:.0f} s.\n{_NEXT}")
    return 0


_NEXT = """
What to look at next:
  make run                       the same processes in the foreground, on port 8080
  docs/flow.md                   one registration, file by file
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
            yield Demo(console, parts, f"http://127.0.0.1:{port}", book)


@dataclass
class Demo:
    """A client of the API that follows what it causes."""

    console: Console
    parts: Stack
    address: str
    book: LogBook
    user_id: str = ""
    token: str = ""

    def take(self, step: Step) -> None:
        """Make the call, then show each hop of its event."""
        self.console.print(f"\n[bold]{step.title}[/]  POST {step.path}")
        sent = time.time()
        answer = self._call(step.path, step.body)
        self._hop("answered", sent, time.time(), f"user {answer['user']['id']}, a token")
        self.user_id, self.token = answer["user"]["id"], answer["token"]
        self._follow(step, sent)

    def read_profile(self) -> None:
        """The first read puts the profile into the cache."""
        path = f"/api/v1/users/{self.user_id}/profile"
        self.console.print(f"\n[bold]Ann's profile is read[/]  GET {path}")
        cache = redis.Redis.from_url(self.parts.environ["REDIS_URL"])
        if cache.exists(f"usercenter:profile:{self.user_id}"):
            raise NotSeen("the profile was in the cache before anybody read it")
        for where in ("from PostgreSQL", "from the cache"):
            sent = time.time()
            profile = self._call(path)
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
        if step.mail:
            self._mailed(sent, step)

    def _handled(self, sent: float, event_id: str, handler: str) -> None:
        wanted = {"event": "handled", "event_id": event_id, "handler": handler}
        line = self._wait(f"{handler} in the log", lambda: self.book.find(**wanted))
        at = datetime.fromisoformat(line["handled_at"]).timestamp()
        self._hop("handler", sent, at, f"{handler} ({line['ms']:.1f} ms of its own)")

    def _mailed(self, sent: float, step: Step) -> None:
        mail = self._wait("the mail in the mailbox", lambda: self._mail_to(step.body["email"]))
        self._hop("mail", sent, mail.stat().st_mtime, _headline(mail))

    def _mail_to(self, address: str) -> Path | None:
        mails = self.parts.mailbox.glob("*.eml")
        return next((mail for mail in mails if message_from_bytes(mail.read_bytes())["To"] == address), None)

    def _published(self, event: str) -> dict[str, Any] | None:
        query = (
            "select *, pg_xact_commit_timestamp(xid::xid) as committed_at from events_outbox"
            " where key = %s and type = %s and published_at is not null"
        )
        with psycopg.connect(self.parts.environ["DATABASE_URL"], row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(query, [self.user_id, event]).fetchone()

    def _call(self, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "User-Agent": "usercenter-demo"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        sent = json.dumps(body).encode() if body else None
        request = urllib.request.Request(self.address + path, data=sent, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return dict(json.load(answer))

    def _wait(self, what: str, look: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + HOP_LIMIT_S
        while not (found := look()):
            if time.monotonic() > deadline:
                raise NotSeen(f"not seen within {HOP_LIMIT_S:.0f} s: {what}\n{self.book.tail()}")
            time.sleep(0.01)
        return found

    def _hop(self, hop: str, since: float, at: float, what: str) -> None:
        self.console.print(f"  {(at - since) * 1000:8.1f} ms  [cyan]{hop:<10}[/] {what}")


def _headline(mail: Path) -> str:
    message = message_from_bytes(mail.read_bytes(), policy=modern)
    return f"{message['Subject']!r} to {message['To']}"
