"""One operation, asked many hostile things on one connection, and everything that was answered wrongly.

Whoever asks may do it: a user, for the administration's paths a superuser. What goes out is written by hand, since no
client writes such things. A refusal must be one that the description names, and nothing may have changed by it.
"""

import http.client
import json
import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import psycopg

from tests.acceptance.described import FAILED, PROBLEM, Operation, problem_misfits
from tests.acceptance.hostile import BY_THE_SERVER
from tests.acceptance.undoing import Undo
from tests.acceptance.web import PASSWORD, TIMEOUT_S, Answer, Web, superuser

Headers = Sequence[tuple[str, str | None]]
# The sum of all that requests change; not what counts tries, nor when a session was last used, nor the links that a
# worker makes and renews beside them.
STATE = """
select (select (count(*), sum(hashtext(one::text))) from accounts_user as one)::text,
    (select (count(*), sum(hashtext(one::text))) from accounts_usersettings as one)::text,
    (select (count(*), count(ended_at), sum(hashtext((auth_time, expires_at)::text))) from accounts_session)::text,
    (select (count(*), count(used_at)) from accounts_refreshtoken)::text,
    (select count(*) from accounts_link where purpose = 'undo_email'), (select count(*) from accounts_user_groups),
    (select count(*) from events_outbox), (select count(*) from accounts_outsidecall),
    (select count(*) from accounts_pendingregistration)
"""
# What can be done only to who is in this status.
STATUS_FOR = {"reactivate": "suspended", "restore": "pending_deletion"}
STATUS = """
update accounts_user set status = %s, former_status = 'active', delete_after = now() + interval '30 days' where id = %s
"""
# Members that say the same by other names than those of the example.
OTHER_WAYS = {
    "/api/v1/users/login": [["username", "password"], ["email", "password"]],
    "/api/v1/users/restore": [["identifier", "password"]],
}
TROUBLE = re.compile(r"Traceback|ERROR|CRITICAL")
UNKNOWN = b'{"hostile": 1}'
INVALID, MALFORMED = (400, "validation-error"), (400, "malformed-request")


@dataclass(frozen=True)
class Try:
    """A request that differs from a right one by what is given. `must` is its status and code, where there is one.

    A header of None is left out. `about` is what an error must name.
    """

    case: str
    path: str | None = None
    query: str = ""
    headers: Headers = ()
    body: bytes | None = None
    method: str = ""
    must: tuple[int, str] | None = None
    about: str = ""


