"""The admin's actions on users: each chosen user is moved by a service on its own, and told of.

Those that are refused hold nobody else up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from accounts import names
from accounts.admin.refusals import told
from accounts.errors import FieldRefused, Refused
from accounts.models import User
from accounts.services import administration, lifecycle
from accounts.services.transactions import in_transaction

# Whoever means more has mistaken the box that chooses all.
AT_ONCE_MOST = 100


class MoveForm(ActionForm):
    """What an action is told; which of it an action needs, it says itself."""

    reason = forms.CharField(required=False, label="Reason: ", strip=False)
    until = forms.CharField(
        required=False,
        label="Suspend until: ",
        widget=forms.TextInput(attrs={"placeholder": "2026-11-28T09:00:00Z", "title": "Empty: until reactivated"}),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, and by whom."""

    by: User
    reason: str
    until: datetime | None
    now: datetime


@dataclass(frozen=True, slots=True)
class Move:
    """What is done to each user, and what it is called afterwards."""

    done: str
    run: Callable[[UUID, Asked], object]
    needs_reason: bool = False


SUSPEND = Move(
    "Suspended",
    lambda user_id, asked: lifecycle.suspend(
        user_id=user_id, reason=asked.reason, until=asked.until, by=asked.by, now=asked.now
    ),
    needs_reason=True,
)
REACTIVATE = Move(
    "Reactivated",
    lambda user_id, asked: lifecycle.reactivate(user_id=user_id, reason=asked.reason, by=asked.by, now=asked.now),
)
DELETE = Move(
    "To be deleted",
    lambda user_id, asked: lifecycle.delete(user_id=user_id, reason=asked.reason, by=asked.by, now=asked.now),
    needs_reason=True,
)
RESTORE = Move(
    "Restored",
    lambda user_id, asked: lifecycle.restore(user_id=user_id, reason=asked.reason, by=asked.by, now=asked.now),
)
DELETE_IMMEDIATELY = Move(
    "Deleted",
    lambda user_id, asked: lifecycle.delete_immediately(
        user_id=user_id, reason=asked.reason, by=asked.by, now=asked.now
    ),
    needs_reason=True,
)
UNLOCK = Move(
    "Unlocked",
    lambda user_id, asked: administration.unlock(user_id=user_id, reason=asked.reason, by=asked.by, now=asked.now),
)
SEND_PASSWORD_LINK = Move(
    "Link on its way", lambda user_id, asked: administration.send_reset(user_id=user_id, by=asked.by, now=asked.now)
)


class Moving:
    """Moves what was chosen on a page of users, and says there what became of it."""

    def __init__(self, page: "admin.ModelAdmin[User]", request: HttpRequest, move: Move) -> None:
        self.page = page
        self.request = request
        self.move = move

    def run(self, chosen: QuerySet[User]) -> None:
        """Nobody is moved where the reason or the time is not one, or too many were chosen."""
        try:
            asked = self._asked()
        except FieldRefused as refused:
            return self._say(f"Nothing was done. {refused.detail}", messages.ERROR)
        users = list(chosen.order_by("pk")[: AT_ONCE_MOST + 1])
        if len(users) > AT_ONCE_MOST:
            return self._say(f"Nothing was done. At most {AT_ONCE_MOST} users at once.", messages.ERROR)
        done = [user.username for user in users if self._moved(user, asked)]
        if done:
            self._say(f"{self.move.done}: {', '.join(done)}.", messages.SUCCESS)
        return None

    def _asked(self) -> Asked:
        """Raises FieldRefused."""
        reason, until = (self.request.POST.get(name, "") for name in ("reason", "until"))
        now = timezone.now()
        if reason.strip():
            reason = names.parse_reason(reason)
        elif self.move.needs_reason:
            raise FieldRefused("blank", "Give a reason: the user is told.")
        moment = names.parse_moment_ahead(until.strip(), now=now) if until.strip() else None
        return Asked(cast("User", self.request.user), reason.strip(), moment, now)

    def _moved(self, user: User, asked: Asked) -> bool:
        try:
            self._move(user, asked)
        except Refused as refused:
            self._say(f"Not done for {user.username}: {told(refused)}", messages.ERROR)
            return False
        return True

    @in_transaction
    def _move(self, user: User, asked: Asked) -> None:
        """With the admin's own record, which whoever erases the user must find."""
        self.move.run(user.pk, asked)
        self.page.log_change(self.request, user, f"{self.move.done}.")

    def _say(self, text: str, level: int) -> None:
        self.page.message_user(self.request, text, level)


def action(move: Move, description: str, permission: str) -> Any:
    """For `actions` of a page; its name is the description's, in lower case with `_`."""

    def run(page: "admin.ModelAdmin[User]", request: HttpRequest, queryset: QuerySet[User]) -> None:
        Moving(page, request, move).run(queryset)

    run.__name__ = description.lower().replace(" ", "_")
    return admin.action(run, description=description, permissions=[permission])
