"""Telling a worker of a row right after the commit: best effort, since the sweep finds what gets lost here.

Called by `notices` and `services.registration` in the process that committed, which may be the consumer or a web
request: neither may wait for a queue that is away.
"""

import time
from uuid import UUID

from celery import current_app
from kombu.exceptions import OperationalError

from accounts import observe

SETTLE_CALL = "accounts.tasks.settle_outside_call"
COMPLETE_REGISTRATION = "accounts.tasks.complete_registration"
# As long as the sweep takes to come round: it brings meanwhile what is not offered.
QUIET_S = 10.0


class Queue:
    """The way to the workers.

    After a failure it keeps quiet for a while, so that a batch of notices waits for one timeout, not for one each.
    """

    def __init__(self) -> None:
        self._quiet_until = 0.0

    def offer(self, row_id: UUID, task: str = SETTLE_CALL) -> None:
        """Send the id. Never raises for a queue that is away; takes at most about a second then."""
        if time.monotonic() < self._quiet_until:
            return
        try:
            current_app.send_task(task, args=[str(row_id)], retry=False)
        except OperationalError as error:
            self._quiet_until = time.monotonic() + QUIET_S
            observe.record_queue_away(row_id=row_id, error=type(error.__cause__ or error).__name__, quiet_s=QUIET_S)


offer = Queue().offer
