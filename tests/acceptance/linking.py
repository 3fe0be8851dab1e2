"""The links of mails by their purpose: where each is asked for, and what uses it."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.acceptance.mailing import RESEND, RESET
from tests.acceptance.web import Call

VERIFY, CONFIRM = "/api/v1/users/email/verify", "/api/v1/users/password/reset/confirm"
NEW = "CANARY-pw-another-4712"


@dataclass(frozen=True)
class Purpose:
    """Where a link of this purpose is asked for and used, and for how long it is good."""

    asked_at: str
    used_at: str
    body: Mapping[str, str]
    lasts: str

    def use(self, token: str) -> Call:
        return Call("POST", self.used_at, {"token": token, **self.body})


PURPOSES = {
    "verify": Purpose(RESEND, VERIFY, {}, "24 hours"),
    "reset": Purpose(RESET, CONFIRM, {"new_password": NEW}, "30 minutes"),
}
