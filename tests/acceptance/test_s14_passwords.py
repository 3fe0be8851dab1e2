"""S14: one table of passwords, and the same verdict on each through every door that takes a new one."""

import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from tests.acceptance.serving import serving
from tests.acceptance.web import PASSWORD, REGISTER, Answer, Web, bearer

CHANGE, CONFIRM, POLICY = (
    f"/api/v1/users/{end}" for end in ("me/password", "password/reset/confirm", "password/policy")
)
BREACHED = ["Tr0ub4dor&3", "breached long ago"]
EMOJI = "🔑🐎🔋📎🌵🎷🦑🍩" * 8


def wide(text: str) -> str:
    """In the full-width letters of East Asian keyboards."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in text)


# {username}, {local} and {email} stand for the user's own.
TABLE = {
    "seven letters": ("h7Gq2zX", "password_too_short"),
    "seven emoji": ("🔑🐎🔋📎🌵🎷🦑", "password_too_short"),
    "257 characters": ("xyz1" * 64 + "x", "password_too_long"),
    "one letter": ("aaaaaaaa", "password_sequence"),
    "one emoji": ("🔑" * 8, "password_sequence"),
    "blanks": ("        ", "password_sequence"),
    "digits": ("12345678", "password_sequence"),
    "digits, on past nine": ("890123456", "password_sequence"),
    "letters backwards": ("hgfedcba", "password_sequence"),
    "letters of another alphabet": ("абвгдежз", "password_sequence"),
    "a keyboard's row": ("qwertyui", "password_sequence"),
    "a keyboard's row backwards, in capitals": ("POIUYTRE", "password_sequence"),
    "the guide's": ("password123", "password_common"),
    "common, in capitals": ("SUNSHINE1", "password_common"),
    "common, in wide letters": (wide("password1"), "password_common"),
    "common, with blanks around": (" iloveyou ", "password_common"),
    "breached": ("Tr0ub4dor&3", "password_breached"),
    "breached, with blanks in it": ("breached long ago", "password_breached"),
    "breached, as it is hashed": (wide("T") + "r0ub4dor&3", "password_breached"),
    "breached, in another case": ("tR0UB4DOR&3", None),
    "the username": ("{username}", "password_personal"),
    "with the username in it": ("so I am {username}!", "password_personal"),
    "the address": ("{email}", "password_personal"),
    "with the local part in it": ("22-{local}-22", "password_personal"),
    "with the service's name in it": ("my UserCenter login", "password_personal"),
    "with it in wide letters": (f"my {wide('usercenter')} login", "password_personal"),
    "a sentence": ("correct horse battery", None),
    "64 emoji": (EMOJI, None),
    "256 characters": ("xyz1" * 64, None),
    "letters alone": ("fjordglimpse", None),
    "digits alone": ("7391520864", None),
}
TOLD = {
    "password_too_short": "At least 8 characters.",
    "password_too_long": "At most 256 characters.",
    "password_sequence": "Not one character repeated, nor characters in their order.",
    "password_common": "One of the most common passwords.",
    "password_breached": "Known from a breach.",
    "password_personal": "Without your username, your e-mail address or this service's name.",
}


class Names(NamedTuple):
    """Of somebody new."""

    username: str
    local: str

    @property
    def email(self) -> str:
        return f"{self.local}@Example.com"


Verdict = str | None
Door = Callable[[Web, Names, str], Verdict]


@pytest.fixture(scope="module")
def breached_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sums in their order, in the form of Have I Been Pwned."""
    sums = sorted(hashlib.sha1(word.encode(), usedforsecurity=False).hexdigest().upper() for word in BREACHED)
    file = tmp_path_factory.mktemp("breached") / "sums"
    file.write_text("".join(f"{found}:{count}\r\n" for count, found in enumerate(sums, 1)), newline="")
    return file


@pytest.fixture(scope="module")
def web(django_db_setup: None, breached_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """With a list of breached passwords."""
    log = tmp_path_factory.mktemp("web") / "log"
    with serving(log, PASSWORD_BREACHED_FILE=str(breached_file)) as web:
        yield web


@pytest.fixture(autouse=True)
def as_the_web_is_set(settings: Settings, breached_file: Path) -> None:
    """For the command, which runs in this process."""
    lists = {"PASSWORD_REFUSE_COMMON": True, "PASSWORD_BREACHED_FILE": str(breached_file)}
    settings.ACCOUNTS = {**settings.ACCOUNTS, **lists}


def verdict(answer: Answer, accepted: int, place: str) -> Verdict:
    if answer.status == accepted:
        return None
    assert answer.status == 400, answer.body
    [(pointer, code)] = answer.codes
    assert pointer == place
    return code


def body_of(names: Names, password: str) -> Mapping[str, str]:
    return {"username": names.username, "email": names.email, "password": password}


def register(web: Web, names: Names, password: str) -> Verdict:
    return verdict(web.call("POST", REGISTER, body_of(names, password)), 201, "/password")


def change(web: Web, names: Names, password: str) -> Verdict:
    token = web.register(**body_of(names, PASSWORD))["token"]
    body = {"current_password": PASSWORD, "new_password": password}
    return verdict(web.call("POST", CHANGE, body, **bearer(token)), 200, "/new_password")


def reset(web: Web, names: Names, password: str) -> Verdict:
    """By a link that was put past the mail."""
    user, token = web.register(**body_of(names, PASSWORD))["user"], secrets.token_urlsafe(32)
    web.sql(
        "insert into accounts_link (user_id, purpose, hash, email_canonical, call_id, asked_at, created_at, expires_at)"
        " values (%s, 'reset', %s, %s, gen_random_uuid(), now(), now(), now() + interval '1 hour')",
        user["id"], hashlib.sha256(token.encode()).digest(), names.email.lower(),
    )  # fmt: skip
    return verdict(web.call("POST", CONFIRM, {"token": token, "new_password": password}), 204, "/new_password")


def createsuperuser(web: Web, names: Names, password: str) -> Verdict:
    return command(
        "createsuperuser", "--noinput", "--username", names.username, "--email", names.email, password=password
    )


def command(*words: str, password: str) -> Verdict:
    """What `manage.py` says of a password from the environment."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DJANGO_SUPERUSER_PASSWORD", password)
        try:
            call_command(*words, stdout=StringIO())
        except CommandError as refused:
            told = str(refused).removeprefix("password: ")
            return next(code for code, words in TOLD.items() if words == told)
    return None


def changepassword(web: Web, names: Names, password: str) -> Verdict:
    user = web.register(**body_of(names, PASSWORD))["user"]
    return command("changepassword", user["username"], "--noinput", password=password)


DOORS: list[Door] = [register, change, reset, createsuperuser, changepassword]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", TABLE)
def test_every_door_has_the_same_verdict(web: Web, door: Door, case: str) -> None:
    password, expected = TABLE[case]
    names = Names(f"w{secrets.token_hex(6)}", f"post{secrets.token_hex(6)}")
    typed = password.format(username=names.username, local=names.local, email=names.email)

    assert door(web, names, typed) == expected


def test_the_policy_tells_how_it_is_set(web: Web) -> None:
    answer = web.call("GET", POLICY)

    assert answer.status == 200
    assert answer.json == {
        "min_length": 8, "max_length": 256, "refuses_sequences": True, "refuses_common": True,
        "refuses_breached": True, "refuses_personal": True,
    }  # fmt: skip
