"""The admin: its first user by command, its sign-in by the API's rules, its pages to look at."""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest
from msgspec import msgpack

from tests.acceptance.web import PASSWORD, Answer, Web

ROOT = Path(__file__).parents[2]
PAGES = [
    "user",
    "session",
    "loginrecord",
    "lastlogin",
    "securityrecord",
    "outsidecall",
    "usersettings",
    "unguardedchange",
]


def createsuperuser(web: Web, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "createsuperuser", *options]
    named = {f"DJANGO_SUPERUSER_{name.upper()}": value for name, value in environ.items()}
    given = os.environ | {"DEBUG": "on", "DATABASE_URL": web.dsn} | named
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)


class Browser:
    """Keeps cookies, and sends forms as a page of the site would."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.cookies: dict[str, str] = {}

    def get(self, path: str) -> Answer:
        return self._keep(self.web.call("GET", path, Cookie=self._cookie()))

    def post(self, path: str, **form: str) -> Answer:
        if "csrftoken" not in self.cookies:
            self.get("/admin/login/")
        body = urlencode({"csrfmiddlewaretoken": self.cookies["csrftoken"], **form}).encode()
        headers = {"Cookie": self._cookie(), "Content_Type": "application/x-www-form-urlencoded"}
        return self._keep(self.web.call("POST", path, body, **headers))

    def sign_in(self, name: str, password: str = PASSWORD) -> Answer:
        return self.post("/admin/login/?next=/admin/", username=name, password=password)

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def _keep(self, answer: Answer) -> Answer:
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, value = line.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return answer


@pytest.fixture(scope="module")
def root(web: Web) -> str:
    """The first administrator."""
    ended = createsuperuser(web, "--noinput", "--username", "Admin", "--email", "root@example.com", password=PASSWORD)
    assert (ended.returncode, ended.stdout) == (0, "Superuser Admin was created.\n"), ended.stderr
    return "Admin"


def test_the_command_publishes_the_event_in_the_systems_name(web: Web, root: str) -> None:
    made = "select id::text, is_staff, is_superuser, status from accounts_user where username = %s"
    [(user_id, *made_as)] = web.sql(made, root)
    [(kind, headers, value)] = web.sql("select type, headers, value from events_outbox where key = %s", user_id)

    assert made_as == [True, True, "active"]
    assert kind == "user.registered"
    assert dict(msgpack.decode(bytes(headers)))["ce_authtype"] == b"system"
    assert json.loads(bytes(value))["email"] == "root@example.com"


@pytest.mark.parametrize("name", ["Admin", "ADMIN", "\uff21dmin", "Root@Example.com"])
def test_every_spelling_of_the_name_signs_in(web: Web, root: str, name: str) -> None:
    browser = Browser(web)

    assert browser.sign_in(name).status == 302
    assert browser.get("/admin/").status == 200


def test_who_is_no_staff_or_wrong_or_suspended_does_not_get_in(web: Web, root: str) -> None:
    plain, barred = web.register()["user"], web.register()["user"]
    web.unguarded(
        "update accounts_user set is_staff = true, is_superuser = true, status = 'suspended' where id = %s",
        barred["id"],
    )
    for name, password in [
        (root, "wrong"), (root, ""), ("nobody", PASSWORD), (root, "x" * 100_000),
        (plain["username"], PASSWORD), (barred["username"], PASSWORD),
    ]:  # fmt: skip
        browser = Browser(web)
        assert browser.sign_in(name, password).status == 200
        assert browser.get("/admin/").status == 302, name


def test_suspension_ends_an_open_session(web: Web) -> None:
    user = web.register()["user"]
    web.unguarded("update accounts_user set is_staff = true, is_superuser = true where id = %s", user["id"])
    browser = Browser(web)
    browser.sign_in(user["username"])
    assert browser.get("/admin/").status == 200

    web.unguarded("update accounts_user set status = 'suspended' where id = %s", user["id"])

    assert browser.get("/admin/").status == 302


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_looked_at_and_nothing_more(web: Web, root: str, page: str) -> None:
    browser = Browser(web)
    browser.sign_in(root)

    shown = browser.get(f"/admin/accounts/{page}/")
    assert shown.status == 200
    assert b"delete_selected" not in shown.body
    assert browser.get(f"/admin/accounts/{page}/?q=01a2101e").status == 200
    assert browser.get(f"/admin/accounts/{page}/add/").status == 403


def test_a_user_is_shown_without_the_hash_and_cannot_be_changed(web: Web, root: str) -> None:
    user = web.register()["user"]
    browser = Browser(web)
    browser.sign_in(root)
    path = f"/admin/accounts/user/{user['id']}/change/"

    shown = browser.get(path)

    assert shown.status == 200
    assert user["email"].encode() in shown.body
    assert b"argon2" not in shown.body
    assert browser.post(path, username="changed", status="deleted", is_superuser="on").status == 403
    assert browser.post(f"/admin/accounts/user/{user['id']}/delete/", post="yes").status == 403
    stands = web.sql("select username, status, is_superuser, version from accounts_user where id = %s", user["id"])
    assert stands == [(user["username"], "active", False, 1)]


def test_a_session_cookie_is_nothing_to_the_api(web: Web, root: str) -> None:
    browser = Browser(web)
    browser.sign_in(root)

    assert browser.get("/api/v1/users/me").status == 401
