"""Whether a password stands in the operator's own list: PASSWORD_BREACHED_FILE.

`passwords` asks for each new password, `conf` looks at the file at the start. The list is either SHA-1 sums in hex,
sorted, each with an optional `:count` (as Have I Been Pwned gives them), or one password a line. Lists have tens of
gigabytes: sums are found by halving the file, a plain list is read through piece by piece. The file is opened once a
process and read without being mapped: a list that is cut short under us must not end the process, as SIGBUS would.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from functools import cache

_SUM = re.compile(rb"([0-9A-Fa-f]{40})(?::\d+)?\r?(?:\n|$)")
# More than any line of sums with the rest of the one before it.
_WINDOW_BYTES = 256
_PIECE_BYTES = 1 << 20
_SAMPLES = 64


class UnusableList(Exception):
    """No list to look into; the message says why."""


def is_listed(forms: Iterator[str], path: str) -> bool:
    """Whether any of these spellings of a password is in the list. Raises UnusableList."""
    file = _opened(path)
    found = _has_sum if _is_of_sums(file) else _has_line
    return any(found(file, form.encode("utf-8", "surrogatepass")) for form in forms)


def refuse_unusable(path: str) -> None:
    """Raises UnusableList for a file that cannot be read, is empty, or has sums that are not sorted (by samples)."""
    file = _opened(path)
    if not _is_of_sums(file):
        return
    size = os.fstat(file).st_size
    looked_at = [_sum_at(file, size * n // _SAMPLES) for n in range(_SAMPLES)]
    samples = [found or b"" for begins, found in looked_at if begins < size]
    if not all(samples):
        raise UnusableList("sums among other lines")
    if samples != sorted(samples):
        raise UnusableList("sums that are not sorted")


@cache
def _opened(path: str) -> int:
    """A descriptor for as long as the process lives: read by position, so threads and forks may share it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        if not os.pread(file, 1, 0):
            os.close(file)
            raise UnusableList("an empty file")
    except OSError as error:
        raise UnusableList(f"a file that cannot be read ({error.strerror})") from None
    return file


def _is_of_sums(file: int) -> bool:
    return _SUM.match(os.pread(file, _WINDOW_BYTES, 0)) is not None


def _has_sum(file: int, password: bytes) -> bool:
    """By halving: the sum's line, if there is one, begins at `low` or later and before `high`."""
    wanted = hashlib.sha1(password, usedforsecurity=False).hexdigest().upper().encode()
    low, high = 0, os.fstat(file).st_size
    while low < high:
        middle = (low + high) // 2
        begins, found = _sum_at(file, middle)
        if found == wanted:
            return True
        if begins < high and found is not None and found < wanted:
            low = begins + 1
        else:
            high = middle
    return False


def _sum_at(file: int, offset: int) -> tuple[int, bytes | None]:
    """Where the first line at or after `offset` begins, and its sum in capitals; None where there is no sum."""
    before = max(offset - 1, 0)
    window = os.pread(file, _WINDOW_BYTES, before)
    skipped = window.find(b"\n") + 1 if offset else 0
    if offset and not skipped:
        return before + len(window), None
    line = _SUM.match(window, skipped)
    return before + skipped, line[1].upper() if line else None


def _has_line(file: int, password: bytes) -> bool:
    """Piece by piece, each with as much of the one before it as a line that lies across both could have."""
    lines = tuple(b"\n" + password + end for end in (b"\n", b"\r\n"))
    kept, offset = b"\n", 0
    while piece := os.pread(file, _PIECE_BYTES, offset):
        offset += len(piece)
        text = kept + piece
        if any(line in text for line in lines):
            return True
        kept = text[-(len(password) + 2) :]
    # The last line may lack its end.
    return any(line in kept + b"\n" for line in lines)
