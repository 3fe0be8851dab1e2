"""The links of mails by their purpose: what leads to one, how long it is good, and what uses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.acceptance.mailing import RESEND, RESET, Mailing, token_in
from tests.acceptance.web import ME, Answer, Call, Web, bearer

VERIFY, CONFIRM = "/api/v1/users/email/verify", "/api/v1/users/password/reset/confirm"
CHANGE_EMAIL, RESTORE = "/api/v1/users/me/email", "/api/v1/users/restore"
CONFIRM_EMAIL, UNDO_EMAIL = "/api/v1/users/email/change/confirm", "/api/v1/users/email/change/undo"
NEW = "CANARY-pw-another-4712"
ASKED_AT = {"verify": (RESEND, "Is this your e-mail address?"), "reset": (RESET, "Set a new password")}
WANTED, CHANGED = "Is this your new e-mail address?", "Your e-mail address was changed"


@dataclass(frozen=True)
class Purpose:
    """What uses a link of this purpose, and what it is answered with; for how long it is good."""

    name: str
    used_at: str
    lasts: str
    body: Mapping[str, str] = field(default_factory=dict)
    status: int = 204

    def use(self, token: str) -> Call:
        return Call("POST", self.used_at, {"token": token, **self.body})


PURPOSES = {
    purpose.name: purpose
    for purpose in (
        Purpose("verify", VERIFY, "24 hours"),
        Purpose("reset", CONFIRM, "30 minutes", {"new_password": NEW}),
        Purpose("invite", CONFIRM, "24 hours", {"new_password": NEW}),
        Purpose("change_email", CONFIRM_EMAIL, "24 hours"),
        Purpose("undo_email", UNDO_EMAIL, "7 days"),
        # As long as the account can be restored.
        Purpose("restore", RESTORE, "30 days", status=200),
    )
}


@dataclass(frozen=True)
class Owner:
    """Somebody new, in a first session, with the mail that comes for them."""

    web: Web
    mailing: Mailing
    opened: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.opened["user"]["id"])

    @property
    def address(self) -> str:
        """The one that was registered."""
        return str(self.opened["user"]["email"])

    @property
    def token(self) -> str:
        return str(self.opened["token"])

    def asks_for(self, address: str, token: str = "") -> Answer:
        """To have this address, in the first session or in that of `token`."""
        return self.web.call("POST", CHANGE_EMAIL, {"new_email": address}, **bearer(token or self.token))

    def link_to(self, address: str, token: str = "") -> str:
        """The token that is mailed to an address that is asked for."""
        known = len(self.mailing.told(address, WANTED, 0))
        asked = self.asks_for(address, token)
        assert (asked.status, asked.json) == (202, {})
        return token_in(self.mailing.told(address, WANTED, known + 1)[-1])

    def moves_to(self, address: str, token: str = "") -> None:
        """Have that address."""
        answer = self.web.call("POST", CONFIRM_EMAIL, {"token": self.link_to(address, token)})
        assert answer.status == 204, answer.body

    def undo_at(self, address: str, count: int = 1) -> str:
        """The newest token that brings this address back, once so many have come to it."""
        return token_in(self.mailing.told(address, CHANGED, count)[-1])

    def link(self, purpose: str) -> str:
        """The token of a new link."""
        if purpose in ("verify", "invite"):
            self.web.unguarded("update accounts_user set email_verified = false where id = %s", self.id)
        match purpose:
            case "verify" | "reset":
                path, subject = ASKED_AT[purpose]
                known = len(self.mailing.told(self.address, subject, 0))
                assert self.web.call("POST", path, {"email": self.address}).status == 202
                return token_in(self.mailing.told(self.address, subject, known + 1)[-1])
            case "change_email":
                return self.link_to(another_address())
            case "undo_email":
                self.moves_to(another_address())
                return self.undo_at(self.address)
            case "invite":
                self.web.unguarded("update accounts_user set password = '!' where id = %s", self.id)
                return self._owed("invited", "Your account at usercenter")
            case _:
                if self.web.me(self.token).status == 200:
                    assert self.web.call("DELETE", ME, **bearer(self.token)).status == 202
                return self._owed("pending_deletion", "Your account is going to be deleted")

    def _owed(self, kind: str, subject: str) -> str:
        """By a mail that otherwise an event's handler owes: nobody hands events on here."""
        known = len(self.mailing.told(self.address, subject, 0))
        self.web.sql(
            "insert into accounts_outsidecall"
            " (id, key, kind, user_id, email, facts, traceparent, created_at, attempts, next_attempt_at, error)"
            " values (%s, %s, %s, %s, '', '{}', '', now(), 0, now(), '')",
            uuid4(), str(uuid4()), kind, self.id,
        )  # fmt: skip
        return token_in(self.mailing.told(self.address, subject, known + 1)[-1])


def use(web: Web, purpose: Purpose, token: str) -> Answer:
    call = purpose.use(token)
    return web.call(call.method, call.path, call.body)


def state_of(web: Web, user_id: str) -> list[tuple[Any, ...]]:
    """All that a link can change."""
    state = """
        select password, email, email_verified, status, version,
            (select count(*) from accounts_session where user_id = one.id and ended_at is null),
            (select count(*) from events_outbox where key = one.id::text)
        from accounts_user as one where id = %s
    """
    return web.sql(state, user_id)


def owner_in(web: Web, mailing: Mailing) -> Owner:
    """Somebody new, who has shown the address to be theirs."""
    opened = web.register()
    web.unguarded("update accounts_user set email_verified = true where id = %s", opened["user"]["id"])
    return Owner(web, mailing, opened | {"user": opened["user"] | {"email_verified": True}})


def another_address() -> str:
    """One that nobody has."""
    return f"new-{uuid4().hex[:12]}@example.com"
