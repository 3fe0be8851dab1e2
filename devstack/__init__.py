"""Real PostgreSQL, Kafka, Valkey and a mail catcher for a laptop, the tests and CI, from the Python registry alone.

`stack()` is the way in. Flow: api (holder) -> client -> supervisor (one process per stack) -> parts.
Command line: `python -m devstack`.
"""

from devstack.api import Stack, stack
from devstack.errors import DevstackError

__all__ = ["DevstackError", "Stack", "stack"]
