"""What `load` is to do, as `bench` tells it; and what it has found."""

from dataclasses import dataclass

# What a request says where each time something else is to stand; as long as that, so that its length stays.
NUMBER = "#" * 8
REFRESH_TOKEN = "@" * 43


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to ask: a connection for each of `requests`, which is sent again and again; `expect` is the status.

    NUMBER in a request stands for one that none has had, REFRESH_TOKEN for what the answer before it brought, which is
    `tokens`' at first. What comes in the first `warm_s` is not told.
    """

    port: int
    requests: list[str]
    expect: int
    warm_s: float
    seconds: float
    tokens: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Milliseconds of every answer, how many of them were 503, and the processor time that asking took."""

    took_ms: list[float]
    unavailable: int
    cpu_seconds: float
