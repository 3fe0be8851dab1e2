"""How fast the relay is: beside the raw Kafka client, with two processes, over a long history, and in milliseconds.

`python -m benchmarks relay [--quick] [--peers]`. `run` says what is measured in which order, `bench` what each variant
needs; `drain` measures backlogs through `outbox`, `raw` is the Kafka client alone, `peers` are others' relays,
`latency` measures the way of single records; `told` reports.
"""

from benchmarks.relay.run import main

__all__ = ["main"]
