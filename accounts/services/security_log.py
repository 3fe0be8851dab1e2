"""What the security log keeps of a change that no event of its own tells of, in the change's transaction."""

from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from accounts.models import SecurityRecord
from accounts.models.session import Client


def note(
    kind: SecurityRecord.Kind, user_id: UUID, *, now: datetime, client: Client | None = None, by: UUID | None = None
) -> None:
    """One row, with who did it where that was somebody else."""
    SecurityRecord.objects.create(
        event_id=uuid7(),
        kind=kind,
        user_id=user_id,
        at=now,
        device=client.device if client else "",
        ip=client.ip if client else None,
        actor_id=by,
    )
