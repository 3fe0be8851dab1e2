"""What the address of a list may ask for: its own filters, and nothing else; and no list counts a whole table.

Django lets a list be narrowed by any column of its table, also by one that no page shows: who asks for the beginning of
a password's hash, a character at a time, would have it in the end. It counts all rows for each page, and looks for the
values of a filter in all of them.
"""

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.functional import cached_property

COUNTED_MOST = 5_000


class OrMore(int):
    """A number that is told as `5000+`."""

    def __str__(self) -> str:
        return f"{int(self)}+"


class CountingSoFar(Paginator):  # type: ignore[type-arg]  # it takes no parameter at run time
    """Pages of the first so many rows; which others there are, filters and a search tell."""

    @cached_property
    def count(self) -> int:
        """Of any rows: their order would have all of them read."""
        rows: Any = self.object_list
        counted: int = rows.order_by()[: COUNTED_MOST + 1].count()
        return counted if counted <= COUNTED_MOST else OrMore(COUNTED_MOST)


class OneOf(admin.SimpleListFilter):
    """Rows that have one value in the column `parameter_name`; of `lookups`, which the table is not read for."""

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those with the chosen value."""
        return queryset if self.value() is None else queryset.filter((self.parameter_name, self.value()))


class FilteredByItsFilters(admin.ModelAdmin):  # type: ignore[type-arg]  # it takes no parameter at run time
    """The base of all pages; what is none of their filters is a bad request, whatever it would have found."""

    paginator = CountingSoFar
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Columns of `list_filter`, not what lies behind them; and the names of filters of our own. None has a NUL."""
        column, *of_it = lookup.split("__")
        own = [getattr(one, "parameter_name", None) for one in self.list_filter]
        is_filter = lookup in own or (column in self.list_filter and of_it in ([], ["exact"], ["isnull"]))
        return is_filter and "\0" not in value

    def response_action(self, request: HttpRequest, queryset: Any, *more: Any, **named: Any) -> Any:
        """As Django's, which takes what an action was chosen for as ids; one that is none is no row's.

        Newer versions of it are told more.
        """
        try:
            for chosen in request.POST.getlist(ACTION_CHECKBOX_NAME):
                self.opts.pk.to_python(chosen)
        except ValidationError:
            return self.message_user(request, "Nothing was done. There is no such row.", messages.ERROR)
        return super().response_action(request, queryset, *more, **named)
