"""The admin as a browser sees it: cookies, forms with their token, and members of staff to sign in there."""

import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from tests.acceptance.web import PASSWORD, Answer, Call, Web

LOGIN, LOGOUT, INDEX = "/admin/login/", "/admin/logout/", "/admin/"
USERS = "/admin/accounts/user/"
FORM = "application/x-www-form-urlencoded"
_SELECT, _CHOSEN = (
    re.compile(r'<select name="([^"]+)".*?>(.*?)</select>', re.DOTALL),
    re.compile(r'value="([^"]*)" selected'),
)
_INPUT = re.compile(r"<input\b[^>]*>")
_MESSAGES = re.compile(r'<ul class="messagelist">(.*?)</ul>', re.DOTALL)
_ERRORS = re.compile(r'<ul class="errorlist[^"]*"[^>]*>(.*?)</ul>', re.DOTALL)
_ITEM = re.compile(r"<li[^>]*>(.*?)</li>", re.DOTALL)


class Browser:
    """Keeps cookies, and sends forms as a page of the site would; `headers` come from a proxy before the web."""

    def __init__(self, web: Web, **headers: str) -> None:
        self.web = web
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.cookies: dict[str, str] = {}

    def get(self, path: str) -> Answer:
        return self._ask(Call("GET", path))

    def post(self, path: str, **form: str | Sequence[str]) -> Answer:
        return self._ask(self.posting(path, **form))

    def posting(self, path: str, **form: str | Sequence[str]) -> Call:
        """For a race; the cookies it is sent with are those of now."""
        if self._token() is None:
            self.get(LOGIN)
        body = urlencode({"csrfmiddlewaretoken": self._token(), **form}, doseq=True).encode()
        return Call("POST", path, body, self._sent() | {"Content-Type": FORM})

    def sign_in(self, name: str, password: str = PASSWORD) -> Answer:
        return self.post(f"{LOGIN}?next={INDEX}", username=name, password=password)

    def is_in(self) -> bool:
        return self.get(INDEX).status == 200

    def act(self, action: str, *user_ids: str, **form: str) -> list[str]:
        """Run an action on these users; the messages that follow, and none from before."""
        self.messages()
        self.acted(action, *user_ids, **form)
        return self.messages()

    def acted(self, action: str, *user_ids: str, **form: str) -> Answer:
        return self.post(USERS, action=action, _selected_action=user_ids, **form)

    def messages(self) -> list[str]:
        """What the admin has to say next; it does so on any page, of which this is the quickest."""
        return _items(_MESSAGES, self.get(INDEX))

    def change(self, user_id: str, **form: str | Sequence[str]) -> Answer:
        """Save a user's form with these fields in place of what it shows."""
        path = f"{USERS}{user_id}/change/"
        return self.post(path, **{**fields_of(self.get(path)), **form})

    def _ask(self, call: Call) -> Answer:
        [answer] = self.web.race([Call(call.method, call.path, call.body, self._sent() | dict(call.headers))])
        for line in answer.headers.get_all("Set-Cookie") or []:
            name, value = line.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return answer

    def _sent(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} | self.headers

    def _token(self) -> str | None:
        return next((value for name, value in self.cookies.items() if name.endswith("csrftoken")), None)


def fields_of(page: Answer) -> dict[str, str | list[str]]:
    """What the fields of a page would send, but for buttons."""
    fields: dict[str, str | list[str]] = {
        name: _CHOSEN.findall(options) for name, options in _SELECT.findall(page.body.decode())
    }
    for tag in _INPUT.findall(page.body.decode()):
        told = dict(re.findall(r'\b(name|type|value)="([^"]*)"', tag))
        is_box = told.get("type") == "checkbox"
        if "name" in told and told.get("type") != "submit" and (not is_box or "checked" in tag):
            fields[told["name"]] = "on" if is_box else unescape(told.get("value", ""))
    return fields


def errors_of(page: Answer) -> list[str]:
    """What the form says is wrong."""
    assert page.status == 200, page.status
    return _items(_ERRORS, page)


def a_user(web: Web, **columns: Any) -> Mapping[str, Any]:
    """Somebody new, with these columns."""
    user: Mapping[str, Any] = web.register()["user"]
    for name, value in columns.items():
        web.unguarded(f"update accounts_user set {name} = %s where id = %s", value, user["id"])  # noqa: S608 - a column
    return user


def staff(web: Web, *permissions: str, **headers: str) -> tuple[Browser, str]:
    """A member of staff with these permissions on users (`change_user`), signed in; and their id."""
    user = a_user(web, is_staff=True)
    group = a_group(web, *permissions)
    join(web, user["id"], group)
    return signed_in(web, user, **headers), user["id"]


def superuser(web: Web, **headers: str) -> tuple[Browser, str]:
    """Somebody who may do everything, signed in; and their id."""
    user = a_user(web, is_staff=True, is_superuser=True)
    return signed_in(web, user, **headers), user["id"]


def signed_in(web: Web, user: Mapping[str, Any], **headers: str) -> Browser:
    browser = Browser(web, **headers)
    assert browser.sign_in(user["username"]).status == 302
    return browser


def a_group(web: Web, *permissions: str) -> str:
    """The id of a new group with these permissions on users."""
    [(group_id,)] = web.sql("insert into auth_group (name) values (%s) returning id::text", f"g{uuid4().hex[:12]}")
    for codename in permissions:
        web.sql(
            "insert into auth_group_permissions (group_id, permission_id) select %s, p.id from auth_permission p"
            " join django_content_type t on t.id = p.content_type_id where t.app_label = 'accounts' and codename = %s",
            group_id, codename,
        )  # fmt: skip
    return str(group_id)


def join(web: Web, user_id: str, group_id: str) -> None:
    web.sql("insert into accounts_user_groups (user_id, group_id) values (%s, %s)", user_id, group_id)


def _items(lists: re.Pattern[str], page: Answer) -> list[str]:
    return [unescape(item).strip() for found in lists.findall(page.body.decode()) for item in _ITEM.findall(found)]
