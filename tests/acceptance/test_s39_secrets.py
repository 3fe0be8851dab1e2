"""S39: no password, token, key or hash gets anywhere but where it belongs, also where something fails."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from devstack import Stack
from tests.acceptance import keeping
from tests.acceptance.administering import of
from tests.acceptance.browsing import Browser
from tests.acceptance.house import QUEUE, House, house_of
from tests.acceptance.mailing import Mailing, token_in
from tests.acceptance.overhearing import overhearing
from tests.acceptance.test_admin import createsuperuser
from tests.acceptance.web import LOGIN, ME, PASSWORD, REGISTER, Call, Web, bearer
from tests.faults.proxy import Proxy
from tests.integration.receiving import KEY, SECRET, Receiver, receiver, status
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db

REFRESH, RESET = "/api/v1/users/refresh", "/api/v1/users/password/reset"
CHANGE, CONFIRM = "/api/v1/users/me/password", "/api/v1/users/password/reset/confirm"
VERIFY, REAUTHENTICATE = "/api/v1/users/email/verify", "/api/v1/users/reauthenticate"
PAGES = [
    *(f"accounts/{page}" for page in (
        "user", "session", "loginrecord", "lastlogin", "securityrecord", "outsidecall", "usersettings",
        "unguardedchange",
    )), "auth/group", "events/outboxrecord", "events/parkeddelivery",
]  # fmt: skip
# What the administration's API tells of a user.
TOLD = ["", "sessions", "login-log", "security-log", "events"]
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


@pytest.fixture(scope="module")
def hooks() -> Iterator[Receiver]:
    """A receiver of webhooks that fails once."""
    with receiver(status(500), status(204)) as hooks:
        yield hooks


@pytest.fixture(scope="module")
def to_queue() -> Iterator[Proxy]:
    """What stands before the task queue, but for the worker."""
    at = urlsplit(os.environ["REDIS_URL"])
    proxy = Proxy((str(at.hostname), int(at.port or 6379)))
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def house(
    django_db_setup: None, parts: Stack, hooks: Receiver, to_queue: Proxy, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    given = {
        "CELERY_BROKER_URL": to_queue.url(urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{QUEUE}").geturl()),
        "WEBHOOK_URLS": f"{hooks.url}?key=CANARY-sec-hook", "WEBHOOK_SECRET": SECRET,
        "WEBHOOK_ALLOW_HTTP": "on", "WEBHOOK_ALLOW_PRIVATE": "on",
    }  # fmt: skip
    with house_of(parts, tmp_path_factory.mktemp("house"), **given) as house:
        yield house


@pytest.fixture(scope="module")
def secrets(house: House, hooks: Receiver, to_queue: Proxy, parts: Stack) -> Secrets:
    """After all that can go right and wrong with them."""
    web, secrets = house.web, Secrets(known=secrets_of_the_installation(house.web))
    with overhearing(os.environ["REDIS_URL"]) as overheard:
        user = tell_the_story(web, house.mailing, secrets)
        cause_errors(house, parts, to_queue, secrets)
        house.mailing.wait_until_idle(web)
        house.wait_until_settled()
        secrets.places["Valkey"] = overheard.text("it is over")
    [(stored,)] = web.sql("select password from accounts_user where id = %s", user["id"])
    secrets.known["hash"] = stored.removeprefix("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    # Signs in, and so comes first: what is kept of that is looked through as well.
    shown = pages(web, user["id"]) | administration(web, user["id"], secrets)
    secrets.places |= shown | logs(house) | database(web) | sent(house, hooks)
    secrets.places["metrics"] = web.call("GET", "/metrics").body.decode()
    return secrets


def secrets_of_the_installation(web: Web) -> dict[str, str]:
    pem = web.signing_key.decode().splitlines()[1]
    return {
        "any canary": "CANARY",
        "SECRET_KEY": web.environ["SECRET_KEY"],
        "signing key": web.environ["JWT_SIGNING_KEYS"],
        "signing key's inside": pem,
        "WEBHOOK_SECRET": SECRET.removeprefix("whsec_"),
        "WEBHOOK_SECRET's inside": KEY.decode(),
        "header": "Bearer ey",
    }


def tell_the_story(web: Web, mailing: Mailing, secrets: Secrets) -> dict[str, str]:
    """Everything that has to do with a secret, done right: register, sign in, refresh, reset, change, verify."""
    registered = web.register()
    user: dict[str, str] = registered["user"]
    secrets.keep("registered", registered)
    secrets.mailed["verify"] = mailing.tokens_to(user["email"])[0]
    assert web.call("POST", VERIFY, {"token": secrets.mailed["verify"]}).status == 204
    wait_for(lambda: web.sql("select 1 from accounts_outsidecall where error = 'answer 500'"))
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


def cause_errors(house: House, parts: Stack, to_queue: Proxy, secrets: Secrets) -> None:
    """The same with wrong words, and with each part away in turn."""
    web = house.web
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
        with to_queue.refusing():
            assert web.call("POST", RESET, {"email": email}).status == 202
        house.mailing.sweep()
        wait_for(lambda: web.sql("select 1 from accounts_outsidecall where settled_at is null and error <> ''"))
    finally:
        parts.smtp.start()
    web.sql("update accounts_outsidecall set next_attempt_at = now() where settled_at is null")
    house.mailing.sweep()
    house.run_task("accounts.tasks.sweep_webhooks")


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


def logs(house: House) -> dict[str, str]:
    files = [("web", house.web.log), ("worker", house.mailing.log)]
    files += [(command.name, command.log) for command in (house.relay, house.consumer)]
    return {f"{name}'s log": file.read_text() for name, file in files}


def database(web: Web) -> dict[str, str]:
    """Every row of every table as text; bytes also as what they say."""
    return {
        f"table {name}": "\n".join(map(without_hash, rows) if name in HASH_COLUMNS else rows)
        for name, rows in keeping.tables(web).items()
    }


def without_hash(row: str) -> str:
    return json.dumps({column: value for column, value in json.loads(row).items() if column != "password"})


def sent(house: House, hooks: Receiver) -> dict[str, str]:
    """What other systems were told."""
    records = [str((raw.key, raw.value, raw.headers)) for _, raw in house.records()]
    arrived = [str((one.headers, one.body)) for one in hooks.arrived]
    return {"Kafka": "\n".join(records), "webhooks": "\n".join(arrived)}


def pages(web: Web, user_id: str) -> dict[str, str]:
    """What an administrator sees."""
    createsuperuser(web, "--noinput", "--username", "root-39", "--email", "root-39@example.com", password=PASSWORD)
    browser = Browser(web)
    assert browser.sign_in("root-39").status == 302
    shown = {page: browser.get(f"/admin/{page}/") for page in PAGES}
    shown["one user"] = browser.get(f"/admin/accounts/user/{user_id}/change/")
    for page, table in (("accounts/outsidecall", "accounts_outsidecall"), ("events/outboxrecord", "events_outbox")):
        for [row_id] in web.sql(f"select id from {table} limit 5"):  # noqa: S608 - our own
            shown[f"{page} {row_id}"] = browser.get(f"/admin/{page}/{row_id}/change/")
    assert {answer.status for answer in shown.values()} == {200}
    return {f"admin: {page}": answer.body.decode() for page, answer in shown.items()}


def administration(web: Web, user_id: str, secrets: Secrets) -> dict[str, str]:
    """What the API tells an administrator."""
    opened = web.login("root-39").json
    secrets.keep("administrator", opened)
    answers = {what: web.call("GET", of(user_id, what), **bearer(opened["token"])) for what in TOLD}
    assert {answer.status for answer in answers.values()} == {200}
    return {f"administration: {what}": answer.body.decode() for what, answer in answers.items()}


def test_no_secret_is_found_anywhere(secrets: Secrets) -> None:
    sought = secrets.known | {f"{name} link": token for name, token in secrets.mailed.items()}

    found = [
        (what, place)
        for place, text in secrets.places.items()
        for what, secret in sought.items()
        if secret in text or secret.encode().hex() in text
    ]

    assert found == []


def test_a_hash_stands_in_its_column_alone(house: House, secrets: Secrets) -> None:
    assert house.web.sql("select count(*) from accounts_user where password not like 'argon2$argon2id$%%'") == [(0,)]
    assert [place for place, text in secrets.places.items() if re.search(r"argon2(id)?\$", text)] == []


def test_what_was_looked_through_is_what_happened(secrets: Secrets) -> None:
    """An empty log or table would hold no secret either."""
    places = secrets.places

    for name in ("web", "worker", "relay_outbox", "consume_events"):
        assert '"event"' in places[f"{name}'s log"]
    web_log = places["web's log"]
    for event in ("request failed", "sign-in failed", "token refused", "task queue away", "refresh token reused"):
        assert f'"{event}"' in web_log, event
    for event in ("outside call put off", "outside call failed"):
        assert f'"{event}"' in places["worker's log"]
    assert "settle_outside_call" in places["Valkey"]
    for place in ("table events_outbox", "Kafka", "administration: events"):
        assert "user.registered" in places[place]
        assert "user.security_alert" in places[place]
    assert "user.updated" in places["webhooks"]
    assert len(places["table accounts_refreshtoken"]) > 0
    assert "django_http_responses_total_by_status" in places["metrics"]


@pytest.mark.parametrize("purpose", ["verify", "reset"])
def test_a_link_is_in_its_mail_alone(secrets: Secrets, house: House, purpose: str) -> None:
    token = secrets.mailed[purpose]

    holding = [
        file for file in house.mailing.mailbox.files() if token.encode() in file.read_bytes().replace(b"=\n", b"")
    ]

    assert len(holding) == 1
