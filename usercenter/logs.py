"""The log of every process: JSON lines (or plain ones for a person) to stdout and to logs/usercenter.log.

Each line has the trace id of the work in hand, and none the message of an error, which may quote anything. Lines about
Kafka carry `"marker": "kafka"`, so that `grep kafka` finds them.
"""

import logging
from pathlib import Path
from typing import Any

from django.http import HttpRequest

from events.trace import current_trace_id

_log = logging.getLogger("usercenter.web")


def record_request(request: HttpRequest, *, route: str, status: int, ms: float) -> None:
    """One line a request; the route instead of the path, never a query or a body."""
    told = {
        "method": request.method, "route": route, "status": status, "ms": round(ms, 1),
        "request_id": getattr(request, "request_id", ""),
    }  # fmt: skip
    _log.info("request", extra=told)


class TraceFilter(logging.Filter):
    """Writes `trace_id` into each record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never drops a record."""
        record.trace_id = current_trace_id()
        return True


def logging_config(form: str, file: Path) -> dict[str, Any]:
    """Django's LOGGING. The file is only ever appended to, and reopened when it was rotated from outside."""
    file.parent.mkdir(exist_ok=True)
    handler = {"formatter": form if form == "console" else "json", "filters": ["trace", "wordless"]}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "trace": {"()": "usercenter.logs.TraceFilter"},
            "wordless": {"()": "events.wordless.WordlessFilter"},
        },
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "format": "{asctime}{levelname}{name}{process}{message}{trace_id}",
                "style": "{",
                "rename_fields": {"asctime": "time", "levelname": "level", "name": "logger", "message": "event"},
            },
            "console": {"format": "{asctime} {levelname:7} {name} {message} trace={trace_id}", "style": "{"},
        },
        "handlers": {
            "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", **handler},
            "file": {
                "class": "logging.handlers.WatchedFileHandler", "filename": str(file), "delay": True, **handler,
                "formatter": "json",
            },
        },
        "root": {"level": "INFO", "handlers": ["stdout", "file"]},
        "loggers": {
            # What kafka-python says of a broker that is away fills pages; `events.observe` says it once.
            "kafka": {"level": "CRITICAL"},
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            # What the caller got wrong is in the request's own line.
            "django.request": {"level": "ERROR"},
            "django.security.DisallowedHost": {"level": "CRITICAL"},
            "gunicorn.error": {"handlers": [], "propagate": True},
        },
    }  # fmt: skip
