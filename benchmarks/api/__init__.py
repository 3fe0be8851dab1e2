"""How fast the API answers: reads beside an empty view, changes beside the same without their events, lists, sign-ins.

And registration with Kafka away or far behind.

`python -m benchmarks api [--quick]`. `run` says what is measured in which order, `bench` what each variant needs;
`places` are the web processes; `people` are who asks and what they ask, `crowd` whom an administrator lists; `load`
asks as `plan` says, from a process of its own; `urls` adds the empty view, by `settings`; `urls_unpublished` leaves out
the events of changes, by `settings_unpublished`; `responder` shows what `load` alone is able to; `backlog` fills an
outbox; `told` reports.
"""

from benchmarks.api.run import main

__all__ = ["main"]
