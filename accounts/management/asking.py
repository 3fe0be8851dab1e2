"""What commands ask an operator for, at the keyboard or by the environment; `createsuperuser`, `changepassword`."""

import getpass
import os
from collections.abc import Sequence

from django.core.management.base import CommandError, CommandParser

from accounts import passwords, selectors
from accounts.errors import FieldRefused
from accounts.models import User


def add_noinput(parser: CommandParser) -> None:
    """The option that Django's own commands have."""
    parser.add_argument("--noinput", "--no-input", action="store_false", dest="interactive", help="ask nothing")


def given(name: str, value: str | None) -> str:
    """What was given. Raises CommandError, which says how to give it."""
    if not value:
        option = "" if name == "password" else f"--{name} or "
        raise CommandError(f"{name}: with --noinput, give {option}DJANGO_SUPERUSER_{name.upper()}.")
    return value


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


def _asked() -> str:
    password = getpass.getpass("password: ")
    if password != getpass.getpass("password again: "):
        raise CommandError("password: the two are not the same.")
    return password
