"""`manage.py users show | suspend | reactivate | delete | restore | unlock`: what administrators do.

Each action is a service's, with the system as the actor; the user is told by the events' handlers.
"""

import json
from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from accounts import names, selectors
from accounts.errors import FieldRefused
from accounts.management import asking
from accounts.models import User
from accounts.models.user import InvalidState
from accounts.selectors import UserNotFound
from accounts.services import administration, lifecycle
from accounts.services.staff import LastAdmin
from events.management.actions import ActionCommand, Options

_REASON = "by the operator of the service"
# Whom an action is for.
_ALLOWED = {
    "suspend": "active",
    "reactivate": "suspended",
    "delete": "active or suspended",
    "restore": "pending_deletion",
}


def _show(options: Options) -> Iterator[str]:
    user, now = asking.user_named(options["user"]), timezone.now()
    [told] = administration.told_to_staff([user])
    told["open_sessions"] = selectors.open_sessions_of(user.pk, now=now).count()
    yield json.dumps(told, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2)


def _suspend(options: Options) -> Iterator[str]:
    user, asked = _asked(options)
    until = _until(options["until"])
    lifecycle.suspend(user_id=user.pk, until=until, **asked)
    told = f" until {until:%Y-%m-%d %H:%M:%S} UTC" if until else ""
    yield f"{user.username} is suspended{told}; all sessions have ended."


def _reactivate(options: Options) -> Iterator[str]:
    user, asked = _asked(options)
    lifecycle.reactivate(user_id=user.pk, **asked)
    yield f"{user.username} is active again."


def _delete(options: Options) -> Iterator[str]:
    user, asked = _asked(options)
    if options["immediately"]:
        lifecycle.delete_immediately(user_id=user.pk, **asked)
        yield f"{user.username} is deleted; the consumer erases what is kept of them."
        return
    leaving = lifecycle.delete(user_id=user.pk, **asked)
    yield f"{user.username} will be deleted at {leaving.delete_after:%Y-%m-%d %H:%M:%S} UTC; all sessions have ended."


def _restore(options: Options) -> Iterator[str]:
    user, asked = _asked(options)
    restored = lifecycle.restore(user_id=user.pk, **asked)
    yield f"{user.username} is {restored.status} again."


def _unlock(options: Options) -> Iterator[str]:
    user, asked = _asked(options)
    administration.unlock(user_id=user.pk, **asked)
    yield f"{user.username} may try to sign in again."


def _asked(options: Options) -> tuple[User, dict[str, Any]]:
    """Who is meant, and what all services of the life of an account are told. Raises CommandError."""
    user = asking.user_named(options["user"])
    try:
        reason = names.parse_reason(options["reason"])
    except FieldRefused as refused:
        raise CommandError(f"--reason: {refused.detail}") from None
    return user, {"reason": reason, "by": None, "now": timezone.now()}


def _until(typed: str | None) -> Any:
    """Raises CommandError."""
    if typed is None:
        return None
    try:
        return names.parse_moment_ahead(typed, now=timezone.now())
    except FieldRefused as refused:
        raise CommandError(f"--until: {refused.detail}") from None


class Command(ActionCommand):
    """One action on one user."""

    help = "Look at a user; suspend, reactivate, delete, restore or unlock one."
    ACTIONS = {
        "show": _show, "suspend": _suspend, "reactivate": _reactivate, "delete": _delete, "restore": _restore,
        "unlock": _unlock,
    }  # fmt: skip

    def add_arguments(self, parser: CommandParser) -> None:
        """One word, the user, then its options."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        self._add(actions, "show", "all but the secrets, as JSON")
        suspend = self._add(actions, "suspend", "bar an active user", has_reason=True)
        suspend.add_argument("--until", metavar="RFC3339", help="when it ends by itself, such as 2026-11-28T09:00:00Z")
        self._add(actions, "reactivate", "end a suspension", has_reason=True)
        delete = self._add(actions, "delete", "delete the account after the grace", has_reason=True)
        delete.add_argument("--immediately", action="store_true", help="without a way back")
        self._add(actions, "restore", "take a deletion back during the grace", has_reason=True)
        self._add(actions, "unlock", "begin the counts of failed sign-ins anew", has_reason=True)

    def handle(self, **options: Any) -> None:
        """Exit code 1 and one line that names the user and what is allowed, where it is refused."""
        try:
            super().handle(**options)
        except InvalidState as status:
            allowed = _ALLOWED[options["action"]]
            raise CommandError(
                f"{options['user']}: the status is {status}; {options['action']} is for who is {allowed}."
            ) from None
        except LastAdmin:
            raise CommandError(f"{options['user']}: the last active superuser stays; make another one first.") from None
        except UserNotFound:
            raise CommandError(f"{options['user']}: the account is deleted.") from None

    def _add(self, actions: Any, action: str, told: str, *, has_reason: bool = False) -> Any:
        parser = actions.add_parser(action, help=told)
        parser.add_argument("user", metavar="NAME_OR_ID", help="a username, an e-mail address or an id")
        if has_reason:
            parser.add_argument("--reason", default=_REASON, help=f'the user is told (else "{_REASON}")')
        return parser
