"""Whole numbers as the options of commands take them."""

from argparse import ArgumentTypeError
from collections.abc import Callable


def between(least: int, most: int) -> Callable[[str], int]:
    """A `type` for an argument: a number of these, or a usage error that names them."""

    def number(text: str) -> int:
        is_whole = text.isascii() and text.isdigit() and len(text) <= len(str(most))
        if is_whole and least <= int(text) <= most:
            return int(text)
        raise ArgumentTypeError(f"{least} to {most}")

    return number
