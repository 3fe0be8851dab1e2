"""Every process asks here first: is anything wrong with the settings?

Called by manage.py, wsgi, asgi, gunicorn's master and Celery's worker and beat, since most of them run no
system checks.
"""

import sys
from collections.abc import Iterable
from urllib.parse import urlsplit

import django
from django.conf import settings

from accounts.conf import AccountsSettings
from events.conf import EventsSettings, Problem
from usercenter.settings import DEVELOPMENT_SECRET_KEY, env

SECRET_KEY_LEAST = 50


def refuse_if_wrong() -> None:
    """End the process with code 1 and one line a wrong setting, never showing a secret's value."""
    django.setup()  # the routes name handlers, and those import models
    problems = all_problems()
    for problem in problems:
        sys.stderr.write(f"usercenter: {problem}\n")
    if problems:
        raise SystemExit(1)


def all_problems() -> list[Problem]:
    """Everything wrong, from the environment's form to each app's own rules."""
    mine = list(env.problems) if settings.DEBUG else [*env.problems, *_unsafe()]
    return [*mine, *EventsSettings.current().problems(), *AccountsSettings.current().problems()]


def _unsafe() -> Iterable[Problem]:
    """What is refused outside DEBUG."""
    key = settings.SECRET_KEY
    if len(key) < SECRET_KEY_LEAST or key.startswith("django-insecure-") or key == DEVELOPMENT_SECRET_KEY:
        yield Problem("SECRET_KEY", f"{SECRET_KEY_LEAST} random characters or more", "a shorter or well-known one")
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield Problem("ALLOWED_HOSTS", "a list of host names", "nothing or *")
    yield from _unsafe_public_url()
    if settings.DATABASES["default"].get("PASSWORD") in ("postgres", "password", "usercenter", "changeme"):
        yield Problem("DATABASE_URL", "an address with a password of your own", "a well-known password")


def _unsafe_public_url() -> Iterable[Problem]:
    scheme = urlsplit(settings.PUBLIC_URL).scheme
    if scheme == "https" or (scheme == "http" and settings.ALLOW_INSECURE_PUBLIC_URL):
        return
    yield Problem("PUBLIC_URL", "an https:// address (or ALLOW_INSECURE_PUBLIC_URL on)", repr(scheme))
