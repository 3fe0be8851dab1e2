"""The one way a body becomes values: JSON by the letter, small and shallow.

DRF calls it when a view's input asks for the body; `inputs` checks the members then. Everything is looked at before
it is paid for: the headers before the bytes, the size before the parsing, the depth before anyone walks it.
"""

import json
import math
from collections.abc import Mapping
from typing import IO, Any

from django.http import UnreadablePostError
from django.utils.http import parse_header_parameters
from rest_framework.parsers import BaseParser

from accounts.errors import Refused

BODY_BYTES_MOST = 64 * 1024
DEPTH_MOST = 20
NUMBER_CHARACTERS_MOST = 32


class TooLarge(Refused):
    """The body is over 64 KB."""


class NotJson(Refused):
    """The body is in another form than JSON in UTF-8, or encoded on top."""


class Malformed(Refused):
    """The body is no JSON object that every reader takes the same way; `detail` is for a person."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class StrictJSONParser(BaseParser):
    """JSON objects in UTF-8, at most 64 KB and 20 levels deep, no member twice, no NaN."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The object in the body. Raises NotJson, TooLarge, Malformed."""
        if not is_plain_json(media_type or "", self.media_type):
            raise NotJson
        try:
            content = stream.read(BODY_BYTES_MOST + 1)
        except UnreadablePostError:
            raise Malformed("The body ended early.") from None
        if len(content) > BODY_BYTES_MOST:
            raise TooLarge
        return read_object(content)


class MergePatchParser(StrictJSONParser):
    """The same, under the name of RFC 7396; for PATCH alone."""

    media_type = "application/merge-patch+json"


def is_plain_json(content_type: str, wanted: str = StrictJSONParser.media_type) -> bool:
    """Whether a Content-Type says JSON in UTF-8; any other charset might unpack or hide something."""
    kind, parameters = parse_header_parameters(content_type)
    return kind == wanted and parameters.get("charset", "utf-8").lower() in ("utf-8", "utf8")


def read_object(content: bytes) -> dict[str, Any]:
    """The JSON object that these bytes are. Raises Malformed."""
    try:
        found = json.loads(
            content.decode(),
            object_pairs_hook=_without_doubles,
            parse_constant=_refuse_constant,
            parse_int=_whole_number,
            parse_float=_number,
        )
    except RecursionError:
        raise Malformed(f"The body is more than {DEPTH_MOST} levels deep.") from None
    except ValueError:
        raise Malformed("The body is not valid JSON.") from None
    if not isinstance(found, dict):
        raise Malformed("The body must be a JSON object.")
    _refuse_deep_or_broken(found)
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Malformed("A member stands twice in one object.")
    return members


def _refuse_constant(name: str) -> None:
    raise Malformed(f"{name} is not JSON.")


def _whole_number(digits: str) -> int:
    if len(digits) > NUMBER_CHARACTERS_MOST:
        raise Malformed("A number is too large.")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if len(digits) > NUMBER_CHARACTERS_MOST or math.isinf(number):
        raise Malformed("A number is too large.")
    return number


def _refuse_deep_or_broken(found: dict[str, Any]) -> None:
    """Level by level, without recursion; text with half a surrogate pair could not be written anywhere."""
    level: list[Any] = [found]
    for _ in range(DEPTH_MOST):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += [*value, *value.values()]
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str) and not _is_whole(value):
                raise Malformed("A string has half a surrogate pair.")
        level = below
    if any(isinstance(value, dict | list) for value in level):
        raise Malformed(f"The body is more than {DEPTH_MOST} levels deep.")


def _is_whole(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
