"""Which handlers each event goes to. Names are stored, so renaming a function is free."""

from events.routing import Routes

ROUTES = Routes()
