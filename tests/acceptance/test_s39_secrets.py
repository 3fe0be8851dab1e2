"""S39: no password, token, key or hash gets anywhere but where it belongs, also where something fails."""

import json
import os
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from psycopg import sql

from devstack import Stack
from tests.acceptance.browsing import Browser
from tests.acceptance.mailing import Mailing, token_in
from tests.acceptance.streaming import Streaming, streaming_of
from tests.acceptance.test_admin import createsuperuser
from tests.acceptance.web import LOGIN, ME, PASSWORD, REGISTER, Call, Web, bearer
from tests.waiting import wait_for

REFRESH, RESET = "/api/v1/users/refresh", "/api/v1/users/password/reset"
CHANGE, CONFIRM = "/api/v1/users/me/password", "/api/v1/users/password/reset/confirm"
VERIFY, REAUTHENTICATE = "/api/v1/users/email/verify", "/api/v1/users/reauthenticate"
PAGES = ["user", "session", "loginrecord", "securityrecord", "outsidecall"]
# The two columns in which a password's hash stands, and nothing else does.
HASH_COLUMNS = {"accounts_user", "accounts_pendingregistration"}


@dataclass
class Secrets:
    """Every secret of the story, and where it was looked for afterwards."""

    known: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    mailed: dict[str, str] = field(default_factory=dict)

    def keep(self, what: str, answer: dict[str, str]) -> None:
        """The tokens of an answer."""
        for name in ("token", "refresh_token"):
            self.known[f"{what}: {name}"] = answer[name]


