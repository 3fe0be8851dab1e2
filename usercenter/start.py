"""What every process asks first: whether anything is wrong with its settings.

Called by manage.py, wsgi, asgi, gunicorn's master and Celery's worker and beat, since most of them run no
system checks.
"""

import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import django
from django.conf import settings

from accounts.conf import REDIS_ALLOWED, AccountsSettings, leads_to_redis
from accounts.keys import UnreadableKey, load_key
from events.conf import PORT_MOST, EventsSettings, Problem
from usercenter.settings import DEVELOPMENT_SIGNING_KEY, env

SECRET_KEY_LEAST, SECRET_KEY_UNLIKE = 50, 5
LOG_FORMATS = ("json", "console")
WELL_KNOWN_PASSWORDS = {"postgres", "password", "usercenter", "changeme"}
# As browsers write it (RFC 6454, 6.2): lower case, no path, and a port only where it is not the scheme's own.
ORIGIN = re.compile(r"(?!http:.*:80$)(?!https:.*:443$)https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")


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
    mine = [*_wrong_values(), *(_exposed_debug() if settings.DEBUG else _unsafe())]
    return [*env.problems, *mine, *EventsSettings.current().problems(), *AccountsSettings.current().problems()]


def _wrong_values() -> Iterable[Problem]:
    """What is readable and yet makes no sense."""
    if settings.WEB_WORKERS < 1:
        yield Problem("WEB_WORKERS", "1 or more", str(settings.WEB_WORKERS))
    if not 0 <= settings.PORT <= PORT_MOST:
        yield Problem("PORT", f"0 to {PORT_MOST}", str(settings.PORT))
    # Where it is REDIS_URL, that is told by its own name.
    if settings.CELERY_BROKER_URL != settings.REDIS_URL and not leads_to_redis(settings.CELERY_BROKER_URL):
        yield Problem("CELERY_BROKER_URL", REDIS_ALLOWED, "something else")
    if settings.LOG_FORMAT not in LOG_FORMATS:
        yield Problem("LOG_FORMAT", f"one of {', '.join(LOG_FORMATS)}", repr(settings.LOG_FORMAT))
    wrong = [origin for origin in settings.CORS_ALLOWED_ORIGINS if not ORIGIN.fullmatch(origin)]
    if wrong:
        allowed = "a comma list of origins as browsers write them, such as https://app.example.com"
        yield Problem("CORS_ALLOWED_ORIGINS", allowed, repr(",".join(wrong)))
    wrong = [cidr for cidr in settings.METRICS_ALLOWED_CIDRS if not _is_network(cidr)]
    if wrong:
        yield Problem("METRICS_ALLOWED_CIDRS", "a comma list of networks such as 10.0.0.0/8", repr(",".join(wrong)))


def _is_network(cidr: str) -> bool:
    try:
        ip_network(cidr)
    except ValueError:
        return False
    return True


def _exposed_debug() -> Iterable[Problem]:
    """DEBUG shows the inside and takes development keys: not for other machines to reach."""
    if not _is_loopback(settings.BIND):
        yield Problem("DEBUG", "off unless BIND is a loopback address", "on")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _unsafe() -> Iterable[Problem]:
    """What is refused outside DEBUG."""
    if not _is_secret(settings.SECRET_KEY):
        yield Problem("SECRET_KEY", f"{SECRET_KEY_LEAST} random characters or more", "a shorter or well-known one")
    if not settings.ALLOWED_HOSTS or "*" in settings.ALLOWED_HOSTS:
        yield Problem("ALLOWED_HOSTS", "a list of host names", "nothing or *")
    yield from _unsafe_public_url()
    yield from _development_signing_key()
    database = settings.DATABASES["default"]
    if {database.get("PASSWORD"), database["OPTIONS"].get("password")} & WELL_KNOWN_PASSWORDS:
        yield Problem("DATABASE_URL", "an address with a password of your own", "a well-known password")


def _is_secret(key: str) -> bool:
    # The development key begins as Django's own do. So few unlike characters are no random ones.
    return (
        len(key) >= SECRET_KEY_LEAST and len(set(key)) >= SECRET_KEY_UNLIKE and not key.startswith("django-insecure-")
    )


def _development_signing_key() -> Iterable[Problem]:
    """Everyone has this key: known by its thumbprint, since it may come as a file too."""
    known = load_key(DEVELOPMENT_SIGNING_KEY).kid
    for entry in AccountsSettings.current().jwt_signing_keys:
        with suppress(UnreadableKey):  # which AccountsSettings tells itself
            if load_key(entry).kid == known:
                yield Problem("JWT_SIGNING_KEYS", "keys of your own", "the development key")


def _unsafe_public_url() -> Iterable[Problem]:
    schemes = ("https", "http") if settings.ALLOW_INSECURE_PUBLIC_URL else ("https",)
    try:
        parts = urlsplit(settings.PUBLIC_URL)
        if parts.scheme in schemes and parts.hostname:
            return
    except ValueError:
        pass
    yield Problem("PUBLIC_URL", "an https:// address (or ALLOW_INSECURE_PUBLIC_URL on)", "another")
