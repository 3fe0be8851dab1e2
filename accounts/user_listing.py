"""Lists of users for staff, and what is told of each user beside the row; nothing here writes.

For `api`. Each list is read page by page along an index of the users table (`api.pages`); what stands in other tables
is read for all rows of a page at once.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.auth.models import Group
from django.db.models import Exists, F, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Concat

from accounts.models import LastLogin, OutsideCall, User
from accounts.names import canonical_identifier, canonical_text
from accounts.selectors import UserNotFound

# By which columns a list may go; a `-` has the order fall. No two users have one username.
ORDERINGS = {
    "created_at": ["created_at", "id"],
    "-created_at": ["-created_at", "-id"],
    "username": ["username_canonical"],
    "-username": ["-username_canonical"],
}
# The same, where no index goes that way: PostgreSQL has to find all rows and sort them.
_SORTED = {
    "created_at": ("created_sorted", F("created_at") + timedelta()),
    "username_canonical": ("username_sorted", Concat(F("username_canonical"), Value(""))),
}
# So many are found and sorted in about 0.1 s.
SORTED_MOST = 50_000

# Where the id ends in an idempotency key of a delivery: `<event id>/<handler>…`.
_EVENT_ID_LENGTH = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which users to list; None: whichever. Times are from when (included) to when (not).

    `search` is the beginning of a username or e-mail address, in whatever spelling, or a whole id.
    """

    search: str | None = None
    status: str | None = None
    email_verified: bool | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None
    last_login_before: datetime | None = None
    group: Group | None = None


def users(filters: Filters) -> QuerySet[User]:
    """Those that all filters let pass. Who is deleted is in the list of that status alone, or found by the id."""
    found = User.objects.filter(_columns(filters))
    if filters.last_login_before:
        # Who has never signed in has no last login.
        logins = LastLogin.objects.filter(user_id=OuterRef("pk"), at__lt=filters.last_login_before)
        found = found.filter(Exists(logins))
    if filters.group:
        members = User.groups.through.objects.filter(user_id=OuterRef("pk"), group_id=filters.group.pk)
        found = found.filter(Exists(members))
    return found


def ordered(filters: Filters, ordering: str) -> tuple[QuerySet[User], Sequence[str]]:
    """Those users, and the columns by which a page of them goes, for one of ORDERINGS.

    Names that begin alike stand together, and such users often came together; so did a group's. No planner knows that:
    it would go along the order's index and pass all others before it finds them. So they are found first, and sorted:
    always by name, and by time unless they are so many that some are soon found.
    """
    found, by = users(filters), ORDERINGS[ordering]
    by_name = filters.search is not None and ordering.endswith("username")
    if by_name or ((filters.search or filters.group) and _guessed(found) <= SORTED_MOST):
        found = found.annotate(**dict(_SORTED.values()))
        by = [_sorted(name) for name in by]
    return found, by


def user_with_id(user_id: UUID) -> User:
    """This user, whatever the status. Raises UserNotFound."""
    user = User.objects.filter(pk=user_id).first()
    if user is None:
        raise UserNotFound
    return user


def groups_named(names: Sequence[str]) -> Sequence[Group]:
    """Those of these names that groups have."""
    return list(Group.objects.filter(name__in=[name for name in names if "\0" not in name]).order_by("name"))


def last_logins_of(user_ids: Sequence[UUID]) -> Mapping[UUID, datetime]:
    """When each last signed in; who never has is not told."""
    return dict(LastLogin.objects.filter(pk__in=user_ids).values_list("user_id", "at"))


def groups_of(user_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[str]]:
    """The names of each one's groups, in order; who is in none is not told."""
    memberships = User.groups.through.objects.filter(user_id__in=user_ids).order_by("group__name")
    names: defaultdict[UUID, list[str]] = defaultdict(list)
    for user_id, name in memberships.values_list("user_id", "group__name"):
        names[user_id].append(name)
    return names


def calls_of(event_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[OutsideCall]]:
    """What handlers owed to the outside for each of these events; events that nothing was owed for are not told."""
    if not event_ids:
        return {}
    of_one = (Q(key__startswith=f"{event_id}/") for event_id in event_ids)
    found: defaultdict[UUID, list[OutsideCall]] = defaultdict(list)
    for call in OutsideCall.objects.filter(Q(*of_one, _connector=Q.OR)).order_by("id"):
        found[UUID(call.key[:_EVENT_ID_LENGTH])].append(call)
    return found


def _sorted(column: str) -> str:
    name = column.removeprefix("-")
    return f"{'-' if column.startswith('-') else ''}{_SORTED[name][0] if name in _SORTED else name}"


def _guessed(rows: QuerySet[User]) -> int:
    """How many they are about, as the planner has it: counting takes as long as sorting."""
    [told] = json.loads(rows.order_by().explain(format="json"))
    return int(told["Plan"]["Plan Rows"])


def _columns(filters: Filters) -> Q:
    wanted = {
        "status": filters.status,
        "email_verified": filters.email_verified,
        "created_at__gte": filters.created_from,
        "created_at__lt": filters.created_to,
    }
    given = Q(**{name: value for name, value in wanted.items() if value is not None})
    living = Q() if filters.status else ~Q(status=User.Status.DELETED)
    return given & (living if filters.search is None else named(filters.search, living))


def named(search: str, among: Q) -> Q:
    """Those of them whose name or address begins so, in whatever spelling; also who has this id."""
    beginning = canonical_identifier(search) or canonical_text(search)
    by_name = Q(email_canonical__startswith=beginning)
    if "@" not in beginning:
        by_name |= Q(username_canonical__startswith=beginning)
    user_id = _as_id(search)
    return (by_name & among) | Q(pk=user_id) if user_id else by_name & among


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
