"""Whether the time of an answer tells who has an account (docs/security.md, S02 to S04): a statistical test.

`python -m benchmarks timing [--quick]`. `pairs` is the table of what must not be told apart; `people` makes those that
are asked about; `ask` times one request after the other; `equality` compares; `run` has the order, `told` reports.
"""

from benchmarks.timing.run import main

__all__ = ["main"]
