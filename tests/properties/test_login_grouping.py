"""What logins lead to does not depend on how they are grouped into batches, nor on repeats.

In order, any grouping gives what one by one gives. Out of order, the last login still never goes back, and what is
told of a login is what those that have come by then show. The inbox keeps repeats from the handlers.
"""

from collections import Counter
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

from accounts.event_types import Sign, UserLoggedIn
from accounts.handlers import login_log, security
from accounts.models import LastLogin, LoginRecord
from tests.integration.logins import NINE, Login, Told, arrive, as_told, brought, failed, logged_in, published, told

pytestmark = pytest.mark.django_db

# Two addresses of one network, one of another, and an erased one; judged here by hand.
PLACES = {"203.0.113.7": "home", "203.0.113.9": "home", "198.51.100.7": "away", None: None}
USERS = [uuid7() for _ in range(3)]
Failures = Sequence[tuple[UUID, int]]

LOGINS = st.lists(
    st.builds(
        lambda user_id, minute, device, ip: brought(
            logged_in(user_id, NINE + timedelta(minutes=minute), device=device, ip=ip)
        ),
        st.sampled_from(USERS), st.integers(0, 5), st.sampled_from(["Firefox", "Chrome", ""]),
        st.sampled_from([*PLACES]),
    ),
    max_size=12,
)  # fmt: skip
# Wrong passwords stand in the log before any login comes; the earliest of these lie more than an hour before most.
FAILURES = st.lists(st.tuples(st.sampled_from(USERS[:2]), st.integers(-58, -56) | st.integers(0, 5)), max_size=10)


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


def signs_of(login: UserLoggedIn, known: Iterable[UserLoggedIn], failures: Failures) -> list[Sign]:
    """Judged by hand."""
    earlier = [one for one in known if one.user_id == login.user_id and one.at < login.at]
    since = max([one.at for one in earlier] + [login.at - timedelta(hours=1, microseconds=1)])
    wrong = [NINE + timedelta(minutes=minute) for user_id, minute in failures if user_id == login.user_id]
    signs: dict[Sign, bool] = {
        "after_failures": len([at for at in wrong if since < at < login.at]) >= 3,
        "new_device": bool(earlier and login.device) and login.device not in {one.device for one in earlier},
        "new_network": bool(earlier and login.ip) and PLACES[login.ip] not in {PLACES[one.ip] for one in earlier},
    }
    return [sign for sign, is_there in signs.items() if is_there]


def expected_of(logins: Iterable[Login], known: Iterable[Login], failures: Failures) -> Counter[Told]:
    """The alerts about these, once each, as those known show."""
    by_id = {delivery.event_id: event for event, delivery in logins}
    events = [event for event, _ in known]
    judged = [(event, signs_of(event, events, failures)) for event in by_id.values()]
    return Counter(as_told(event, *signs) for event, signs in judged if signs)


def latest(logins: Iterable[Login]) -> dict[UUID, datetime]:
    """When each user last signed in."""
    by_time = sorted(logins, key=lambda login: login[0].at)
    return {event.user_id: event.at for event, _ in by_time}


@contextmanager
def undone(logins: Sequence[Login], failures: Failures) -> Iterator[None]:
    """Examples share the test's transaction; what is before each is its users, their events and the failures."""
    # No block of Django's: the consumer's own transaction may not be within another.
    before = transaction.savepoint()
    try:
        published(*logins)
        for user_id, minute in failures:
            failed(user_id, NINE + timedelta(minutes=minute))
        yield
    finally:
        transaction.savepoint_rollback(before)


def handle(batch: Sequence[Login], *, check_first: bool) -> None:
    writers = login_log.write_login_log, login_log.update_last_login
    arrive(batch, *((security.check_login, *writers) if check_first else (*writers, security.check_login)))


def successes() -> set[tuple[Any, ...]]:
    """The login log without the failures."""
    rows = LoginRecord.objects.filter(outcome="success")
    return set(rows.values_list("id", "user_id", "at", "session_id", "device", "ip"))


def last_logins() -> dict[UUID, datetime]:
    return dict(LastLogin.objects.values_list("user_id", "at"))


@settings(max_examples=20)
@given(logins=LOGINS, failures=FAILURES, check_first=st.booleans(), data=st.data())
def test_any_grouping_of_logins_in_order_gives_what_one_by_one_gives(
    logins: list[Login], failures: Failures, check_first: bool, data: st.DataObject  # noqa: FBT001 - given by name
) -> None:  # fmt: skip
    in_order = sorted(logins, key=lambda login: login[0].at)
    outcomes = []

    for batches, first in ((grouped(in_order, data.draw), check_first), (one_by_one(in_order), False)):
        with undone(logins, failures):
            for batch in batches:
                handle(batch, check_first=first)
            outcomes.append((successes(), last_logins(), told()))

    assert outcomes[0] == outcomes[1]
    assert outcomes[0] == (
        {(by.event_id, on.user_id, on.at, on.session_id, on.device, on.ip) for on, by in logins},
        latest(logins),
        expected_of(logins, logins, failures),
    )


@settings(max_examples=30)
@given(logins=LOGINS, failures=FAILURES, check_first=st.booleans(), data=st.data())
def test_out_of_order_nothing_goes_back_and_what_has_come_decides(
    logins: list[Login], failures: Failures, check_first: bool, data: st.DataObject  # noqa: FBT001 - as above
) -> None:  # fmt: skip
    come: list[Login] = []
    expected: Counter[Told] = Counter()

    with undone(logins, failures):
        for batch in grouped(logins, data.draw):
            handle(batch, check_first=check_first)
            # Of a repeat nobody asks again what has come meanwhile.
            new = [login for login in batch if login not in come]
            come += new
            expected += expected_of(new, come, failures)

            assert last_logins() == latest(come)
            assert told() == expected
