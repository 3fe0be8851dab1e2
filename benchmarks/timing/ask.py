"""Times the requests of one pair: both classes in an order by chance, one at a time, on one connection.

One at a time, since waiting for others would hide a difference; by chance, since whatever the machine does besides then
touches both alike.
"""

import json
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import count
from typing import Any

from benchmarks.frame.http import Connection, body_of, request, status_of
from benchmarks.frame.web import API
from benchmarks.timing.pairs import FRESH, Asked, Pair

_numbers = count()
_OF_ITS_OWN = ("request_id", "instance")  # what each answer says of itself


class WrongAnswer(Exception):
    """The two classes are told apart by their answers, or an answer is not what it is to be."""


def times_ms(
    port: int, pair: Pair, *, samples: int, warm: int, chance: random.Random
) -> tuple[list[float], list[float]]:
    """So many of either class, after `warm` more that do not count. Raises WrongAnswer."""
    took: dict[bool, list[float]] = {True: [], False: []}
    bodies: dict[str, bool] = {}
    with closing(Connection(port)) as connection:
        for is_one in _order(samples + warm, chance):
            asked = pair.one if is_one else pair.other
            ms, answer = _timed(connection, _content(asked))
            took[is_one].append(ms)
            bodies[_checked(answer, asked)] = is_one
    if len(bodies) > 1:
        raise WrongAnswer(f"{pair.name}: not the same answers: {' and '.join(bodies)}")
    return took[True][warm:], took[False][warm:]


def _order(times: int, chance: random.Random) -> Iterator[bool]:
    order = [True, False] * times
    chance.shuffle(order)
    return iter(order)


def _content(asked: Asked) -> bytes:
    number = f"{next(_numbers):0{len(FRESH)}}"
    body = {name: value.replace(FRESH, number) for name, value in asked.body.items()}
    return request("POST", f"{API}/{asked.path}", body=body)


def _timed(connection: Connection, content: bytes) -> tuple[float, bytes]:
    began = time.perf_counter_ns()
    answer = connection.ask(content)
    return (time.perf_counter_ns() - began) / 1e6, answer


def _checked(answer: bytes, asked: Asked) -> str:
    """What the answer says, but for what each says of itself."""
    if status_of(answer) != asked.status:
        raise WrongAnswer(f"{asked.path}: {answer.decode()}")
    told: Mapping[str, Any] = json.loads(body_of(answer))
    return json.dumps({name: value for name, value in told.items() if name not in _OF_ITS_OWN})
