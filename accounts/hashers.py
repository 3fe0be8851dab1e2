"""The one password hasher: whoever sets or verifies a password (API, admin, command line) comes through here.

Named by Django's PASSWORD_HASHERS; `passwords` asks it on behalf of the services.
Source of the parameters: OWASP Password Storage Cheat Sheet (19 MiB, t=2, p=1).
"""

import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from threading import BoundedSemaphore

from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connection

from accounts.conf import AccountsSettings
from accounts.errors import Busy

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
        with _turn_to_hash():
            return _hash_threads().submit(super().encode, unicodedata.normalize("NFKC", password), salt).result()

    def verify(self, password: str, encoded: str) -> bool:
        """Whether it is right; one hash run whatever the length. Raises HashingBusy."""
        fits = len(password) <= PASSWORD_MOST
        looked_at = unicodedata.normalize("NFKC", password if fits else "")
        with _turn_to_hash():
            return _hash_threads().submit(super().verify, looked_at, encoded).result() and fits


@contextmanager
def _turn_to_hash() -> Iterator[None]:
    """One of the process's PASSWORD_HASHES_AT_ONCE turns. Raises HashingBusy.

    Each run takes 19 MiB and a core: a burst of sign-ins queues instead of taking the machine.
    """
    if not connection.in_atomic_block:
        # Who waits for a turn holds none of the few database connections.
        connection.close()
    turns = _turns()
    if not turns.acquire(timeout=WAIT_S):
        raise HashingBusy
    try:
        yield
    finally:
        turns.release()


@cache
def _hash_threads() -> ThreadPoolExecutor:
    # A thread keeps the memory of a run for its next one; were it each request's own, all would keep 19 MiB.
    return ThreadPoolExecutor(AccountsSettings.current().password_hashes_at_once, thread_name_prefix="hash")


@cache
def _turns() -> BoundedSemaphore:
    return BoundedSemaphore(AccountsSettings.current().password_hashes_at_once)
