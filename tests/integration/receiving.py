"""Receivers of webhooks on loopback: real HTTP servers that answer as a test has them answer, and keep what came.

And what leads to them: a changed user, and the settings that name the receivers.
"""

import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction
from pytest_django import Settings

from accounts.event_types import UserChanges, UserEvent, UserUpdated
from accounts.models import OutsideCall, User
from events.testing import deliver
from tests.waiting import LIMIT_S

KEY = b"CANARY: thirty-two random bytes!"
SECRET = f"whsec_{b64encode(KEY).decode()}"

Answer = Callable[[BaseHTTPRequestHandler], None]
ReceiverOf = Callable[..., "Receiver"]


class Arrived(NamedTuple):
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """`answers` are given in turn, the last one to whatever else comes."""

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.arrived: list[Arrived] = []
        self._answers = list(answers)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/users"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def stop(self) -> None:
        """Answers no more; its port refuses connections."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                answers = receiver._answers
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                receiver.arrived.append(Arrived(self.path, dict(self.headers), body))
                answer(self)

            def do_GET(self) -> None:
                self.do_POST()  # so that a redirect that is followed leaves its trace

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def status(code: int, **headers: str) -> Answer:
    """An answer without a body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()

    return answer


def after(released: threading.Event) -> Answer:
    """204, and not before that."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        released.wait(LIMIT_S)
        status(204)(handler)

    return answer


@contextmanager
def receiver(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """One for a block; answers 204 where nothing else is said."""
    one = Receiver(*(answers or (status(204),)), tls=tls)
    try:
        yield one
    finally:
        one.stop()


@contextmanager
def configured_receivers(settings: Settings) -> Iterator[ReceiverOf]:
    """Gives what makes a receiver that answers so, and has it configured beside those before."""
    with ExitStack() as until_the_end:

        def make(*answers: Answer) -> Receiver:
            one = until_the_end.enter_context(receiver(*answers))
            urls = (*settings.ACCOUNTS["WEBHOOK_URLS"], one.url)
            allowed = {"WEBHOOK_ALLOW_HTTP": True, "WEBHOOK_ALLOW_PRIVATE": True}
            settings.ACCOUNTS = {**settings.ACCOUNTS, "WEBHOOK_URLS": urls, "WEBHOOK_SECRET": SECRET, **allowed}
            return one

        yield make


def update_of(user_id: UUID, version: int = 2) -> UserUpdated:
    """As if the user had another display name since 9:00."""
    at = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    return UserUpdated(user_id=user_id, version=version, changes=UserChanges(display_name="Ann"), at=at)


def owed_after(event: UserEvent) -> OutsideCall:
    """The webhook that this event leads to, or the last of them."""
    deliver(event)
    return OutsideCall.objects.filter(kind="webhook").latest("created_at")


def change(user: User, **columns: Any) -> None:
    """Past the services."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select accounts_unguarded('a test')")
        User.objects.filter(pk=user.pk).update(**columns)
