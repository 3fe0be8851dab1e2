"""`manage.py changepassword NAME`: a user who cannot be reached by mail. In place of Django's, past the services.

Asks twice; with --noinput it takes DJANGO_SUPERUSER_PASSWORD, as `createsuperuser` does. The same rules hold.
"""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.management import asking
from accounts.selectors import UserNotFound
from accounts.services.passwords import set_by_operator


class Command(asking.AskingCommand):
    """Sets the password, ends all sessions and publishes user.password_changed."""

    help = "Set a user's password, and end all their sessions"

    def add_arguments(self, parser: CommandParser) -> None:
        """Whose it is."""
        parser.add_argument("name", metavar="NAME", help="a username, an e-mail address or an id")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask, check, set."""
        user = asking.user_named(options["name"])
        password = asking.new_password([user.username, user.email], asks=options["interactive"])
        try:
            set_by_operator(user_id=user.pk, new_password=password, now=timezone.now())
        except UserNotFound:
            raise CommandError(f"{user.username}: the account is deleted.") from None
        self.stdout.write(f"{user.username} has the new password; all sessions have ended.")
