"""How fast the consumer is: beside a plain loop over the same records, with real handlers, failures, in milliseconds.

`python -m benchmarks consumer [--quick]`. `run` says what is measured in which order, `bench` what each variant needs;
`logins` fills the topic, `reference` is the plain loop, `ours` the consumer with the routes of `variants`; `tables`
empties and checks what they write; `latency` and `handled` measure the way of single records; `told` reports.
"""

from benchmarks.consumer.run import main

__all__ = ["main"]