class Line:
    """A connection that is kept, and made anew where the server has ended it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, method: str, target: str, headers: Headers, body: bytes | None) -> Answer:
        """By the letter; a length is added where the headers have none."""
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers if value is not None)]
        lengths = {"content-length", "transfer-encoding"} & {name.lower() for name, _ in headers}
        if body is not None and not lengths:
            lines.append(f"Content-Length: {len(body)}")
        sent = "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + (body or b"")
        if self._socket is not None:
            with suppress(ConnectionError):
                return self._exchanged(self._socket, sent, method)
            self.close()
        self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=TIMEOUT_S)
        return self._exchanged(self._socket, sent, method)

    def _exchanged(self, connection: socket.socket, sent: bytes, method: str) -> Answer:
        connection.sendall(sent)
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        answer = Answer(response.status, response.headers, response.read())
        if response.will_close:
            self.close()
        return answer

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None


@dataclass(frozen=True)
class People:
    """A superuser, and somebody who asks for themselves and is administered; the answers that opened their sessions."""

    administrator: Mapping[str, Any]
    somebody: Mapping[str, Any]


def people_in(web: Web) -> People:
    """New ones, for all tests of a file."""
    return People(superuser(web), web.register())


class Trial:
    """Asks an operation, and keeps what was answered wrongly; at its end there must be nothing of that."""

    def __init__(self, web: Web, operation: Operation, people: People) -> None:
        self.web, self.operation, self._people = web, operation, people
        self.wrong: list[str] = []
        self.line, self._tables = Line(web.port), psycopg.connect(web.dsn, autocommit=True)
        self._workers, self._log_from = web.workers(), web.log.stat().st_size
        self._before = Undo(self._tables, self._user["id"])
        if status := STATUS_FOR.get(operation.path.rpartition("/")[2]):
            web.unguarded(STATUS, status, self._user["id"])
        self._undo = Undo(self._tables, self._user["id"])
        self._state = self._read_state()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.line.close()
        self._before()
        self._tables.close()
        if error is None:
            assert not self.wrong, "\n".join(self.wrong)
            assert self.web.workers() == self._workers, "a worker has died"
            assert not (trouble := self._trouble()), trouble

    def _trouble(self) -> str:
        """What the log has of errors since the beginning."""
        with self.web.log.open() as log:
            log.seek(self._log_from)
            return "".join(line for line in log if TROUBLE.search(line))

    @property
    def token(self) -> str:
        """Of who may do it."""
        who = self._people.administrator if self.operation.is_administration else self._people.somebody
        return str(who["token"])

    @property
    def _user(self) -> Mapping[str, Any]:
        user: Mapping[str, Any] = self._people.somebody["user"]
        return user

    @property
    def ids(self) -> dict[str, str]:
        """Of what is there."""
        return {"user_id": self._user["id"], "session_id": self._people.somebody["session_id"]}

    def good(self) -> dict[str, Any]:
        """Right values of members by their names: what the description's examples cannot know."""
        name = f"u{uuid4().hex[:12]}"
        return {
            "username": name,
            "email": f"{name}@example.com",
            "new_email": f"{name}@example.com",
            "password": PASSWORD,
            "current_password": PASSWORD,
            "identifier": self._user["username"],
            "refresh_token": self._people.somebody["refresh_token"],
            "groups": [],
        }

    def bodies(self) -> list[dict[str, Any]]:
        """Right ones, which have each member: as the example is, and the other ways."""
        example, good = self.operation.example or {}, self.good()
        others = [{name: good[name] for name in names} for names in OTHER_WAYS.get(self.operation.path, [])]
        return [{name: good.get(name, value) for name, value in example.items()}, *others]

    def ask(self, one: Try) -> Answer:
        """Make the request, and judge what comes back."""
        headers = [*self._usual(one), *one.headers]
        target = (self.operation.path.format(**self.ids) if one.path is None else one.path) + one.query
        answer = self.line.ask(one.method or self.operation.method, target, headers, one.body)
        self.wrong += [f"{one.case[:80]}: {fault} ({answer.status})" for fault in self._faults(one, answer)]
        return answer

    def harmless(self, one: Try) -> Answer:
        """As `ask`, of what changes nothing however often it is asked: it has a member that no operation has."""
        body = None if self.operation.is_safe else UNKNOWN
        return self.ask(Try(one.case, one.path, one.query, one.headers, body, one.method, one.must, one.about))

    def _usual(self, one: Try) -> Headers:
        named = {name.lower() for name, _ in one.headers}
        usual = {"Host": "localhost", "If-Match": "*"}
        usual |= {} if one.body is None else {"Content-Type": "application/json"}
        usual |= {} if self.operation.is_public else {"Authorization": f"Bearer {self.token}"}
        return [(name, value) for name, value in usual.items() if name.lower() not in named]

    def _faults(self, one: Try, answer: Answer) -> list[str]:
        if one.must == BY_THE_SERVER:
            faults = [] if answer.status in (400, 417, 431, 501) else ["let pass by the server"]
        else:
            # The description tells of other methods in words: they are no operations.
            faults = problem_misfits(answer) if answer.status == 405 else self.operation.misfits(answer)
            faults += ["a fault"] if answer.status >= 500 else []
            told = answer.json["code"] if answer.headers["Content-Type"] == PROBLEM else ""
            faults += [f"{told!r}, not {one.must}"] if one.must not in (None, (answer.status, told)) else []
            if one.about and answer.status == FAILED and one.about not in answer.body.decode():
                faults.append(f"nothing of {one.about} in {answer.body!r}")
        return faults + self._changes(answer)

    def _changes(self, answer: Answer) -> list[str]:
        before, self._state = self._state, self._read_state()
        if self._state == before:
            return []
        if answer.status >= FAILED or self.operation.is_safe:
            return [f"changed: {before} -> {self._state}"]
        self._undo()
        self._state = self._read_state()
        return []

    def _read_state(self) -> tuple[Any, ...]:
        [row] = self._tables.execute(STATE).fetchall()
        return row


def with_member(body: Mapping[str, Any], name: str, written: str) -> bytes:
    """The body with this member as it is written."""
    others = [f"{json.dumps(other)}: {json.dumps(value)}" for other, value in body.items() if other != name]
    return ("{" + ", ".join([*others, f"{json.dumps(name)}: {written}"]) + "}").encode("utf-8", "surrogateescape")
