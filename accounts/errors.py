"""The errors of this app that cross a file, sorted by what the caller should do about them.

Raised beside the code they belong to; `api.problems` has the status and code that each is answered with.
"""

from typing import Any


class AccountsError(Exception):
    """Root of what this app raises for others to catch."""


class Refused(AccountsError):
    """The request cannot be done as it stands: the caller's to fix."""


class Busy(AccountsError):
    """Too much of the same work at once: the same request may succeed in a moment."""


class FieldRefused(Refused):
    """One value breaks a rule: `code` is a stable word, `detail` for a person, `params` the rule's numbers."""

    def __init__(self, code: str, detail: str, **params: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.params = params
