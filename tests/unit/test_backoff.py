"""Exponential, capped, jittered between half and all of the step."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.backoff import Backoff


@pytest.mark.parametrize(
    ("attempt", "step_s"), [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (8, 60.0), (10_000, 60.0)]
)
def test_it_doubles_up_to_its_most(attempt: int, step_s: float) -> None:
    waits = [Backoff(first_s=1.0, most_s=60.0).wait_s(attempt) for _ in range(200)]
    assert step_s / 2 <= min(waits)
    assert max(waits) <= step_s
    assert max(waits) - min(waits) > step_s / 4


@given(attempt=st.integers(1, 1_000), first_s=st.floats(0.01, 10), most_s=st.floats(10, 1_000), factor=st.floats(1, 10))
def test_it_is_never_above_its_most(attempt: int, first_s: float, most_s: float, factor: float) -> None:
    assert 0 < Backoff(first_s, most_s, factor).wait_s(attempt) <= most_s
