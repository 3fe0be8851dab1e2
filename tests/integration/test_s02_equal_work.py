"""S02: what tells nobody who has an account costs the same whoever is named: hash runs, throttle look-ups, statements.

So that time tells nothing either; `python -m benchmarks timing` measures that.
"""

import re
from collections.abc import Callable
from typing import Any

import argon2
import pytest
from argon2.low_level import Type, hash_secret
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from accounts.errors import Refused
from accounts.models import User
from accounts.models.session import Client
from accounts.names import parse_email, parse_username
from accounts.outside import queue
from accounts.services.addresses import request_verification
from accounts.services.passwords import request_reset
from accounts.services.registration import NewUser, register, request_registration
from accounts.services.sign_in import sign_in
from accounts.throttles import RateLimited

PASSWORD = "long enough"
CLIENT = Client(device="", ip="192.0.2.1")
RUN = "$argon2id$v=19$m=19456,t=2,p=1"
OLDER = "argon2" + hash_secret(
    PASSWORD.encode(), b"0123456789abcdef", time_cost=1, memory_cost=8_192, parallelism=1, hash_len=32, type=Type.ID
).decode()  # fmt: skip
# The look-up, the count in a transaction of its own, the row of the login log.
STATEMENTS = ["SELECT", "BEGIN", "insert", "COMMIT", "INSERT"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def users() -> None:
    """One with a password, and those who are special."""
    special: dict[str, dict[str, Any]] = {
        "ann": {},
        "unusable": {"password": "!unusable"},
        "empty": {"password": ""},
        "older": {"password": OLDER},
        "suspended": {"status": "suspended"},
        "leaving": {"status": "pending_deletion"},
        "deleted": {"status": "deleted"},
        "verified": {"email_verified": True},
    }
    for name, columns in special.items():
        new = NewUser(username=parse_username(name), email=parse_email(f"{name}@example.com"))
        user = register(new=new, password=PASSWORD, client=CLIENT, now=timezone.now()).session.user
        if columns:
            change_behind_the_doors(user, **columns)


def change_behind_the_doors(user: User, **columns: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("begin; select accounts_unguarded('a test')")
        User.objects.filter(pk=user.pk).update(**columns)
        cursor.execute("commit")


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps quiet: no worker is told, and nothing of it is asked here."""
    quiet = queue.Queue()
    quiet._quiet_until = float("inf")
    monkeypatch.setattr(queue, "offer", quiet.offer)


@pytest.fixture
def hash_runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The parameters of each verification, which still runs."""
    runs: list[str] = []
    verify = argon2.PasswordHasher.verify

    def counted(self: argon2.PasswordHasher, stored: str, password: str) -> Any:
        runs.append(stored[:30])
        return verify(self, stored, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    return runs


def statements_of(act: Callable[[], object], *, refused: type[Refused] | None = None) -> list[str]:
    """What `act` asks of the database: each statement with all its values out."""
    with CaptureQueriesContext(connection) as asked:
        if refused:
            with pytest.raises(refused):
                act()
        else:
            act()
    return [re.sub(r"'[^']*'(::\w+)?|NULL", "?", query["sql"]) for query in asked.captured_queries]


def verbs(statements: list[str]) -> list[str]:
    return [statement.split()[0] for statement in statements]


def sign_in_as(identifier: str, password: str) -> None:
    sign_in(identifier=identifier, password=password, client=CLIENT, now=timezone.now())


@pytest.mark.parametrize(
    ("identifier", "password"),
    [
        ("ann", "wrong"),
        ("ann@example.com", "wrong"),
        ("nobody", "wrong"),
        ("nobody@example.com", "wrong"),
        ("no body", "wrong"),
        ("ann", ""),
        ("nobody", ""),
        ("ann", "x" * 60_000),
        ("nobody", "x" * 60_000),
        ("unusable", "wrong"),
        ("unusable", "!unusable"),
        ("empty", ""),
        ("suspended", "wrong"),
        ("leaving", "wrong"),
        ("deleted", "wrong"),
        ("deleted", PASSWORD),
    ],
)
def test_every_refusal_costs_one_hash_run_and_the_same_statements(
    users: None, hash_runs: list[str], identifier: str, password: str
) -> None:
    asked = statements_of(lambda: sign_in_as(identifier, password), refused=Refused)

    assert hash_runs == [RUN]
    assert verbs(asked) == STATEMENTS
    assert asked == statements_of(lambda: sign_in_as("somebody-else", "wrong"), refused=Refused)


@pytest.mark.parametrize("identifier", ["", "@", "x" * 60_000])
def test_what_can_be_nobodys_name_costs_the_hash_run_and_the_counts_too(hash_runs: list[str], identifier: str) -> None:
    asked = statements_of(lambda: sign_in_as(identifier, "wrong"), refused=Refused)

    assert hash_runs == [RUN]
    assert verbs(asked)[-4:] == STATEMENTS[-4:]


def test_an_older_hash_costs_one_run_too(users: None, hash_runs: list[str]) -> None:
    asked = statements_of(lambda: sign_in_as("older", "wrong"), refused=Refused)

    assert len(hash_runs) == 1
    assert verbs(asked) == STATEMENTS


@pytest.mark.parametrize("identifier", ["ann", "nobody", "suspended", "deleted"])
def test_a_block_costs_no_hash_run_and_the_same_statements(
    users: None, hash_runs: list[str], settings: Settings, identifier: str
) -> None:
    settings.ACCOUNTS = {**settings.ACCOUNTS, "THROTTLES": ("login-pair=1/900",)}
    for name in (identifier, "somebody-else"):
        for _ in range(2):  # the second is the one that warns the user, if there is one
            with pytest.raises(Refused):
                sign_in_as(name, "wrong")
    hash_runs.clear()

    asked = statements_of(lambda: sign_in_as(identifier, PASSWORD), refused=RateLimited)

    assert hash_runs == []
    assert asked == statements_of(lambda: sign_in_as("somebody-else", PASSWORD), refused=RateLimited)


@pytest.mark.parametrize("name", ["ann", "suspended", "leaving", "deleted", "verified"])
@pytest.mark.parametrize("request_link", [request_reset, request_verification])
def test_to_ask_for_a_link_costs_the_same_for_an_address_that_nobody_has(
    users: None, hash_runs: list[str], name: str, request_link: Callable[..., None]
) -> None:
    def asked(of: str) -> list[str]:
        email = parse_email(f"{of}@example.com")
        return statements_of(lambda: request_link(email=email, client=CLIENT))

    statements = asked(name)

    assert verbs(statements) == ["BEGIN", "insert", "COMMIT"] * 2
    assert statements == asked("nobody")
    assert hash_runs == []


@pytest.mark.parametrize(
    ("username", "email"), [("ann", "fresh@example.com"), ("fresh", "ann@example.com"), ("ann", "deleted@example.com")]
)
def test_a_hidden_registration_costs_the_same_when_a_name_is_taken(users: None, username: str, email: str) -> None:
    def asked(username: str, email: str) -> list[str]:
        new = NewUser(username=parse_username(username), email=parse_email(email))
        return statements_of(
            lambda: request_registration(new=new, password=PASSWORD, client=CLIENT, now=timezone.now())
        )

    statements = asked(username, email)

    assert verbs(statements) == ["BEGIN", "insert", "COMMIT", "BEGIN", "INSERT", "COMMIT"]
    assert statements == asked("unheard-of", "unheard-of@example.com")
