"""A worker beside the web process, and what it sends, as whoever reads the mail sees it."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from devstack.places import CHECKOUT
from tests.acceptance.web import Web
from tests.integration.mailing import Mailbox, text_of
from tests.waiting import wait_for

RESET, RESEND = "/api/v1/users/password/reset", "/api/v1/users/email/verify/resend"
SWEEPS = ("accounts.tasks.sweep_outside_calls", "accounts.tasks.sweep_registrations")
# On its way from the queue into the worker's hands a task is in neither for a moment.
LOOKS = 4
_LINK = re.compile(r"#token=([\w-]+)")


class Mailing:
    """A worker with the web's settings, at the real parts: no proxy of the web's stands in its way.

    Beat does not run: `sweep` asks for what it would ask for.
    """

    def __init__(self, log: Path, mailbox: Mailbox, queue: str) -> None:
        self.log = log
        self.mailbox = mailbox
        self._queue = queue

    def mails_to(self, address: str) -> list[EmailMessage]:
        """What has come so far, the oldest first."""
        return self.mailbox.mails_to(address)

    def wait_for_mails(self, address: str, count: int = 1) -> list[EmailMessage]:
        """Once so many have come, of what is owed already or by an event to come."""
        # The web keeps quiet for some seconds where its queue was away, in a test before this one maybe.
        self.sweep()
        wait_for(lambda: len(self.mails_to(address)) >= count)
        return self.mails_to(address)

    def told(self, address: str, subject: str, count: int = 1) -> list[EmailMessage]:
        """Those of its mails that have this subject, the oldest first, once so many have come."""

        def found() -> list[EmailMessage]:
            return [mail for mail in self.mails_to(address) if mail["Subject"] == subject]

        self.sweep()
        wait_for(lambda: len(found()) >= count)
        return found()

    def tokens_to(self, address: str, count: int = 1) -> list[str]:
        """Those of the links, a mail each, once so many mails have come."""
        return [token_in(mail) for mail in self.wait_for_mails(address, count)]

    def sweep(self) -> None:
        """Have the worker look for what the queue did not tell it, as beat does every ten seconds."""
        celery = Celery(set_as_current=False)
        # Named here: an address in this process's environment would go before one that Celery is given.
        with celery.connection_for_write(self._queue) as connection:
            for task in SWEEPS:
                celery.send_task(task, connection=connection)

    def wait_until_idle(self, web: Web) -> None:
        """Until nothing that is due is owed any more, also what the queue, if it was away, was not told of."""
        web.sql("update accounts_pendingregistration set created_at = now() - interval '1 min'")
        self.sweep()
        owed = (
            "select (select count(*) from accounts_outsidecall where settled_at is null and failed_at is null)"
            " + (select count(*) from accounts_pendingregistration)"
        )
        wait_for(lambda: web.sql(owed) == [(0,)])

    def wait_until_drained(self) -> None:
        """Until the worker has done all that it was asked for: a sweep of before would bring what is owed next."""
        empty_in_a_row = 0

        def is_drained() -> bool:
            nonlocal empty_in_a_row
            empty_in_a_row = 0 if queue.exists("celery", "unacked") else empty_in_a_row + 1
            return empty_in_a_row == LOOKS

        with redis.Redis.from_url(self._queue) as queue:
            wait_for(is_drained)

    def said(self, text: str) -> list[dict[str, Any]]:
        """The log's lines with this in them."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if text in line and line.startswith("{")]


def link_by(path: str, web: Web, mailing: Mailing, address: str) -> str:
    """Ask at RESET or RESEND for a mail to this address; gives the token that comes in it."""
    known = len(mailing.mails_to(address))
    asked = web.call("POST", path, {"email": address})
    assert (asked.status, asked.json) == (202, {})
    return mailing.tokens_to(address, known + 1)[-1]


def token_in(mail: EmailMessage) -> str:
    """The token of the one link that the mail carries."""
    [token] = _LINK.findall(text_of(mail))
    return str(token)


@contextmanager
def mailing_of(web: Web, mailbox: Path, log: Path, **other: str) -> Iterator[Mailing]:
    """A worker until the block ends; `mailbox` is the mail catcher's folder, `other` are settings that differ."""
    # The web's tasks go where its cache is.
    queue = os.environ["REDIS_URL"]
    given = {"DATABASE_URL": web.dsn, "REDIS_URL": os.environ["REDIS_URL"], "CELERY_BROKER_URL": queue}
    quietly = ["--without-mingle", "--without-gossip", "--without-heartbeat"]
    command = [sys.executable, "-m", "celery", "-A", "usercenter", "worker", *quietly]
    with log.open("wb") as out:
        worker = subprocess.Popen(
            command, env={**web.environ, **given, **other}, cwd=CHECKOUT, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        room = Mailing(log, Mailbox(mailbox), queue)
        wait_for(lambda: room.said(" ready."), within_s=60)
        yield room
    finally:
        worker.terminate()
        worker.wait(timeout=30)
