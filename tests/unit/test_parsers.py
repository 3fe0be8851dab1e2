"""What counts as a JSON object, whatever the bytes are: read as they are, or refused, never an accident."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.api.parsers import Malformed, is_plain_json, read_object

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_an_object_or_malformed(content: bytes) -> None:
    with suppress(Malformed):
        assert isinstance(read_object(content), dict)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), VALUES, max_size=5))
def test_an_ordinary_object_is_read_as_it_is(value: dict[str, Any]) -> None:
    assert read_object(json.dumps(value).encode()) == value
    assert read_object(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b'{"a": 1, "a": 2}', "A member stands twice in one object."),
        (b'{"b": [{"a": 1, "\\u0061": 2}]}', "A member stands twice in one object."),
        (b'{"a": NaN}', "NaN is not JSON."),
        (b'{"a": -Infinity}', "-Infinity is not JSON."),
        (b'{"a": 1e999}', "A number is too large."),
        (b'{"a": ' + b"1" * 33 + b"}", "A number is too large."),
        (b'{"a": 0.' + b"1" * 33 + b"}", "A number is too large."),
        (b'{"a": ' + b"[" * 50_000, "The body is more than 20 levels deep."),
        (b'{"a":' * 20 + b"1" + b"}" * 20, ""),
        (b'{"a":' * 21 + b"1" + b"}" * 21, "The body is more than 20 levels deep."),
        (b"[]", "The body must be a JSON object."),
        (b"", "The body is not valid JSON."),
        (b"\xff", "The body is not valid JSON."),
        (b'{"a": "\\ud83d"}', "A string has half a surrogate pair."),
        (b'{"a": "\\ud83d\\ude00"}', ""),
        (b'{"a": {"\\udc00": 1}}', "A string has half a surrogate pair."),
        (b'{"a": "\n"}', "The body is not valid JSON."),
    ],
)
def test_what_readers_would_take_differently_is_malformed(content: bytes, detail: str) -> None:
    if not detail:
        assert isinstance(read_object(content), dict)
        return
    with pytest.raises(Malformed) as refused:
        read_object(content)

    assert refused.value.detail == detail


@pytest.mark.parametrize(
    ("content_type", "fine"),
    [
        ("application/json", True), ("application/json; charset=utf-8", True), ("Application/JSON;charset=UTF8", True),
        ('application/json; charset="utf-8"', True), ("application/json; charset=utf-16", False),
        ("application/json; charset=bz2_codec", False), ("text/json", False), ("*/*", False), ("application/*", False),
        ("application/jsonp", False), ("", False), ("application/x-www-form-urlencoded", False),
    ],
)  # fmt: skip
def test_only_json_in_utf8_is_read(content_type: str, fine: bool) -> None:  # noqa: FBT001 - a table
    assert is_plain_json(content_type) is fine
