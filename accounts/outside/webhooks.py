"""A changed user as one signed POST to a receiver of WEBHOOK_URLS, by Standard Webhooks.

`handlers.webhooks` owes it by `facts_of`; `attempts` calls `send` and settles the call by what is raised here. What
goes is the user's row as it is then, not the event's word: a late call tells the newest state, a forged event tells
nothing that is not so. Of a deletion goes the id, which is all that is left. https://www.standardwebhooks.com
"""

import hashlib
import hmac
import json
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any

from accounts import observe, receivers
from accounts.conf import AccountsSettings
from accounts.models import OutsideCall, User
from accounts.outside.calls import NobodyToTell
from accounts.outside.posting import Poster, Resolver, TookTooLong, resolved_by_system
from accounts.receivers import Receiver
from events.errors import Permanent, Retryable

KIND = "webhook"
# The fact that names a user who is deleted, in place of the call's own user.
GONE = "deleted"
# For all of one attempt: name, connection, TLS and answer.
WITHIN_S = 10.0
# A receiver that hangs costs WITHIN_S once in so long, however many calls are due to it.
LEFT_ALONE_S = 60.0
_NEVER_AGAIN = 410


class Unwelcome(Retryable):
    """The receiver answered, and not with a 2xx; a redirect is no more than that."""


class ReceiverGone(Permanent):
    """It wants this no more."""


class LeftAlone(Retryable):
    """It hung a moment ago, and is not asked now."""


class Sender:
    """Sends, each within `within_s`, and remembers which receivers hang."""

    def __init__(self, resolve: Resolver, within_s: float) -> None:
        self._resolve = resolve
        self._within_s = within_s
        self._alone_until: dict[str, float] = {}

    def send(self, call: OutsideCall) -> None:
        """POST the user of `call` as they are now, or that they are gone.

        Raises NobodyToTell, ReceiverGone and what is Retryable.
        """
        accounts = AccountsSettings.current()
        receiver, body = _receiver_of(call, accounts), _body(call)
        name = call.facts["receiver"]
        if time.monotonic() < self._alone_until.get(name, 0):
            raise LeftAlone("it did not answer a moment ago")
        poster = Poster(
            resolve=self._resolve,
            tls=_trusting_known_authorities(),
            allow_private=accounts.webhook_allow_private,
            within_s=self._within_s,
        )
        began = time.monotonic()
        try:
            status = poster.post(receiver, _headers(call, accounts.webhook_secret, body), body)
        except TookTooLong:
            self._alone_until[name] = time.monotonic() + LEFT_ALONE_S
            raise
        observe.record_webhook_answered(call, status=status, ms=(time.monotonic() - began) * 1000)
        _judge(status)


send = Sender(resolved_by_system, WITHIN_S).send


def facts_of(url: str, receiver: Receiver, *, event_id: str, event_type: str, at: str) -> dict[str, str]:
    """What a call carries: the receiver by name and host alone, since a URL's query may be a secret."""
    return {
        "receiver": receivers.name_of(url),
        "host": receiver.host,
        "event_id": event_id,
        "type": event_type,
        "timestamp": at,
    }


def _receiver_of(call: OutsideCall, accounts: AccountsSettings) -> Receiver:
    for url in accounts.webhook_urls:
        if receivers.name_of(url) == call.facts["receiver"]:
            return accounts.receiver(url)
    raise NobodyToTell("the receiver is configured no more")


def _body(call: OutsideCall) -> bytes:
    told = {"type": call.facts["type"], "timestamp": call.facts["timestamp"], "data": _data(call)}
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()


def _data(call: OutsideCall) -> Mapping[str, Any]:
    """Raises NobodyToTell where the row has nobody any more."""
    if gone := call.facts.get(GONE):
        return {"id": gone}
    living = User.objects.exclude(status=User.Status.DELETED)
    user = living.filter(pk=call.user_id).first() if call.user_id else None
    if user is None:
        raise NobodyToTell("the user is gone")
    return {
        "id": str(user.pk),
        "username": user.username,
        "email": user.email,
        "email_verified": user.email_verified,
        "status": user.status,
        "display_name": user.display_name,
        "locale": user.locale,
        "time_zone": user.time_zone,
        "version": user.version,
    }


def _headers(call: OutsideCall, secrets: str, body: bytes) -> Mapping[str, str]:
    at = str(int(time.time()))
    signed = b".".join([str(call.pk).encode(), at.encode(), body])
    signatures = (hmac.digest(key, signed, hashlib.sha256) for key in receivers.signing_keys(secrets))
    return {
        "Content-Type": "application/json",
        "User-Agent": "usercenter",
        "webhook-id": str(call.pk),
        "webhook-timestamp": at,
        "webhook-signature": " ".join(f"v1,{b64encode(signature).decode()}" for signature in signatures),
    }


def _judge(status: int) -> None:
    if status == _NEVER_AGAIN:
        raise ReceiverGone(f"answer {status}")
    if not 200 <= status < 300:  # noqa: PLR2004 - the class of answers that mean success (RFC 9110, 15.3)
        raise Unwelcome(f"answer {status}")


# Reading all the authorities takes 50 ms: once a process, and not where no webhook is sent.
@cache
def _trusting_known_authorities() -> ssl.SSLContext:
    return ssl.create_default_context()
