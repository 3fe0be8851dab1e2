"""The rule for new passwords and the one way to verify one; every door uses both.

Inputs of the API and `createsuperuser` ask `refuse_weak` before a service sets a password; `services.sign_in` asks
`is_right`. The hashing itself is `hashers`.
"""

from django.contrib.auth.hashers import make_password

from accounts.conf import AccountsSettings
from accounts.errors import FieldRefused
from accounts.hashers import PASSWORD_MOST, Argon2idHasher

# The hash of a random word that nobody knows, in today's parameters: what a sign-in without a user verifies.
NOBODYS_HASH = (
    "argon2$argon2id$v=19$m=19456,t=2,p=1$elNISHhzVGFaaXZuN0RYYzhxR1NVZA$157pr2MsghRpKwdQS0TQSpMnSxjLGp4HlhjQZ+3X/08"
)


def refuse_weak(password: str) -> None:
    """Raises FieldRefused unless the length, in code points, is within PASSWORD_MIN_LENGTH .. 256."""
    least = AccountsSettings.current().password_min_length
    if len(password) < least:
        raise FieldRefused("password_too_short", f"At least {least} characters.", min=least)
    if len(password) > PASSWORD_MOST:
        raise FieldRefused("password_too_long", f"At most {PASSWORD_MOST} characters.", max=PASSWORD_MOST)


def hashed(password: str) -> str:
    """What to store for a password that `refuse_weak` let pass."""
    return make_password(password)


def is_right(password: str, stored: str | None) -> bool:
    """Whether `password` opens `stored`; one hash run in every case, also for nobody or an unusable hash."""
    ours = stored if stored and stored.startswith(f"{Argon2idHasher.algorithm}$") else None
    return Argon2idHasher().verify(password, ours or NOBODYS_HASH) and ours is not None


def needs_upgrade(stored: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return Argon2idHasher().must_update(stored)
