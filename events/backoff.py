"""How long to wait after attempt n: exponential, capped, with full jitter. Pure; nobody else computes one.

Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
"""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds grow from `first_s` by `factor` a time, never above `most_s`."""

    first_s: float
    most_s: float
    factor: float = 2.0

    def wait_s(self, attempt: int) -> float:
        """Seconds to wait after the `attempt`th failure (from 1): between half and all of the step."""
        step = min(self.most_s, self.first_s * self.factor ** min(attempt - 1, 64))
        return step * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
