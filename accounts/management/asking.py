"""What commands ask an operator for, at the keyboard or by the environment; `createsuperuser`, `changepassword`."""

import getpass
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import passwords, selectors
from accounts.errors import FieldRefused
from accounts.models import User
from events.management.actions import told_where_away


class AskingCommand(BaseCommand):
    """Asks for what is not given, unless --noinput. A database that is away is one line."""

    # The tables must be there: a missing one should be told by its own error, not by a check of everything.
    requires_migrations_checks = True

    def add_arguments(self, parser: CommandParser) -> None:
        """The option that Django's own commands have."""
        parser.add_argument("--noinput", "--no-input", action="store_false", dest="interactive", help="ask nothing")

    def execute(self, *args: Any, **options: Any) -> Any:
        """The look at the migrations may be the first to find that the database is away."""
        with told_where_away():
            return super().execute(*args, **options)


def given(name: str, value: str | None) -> str:
    """What was given. Raises CommandError, which says how to give it."""
    if not value:
        raise CommandError(f"{name}: {_otherwise(name)}.")
    return value


def typed(ask: Callable[[str], str], name: str, *, prompt: str = "") -> str:
    """What somebody types, asked for by `input` or `getpass`. Raises CommandError: nobody can, or somebody stops it."""
    try:
        return ask(f"{prompt or name}: ")
    except (EOFError, KeyboardInterrupt) as stopped:
        sys.stdout.write("\n")  # the prompt's line has no end
        is_empty = isinstance(stopped, EOFError)
        why = f"nothing comes from a keyboard; {_otherwise(name)}" if is_empty else "stopped; nothing was done"
        raise CommandError(f"{name}: {why}.") from None


def new_password(names: Sequence[str], *, asks: bool) -> str:
    """A password that the rules let pass for who has these names; asked for twice, or DJANGO_SUPERUSER_PASSWORD.

    It is never an argument, which other users of the machine could read. Raises CommandError.
    """
    password = _asked() if asks else given("password", os.environ.get("DJANGO_SUPERUSER_PASSWORD"))
    try:
        passwords.refuse_weak(password)
        passwords.refuse_personal(password, names)
    except FieldRefused as refused:
        raise CommandError(f"password: {refused.detail}") from None
    return password


def user_named(typed: str) -> User:
    """The user with this username or e-mail address, in any spelling, or this id. Raises CommandError."""
    user = selectors.user_identified(typed)
    if user is None:
        raise CommandError(f"{typed}: no user has this username, e-mail address or id.")
    return user


def _otherwise(name: str) -> str:
    option = "" if name == "password" else f"--{name} or "
    return f"with --noinput, give {option}DJANGO_SUPERUSER_{name.upper()}"


def _asked() -> str:
    password = typed(getpass.getpass, "password")
    if password != typed(getpass.getpass, "password", prompt="password again"):
        raise CommandError("password: the two are not the same.")
    return password
