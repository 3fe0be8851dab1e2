"""Who should own how many shards: the same arithmetic in every relay, from the same list of members. Pure.

`shards` shows each member to the others by a lock whose number it makes here, and goes by `share_of` afterwards.
How many shards a member wants at most is part of its number, so that no relay needs to ask another.
"""

import secrets
from collections.abc import Collection

from events.outbox.store import SHARDS

_MOST_BITS = 6  # 1 … 64, kept as 0 … 63
_RANDOM_BITS = 25  # both together are a positive int4, what a lock's number may be


def new_member(*, most: int) -> int:
    """A number that is nobody else's, with the cap (1 to 64) in it."""
    if not 1 <= most <= SHARDS:
        raise ValueError(f"a relay owns 1 to {SHARDS} shards at most, not {most}")
    return secrets.randbits(_RANDOM_BITS) << _MOST_BITS | most - 1


def share_of(member: int, *, members: Collection[int]) -> int:
    """How many shards `member`, one of `members`, should own.

    All shares are equal, give or take one, but for members that want less; the others share the rest. They add up to
    64, or, if no member wants more, to all that they want.
    """
    unclaimed, left = SHARDS, len(members)
    for other in sorted(members, key=lambda number: (_most_of(number), number)):
        share = min(_most_of(other), unclaimed // left)
        if other == member:
            return share
        unclaimed, left = unclaimed - share, left - 1
    raise ValueError(f"{member} is none of the members")


def _most_of(member: int) -> int:
    return member % SHARDS + 1
