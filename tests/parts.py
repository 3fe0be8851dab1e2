"""Real parts for a test run: the pytest plugin of `-p tests.parts`, first of all to act.

Before pytest-django reads the settings it starts a stack of this run's own and puts its addresses into the
environment; after the last test it takes the stack down. A run that only lists things starts nothing. Where
pytest-xdist spreads tests over workers (`-n`), each of these is such a run; the one that hands them out starts nothing.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from devstack import DevstackError, Stack, stack

_LISTING_ONLY = ("help", "version", "collectonly", "showfixtures", "show_fixtures_per_test", "markers", "setupplan")
_NOBODY_THERE = {
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/nothing",
    "KAFKA_BROKERS": "127.0.0.1:1",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "EMAIL_URL": "smtp://127.0.0.1:1",
}
_PARTS = pytest.StashKey[Stack]()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Go before every plugin that reads settings: wrappers do."""
    options = early_config.known_args_namespace
    os.environ |= {"DEBUG": "on", "KAFKA_CONSUMER_FROM": "earliest"}
    if any(getattr(options, option, False) for option in _LISTING_ONLY):
        os.environ |= _NOBODY_THERE | os.environ
    elif _hands_out(options):
        # The workers inherit the environment, and an address in it would be taken for one that was given.
        with pytest.MonkeyPatch.context() as only_here:
            for name in _NOBODY_THERE.keys() - os.environ.keys():
                only_here.setenv(name, _NOBODY_THERE[name])
            return (yield)
    else:
        os.environ |= _start(early_config).environ
    return (yield)


def _hands_out(options: argparse.Namespace) -> bool:
    """Whether this process runs no test itself: workers do (under a debugger there are none)."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    return not is_worker and bool(getattr(options, "numprocesses", None)) and not options.usepdb


def _start(config: pytest.Config) -> Stack:
    until_the_end = ExitStack()
    try:
        parts = until_the_end.enter_context(stack(f"tests-{os.getpid()}", fresh=True))
    except DevstackError as error:
        raise pytest.UsageError(str(error)) from error
    config.add_cleanup(until_the_end.close)
    config.stash[_PARTS] = parts
    return parts


@pytest.fixture(scope="session")
def parts(pytestconfig: pytest.Config) -> Stack:
    """This run's own parts; a test that ends one brings it back."""
    return pytestconfig.stash[_PARTS]
