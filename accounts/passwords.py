"""The rule for new passwords and the one way to verify one; every door uses both.

Inputs of the API, `createsuperuser` and `services.passwords` ask `refuse_weak` and `refuse_personal` before one is
set; `services.credentials` asks `is_right`. The hashing itself is `hashers`, the operator's list of breached ones is
`breached`.
Source: NIST SP 800-63B-4, 3.1.1.2 (length and lists, no rules of composition).
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError

from accounts import breached
from accounts.conf import AccountsSettings
from accounts.errors import FieldRefused
from accounts.hashers import PASSWORD_MOST, Argon2idHasher
from accounts.names import canonical_text

SERVICE_NAME = "usercenter"
# A shorter one, such as `me` or `ann`, is part of many words.
LOCAL_PART_LEAST = 4
# In circles: 90 goes on as 01 does. Other alphabets by the order of their code points.
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")

# The hash of a random word that nobody knows, in today's parameters: what a sign-in without a user verifies.
NOBODYS_HASH = (
    "argon2$argon2id$v=19$m=19456,t=2,p=1$elNISHhzVGFaaXZuN0RYYzhxR1NVZA$157pr2MsghRpKwdQS0TQSpMnSxjLGp4HlhjQZ+3X/08"
)


def refuse_weak(password: str) -> None:
    """Raises FieldRefused for the first rule that it breaks: length in code points, runs, lists."""
    settings = AccountsSettings.current()
    _refuse_length(password, settings.password_min_length)
    canonical = canonical_text(password)
    if _is_run(canonical):
        raise FieldRefused("password_sequence", "Not one character repeated, nor characters in their order.")
    if settings.password_refuse_common and _is_common(canonical):
        raise FieldRefused("password_common", "One of the most common passwords.")
    if settings.password_breached_file and breached.is_listed(_forms(password), settings.password_breached_file):
        raise FieldRefused("password_breached", "Known from a breach.")


def refuse_personal(password: str, names: Sequence[str]) -> None:
    """Raises FieldRefused for a password with the user's username or e-mail address in it, which are given as typed."""
    canonical = canonical_text(password)
    if any(word in canonical for word in _personal_words(names)):
        raise FieldRefused("password_personal", "Without your username, your e-mail address or this service's name.")


def _refuse_length(password: str, least: int) -> None:
    if len(password) < least:
        raise FieldRefused("password_too_short", f"At least {least} characters.", min=least)
    if len(password) > PASSWORD_MOST:
        raise FieldRefused("password_too_long", f"At most {PASSWORD_MOST} characters.", max=PASSWORD_MOST)


def _is_run(canonical: str) -> bool:
    """Whether it is all one character (or blank), or one run of an alphabet, the digits or a keyboard's row."""
    steps = {ord(after) - ord(before) for before, after in pairwise(canonical)}
    if any(steps <= {step} for step in (-1, 0, 1)):
        return True
    times = len(canonical) // min(map(len, _ROWS)) + 2
    return any(canonical in row * times or canonical in row[::-1] * times for row in _ROWS)


def _is_common(canonical: str) -> bool:
    try:
        _common_passwords().validate(canonical)
    except ValidationError:
        return True
    return False


@cache
def _common_passwords() -> CommonPasswordValidator:
    return CommonPasswordValidator()


def _forms(password: str) -> Iterator[str]:
    """As typed, and as it is hashed."""
    yield password
    hashed_form = unicodedata.normalize("NFKC", password)
    if hashed_form != password:
        yield hashed_form


def _personal_words(names: Sequence[str]) -> Iterator[str]:
    yield SERVICE_NAME
    for name in filter(None, map(canonical_text, names)):
        yield name
        local_part, at, _ = name.rpartition("@")
        if at and len(local_part) >= LOCAL_PART_LEAST:
            yield local_part


def hashed(password: str) -> str:
    """What to store for a password that `refuse_weak` let pass."""
    return make_password(password)


def no_hash() -> str:
    """What to store where no password opens: until one is set, or for ever."""
    return make_password(None)


def is_right(password: str, stored: str | None) -> bool:
    """Whether `password` opens `stored`; one hash run in every case, also for nobody or an unusable hash."""
    ours = stored if stored and stored.startswith(f"{Argon2idHasher.algorithm}$") else None
    return Argon2idHasher().verify(password, ours or NOBODYS_HASH) and ours is not None


def needs_upgrade(stored: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return Argon2idHasher().must_update(stored)
