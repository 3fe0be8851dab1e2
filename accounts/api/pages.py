"""Lists, page by page: by the place of the last row, so that none comes twice or is missed while others write.

A cursor is that place, signed for the caller, the path and the filters: another's, or one for another list, is refused.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from django.core import signing
from django.db.models import Model, Q, QuerySet
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.inputs import FieldError, InputRefused, NoParameters, Text
from accounts.errors import FieldRefused

PAGE_SIZE, PAGE_SIZE_MOST = 25, 100
_PAGE_SIZE = re.compile(r"[1-9][0-9]?|100")


class PageSize(serializers.IntegerField):
    """How many rows a page has."""

    def to_internal_value(self, data: Any) -> int:
        """Digits alone. Raises FieldRefused."""
        if not isinstance(data, str) or not _PAGE_SIZE.fullmatch(data):
            raise FieldRefused("invalid_page_size", f"1 to {PAGE_SIZE_MOST}.", min=1, max=PAGE_SIZE_MOST)
        return int(data)


class PageParameters(NoParameters):
    """Which page of a list; a list with filters adds them."""

    page_size = PageSize(default=PAGE_SIZE, min_value=1, max_value=PAGE_SIZE_MOST)
    cursor = Text(default=None)


def page_of(
    request: Request, query: Any, rows: QuerySet[Any], *, by: Sequence[str], answer: Callable[[Any], Any]
) -> Response:
    """The page that `query` asks for, newest first by the fields of `by`, the last of which is unique.

    Each row is answered with `answer`. Raises InputRefused for a cursor that is not of this list.
    """
    scope = _scope(request, query)
    last = _read(query.cursor, scope)
    if last is not None:
        rows = rows.filter(_after(by, last))
    found = list(rows.order_by(*(f"-{name}" for name in by))[: query.page_size + 1])
    items, more = found[: query.page_size], len(found) > query.page_size
    cursor = signing.dumps(_place(items[-1], by), salt=scope) if more else None
    headers = {"Link": f'<{_address(request, cursor)}>; rel="next"'} if cursor else {}
    return Response({"items": [answer(row) for row in items], "next": cursor}, headers=headers)


def _scope(request: Request, query: Any) -> str:
    filters = {name: str(value) for name, value in vars(query).items() if name not in ("cursor", "page_size")}
    return json.dumps(["accounts.page", request.path, str(request.user.pk), filters], sort_keys=True)


def _read(cursor: str | None, scope: str) -> list[str] | None:
    if cursor is None:
        return None
    try:
        place: list[str] = signing.loads(cursor, salt=scope)
    except signing.BadSignature:
        refused = FieldError("cursor", "invalid_cursor", "A cursor of this very list.", member="parameter")
        raise InputRefused([refused]) from None
    return place


def _place(row: Model, by: Sequence[str]) -> list[str]:
    return [_told(getattr(row, name)) for name in by]


def _told(value: Any) -> str:
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _after(by: Sequence[str], last: Sequence[str]) -> Q:
    """Those behind `last`. The first condition is one that an index answers."""
    if len(by) == 1:
        return Q(**{f"{by[0]}__lt": last[0]})
    same = Q(**{by[0]: last[0]}) & _after(by[1:], last[1:])
    return Q(**{f"{by[0]}__lte": last[0]}) & (Q(**{f"{by[0]}__lt": last[0]}) | same)


def _address(request: Request, cursor: str) -> str:
    parameters = {name: request.query_params[name] for name in request.query_params}
    return f"{request.path}?{urlencode(parameters | {'cursor': cursor})}"
