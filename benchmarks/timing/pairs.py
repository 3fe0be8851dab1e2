"""The table of what must take equally long: each pair is two classes of requests that get the same answer.

`people` makes the users whom the names here stand for; `ask` fills in FRESH.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from accounts.hashers import PASSWORD_MOST

RIGHT, WRONG = "correct horse battery", "wrong-horse-battery!!"
FRESH = "########"  # stands for what nobody has had, in each request another

# Names of one length: also the time to read them is the same.
KNOWN, UNKNOWN = "user.known", "user.nobdy"
SUSPENDED, UNUSABLE, OLD_HASH, CACHED = "user.suspd", "user.unusb", "user.oldhs", "user.cachd"
USERS = (KNOWN, SUSPENDED, UNUSABLE, OLD_HASH, CACHED)


@dataclass(frozen=True, slots=True)
class Asked:
    """One class of requests: a POST to `path` of the users' API, and the status of its answer."""

    path: str
    body: Mapping[str, str]
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two classes, by the figure that tells of them. `is_hidden`: where registration does not reveal addresses."""

    name: str
    title: str
    one: Asked
    other: Asked
    is_hidden: bool = False


def email_of(name: str) -> str:
    """Where that user gets mail."""
    return f"{name}@example.com"


def _login(name: str, password: str = WRONG) -> Asked:
    return Asked("login", {"identifier": name, "password": password}, 401)


def _reset(name: str) -> Asked:
    return Asked("password/reset", {"email": email_of(name)}, 202)


def _resend(name: str) -> Asked:
    return Asked("email/verify/resend", {"email": email_of(name)}, 202)


def _register(email: str) -> Asked:
    return Asked("register", {"username": f"new.{FRESH}", "email": email, "password": RIGHT}, 202)


_NOBODY = _login(UNKNOWN)
_OVERLONG = "x" * (PASSWORD_MOST + 1)

PAIRS = (
    Pair(name="login_wrong", title="login: wrong password v. unknown name", one=_login(KNOWN), other=_NOBODY),
    Pair(name="login_suspended", title="login: suspended v. unknown name", one=_login(SUSPENDED), other=_NOBODY),
    Pair(name="login_unusable", title="login: unusable password v. unknown name", one=_login(UNUSABLE), other=_NOBODY),
    Pair(
        name="login_old_hash",
        title="login: hash of old parameters v. unknown name",
        one=_login(OLD_HASH),
        other=_NOBODY,
    ),
    Pair(name="login_cached", title="login: profile in the cache v. unknown name", one=_login(CACHED), other=_NOBODY),
    Pair(name="login_empty", title="login: empty password v. unknown name", one=_login(KNOWN, ""), other=_NOBODY),
    Pair(
        name="login_empty_both",
        title="login: empty password, known v. unknown name",
        one=_login(KNOWN, ""),
        other=_login(UNKNOWN, ""),
    ),
    Pair(
        name="login_overlong",
        title="login: over-long password v. unknown name",
        one=_login(KNOWN, _OVERLONG),
        other=_NOBODY,
    ),
    Pair(
        name="login_overlong_both",
        title="login: over-long password, known v. unknown name",
        one=_login(KNOWN, _OVERLONG),
        other=_login(UNKNOWN, _OVERLONG),
    ),
    Pair(name="reset_known", title="password reset: known v. unknown", one=_reset(KNOWN), other=_reset(UNKNOWN)),
    Pair(
        name="reset_suspended",
        title="password reset: suspended v. unknown",
        one=_reset(SUSPENDED),
        other=_reset(UNKNOWN),
    ),
    Pair(name="resend_known", title="verification again: known v. unknown", one=_resend(KNOWN), other=_resend(UNKNOWN)),
    Pair(
        name="register_taken",
        title="registration in hidden mode: taken v. fresh address",
        one=_register(email_of(KNOWN)),
        other=_register(email_of(f"new.{FRESH}")),
        is_hidden=True,
    ),
)
