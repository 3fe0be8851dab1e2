"""docs/asyncapi.json as a judge of records: those that are sealed, and those that lie in Kafka."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, reduce
from operator import getitem
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker

from devstack.places import CHECKOUT

WRITTEN = json.loads((CHECKOUT / "docs/asyncapi.json").read_text("utf-8"))
DEAD_LETTER = "dead-letter"

# jsonschema knows `uuid`, and takes anything for a format that it does not know.
FORMATS = FormatChecker(["uuid"])
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)")
_URI_REFERENCE = re.compile(r"(%[0-9A-Fa-f]{2}|[\w.~:/?#\[\]@!$&'()*+,;=-])*", re.ASCII)


@FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    """RFC 3339, of what is text."""
    return not isinstance(value, str) or bool(_DATE_TIME.fullmatch(value) and datetime.fromisoformat(value))


@FORMATS.checks("uri-reference", raises=ValueError)
def _is_uri_reference(value: object) -> bool:
    """RFC 3986, of what is text."""
    return not isinstance(value, str) or bool(_URI_REFERENCE.fullmatch(value) and urlsplit(value))


@cache
def validator(*path: str) -> Draft202012Validator:
    """Of one part of the document, whose references go by the document's root."""
    described = {**reduce(getitem, path, WRITTEN), "components": WRITTEN["components"]}
    return Draft202012Validator(described, format_checker=FORMATS)


def wrong(value: Any, event_type: str, *part: str) -> list[str]:
    """What the document has against a value as this part of a message."""
    return [error.message for error in validator("components", "messages", event_type, *part).iter_errors(value)]


def wrong_record(channel: str, key: bytes, headers: Sequence[tuple[str, bytes]], value: bytes) -> list[str]:
    """What the document has against a record of this channel, such as `user_events` or `user_events.dlq`."""
    expected = WRITTEN["channels"][channel]["messages"]
    message = DEAD_LETTER if DEAD_LETTER in expected else dict(headers).get("ce_type", b"").decode()
    # Before ours stand those that the record had, whatever they were.
    ours = [name for name, _ in headers].index("dlq_group") if message == DEAD_LETTER else 0
    told = [(name, text.decode()) for name, text in headers[ours:]]
    named = dict(told)
    if message not in expected or len(named) < len(told):
        return [f"no message of {channel}: {told}"]
    found = unknown(named, message) + wrong(named, message, "headers")
    found += wrong(key.decode(), message, "bindings", "kafka", "key")
    if message != DEAD_LETTER:
        found += wrong(json.loads(value), message, "payload")
        found += ["the key is not ce_subject"] if named.get("ce_subject") != key.decode() else []
    return found


def unknown(named: Mapping[str, str], message: str) -> list[str]:
    """Headers that the document does not tell."""
    part = WRITTEN["components"]["messages"][message]["headers"]
    told = part.get("properties") or WRITTEN["components"]["schemas"]["event-headers"]["properties"]
    return [f"header {name} is not told" for name in named.keys() - told.keys()]
