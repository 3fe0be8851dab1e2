"""People at addresses of their own, as a proxy that the web trusts tells of them: each is counted apart."""

import itertools
from dataclasses import dataclass
from typing import Any

from tests.acceptance.web import LOGIN, PASSWORD, Answer, Call, Web

_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Visitor:
    """Who asks from one address."""

    web: Web
    address: str

    def post(self, path: str, body: Any) -> Answer:
        return self.web.call("POST", path, body, X_Forwarded_For=self.address)

    def login(self, identifier: str, password: str = PASSWORD) -> Answer:
        return self.post(LOGIN, {"identifier": identifier, "password": password})

    def fails(self, identifier: str, times: int) -> list[int]:
        """The statuses of so many sign-ins with a wrong password, one after the other."""
        return [self.login(identifier, f"CANARY-pw-wrong-{n}").status for n in range(times)]

    def posting(self, path: str, body: Any) -> Call:
        """For a race."""
        return Call("POST", path, body, {"X-Forwarded-For": self.address})


def visitor(web: Web) -> Visitor:
    """Somebody at an address that nobody had before (of those for benchmarks, RFC 2544)."""
    number = next(_NUMBERS)
    return Visitor(web, f"198.18.{number // 250}.{number % 250 + 1}")
