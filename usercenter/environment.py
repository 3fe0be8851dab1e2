"""Reading the environment so that every wrong value is told by name, all at once.

`settings` reads through this; `start` refuses to run while `problems` has anything.
"""

from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

from events.conf import Problem

FALSE_WORDS = ("false", "off", "no", "n", "0", "")


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

    def database(self, var: str, default: str) -> dict[str, Any]:
        """Django's form of a postgres:// address."""
        return self._address(var, default, self.db_url_config, "postgres://USER:PASSWORD@HOST:PORT/NAME")

    def mail(self, var: str, default: str) -> dict[str, Any]:
        """Django's EMAIL_* settings of an smtp:// address."""
        return self._address(var, default, self.email_url_config, "smtp[+tls|+ssl]://USER:PASSWORD@HOST:PORT")

    def _address(self, var: str, default: str, parse: Any, allowed: str) -> dict[str, Any]:
        try:
            return dict(parse(self.str(var, default=default)))
        except (ValueError, KeyError, ImproperlyConfigured):
            self.problems.append(Problem(var, allowed, "something else"))
            return dict(parse(default))

    @classmethod
    def parse_value(cls, value: Any, cast: Any) -> Any:
        """As django-environ does, but a word that is neither true nor false is no boolean."""
        known = (*cls.BOOLEAN_TRUE_STRINGS, *FALSE_WORDS)
        if cast is bool and str(value).lower().strip() not in known:
            raise ValueError(value)
        return super().parse_value(value, cast)


def _allowed(cast: Any) -> str:
    return {bool: "on or off", int: "a whole number", float: "a number"}.get(cast, "readable")
