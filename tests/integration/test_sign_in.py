"""A sign-in costs the same whoever is named: one hash run and the same queries, so that time tells nothing."""

from collections.abc import Callable
from typing import Any

import argon2
import pytest
from django.utils import timezone

from accounts.errors import Refused
from accounts.models import User
from accounts.models.session import Client
from accounts.names import parse_email, parse_username
from accounts.services.registration import NewUser, register
from accounts.services.sign_in import sign_in

PASSWORD = "long enough"
CLIENT = Client(device="", ip="192.0.2.1")
# The look-up, the count in a transaction of its own, the row of the login log.
QUERIES = 1 + 3 + 1


@pytest.fixture
def users(db: None) -> None:
    """One with a password, one barred from having any, one whose hash was lost."""
    for name, stored in (("ann", None), ("unusable", "!unusable"), ("empty", "")):
        new = NewUser(username=parse_username(name), email=parse_email(f"{name}@example.com"))
        user = register(new=new, password=PASSWORD, client=CLIENT, now=timezone.now()).session.user
        if stored is not None:
            User.objects.filter(id=user.id).update(password=stored)


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


@pytest.mark.parametrize(
    ("identifier", "password"),
    [
        ("ann", "wrong"),
        ("nobody", "wrong"),
        ("nobody@example.com", "wrong"),
        ("", "wrong"),
        ("no body", "wrong"),
        ("ann", ""),
        ("nobody", ""),
        ("ann", "x" * 60_000),
        ("unusable", "wrong"),
        ("empty", "wrong"),
    ],
)
def test_every_refusal_costs_one_hash_run_and_the_same_queries(
    users: None,
    hash_runs: list[str],
    django_assert_num_queries: Callable[[int], Any],
    identifier: str,
    password: str,
) -> None:
    with django_assert_num_queries(QUERIES), pytest.raises(Refused):
        sign_in(identifier=identifier, password=password, client=CLIENT, now=timezone.now())

    assert hash_runs == ["$argon2id$v=19$m=19456,t=2,p=1"]
