"""The shares that every relay computes alike: equal, complete, and never more than a member wants."""

from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from events.outbox.shares import new_member, share_of

CAPS = st.lists(st.integers(1, 64), min_size=1, max_size=80)


def shares(*caps: int) -> list[int]:
    """One for each cap, the smallest first."""
    members = {new_member(most=most) for most in caps}
    return sorted(share_of(member, members=members) for member in members)


@pytest.mark.parametrize(
    ("caps", "expected"),
    [
        ([64], [64]),
        ([64, 64], [32, 32]),
        ([64, 64, 64], [21, 21, 22]),
        ([64] * 5, [12, 13, 13, 13, 13]),
        ([64] * 66, [0] * 2 + [1] * 64),
        ([10], [10]),
        ([10, 64], [10, 54]),
        ([10, 64, 64], [10, 27, 27]),
        ([1, 2, 64, 64], [1, 2, 30, 31]),
        ([20, 20], [20, 20]),
        ([32, 64], [32, 32]),
        ([21, 64, 64], [21, 21, 22]),
    ],
)
def test_shares_are_equal_but_for_members_that_want_less(caps: list[int], expected: list[int]) -> None:
    assert shares(*caps) == expected


@given(CAPS)
def test_shares_add_up_to_all_that_is_there_or_wanted(caps: list[int]) -> None:
    assert sum(shares(*caps)) == min(64, sum(caps))


@given(CAPS)
@example([1, 8, 14, 14, 14, 14])
def test_nobody_gets_more_than_it_wants_and_whoever_wants_more_has_as_much_as_any_but_for_one(caps: list[int]) -> None:
    members = {new_member(most=most): most for most in caps}
    got = {member: share_of(member, members=members) for member in members}
    assert all(got[member] <= most for member, most in members.items())
    least_of_those_that_want_more = min(
        (got[member] for member, most in members.items() if got[member] < most), default=64
    )
    assert max(got.values()) <= least_of_those_that_want_more + 1


def test_a_members_number_is_a_lock_number_and_nobody_elses() -> None:
    numbers = Counter(new_member(most=most) for most in (1, 2, 63, 64) for _ in range(50))
    assert max(numbers.values()) == 1
    assert all(0 <= number <= 0x7FFFFFFF for number in numbers)


@pytest.mark.parametrize("most", [0, 65, -1])
def test_a_relay_wants_one_shard_at_least_and_64_at_most(most: int) -> None:
    with pytest.raises(ValueError, match="1 to 64"):
        new_member(most=most)


def test_a_stranger_has_no_share() -> None:
    with pytest.raises(ValueError, match="none of the members"):
        share_of(0, members=[64])
