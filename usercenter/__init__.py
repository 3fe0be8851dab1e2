"""The project: settings, URLs, entry points of the processes."""

from usercenter.celery import app as celery_app

__all__ = ["celery_app"]
