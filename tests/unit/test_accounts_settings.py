"""What ACCOUNTS may say: everything that is wrong is told at once, each by the setting's name."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_django import Settings

from accounts.conf import THROTTLES, AccountsSettings, Window

AccountsOf = Callable[..., AccountsSettings]


@pytest.fixture
def accounts_of(settings: Settings) -> AccountsOf:
    """The settings of this run, but for what is given."""

    def current(**other: Any) -> AccountsSettings:
        settings.ACCOUNTS = {**settings.ACCOUNTS, **other}
        return AccountsSettings.current()

    return current


def wrong(accounts: AccountsSettings) -> list[str]:
    return [problem.name for problem in accounts.problems()]


def test_the_settings_of_a_development_are_fine(accounts_of: AccountsOf) -> None:
    assert accounts_of().problems() == []


def test_the_quotas_are_those_of_the_page_unless_said_otherwise(accounts_of: AccountsOf) -> None:
    quotas = accounts_of(THROTTLES=()).quotas

    assert {name: [tuple(window) for window in windows] for name, windows in quotas.items()} == {
        "login-pair": [(10, 900)],
        "login-account": [(50, 3600)],
        "login-address": [(100, 900)],
        "login-failures": [(100, 31_536_000)],
        "login-warning": [(1, 3600)],
        "register-address": [(20, 3600)],
        "mail-recipient": [(3, 3600), (10, 86_400)],
        "mail-address": [(20, 3600)],
    }


@pytest.mark.parametrize(
    ("entry", "name", "windows"),
    [
        ("login-pair=5/60", "login-pair", (Window(5, 60),)),
        ("mail-recipient=1/60+2/3600+3/86400", "mail-recipient", (Window(1, 60), Window(2, 3600), Window(3, 86_400))),
        (" login-address=999999999/999999999 ", "login-address", (Window(999_999_999, 999_999_999),)),
    ],
)
def test_an_entry_changes_one_quota(
    accounts_of: AccountsOf, entry: str, name: str, windows: tuple[Window, ...]
) -> None:
    accounts = accounts_of(THROTTLES=(entry,))

    assert accounts.problems() == []
    assert accounts.quotas == {**THROTTLES, name: windows}


def test_of_two_entries_for_one_quota_the_later_holds(accounts_of: AccountsOf) -> None:
    assert accounts_of(THROTTLES=("login-pair=5/60", "login-pair=6/60")).quotas["login-pair"] == (Window(6, 60),)


@pytest.mark.parametrize(
    "entry",
    [
        "", "login-pair", "login-pair=", "login-pair=10", "login-pair=10/", "login-pair=/900", "login-pair=10/900+",
        "login-pair=0/900", "login-pair=10/0", "login-pair=-1/900", "login-pair=1e3/900", "login-pair=10/900s",
        "login-pair=10 / 900", "login-pair=10/900;", "login-pairs=10/900", "LOGIN-PAIR=10/900", "=10/900", "10/900",
        "login-pair=1/1=1/1", "login-pair=9999999999/1", "login-pair=1/60+0/60",
    ],
)  # fmt: skip
def test_an_entry_that_cannot_be_read_is_told(accounts_of: AccountsOf, entry: str) -> None:
    [problem] = accounts_of(THROTTLES=("login-address=5/60", entry)).problems()

    assert problem.name == "THROTTLES"
    assert str(problem).startswith("THROTTLES: must be a comma list such as login-pair=10/900")
    assert problem.got == repr(entry)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("JWT_SIGNING_KEYS", ()),
        ("JWT_SIGNING_KEYS", ("no key",)),
        ("REDIS_URL", "http://localhost"),
        ("REDIS_URL", "redis://"),
        ("TRUSTED_PROXIES", ("10.0.0.1/8",)),
        ("TRUSTED_PROXIES", ("everyone",)),
        ("ACCESS_TTL_S", 0),
        ("REFRESH_IDLE_S", 0),
        ("REFRESH_ABSOLUTE_S", -1),
        ("REFRESH_GRACE_S", -1),
        ("PASSWORD_HASHES_AT_ONCE", 0),
        ("PASSWORD_MIN_LENGTH", 7),
        ("THROTTLES", ("nothing=1/1",)),
    ],
)
def test_every_problem_names_its_setting(accounts_of: AccountsOf, name: str, value: Any) -> None:
    [problem] = accounts_of(**{name: value}).problems()

    assert problem.name == name
    assert str(problem).startswith(f"{name}: must be ")
    assert problem.allowed


def test_all_problems_are_told_at_once(accounts_of: AccountsOf) -> None:
    accounts = accounts_of(JWT_SIGNING_KEYS=(), REDIS_URL="", ACCESS_TTL_S=0, THROTTLES=("x",), TRUSTED_PROXIES=("x",))

    expected = ["ACCESS_TTL_S", "JWT_SIGNING_KEYS", "REDIS_URL", "THROTTLES", "TRUSTED_PROXIES"]
    assert sorted(wrong(accounts)) == expected


def test_no_grace_at_all_is_allowed(accounts_of: AccountsOf) -> None:
    assert accounts_of(REFRESH_GRACE_S=0).problems() == []


@pytest.mark.parametrize("key", ["CANARY-sec-key", "-----BEGIN PRIVATE KEY-----CANARY"])
def test_no_key_is_shown(accounts_of: AccountsOf, key: str) -> None:
    accounts = accounts_of(JWT_SIGNING_KEYS=(key,))

    assert "CANARY" not in repr(accounts) + " ".join(map(str, accounts.problems()))


def test_a_name_that_is_unknown_is_an_error(accounts_of: AccountsOf) -> None:
    with pytest.raises(TypeError):
        accounts_of(REFRESH_TTL_S=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCESS_TTL_S", 0), ("ACCESS_TTL_S", 86_401), ("REFRESH_IDLE_S", 0), ("REFRESH_ABSOLUTE_S", 10**12),
        ("REFRESH_GRACE_S", -1), ("PASSWORD_HASHES_AT_ONCE", 0), ("PASSWORD_MIN_LENGTH", 7),
        ("PASSWORD_MIN_LENGTH", 257),
    ],
)  # fmt: skip
def test_a_number_has_a_least_and_a_most(accounts_of: AccountsOf, name: str, value: int) -> None:
    assert wrong(accounts_of(**{name: value})) == [name]


def test_no_secret_shows_in_the_settings(accounts_of: AccountsOf) -> None:
    told = repr(accounts_of(REDIS_URL="redis://:CANARY@localhost:6379/0", JWT_SIGNING_KEYS=("CANARY",)))

    assert "CANARY" not in told
