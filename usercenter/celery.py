"""Celery: worker and beat, for everything that talks to the outside (`accounts/tasks.py`) and for house-keeping."""

import os
from typing import Any

from celery import Celery
from celery.signals import import_modules, setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "usercenter.settings")

app = Celery("usercenter", include=["usercenter.tasks"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def _keep_djangos_logging(**_: Any) -> None:
    """A receiver is all it takes: Celery then leaves the log as Django set it up."""


# Worker and beat send this first of all; their own signals come after beat has opened its connection.
@import_modules.connect
def _refuse_if_wrong(**_: Any) -> None:
    # Celery runs Django's checks and drops the answer, so the entry point asks by itself.
    from usercenter.start import refuse_if_wrong  # noqa: PLC0415 - needs the settings, which import this package

    try:
        refuse_if_wrong()
    except Exception as error:
        # Celery logs what a receiver raises and goes on; only SystemExit ends the process.
        raise SystemExit(f"usercenter: the settings cannot be read: {type(error).__name__}") from error
