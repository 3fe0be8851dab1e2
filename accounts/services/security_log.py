"""What the security log keeps of a change that no event of its own tells of, in the change's transaction."""

from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from accounts.models import SecurityRecord, User
from accounts.models.session import Client


def note(kind: SecurityRecord.Kind, user_id: UUID, *, client: Client, now: datetime) -> None:
    """One row: the user did it, from there."""
    SecurityRecord.objects.create(
        event_id=uuid7(), kind=kind, user_id=user_id, at=now, device=client.device, ip=client.ip
    )


def note_staff(kind: SecurityRecord.Kind, user_id: UUID, *, by: User | None, now: datetime, reason: str = "") -> None:
    """One row: it was done on the user's behalf, by whom and why; by nobody at the command line."""
    SecurityRecord.objects.create(
        event_id=uuid7(), kind=kind, user_id=user_id, at=now, actor_id=by.pk if by else None, reason=reason
    )