class Overheard:
    """Everything that anyone sends to Valkey: cached values and tasks alike, however soon they are gone."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._heard = bytearray()
        address = urlsplit(url)
        self._socket = socket.create_connection((str(address.hostname), int(address.port or 0)))
        self._socket.sendall(b"MONITOR\r\n")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self.text("it listens")

    def text(self, marker: str) -> str:
        """So far, up to a word of our own."""
        with redis.Redis.from_url(self._url) as client:
            wait_for(lambda: client.echo(marker) and marker.encode() in self._heard)
        return self._heard.decode(errors="replace")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _listen(self) -> None:
        while chunk := self._socket.recv(65_536):
            self._heard += chunk


@contextmanager
def overhearing(url: str) -> Iterator[Overheard]:
    overheard = Overheard(url)
    try:
        yield overheard
    finally:
        overheard.close()


@pytest.fixture(scope="module")
def streaming(web: Web, parts: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streaming]:
    with streaming_of(web, dict(parts.environ), tmp_path_factory.mktemp("streaming")) as streaming:
        yield streaming


@pytest.fixture(scope="module")
def secrets(web: Web, mailing: Mailing, streaming: Streaming, parts: Stack) -> Secrets:
    """After all that can go right and wrong with them."""
    secrets = Secrets(known=secrets_of_the_installation(web))
    with overhearing(os.environ["REDIS_URL"]) as overheard:
        user = tell_the_story(web, mailing, secrets)
        cause_errors(web, parts, mailing, secrets)
        mailing.wait_until_idle(web)
        secrets.places["Valkey"] = overheard.text("it is over")
    [(stored,)] = web.sql("select password from accounts_user where id = %s", user["id"])
    secrets.known["hash"] = stored.removeprefix("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    secrets.places |= logs(web, mailing, streaming) | database(web) | pages(web, user["id"])
    secrets.places["metrics"] = web.call("GET", "/metrics").body.decode()
    return secrets


def secrets_of_the_installation(web: Web) -> dict[str, str]:
    pem = web.signing_key.decode().splitlines()[1]
    return {
        "any canary": "CANARY",
        "SECRET_KEY": web.environ["SECRET_KEY"],
        "signing key": web.environ["JWT_SIGNING_KEYS"],
        "signing key's inside": pem,
        "header": "Bearer ey",
    }


def tell_the_story(web: Web, mailing: Mailing, secrets: Secrets) -> dict[str, str]:
    """Everything that has to do with a secret, done right: register, sign in, refresh, reset, change, verify."""
    registered = web.register()
    user: dict[str, str] = registered["user"]
    secrets.keep("registered", registered)
    secrets.mailed["verify"] = mailing.tokens_to(user["email"])[0]
    assert web.call("POST", VERIFY, {"token": secrets.mailed["verify"]}).status == 204
    login = web.login(user["username"]).json
    secrets.keep("login", login)
    token = login["refresh_token"]
    for n in range(2):
        answer = web.call("POST", REFRESH, {"refresh_token": token}).json
        secrets.keep(f"refresh {n}", answer)
        token = answer["refresh_token"]
    # Spent, and its successor too: the family ends, and the user is told.
    assert web.call("POST", REFRESH, {"refresh_token": login["refresh_token"]}).status == 401
    again = web.login(user["username"]).json
    secrets.keep("again", again)
    assert web.call("POST", REAUTHENTICATE, {"password": PASSWORD}, **bearer(again["token"])).status == 200
    body = {"current_password": PASSWORD, "new_password": "CANARY-pw-changed"}
    secrets.keep("changed", web.call("POST", CHANGE, body, **bearer(again["token"])).json)
    assert web.call("POST", RESET, {"email": user["email"]}).status == 202
    mailing.sweep()
    wait_for(lambda: "Set a new password" in [mail["Subject"] for mail in mailing.mails_to(user["email"])])
    [reset] = [mail for mail in mailing.mails_to(user["email"]) if mail["Subject"] == "Set a new password"]
    secrets.mailed["reset"] = token_in(reset)
    body = {"token": secrets.mailed["reset"], "new_password": "CANARY-pw-reset"}
    assert web.call("POST", CONFIRM, body).status == 204
    # Alert, change and reset are told by mail, each after its event.
    mailing.wait_for_mails(user["email"], 5)
    return user


def cause_errors(web: Web, parts: Stack, mailing: Mailing, secrets: Secrets) -> None:
    """The same with wrong words, and with each part away in turn."""
    registered = web.register()
    secrets.keep("unlucky", registered)
    token, refresh, email = registered["token"], registered["refresh_token"], registered["user"]["email"]
    for call in hostile(token, refresh):
        assert web.race([call])[0].status in (400, 401, 415), call
    usual = [
        Call("POST", REGISTER, {"username": "unlucky", "email": "unlucky@example.com", "password": PASSWORD}),
        Call("POST", LOGIN, {"identifier": registered["user"]["username"], "password": PASSWORD}),
        Call("POST", REFRESH, {"refresh_token": refresh}),
        Call("POST", CONFIRM, {"token": refresh, "new_password": PASSWORD}),
        Call("POST", RESET, {"email": email}),
    ]
    with web.without_database(token):
        assert {answer.status for answer in web.race(usual)} == {503}
    for table in ("accounts_session", "accounts_link", "accounts_refreshtoken"):
        web.sql(f"alter table {table} rename to {table}_away")
        try:
            assert 500 in {answer.status for answer in web.race(usual[:4])}
        finally:
            web.sql(f"alter table {table}_away rename to {table}")
    parts.smtp.stop()
    try:
        with web.cache.refusing():
            assert web.call("POST", RESET, {"email": email}).status == 202
        mailing.sweep()
        wait_for(lambda: web.sql("select 1 from accounts_outsidecall where error <> ''"))
    finally:
        parts.smtp.start()
    web.sql("update accounts_outsidecall set next_attempt_at = now() where settled_at is null")
    mailing.sweep()


def hostile(token: str, refresh: str) -> list[Call]:
    """Secrets at places where they do not belong."""
    json_type = {"Content-Type": "application/json"}
    return [
        Call("POST", LOGIN, {"identifier": "CANARY-pw-as-a-name", "password": "CANARY-pw-wrong"}),
        Call("POST", LOGIN, {"identifier": "x", "password": "CANARY-pw-wrong", "CANARY-pw-member": 1}),
        Call("POST", LOGIN, b'{"identifier": "x", "password": "CANARY-pw-cut', json_type),
        Call("POST", LOGIN, b"password=CANARY-pw-form", {"Content-Type": "application/x-www-form-urlencoded"}),
        Call("POST", REGISTER, {"username": "CANARY-pw-@", "email": "CANARY-pw-", "password": "CANARY"}),
        Call("POST", REFRESH, {"refresh_token": refresh[:-1]}),
        Call("POST", CONFIRM, {"token": "CANARY-sec-no-link", "new_password": PASSWORD}),
        Call("GET", ME, headers=bearer(f"{token}x")),
        Call("GET", ME, headers=bearer(refresh)),
        Call("GET", ME, headers={"Authorization": "Basic CANARY-sec-basic"}),
        Call("GET", f"{ME}?token=CANARY-sec-query", headers=bearer(token)),
    ]


def logs(web: Web, mailing: Mailing, streaming: Streaming) -> dict[str, str]:
    files = {"web's log": web.log, "worker's log": mailing.log}
    files |= {f"{log.name}'s log": log for log in streaming.logs}
    return {name: file.read_text() for name, file in files.items()}


def database(web: Web) -> dict[str, str]:
    """Every row of every table as text; bytes as what they say where that is text, and in hex."""
    tables = "select tablename from pg_tables where schemaname = 'public'"
    with psycopg.connect(web.dsn) as connection:
        names = [name for (name,) in connection.execute(tables)]
        return {f"table {name}": rows_of(connection, name) for name in names}


def rows_of(connection: psycopg.Connection, table: str) -> str:
    rows = [row for (row,) in connection.execute(sql.SQL("select to_jsonb(t) from {} t").format(sql.Identifier(table)))]
    for row in rows if table in HASH_COLUMNS else ():
        del row["password"]
    return "\n".join(shown(value) for row in rows for value in row.values())


def shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if text.startswith("\\x"):
        return text + " " + bytes.fromhex(text[2:]).decode(errors="replace")
    return text


def pages(web: Web, user_id: str) -> dict[str, str]:
    """What an administrator sees."""
    createsuperuser(web, "--noinput", "--username", "root-39", "--email", "root-39@example.com", password=PASSWORD)
    browser = Browser(web)
    assert browser.sign_in("root-39").status == 302
    shown = {page: browser.get(f"/admin/accounts/{page}/") for page in PAGES}
    shown["one user"] = browser.get(f"/admin/accounts/user/{user_id}/change/")
    for [call_id] in web.sql("select id from accounts_outsidecall limit 5"):
        shown[f"call {call_id}"] = browser.get(f"/admin/accounts/outsidecall/{call_id}/change/")
    assert {answer.status for answer in shown.values()} == {200}
    return {f"admin: {page}": answer.body.decode() for page, answer in shown.items()}


def test_no_secret_is_found_anywhere(secrets: Secrets) -> None:
    sought = secrets.known | {f"{name} link": token for name, token in secrets.mailed.items()}

    found = [
        (what, place)
        for place, text in secrets.places.items()
        for what, secret in sought.items()
        if secret in text or secret.encode().hex() in text
    ]

    assert found == []


def test_a_hash_stands_in_its_column_alone(web: Web, secrets: Secrets) -> None:
    assert web.sql("select count(*) from accounts_user where password not like 'argon2$argon2id$%%'") == [(0,)]
    assert [place for place, text in secrets.places.items() if re.search(r"argon2(id)?\$", text)] == []


def test_what_was_looked_through_is_what_happened(secrets: Secrets) -> None:
    """An empty log or table would hold no secret either."""
    places = secrets.places

    assert all(
        '"event"' in places[f"{name} log"] for name in ("web's", "worker's", "relay_outbox's", "consume_events's")
    )
    web_log = places["web's log"]
    for event in ("request failed", "sign-in failed", "token refused", "task queue away", "refresh token reused"):
        assert f'"{event}"' in web_log, event
    assert '"outside call put off"' in places["worker's log"]
    assert "settle_outside_call" in places["Valkey"]
    assert {"user.registered", "user.security_alert"} <= set(places["table events_outbox"].splitlines())
    assert len(places["table accounts_refreshtoken"]) > 0
    assert "django_http_responses_total_by_status" in places["metrics"]


@pytest.mark.parametrize("purpose", ["verify", "reset"])
def test_a_link_is_in_its_mail_alone(secrets: Secrets, mailing: Mailing, purpose: str) -> None:
    token = secrets.mailed[purpose]

    holding = [file for file in mailing.mailbox.files() if token.encode() in file.read_bytes().replace(b"=\n", b"")]

    assert len(holding) == 1
