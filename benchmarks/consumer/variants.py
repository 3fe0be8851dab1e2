"""The handlers of each variant that our consumer runs: none to speak of, the application's own, one more that fails."""

from django.db import connection

from accounts.event_types import UserLoggedIn
from accounts.routes import ROUTES
from benchmarks.consumer import logins
from benchmarks.consumer.names import FAILING, LOGIN, NONE_FAILING, NOOP, NOTE
from events.routing import Delivery, Route, Routes, on

_NOTE = "insert into noted (event_id, user_id) values (%s, %s)"


def ignore(_event: UserLoggedIn, _delivery: Delivery) -> None:
    """Nothing."""


def note(event: UserLoggedIn, delivery: Delivery) -> None:
    """One row."""
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, [delivery.event_id, event.user_id])


def note_or_fail(event: UserLoggedIn, delivery: Delivery) -> None:
    """One row, but for 1 % of the events. Raises ValueError for these, each time."""
    if logins.fails(event):
        raise ValueError(event.session_id)
    note(event, delivery)


_LOGIN = tuple(entry for entry in ROUTES.entries if isinstance(entry, Route) and entry.event is UserLoggedIn)

NOOP_ROUTES = Routes(on(UserLoggedIn, ignore, name="ignore"))
LOGIN_ROUTES = Routes(*_LOGIN)
NONE_FAILING_ROUTES = Routes(*_LOGIN, on(UserLoggedIn, note, name=NOTE))
FAILING_ROUTES = Routes(*_LOGIN, on(UserLoggedIn, note_or_fail, name=NOTE))

# As EVENTS["ROUTES"] names them.
ROUTES_OF = {
    NOOP: f"{__name__}.NOOP_ROUTES",
    LOGIN: f"{__name__}.LOGIN_ROUTES",
    NONE_FAILING: f"{__name__}.NONE_FAILING_ROUTES",
    FAILING: f"{__name__}.FAILING_ROUTES",
}
