"""Who asks, and what: one signed-in user a connection, and the requests that `load` sends for each.

Made by `bench` through the API itself, before anything is timed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from benchmarks.api.names import BARE, CHANGES, LOGIN, ME, READS, REFRESH
from benchmarks.api.plan import NUMBER, REFRESH_TOKEN
from benchmarks.frame.http import request
from benchmarks.frame.web import API, call

CONNECTIONS = 32

_PASSWORD = "correct horse battery"  # noqa: S105 - of people who live as long as the run
_runs = count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One user, signed in."""

    id: str
    username: str
    token: str


def people(port: int) -> Sequence[Person]:
    """As many as there are connections, registered here."""
    return [registered(port, f"person{number:02}") for number in range(CONNECTIONS)]


def registered(port: int, username: str) -> Person:
    """One more, for whatever a run needs."""
    told = call(port, "POST", f"{API}/register", body=_newcomer(username))
    return Person(id=told["user"]["id"], username=username, token=told["token"])


def requests(variant: str, who: Sequence[Person]) -> Sequence[bytes]:
    """One a connection. What a name in it can be had once only for, it says by NUMBER."""
    if variant in READS:
        return _reads(variant, who)
    if variant in CHANGES:
        return _changes(who)
    if variant == LOGIN:
        return [request("POST", f"{API}/login", body=_credentials(person)) for person in who]
    if variant == REFRESH:
        return [request("POST", f"{API}/refresh", body={"refresh_token": REFRESH_TOKEN})] * CONNECTIONS
    return [request("POST", f"{API}/register", body=_newcomer(f"new{next(_runs):04}.{NUMBER}"))] * CONNECTIONS


def _reads(variant: str, who: Sequence[Person]) -> Sequence[bytes]:
    if variant == BARE:
        return [request("GET", f"/api/v1/benchmark/{person.id}") for person in who]
    if variant == ME:
        return [request("GET", f"{API}/me", token=person.token) for person in who]
    others = [*who[1:], who[0]]  # another's profile
    return [
        request("GET", f"{API}/{other.id}/profile", token=person.token)
        for person, other in zip(who, others, strict=True)
    ]


def _changes(who: Sequence[Person]) -> Sequence[bytes]:
    """Each time another name, whichever version is there."""
    name = {"display_name": f"Name {next(_runs):04}.{NUMBER}"}
    return [request("PATCH", f"{API}/me", body=name, token=person.token, if_match="*") for person in who]


def refresh_tokens(port: int, who: Sequence[Person]) -> list[str]:
    """A family each that nobody has used."""
    return [call(port, "POST", f"{API}/login", body=_credentials(person))["refresh_token"] for person in who]


def _credentials(person: Person) -> dict[str, str]:
    return {"identifier": person.username, "password": _PASSWORD}


def _newcomer(username: str) -> dict[str, str]:
    return {"username": username, "email": f"{username}@example.com", "password": _PASSWORD}
