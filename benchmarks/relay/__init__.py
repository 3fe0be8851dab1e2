"""How fast the relay is: beside the raw Kafka client, with two processes, over a long history, and in milliseconds.

`python -m benchmarks relay [--quick] [--peers]`. `run` says what is measured in which order; `ground` lays parts,
databases and topics; `samples` writes the records that every runner carries; `drain` measures backlogs through
`outbox` and `relays`, `raw` is the Kafka client alone, `peers` are others' relays, `latency` the way of single records;
`figures` sums up and `told` reports.
"""

from benchmarks.relay.run import main

__all__ = ["main"]
