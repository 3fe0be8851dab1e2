"""The web process as a client, an attacker and an operator see it: HTTP, the database, the log, process ids."""

import http.client
import json
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import psycopg

from tests.faults.proxy import Proxy

REGISTER, LOGIN, ME = "/api/v1/users/register", "/api/v1/users/login", "/api/v1/users/me"
REFRESH, LOGOUT, LOGOUT_ALL = "/api/v1/users/refresh", "/api/v1/users/logout", "/api/v1/users/logout-all"
REAUTHENTICATE, CHANGE_PASSWORD = "/api/v1/users/reauthenticate", "/api/v1/users/me/password"
PASSWORD = "CANARY-pw-4711"
TIMEOUT_S = 60
TOKEN_ANSWER = {
    "user", "token", "token_type", "expires_in", "refresh_token", "refresh_expires_in", "session_id",
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def told(self) -> tuple[int, str]:
        """Status and code of a refusal."""
        return self.status, self.json["code"]

    @property
    def codes(self) -> list[tuple[str, str]]:
        """Place and code of each error named."""
        return [(error.get("pointer") or error.get("parameter"), error["code"]) for error in self.json["errors"]]


@dataclass(frozen=True)
class Call:
    """One request to make."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes | None:
        return self.body if self.body is None or isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Web:
    """A gunicorn with two workers; `database` and `cache` stand between it and those parts, `environ` set it up."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    dsn: str
    signing_key: bytes
    database: Proxy
    cache: Proxy
    environ: Mapping[str, str]

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Header names with `_` for `-`; JSON unless a Content_Type is given."""
        return self._made(Call(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}))

    def race(self, calls: Sequence[Call]) -> list[Answer]:
        """All at once, each on a connection of its own that stands before the first byte goes."""
        start = threading.Barrier(len(calls))
        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(lambda call: self._made(call, start), calls))

    def race_to_the_end(self, calls: Sequence[Call]) -> list[Answer]:
        """As `race`; but who finds the hashing queue full comes again, as the answer says."""
        answers, waiting = [], list(calls)
        while waiting:
            tried = self.race(waiting)
            assert all("Retry-After" in answer.headers for answer in tried if answer.status == 503)
            answers += [answer for answer in tried if answer.status != 503]
            waiting = [call for call, answer in zip(waiting, tried, strict=True) if answer.status == 503]
        return answers

    def register(self, **other: Any) -> dict[str, Any]:
        """Somebody new; the answer's body."""
        name = f"u{uuid4().hex[:12]}"
        body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **other}
        answer = self.call("POST", REGISTER, body)
        assert answer.status == 201, answer.body
        registered: dict[str, Any] = answer.json
        return registered

    def login(self, identifier: str, password: str = PASSWORD) -> Answer:
        return self.call("POST", LOGIN, {"identifier": identifier, "password": password})

    def sign_in(self, user: Mapping[str, Any], password: str = PASSWORD) -> dict[str, Any]:
        """One more session of this user; the answer's body."""
        answer = self.login(user["username"], password)
        assert answer.status == 200, answer.body
        signed_in: dict[str, Any] = answer.json
        return signed_in

    def refresh(self, refresh_token: str) -> Answer:
        return self.call("POST", REFRESH, {"refresh_token": refresh_token})

    def aged(self, opened: Mapping[str, Any]) -> str:
        """An access token of this session whose password was given an hour ago."""
        past = "update accounts_session set auth_time = auth_time - interval '1 hour' where id = %s"
        self.sql(past, opened["session_id"])
        refreshed = self.refresh(opened["refresh_token"])
        assert refreshed.status == 200, refreshed.body
        return str(refreshed.json["token"])

    def me(self, access_token: str) -> Answer:
        return self.call("GET", ME, **bearer(access_token))

    def read(self, path: str, token: str, **parameters: str) -> Answer:
        """GET it, as who has this access token."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        return self.call("GET", path + query, **bearer(token))

    def listed(self, path: str, token: str, **parameters: str) -> list[dict[str, Any]]:
        """The items of a page."""
        answer = self.read(path, token, **parameters)
        assert answer.status == 200, answer.body
        items: list[dict[str, Any]] = answer.json["items"]
        return items

    def published(self, user_id: str, event_type: str) -> list[dict[str, Any]]:
        """The data of this user's events of a type, the oldest first."""
        told = "select value from events_outbox where key = %s and type = %s order by id"
        return [json.loads(bytes(value)) for (value,) in self.sql(told, user_id, event_type)]

    def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run it past the service, each on a connection of its own."""
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def unguarded(self, statement: str, *values: Any) -> None:
        """Change users without events, by the one way there is."""
        with psycopg.connect(self.dsn) as connection:
            connection.execute("select accounts_unguarded('a test')")
            connection.execute(statement, values)

    @contextmanager
    def without_database(self, token: str) -> Iterator[None]:
        """For as long as the block lasts, and then until every worker serves the token's user again.

        Their pools connect anew within seconds of the database's return.
        """
        with self.database.refusing():
            yield
        self.wait_until_all_serve(Call("GET", ME, headers=bearer(token)))

    def wait_until_all_serve(self, call: Call) -> None:
        """Until every worker answers 200: no answer says whose it is, so many are asked for, twice."""
        deadline = time.monotonic() + TIMEOUT_S
        in_a_row = 0
        while in_a_row < 2:
            assert time.monotonic() < deadline
            in_a_row = in_a_row + 1 if all(answer.status == 200 for answer in self.race([call] * 16)) else 0

    def log_lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return sorted(map(int, children.split()))

    def connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)

    def _made(self, call: Call, start: threading.Barrier | None = None) -> Answer:
        connection = self.connection()
        try:
            connection.connect()
            if start:
                start.wait()
            headers = {"Content-Type": "application/json"} if call.body is not None else {}
            connection.request(call.method, call.path, call.content(), headers | dict(call.headers))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def staff(web: Web, *permissions: str) -> dict[str, Any]:
    """Somebody new who is staff, with these permissions (`view_user`); the body of the answer that made them."""
    opened = web.register()
    web.unguarded("update accounts_user set is_staff = true where id = %s", opened["user"]["id"])
    web.sql(
        "insert into accounts_user_user_permissions (user_id, permission_id)"
        " select %s, id from auth_permission where codename = any(%s)",
        opened["user"]["id"],
        list(permissions),
    )
    return opened


def superuser(web: Web) -> dict[str, Any]:
    """As `staff`, and may do everything."""
    opened = staff(web)
    web.unguarded("update accounts_user set is_superuser = true where id = %s", opened["user"]["id"])
    return opened
