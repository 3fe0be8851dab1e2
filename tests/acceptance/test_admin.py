"""The admin: its first user by command, its sign-in by the API's rules, its pages to look at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import msgpack

from tests.acceptance.browsing import (
    Browser,
    a_user,
    staff,
)
from tests.acceptance.web import PASSWORD, Web

ROOT = Path(__file__).parents[2]
PAGES = [
    "session", "loginrecord", "lastlogin", "securityrecord", "outsidecall", "usersettings", "unguardedchange",
]  # fmt: skip


def createsuperuser(web: Web, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), "createsuperuser", *options]
    named = {f"DJANGO_SUPERUSER_{name.upper()}": value for name, value in environ.items()}
    given = os.environ | {"DEBUG": "on", "DATABASE_URL": web.dsn} | named
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def root(web: Web) -> str:
    """The first administrator."""
    ended = createsuperuser(web, "--noinput", "--username", "Admin", "--email", "root@example.com", password=PASSWORD)
    assert (ended.returncode, ended.stdout) == (0, "Superuser Admin was created.\n"), ended.stderr
    return "Admin"


def test_the_command_publishes_the_event_in_the_systems_name(web: Web, root: str) -> None:
    made = "select id::text, is_staff, is_superuser, status from accounts_user where username = %s"
    [(user_id, *made_as)] = web.sql(made, root)
    told = "select headers, value from events_outbox where key = %s and type = 'user.registered'"
    [(headers, value)] = web.sql(told, user_id)

    assert made_as == [True, True, "active"]
    assert dict(msgpack.decode(bytes(headers)))["ce_authtype"] == b"system"
    assert json.loads(bytes(value))["email"] == "root@example.com"


@pytest.mark.parametrize("name", ["Admin", "ADMIN", "\uff21dmin", "Root@Example.com"])
def test_every_spelling_of_the_name_signs_in(web: Web, root: str, name: str) -> None:
    browser = Browser(web)

    assert browser.sign_in(name).status == 302
    assert browser.get("/admin/").status == 200


def test_a_sign_in_goes_to_the_log_as_any_other(web: Web) -> None:
    browser, staff_id = staff(web)
    plain = a_user(web)

    assert Browser(web).sign_in(plain["username"]).status == 200

    assert browser.is_in()
    assert [event["ip"] for event in web.published(staff_id, "user.logged_in")] == ["127.0.0.1"]
    assert web.published(plain["id"], "user.logged_in") == []
    failed = "select outcome, reason from accounts_loginrecord where user_id = %s"
    assert web.sql(failed, plain["id"]) == [("failure", "not_active")]


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


@pytest.fixture(scope="module")
def browser(web: Web, root: str) -> Browser:
    """The first administrator's."""
    browser = Browser(web)
    assert browser.sign_in(root).status == 302
    return browser


@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_looked_at_and_nothing_more(browser: Browser, page: str) -> None:
    shown = browser.get(f"/admin/accounts/{page}/")
    assert shown.status == 200
    assert b"delete_selected" not in shown.body
    assert browser.get(f"/admin/accounts/{page}/?q=01a2101e").status == 200
    assert browser.get(f"/admin/accounts/{page}/add/").status == 403


def test_a_session_cookie_is_nothing_to_the_api(browser: Browser) -> None:
    assert browser.is_in()
    assert browser.get("/api/v1/users/me").status == 401
