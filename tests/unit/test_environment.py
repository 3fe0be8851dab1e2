"""Which addresses of the database are read, and that no other one is shown."""

import pytest

from usercenter.environment import Environment

LAPTOP = "postgres://postgres@localhost:5432/usercenter"


def read(monkeypatch: pytest.MonkeyPatch, address: str | None, *, has_default: bool = False) -> tuple[str, list[str]]:
    """What it is taken for, and what is told of it."""
    if address is None:
        monkeypatch.delenv("AN_ADDRESS", raising=False)
    else:
        monkeypatch.setenv("AN_ADDRESS", address)
    env = Environment()
    return env.postgresql("AN_ADDRESS", default=LAPTOP, has_default=has_default), list(map(str, env.problems))


@pytest.mark.parametrize(
    "address",
    [
        "postgres://usercenter:a-password@db.example:5432/usercenter",
        "postgresql://usercenter@db.example/usercenter",
        "postgres://usercenter:p%2Fw%25@db.example/usercenter",
        "postgres://usercenter@[2001:db8::7]:5432/usercenter",
        "postgres://usercenter@one:5432,two:5433/usercenter?target_session_attrs=read-write",
        "postgres://usercenter@one,two/usercenter",
        "postgres:///usercenter?host=/run/postgresql",
        "postgres://db.example/usercenter?sslmode=verify-full&sslrootcert=/ca.pem&application_name=7",
        "postgres://db.example/usercenter?options=-c%20statement_timeout%3D7s",
        "postgres://pooler.example/usercenter?disable_server_side_cursors=true&server_side_binding=true",
        "postgres://?service=usercenter",
    ],
)
def test_an_address_that_leads_somewhere_is_taken(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    assert read(monkeypatch, address) == (address, [])


@pytest.mark.parametrize(
    "address",
    [
        "CANARY",
        "//CANARY:CANARY@db.example/usercenter",
        "CANARY:CANARY@db.example/usercenter",
        "postgres:CANARY",
        "postgres://",
        "postgres://CANARY:CANARY@db.example",
        "postgres://CANARY:CANARY/CANARY@db.example/usercenter",
        "postgres://CANARY:CANARY?CANARY@db.example/usercenter",
        "postgres://CANARY:CANARY%zz@db.example/usercenter",
        "postgres://CANARY:CANARY@db.example:0/usercenter",
        "postgres://CANARY:CANARY@db.example:65536/usercenter",
        "postgres://CANARY:CANARY@db.example:99999999999999999999/usercenter",
        "postgres://CANARY:CANARY@db.example:port/usercenter",
        "postgres://CANARY:CANARY@one:5432,two:65536/usercenter",
        "postgres://CANARY:CANARY@[2001:db8::7/usercenter",
        "postgres://CANARY:CANARY@db.example/usercenter?sslmod=CANARY",
        "mysql://CANARY:CANARY@db.example/usercenter",
        "sqlite:///CANARY",
    ],
)
def test_another_one_is_told_by_its_name_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], address: str
) -> None:
    taken, [told] = read(monkeypatch, address)

    assert taken == LAPTOP
    assert told.startswith("AN_ADDRESS: must be postgres://USER:PASSWORD@HOST:PORT/NAME, ")
    assert told.endswith(", got something else")
    assert "CANARY" not in told + "".join(capfd.readouterr())


def test_nothing_is_an_address_for_development_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(monkeypatch, None, has_default=True) == (LAPTOP, [])

    for address, has_default in ((None, False), ("", False), ("", True)):
        taken, [told] = read(monkeypatch, address, has_default=has_default)
        assert (taken, told.endswith(", got nothing")) == (LAPTOP, True)
