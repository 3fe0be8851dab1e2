"""Reading the environment so that every wrong value is told by name, all at once.

`settings` reads through this; `start` refuses to run while `problems` has anything.
"""

from typing import Any

import environ
import psycopg
from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from events.conf import Problem, is_port

FALSE_WORDS = ("false", "off", "no", "n", "0", "")
# What Django takes of an address' query beside what PostgreSQL's own client knows.
_DJANGOS_OPTIONS = ("assume_role", "isolation_level", "pool", "server_side_binding")


class Environment(environ.Env):
    """django-environ that collects what it cannot read instead of raising at the first."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: list[Problem] = []

    def get_value(self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, **more: Any) -> Any:
        """The value of `var`; where it does not parse, `default` and a problem."""
        try:
            return super().get_value(var, cast=cast, default=default, **more)
        except (ValueError, TypeError):
            self.problems.append(Problem(var, _allowed(cast), "something else"))
            return default

    def postgresql(self, var: str, default: str, *, has_default: bool) -> str:
        """A postgres:// address that can be read, else `default`; that is no problem only where there is one."""
        address: str = self.str(var, default=default if has_default else "")
        if _is_postgresql(address):
            return address
        allowed = "postgres://USER:PASSWORD@HOST:PORT/NAME, with %-escapes for odd signs"
        self.problems.append(Problem(var, allowed, "something else" if address else "nothing"))
        return default

    def mail(self, var: str, default: str) -> dict[str, Any]:
        """Django's EMAIL_* settings of an smtp:// address."""
        try:
            return dict(self.email_url_config(self.str(var, default=default)))
        except (ValueError, KeyError, ImproperlyConfigured):
            self.problems.append(Problem(var, "smtp[+tls|+ssl]://USER:PASSWORD@HOST:PORT", "something else"))
            return dict(self.email_url_config(default))

    @classmethod
    def parse_value(cls, value: Any, cast: Any) -> Any:
        """As django-environ does, but a word that is neither true nor false is no boolean."""
        known = (*cls.BOOLEAN_TRUE_STRINGS, *FALSE_WORDS)
        if cast is bool and str(value).lower().strip() not in known:
            raise ValueError(value)
        return super().parse_value(value, cast)


def _allowed(cast: Any) -> str:
    return {bool: "on or off", int: "a whole number", float: "a number"}.get(cast, "readable")


def _is_postgresql(address: str) -> bool:
    """Whether Django's reader and PostgreSQL's own, by which the relay goes, both know where it leads.

    What they say of it is not told: they quote it.
    """
    if not address.startswith(("postgres://", "postgresql://")):
        return False
    try:
        ports = conninfo_to_dict(address.partition("?")[0]).get("port")
        database = environ.Env.db_url_config(address)
        options = database.get("OPTIONS", {})
        make_conninfo(**{name: value for name, value in options.items() if name not in _DJANGOS_OPTIONS})
    except (ValueError, KeyError, psycopg.Error):
        return False
    is_named = bool(database["NAME"] or options.get("service"))
    return is_named and all(is_port(port) for port in str(ports).split(",") if ports and port)
