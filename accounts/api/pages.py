"""Lists, page by page: by the place of the last row, so that none comes twice or is missed while others write.

A cursor is that place, signed for the caller, the path and the filters: another's, or one for another list, is refused.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from django.core import signing
from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.inputs import FieldError, InputRefused, NoParameters, Text
from accounts.errors import FieldRefused

PAGE_SIZE, PAGE_SIZE_MOST = 25, 100
_PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")
# The parameters that say nothing of which rows are listed.
_OF_THE_PAGE = ("cursor", "page_size", "count")


class PageSize(serializers.IntegerField):
    """How many rows a page has."""

    def to_internal_value(self, data: Any) -> int:
        """Digits alone. Raises FieldRefused."""
        if not isinstance(data, str) or not _PAGE_SIZE.fullmatch(data):
            raise FieldRefused("invalid_page_size", f"1 to {PAGE_SIZE_MOST}.", min=1, max=PAGE_SIZE_MOST)
        return int(data)


class CursorField(Text):
    """Where a page begins; whether it is of the list is looked at with the list."""

    # Longer than the place of the longest name in any script.
    described = {"pattern": "^[A-Za-z0-9_:-]+$", "maxLength": 2048}


class PageParameters(NoParameters):
    """Which page of a list; a list with filters adds them."""

    page_size = PageSize(default=PAGE_SIZE, min_value=1, max_value=PAGE_SIZE_MOST)
    cursor = CursorField(default=None)


class ParameterBoolean(serializers.BooleanField):
    """True or false in a query string, by these very words."""

    def to_internal_value(self, data: Any) -> bool:
        """Raises FieldRefused."""
        if data not in ("true", "false"):
            raise FieldRefused("invalid_type", "Must be true or false.")
        return bool(data == "true")


class CountedParameters(PageParameters):
    """And whether to count the rows of all pages, which takes longer than a page."""

    count = ParameterBoolean(default=False)


def page_of(
    request: Request,
    query: Any,
    rows: QuerySet[Any],
    *,
    by: Sequence[str],
    answers: Callable[[Sequence[Any]], Sequence[Any]],
) -> Response:
    """The page that `query` asks for, in the order of the fields of `by`, the last of which is unique.

    A `-` before each of them has the order fall. All of the page's rows are answered by `answers` at once; where
    `query` has a true `count`, the page has the number of all rows. Raises InputRefused for a cursor that is not of
    this list.
    """
    scope = _scope(request, query)
    last = _read(query.cursor, scope)
    found = list((_rows_after(rows, by, last) if last else rows).order_by(*by)[: query.page_size + 1])
    items, more = found[: query.page_size], len(found) > query.page_size
    cursor = signing.dumps(_place(items[-1], by), salt=scope) if more else None
    page: dict[str, Any] = {"items": answers(items), "next": cursor}
    if getattr(query, "count", False):
        page["count"] = rows.count()
    return Response(page, headers={"Link": f'<{_address(request, cursor)}>; rel="next"'} if cursor else {})


def _scope(request: Request, query: Any) -> str:
    filters = {name: str(value) for name, value in vars(query).items() if name not in _OF_THE_PAGE}
    return json.dumps(["accounts.page", request.path, str(request.user.pk), filters], sort_keys=True)


def _read(cursor: str | None, scope: str) -> list[str] | None:
    if cursor is None:
        return None
    try:
        place: list[str] = signing.loads(cursor, salt=scope)
    except signing.BadSignature:
        raise _invalid_cursor() from None
    return place


def _rows_after(rows: QuerySet[Any], by: Sequence[str], last: Sequence[str]) -> QuerySet[Any]:
    """A cursor that a version before has given may name a place of another kind."""
    try:
        return rows.filter(_after(by, last))
    except (ValueError, ValidationError):
        raise _invalid_cursor() from None


def _invalid_cursor() -> InputRefused:
    return InputRefused([FieldError("cursor", "invalid_cursor", "A cursor of this very list.", member="parameter")])


def _place(row: Model, by: Sequence[str]) -> list[str]:
    return [_told(getattr(row, name.removeprefix("-"))) for name in by]


def _told(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _after(by: Sequence[str], last: Sequence[str]) -> Q:
    """Those behind `last`. The first condition is one that an index answers."""
    name, behind = by[0].removeprefix("-"), "lt" if by[0].startswith("-") else "gt"
    further = Q(**{f"{name}__{behind}": last[0]})
    if len(by) == 1:
        return further
    return Q(**{f"{name}__{behind}e": last[0]}) & (further | _after(by[1:], last[1:]))


def _address(request: Request, cursor: str) -> str:
    parameters = {name: request.query_params[name] for name in request.query_params}
    return f"{request.path}?{urlencode(parameters | {'cursor': cursor})}"
