"""Users and groups that an administrator looks after, made past the service where how they came does not matter."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from msgspec import msgpack
from uuid_utils.compat import uuid7

from tests.acceptance.web import Answer, Web, bearer

USERS = "/api/v1/admin/users"
EVERYTHING = ("view_user", "add_user", "change_user", "delete_user", "delete_user_immediately")
# What an administrator is told of a user.
MEMBERS = {
    "id", "username", "email", "email_verified", "status", "display_name", "locale", "time_zone", "created_at",
    "updated_at", "version", "is_staff", "is_superuser", "groups", "status_reason", "status_until", "delete_after",
    "last_login_at", "failed_logins",
}  # fmt: skip
_COLUMNS: Mapping[str, Any] = {
    "email_verified": True, "password": "!", "status": "active", "display_name": "", "locale": "en",
    "time_zone": "UTC", "is_staff": False, "is_superuser": False, "version": 1,
    "created_at": "2026-11-01T09:00:00Z", "updated_at": "2026-11-01T09:00:00Z",
}  # fmt: skip


def of(user_id: str, act: str = "") -> str:
    """The path of a user, or of an act on them."""
    return f"{USERS}/{user_id}/{act}" if act else f"{USERS}/{user_id}"


def user(web: Web, name: str, **other: Any) -> str:
    """A row of the users table; its id."""
    row = {"id": str(uuid7()), "username": name, "email": f"{name}@example.com", **_COLUMNS, **other}
    row |= {"username_canonical": row["username"].casefold(), "email_canonical": row["email"].casefold()}
    values = ", ".join(["%s"] * len(row))
    columns = ", ".join(row)
    web.unguarded(f"insert into accounts_user ({columns}) values ({values})", *row.values())  # noqa: S608 - our own
    return str(row["id"])


def group(web: Web, *members: str) -> str:
    """A group with these users in it; its name."""
    name = f"group {uuid4()}"
    [(group_id,)] = web.sql("insert into auth_group (name) values (%s) returning id", name)
    for member in members:
        web.sql("insert into accounts_user_groups (user_id, group_id) values (%s, %s)", member, group_id)
    return name


def act(web: Web, by: Mapping[str, Any], path: str, body: Any = None, **headers: str) -> Answer:
    """POST it as this administrator."""
    return web.call("POST", path, body, **bearer(by["token"]), **headers)


def change(web: Web, by: Mapping[str, Any], user_id: str, body: Any, match: str = "*") -> Answer:
    """PATCH this user as this administrator."""
    return web.call("PATCH", of(user_id), body, **bearer(by["token"]), If_Match=match)


def actors(web: Web, user_id: str) -> list[tuple[str, str, str]]:
    """Type and actor (kind and id) of this user's events, the oldest first."""
    told = "select type, headers from events_outbox where key = %s order by id"
    found = []
    for event_type, headers in web.sql(told, user_id):
        named = {name: value.decode() for name, value in msgpack.decode(bytes(headers))}
        found.append((event_type, named["ce_authtype"], named.get("ce_authid", "")))
    return found


def chief_of(web: Web) -> Mapping[str, Any]:
    """Somebody who may do everything; the answer to their registration."""
    opened = web.register()
    everything = "update accounts_user set is_staff = true, is_superuser = true where id = %s"
    web.unguarded(everything, opened["user"]["id"])
    return opened


# What an administrator asks for, by the status that it leads to.
_BARRING: Mapping[str, tuple[str, Mapping[str, Any], int]] = {
    "suspended": ("suspend", {"reason": "spam"}, 200),
    "pending_deletion": ("delete", {"reason": "asked by mail"}, 202),
    "deleted": ("delete", {"reason": "asked by letter", "immediately": True}, 202),
}


def bar(web: Web, by: Mapping[str, Any], user_id: str, status: str) -> None:
    """Have this administrator bar the user so."""
    path, body, answered = _BARRING[status]
    answer = act(web, by, of(user_id, path), body)
    assert answer.status == answered, answer.body
