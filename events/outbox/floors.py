"""Below which id a transaction cannot have written: what keeps the reader's look back short.

`reader` notes after each mark that every id up to its highest was drawn by a transaction older than the mark's own.
Pure. Why this needs no vacuum and no other transaction's end: docs/decisions/reader.md.
"""

from bisect import bisect_right


class Floors:
    """Pairs of an id and a transaction's number: every id up to the first was drawn under a lower number."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._numbers: list[int] = []

    @property
    def highest(self) -> int:
        """The highest id that any pair speaks of."""
        return self._ids[-1] if self._ids else 0

    def note(self, *, up_to: int, below: int) -> None:
        """Every id up to `up_to` was drawn by a transaction with a number lower than `below`."""
        while self._ids and self._ids[-1] <= up_to and self._numbers[-1] >= below:
            self._ids.pop()
            self._numbers.pop()
        if up_to > self.highest and (not self._numbers or below > self._numbers[-1]):
            self._ids.append(up_to)
            self._numbers.append(below)

    def of(self, number: int) -> int:
        """Every id that this transaction has drawn, or will, lies above."""
        at = bisect_right(self._numbers, number)
        return self._ids[at - 1] if at else 0

    def forget_below(self, number: int) -> None:
        """No transaction older than this will be asked for again."""
        useless = bisect_right(self._numbers, number) - 1
        if useless > 0:
            del self._ids[:useless], self._numbers[:useless]
