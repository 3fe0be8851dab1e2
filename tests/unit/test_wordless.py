"""No log line has the message of an error, whoever writes it: the lines of Django and Celery through our formatters."""

import io
import json
import logging
import logging.config
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from celery.app.trace import LOG_FAILURE
from django.test import RequestFactory

from events.wordless import WordlessFilter, wordless
from usercenter.logs import logging_config

QUOTED = "CANARY-row (ann@example.com)"


def failed() -> Exception:
    try:
        fail()
    except ExceptionGroup as group:
        return group
    raise AssertionError


def fail() -> None:
    cause = ValueError(QUOTED)
    raise ExceptionGroup("all of it", [KeyError(QUOTED)]) from cause


def as_celery(log: logging.Logger, error: Exception) -> None:
    context = {"name": "prune", "id": "7", "description": "raised unexpected", "exc": repr(error), "traceback": QUOTED}
    log.error(LOG_FAILURE, context, exc_info=error, extra={"data": context})


def after_a_commit(log: logging.Logger, error: Exception) -> None:
    log.error("Error calling f in on_commit() (%s).", error, exc_info=error)


def plainly(log: logging.Logger, error: Exception) -> None:
    log.error("Internal Server Error: %s", "/admin/", exc_info=error)


def as_a_suspicion(log: logging.Logger, error: Exception) -> None:
    request = RequestFactory().get("/admin/", {"q": "CANARY-query"})
    log.error(str(error), extra={"request": request}, exc_info=error)


@pytest.mark.parametrize(
    ("write", "event"),
    [
        (as_a_suspicion, "ExceptionGroup"),
        (as_celery, "Task prune[7] raised unexpected: ExceptionGroup"),
        (after_a_commit, "Error calling f in on_commit() (ExceptionGroup)."),
        (plainly, "Internal Server Error: /admin/"),
    ],
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_of_an_error_a_line_has_class_and_place(
    write: Callable[[logging.Logger, Exception], None], event: str, form: str, tmp_path: Path
) -> None:
    line = written(write, form, tmp_path)

    assert "CANARY" not in line
    assert event in line
    assert "in fail\\n" in line or "in fail\n" in line
    if form == "json":
        told = json.loads(line)
        assert (told["event"], told["error"], told["cause"]) == (event, "ExceptionGroup", "KeyError, ValueError")


def test_a_line_without_an_error_stays_as_it_is(tmp_path: Path) -> None:
    assert "hello ann" in written(lambda log, _: log.info("hello %s", "ann"), "console", tmp_path)


def test_what_comes_of_itself_is_told_once() -> None:
    one, other = ValueError("a"), KeyError("b")
    one.__cause__, other.__cause__ = other, one

    assert wordless(one)["cause"] == "KeyError"


def written(write: Callable[[logging.Logger, Exception], None], form: str, tmp_path: Path) -> str:
    """What one of our handlers makes of it."""
    config: dict[str, Any] = logging_config(form, tmp_path / "log")
    stream, log = io.StringIO(), logging.getLogger("tests.wordless")
    handler = logging.StreamHandler(stream)
    formatter = logging.config.DictConfigurator(config).configure_formatter(config["formatters"][form])
    handler.setFormatter(formatter)
    for name in config["handlers"]["stdout"]["filters"]:
        handler.addFilter(logging.config.DictConfigurator(config).configure_filter(config["filters"][name]))
    assert any(isinstance(one, WordlessFilter) for one in handler.filters)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        write(log, failed())
    finally:
        log.removeHandler(handler)
    return stream.getvalue()
