"""Records to carry: facts of 400 bytes about 5,000 keys, written by the project's own publish().

`in_django frame.samples COUNT` writes so many into the outbox and is gone; `relay.outbox` multiplies them.
"""

from typing import ClassVar
from uuid import NAMESPACE_OID, UUID, uuid5

from events.event import Event
from events.outbox.publish import publish_in_batches

KEYS = 5_000
VALUE_BYTES = 400
_STRIDE = 1_987  # prime to the number of keys: neighbours have different keys, in no order


class Measured(Event, frozen=True, kw_only=True):
    """The `n`th fact of a run; `filler` brings the JSON to its size."""

    type: ClassVar[str] = "benchmark.measured"
    topic: ClassVar[str] = "user_events"

    of: UUID
    n: int
    filler: str = ""

    @property
    def key(self) -> str:
        """One of 5,000, as long as a user's id."""
        return str(self.of)


def sample(n: int) -> Measured:
    """The `n`th."""
    of = uuid5(NAMESPACE_OID, str(n * _STRIDE % KEYS))
    bare = Measured(of=of, n=n)
    return Measured(of=of, n=n, filler="x" * (VALUE_BYTES - len(bare.to_json())))


def main(arguments: list[str]) -> None:
    """Publish the first COUNT samples."""
    publish_in_batches([sample(n) for n in range(int(arguments[0]))])
