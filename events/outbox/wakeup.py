"""How long an idle relay waits before it looks again: soon after work, ever longer while there is none."""

from events.stop import Stop

_SHORTEST_S = 0.02
_LONGEST_S = 0.25
_GROWTH = 1.5


class Wakeup:
    """Adaptive polling."""

    def __init__(self) -> None:
        self._wait_s = _SHORTEST_S

    def worked(self) -> None:
        """There was something to do, so more may follow."""
        self._wait_s = _SHORTEST_S

    def wait(self, stop: Stop) -> None:
        """Wait for the next look, or for the end."""
        stop.wait(self._wait_s)
        self._wait_s = min(_LONGEST_S, self._wait_s * _GROWTH)
