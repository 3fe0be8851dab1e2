"""`manage.py createsuperuser`: the first administrator. In place of Django's, which would go past the services.

Asks for what is missing; with --noinput it takes what the options and DJANGO_SUPERUSER_* give, or says what is
missing. The same rules as in the API hold, but an operator may take a reserved name such as `admin`.
"""

import os
from collections.abc import Callable
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts import names
from accounts.errors import FieldRefused
from accounts.management import asking
from accounts.services.changes import EmailTaken, UsernameTaken
from accounts.services.registration import NewUser, create_superuser


class Command(asking.AskingCommand):
    """Makes an active superuser and publishes user.registered."""

    help = "Create an administrator who may do everything"

    def add_arguments(self, parser: CommandParser) -> None:
        """The names."""
        parser.add_argument("--username", default=os.environ.get("DJANGO_SUPERUSER_USERNAME"))
        parser.add_argument("--email", default=os.environ.get("DJANGO_SUPERUSER_EMAIL"))
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, check, make."""
        asks = options["interactive"]
        new = NewUser(
            username=_parsed("username", options["username"], names.parse_username, asks=asks),
            email=_parsed("email", options["email"], names.parse_email, asks=asks),
        )
        password = asking.new_password([new.username.text, new.email.text], asks=asks)
        try:
            create_superuser(new=new, password=password, now=timezone.now())
        except UsernameTaken:
            raise CommandError("username: another user has it.") from None
        except EmailTaken:
            raise CommandError("email: another user has it.") from None
        self.stdout.write(f"Superuser {new.username.text} was created.")


def _parsed(name: str, given: str | None, parse: Callable[[str], Any], *, asks: bool) -> Any:
    typed = asking.typed(input, name) if asks and given is None else asking.given(name, given)
    try:
        return parse(typed)
    except FieldRefused as refused:
        raise CommandError(f"{name}: {refused.detail}") from None
