"""Runs the whole application in the foreground: `python -m devstack run`."""

from devstack.errors import DevstackError


def application(name: str) -> int:
    """Start every process of the application on the stack `name`."""
    raise DevstackError(f"running the application on {name} is not built yet")
