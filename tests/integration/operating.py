"""`manage.py outbox` as an operator types it, and what it leaves in the table."""

from io import StringIO

from django.core.management import call_command

from events.models import OutboxRecord


def outbox(*words: str) -> list[str]:
    """Gives the lines that it printed."""
    out = StringIO()
    call_command("outbox", *words, stdout=out)
    return out.getvalue().splitlines()


def ids() -> list[int]:
    return list(OutboxRecord.objects.order_by("id").values_list("id", flat=True))
