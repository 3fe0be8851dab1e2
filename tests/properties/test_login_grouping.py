"""What logins lead to does not depend on how they are grouped into batches, nor on repeats.

In order, any grouping gives what one by one gives. Out of order, the last login still never goes back, and what is
noted is what the logins that have come by then show.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from accounts.handlers import login_log, security
from accounts.models import LastLogin, LoginRecord
from tests.integration.logins import NINE, Login, brought, logged_in, noted

pytestmark = pytest.mark.django_db

# Two addresses of one network, one of another, and an erased one; judged here by hand.
PLACES = {"203.0.113.7": "home", "203.0.113.9": "home", "198.51.100.7": "away", None: None}
USERS = [uuid7() for _ in range(3)]

LOGINS = st.lists(
    st.builds(
        lambda user_id, minute, device, ip: brought(
            logged_in(user_id, NINE + timedelta(minutes=minute), device=device, ip=ip)
        ),
        st.sampled_from(USERS), st.integers(0, 5), st.sampled_from(["Firefox", "Chrome"]), st.sampled_from([*PLACES]),
    ),
    max_size=12,
)  # fmt: skip


def grouped(logins: Sequence[Login], choose: Callable[[st.SearchStrategy[Any]], Any]) -> Iterator[list[Login]]:
    """Cut into batches, in order; each may bring again some of what has come, anywhere in it."""
    done = 0
    while done < len(logins):
        upto = choose(st.integers(done + 1, len(logins)))
        batch = list(logins[done:upto])
        for repeat in choose(st.lists(st.sampled_from(logins[:upto]), max_size=2)):
            batch.insert(choose(st.integers(0, len(batch))), repeat)
        yield batch
        done = upto


def one_by_one(logins: Sequence[Login]) -> Iterator[list[Login]]:
    return ([login] for login in logins)


def is_new(login: Login, known: Iterable[Login]) -> bool:
    def place(of: Login) -> tuple[str, str | None]:
        return of[0].device, PLACES[of[0].ip]

    earlier = [one for one in known if one[0].user_id == login[0].user_id and one[0].at < login[0].at]
    return login[0].ip is not None and bool(earlier) and place(login) not in map(place, earlier)


def latest(logins: Iterable[Login]) -> dict[UUID, datetime]:
    """When each user last signed in."""
    by_time = sorted(logins, key=lambda login: login[0].at)
    return {event.user_id: event.at for event, _ in by_time}


@contextmanager
def undone() -> Iterator[None]:
    """Examples share the test's transaction."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def handle(batch: Sequence[Login], *, check_first: bool) -> None:
    if check_first:
        security.check_login(batch)
    login_log.write_login_log(batch)
    login_log.update_last_login(batch)
    if not check_first:
        security.check_login(batch)


def outcome(batches: Iterable[Sequence[Login]], *, check_first: bool) -> tuple[Any, ...]:
    with undone():
        for batch in batches:
            handle(batch, check_first=check_first)
        log = set(LoginRecord.objects.values_list("id", "user_id", "at", "session_id", "device", "ip"))
        return log, dict(LastLogin.objects.values_list("user_id", "at")), noted()


@settings(max_examples=30)
@given(logins=LOGINS, check_first=st.booleans(), data=st.data())
def test_any_grouping_of_logins_in_order_gives_what_one_by_one_gives(
    logins: list[Login], check_first: bool, data: st.DataObject  # noqa: FBT001 - Hypothesis gives it by name
) -> None:  # fmt: skip
    in_order = sorted(logins, key=lambda login: login[0].at)

    together = outcome(grouped(in_order, data.draw), check_first=check_first)

    assert together == outcome(one_by_one(in_order), check_first=False)
    assert together == (
        {(told.event_id, on.user_id, on.at, on.session_id, on.device, on.ip) for on, told in logins},
        latest(logins),
        {login[1].event_id for login in logins if is_new(login, logins)},
    )


@settings(max_examples=30)
@given(logins=LOGINS, check_first=st.booleans(), data=st.data())
def test_out_of_order_nothing_goes_back_and_what_has_come_decides(
    logins: list[Login], check_first: bool, data: st.DataObject  # noqa: FBT001 - as above
) -> None:  # fmt: skip
    come: list[Login] = []
    expected: set[UUID] = set()

    with undone():
        for batch in grouped(logins, data.draw):
            handle(batch, check_first=check_first)
            come += batch
            expected |= {login[1].event_id for login in batch if is_new(login, come)}

            assert dict(LastLogin.objects.values_list("user_id", "at")) == latest(come)
            assert noted() == expected
