"""How fast the API answers: reads beside an empty view, sign-ins, and registration with Kafka away or far behind.

`python -m benchmarks api [--quick]`. `run` says what is measured in which order, `bench` what each variant needs;
`people` are who asks and what they ask; `load` asks as `plan` says, from a process of its own; `urls` adds the empty
view, by `settings`; `responder` shows what `load` alone is able to; `backlog` fills an outbox; `told` reports.
"""

from benchmarks.api.run import main

__all__ = ["main"]
