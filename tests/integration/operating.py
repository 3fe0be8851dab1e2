"""`manage.py outbox` as an operator types it, actions as one chooses them in the admin, and what both leave."""

from collections.abc import Iterable
from io import StringIO
from typing import Any

from django.contrib import admin
from django.contrib.messages.storage.cookie import CookieStorage
from django.core.management import call_command
from django.db import connection, transaction
from django.test import RequestFactory
from django.utils import timezone

from accounts.models import User
from events.models import OutboxRecord, ParkedDelivery


def outbox(*words: str) -> list[str]:
    """Gives the lines that it printed."""
    out = StringIO()
    call_command("outbox", *words, stdout=out)
    return out.getvalue().splitlines()


def ids() -> list[int]:
    return list(OutboxRecord.objects.order_by("id").values_list("id", flat=True))


def operator() -> User:
    """Who may do everything, made behind the doors."""
    now = timezone.now()
    user = User(
        username="root", username_canonical="root", email="root@example.com", email_canonical="root@example.com",
        password="!", is_staff=True, is_superuser=True, created_at=now, updated_at=now,
    )  # fmt: skip
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select accounts_unguarded('a test')")
        user.save(force_insert=True)
        cursor.execute("select accounts_guarded()")
    return user


def acted(
    model: type[OutboxRecord | ParkedDelivery], action: str, chosen: Iterable[Any], *, by: User, **form: str
) -> list[str]:
    """Run an action of the admin on these; gives what the page says then."""
    asked = {"action": action, "_selected_action": [str(one) for one in chosen], **form}
    request = RequestFactory().post("/", asked)
    request.user = by
    request._dont_enforce_csrf_checks = True  # type: ignore[attr-defined]  # as the test client does
    messages = request._messages = CookieStorage(request)  # type: ignore[attr-defined]  # as its middleware does
    admin.site._registry[model].changelist_view(request)
    return [str(message) for message in messages]
