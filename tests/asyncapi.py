"""docs/asyncapi.json as a judge of records: those that are sealed, and those that lie in Kafka."""

import json
from collections.abc import Mapping, Sequence
from functools import cache, reduce
from operator import getitem
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from devstack.places import CHECKOUT

WRITTEN = json.loads((CHECKOUT / "docs/asyncapi.json").read_text("utf-8"))
DEAD_LETTER = "dead-letter"


@cache
def validator(*path: str) -> Draft202012Validator:
    """Of one part of the document, whose references go by the document's root."""
    described = {**reduce(getitem, path, WRITTEN), "components": WRITTEN["components"]}
    return Draft202012Validator(described, format_checker=FormatChecker())


def wrong(value: Any, event_type: str, *part: str) -> list[str]:
    """What the document has against a value as this part of a message."""
    return [error.message for error in validator("components", "messages", event_type, *part).iter_errors(value)]


def wrong_record(channel: str, key: bytes, headers: Sequence[tuple[str, bytes]], value: bytes) -> list[str]:
    """What the document has against a record of this channel, such as `user_events` or `user_events.dlq`."""
    expected = WRITTEN["channels"][channel]["messages"]
    told = [(name, text.decode()) for name, text in headers]
    if DEAD_LETTER in expected:
        # Before ours stand those that the record had, whatever they were.
        ours = dict(told[[name for name, _ in told].index("dlq_group") :])
        return wrong(ours, DEAD_LETTER, "headers") + unknown(ours, DEAD_LETTER)
    named = dict(told)
    event_type = named.get("ce_type", "")
    if event_type not in expected or len(named) < len(told):
        return [f"no message of {channel}: {told}"]
    return [
        *unknown(named, event_type),
        *wrong(named, event_type, "headers"),
        *wrong(json.loads(value), event_type, "payload"),
        *wrong(key.decode(), event_type, "bindings", "kafka", "key"),
    ]


def unknown(named: Mapping[str, str], message: str) -> list[str]:
    """Headers that the document does not tell."""
    part = WRITTEN["components"]["messages"][message]["headers"]
    told = part.get("properties") or WRITTEN["components"]["schemas"]["event-headers"]["properties"]
    return [f"header {name} is not told" for name in named.keys() - told.keys()]
