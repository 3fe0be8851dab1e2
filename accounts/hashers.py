"""The one password hasher: whoever sets or verifies a password (API, admin, command line) comes through here.

Named by Django's PASSWORD_HASHERS; `passwords` asks it on behalf of the services.
Source of the parameters: OWASP Password Storage Cheat Sheet (19 MiB, t=2, p=1).
"""

import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection

from accounts.conf import AccountsSettings
from accounts.errors import Busy

R = TypeVar("R")

PASSWORD_MOST = 256
WAIT_S = 2.0


class HashingBusy(Busy):
    """No turn to hash came within 2 s: PASSWORD_HASHES_AT_ONCE others are at it."""


class Argon2idHasher(Argon2PasswordHasher):
    """Argon2id of the password's NFKC form, so that every keyboard's spelling of it is the same.

    The length is looked at before anything else: normalising and hashing a megabyte costs seconds.
    """

    time_cost = 2
    memory_cost = 19_456
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        """The hash to store. Raises ValueError over 256 characters, HashingBusy."""
        if len(password) > PASSWORD_MOST:
            raise ValueError(f"a password has at most {PASSWORD_MOST} characters")
        return _in_turn(super().encode, unicodedata.normalize("NFKC", password), salt)

    def verify(self, password: str, encoded: str) -> bool:
        """Whether it is right; one hash run whatever the length. Raises HashingBusy."""
        fits = len(password) <= PASSWORD_MOST
        return _in_turn(super().verify, unicodedata.normalize("NFKC", password if fits else ""), encoded) and fits


def _in_turn(run: Callable[[str, str], R], *given: str) -> R:
    """What a hash run gives; those who wait for theirs come in their order. Raises HashingBusy.

    Each run takes 19 MiB and a core: a burst of sign-ins queues instead of taking the machine.
    """
    if not connection.in_atomic_block:
        # Who waits for a turn holds none of the few database connections.
        connection.close()
    turn = _hash_threads().submit(run, *given)
    try:
        return turn.result(timeout=WAIT_S)
    except TimeoutError:
        if turn.cancel():
            raise HashingBusy from None
        return turn.result()


@cache
def _hash_threads() -> ThreadPoolExecutor:
    # A thread keeps the memory of a run for its next one; were it each request's own, all would keep 19 MiB.
    return ThreadPoolExecutor(AccountsSettings.current().password_hashes_at_once, thread_name_prefix="hash")
