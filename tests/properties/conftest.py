"""Properties are judged by the ledger of `tests.faults`, on its fleet."""

from tests.faults.conftest import database_url, fleet, topic, verdict

__all__ = ["database_url", "fleet", "topic", "verdict"]
