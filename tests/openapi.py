"""docs/openapi.json, and what its references refer to: for whoever holds the code or the answers against it."""

import json
from typing import Any

from devstack.places import CHECKOUT

WRITTEN: Any = json.loads((CHECKOUT / "docs/openapi.json").read_text("utf-8"))


def resolved(found: Any) -> Any:
    """What a reference refers to."""
    if "$ref" not in found:
        return found
    _, kind, name = found["$ref"].removeprefix("#/").split("/")
    return WRITTEN["components"][kind][name]
