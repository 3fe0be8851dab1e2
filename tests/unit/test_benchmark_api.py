"""What the benchmarks of the API's speed and of equal times reckon, with figures reckoned by hand."""

import pytest

from benchmarks.api.bench import Scale
from benchmarks.api.names import (
    ALONE,
    BACKLOG,
    BARE,
    GROUPS,
    KAFKA_DOWN,
    LIST_BY_NAME,
    LIST_COUNTED,
    LIST_DEEP,
    LIST_FIRST,
    LOGIN,
    ME,
    PATCH,
    PATCH_BARE,
    PATCH_RELAYED,
    PROFILE,
    REFRESH,
    REGISTER,
    SEARCH_FEW,
    SEARCH_MANY,
    VARIANTS,
)
from benchmarks.api.people import Person, requests
from benchmarks.api.plan import NUMBER
from benchmarks.api.told import LOAD_CORES, RATIOS, UNAVAILABLE, figures, p99_name, report
from benchmarks.frame.figures import Measurements
from benchmarks.frame.http import body_of, request, status_of
from benchmarks.timing.equality import Equality, auc, compare
from benchmarks.timing.pairs import PAIRS
from benchmarks.timing.told import figures as figures_of_times

_RATES = {
    BARE: 1_000.0, ME: 650.0, PROFILE: 600.0, PATCH: 400.0, PATCH_BARE: 500.0, PATCH_RELAYED: 320.0, LIST_FIRST: 80.0,
    LIST_DEEP: 78.0, LIST_BY_NAME: 81.0, SEARCH_FEW: 125.0, SEARCH_MANY: 64.0, LIST_COUNTED: 10.0, LOGIN: 60.0,
    REFRESH: 300.0, REGISTER: 50.0, KAFKA_DOWN: 49.0, BACKLOG: 48.0,
}  # fmt: skip


def _measured() -> Measurements:
    measurements = Measurements()
    for variant, rate in _RATES.items():
        measurements.add(variant, rate)
        measurements.add(p99_name(variant), 10_000 / rate)
    for ratio, value in zip(RATIOS, (0.65, 0.9231, 1.25, 1.5625, 0.975, 1.02, 1.04), strict=True):
        measurements.add(ratio, value)
    for name, value in ((ALONE, 40_000.0), (LOAD_CORES, 0.05), (UNAVAILABLE, 0), (UNAVAILABLE, 3), (UNAVAILABLE, 4)):
        measurements.add(name, value)
    return measurements


def test_the_figures_have_the_names_that_others_look_for() -> None:
    assert figures(_measured()) == {
        "bare_per_s": 1_000, "bare_p99_ms": 10, "me_per_s": 650, "me_p99_ms": 15.385, "profile_per_s": 600,
        "profile_p99_ms": 16.667, "patch_per_s": 400, "patch_p99_ms": 25, "patch_bare_per_s": 500,
        "patch_bare_p99_ms": 20, "patch_relayed_per_s": 320, "patch_relayed_p99_ms": 31.25, "list_first_per_s": 80,
        "list_first_p99_ms": 125, "list_deep_per_s": 78, "list_deep_p99_ms": 128.205, "list_by_name_per_s": 81,
        "list_by_name_p99_ms": 123.457, "search_few_per_s": 125, "search_few_p99_ms": 80, "search_many_per_s": 64,
        "search_many_p99_ms": 156.25, "list_counted_per_s": 10, "list_counted_p99_ms": 1_000,
        "login_per_s": 60, "login_p99_ms": 166.667, "refresh_per_s": 300,
        "refresh_p99_ms": 33.333, "register_per_s": 50, "register_p99_ms": 200, "me_ratio": 0.65,
        "profile_ratio": 0.923, "publish_cost_ratio": 1.25, "publish_and_relay_cost_ratio": 1.562, "list_ratio": 0.975,
        "p99_kafka_down_ratio": 1.02, "p99_backlog_ratio": 1.04, "load_alone_per_s": 40_000,
        "load_cores": 0.05, "unavailable": 7,
    }  # fmt: skip


def test_each_ratio_is_of_the_two_that_it_names() -> None:
    of = {ratio: _RATES[over] / _RATES[under] for ratio, (over, under) in RATIOS.items() if over in _RATES}

    assert of == {
        "me_ratio": 0.65, "profile_ratio": 600 / 650, "publish_cost_ratio": 1.25,
        "publish_and_relay_cost_ratio": 1.5625, "list_ratio": 0.975,
    }  # fmt: skip


def test_every_variant_is_measured_beside_what_it_is_compared_with() -> None:
    assert set(VARIANTS) == set(_RATES)
    for over, under in RATIOS.values():
        assert any(over.removesuffix(", p99") in group and under.removesuffix(", p99") in group for group in GROUPS)


def test_the_table_says_how_long_the_backlog_was_and_how_many_users_were_listed() -> None:
    scale = Scale(rounds=5, warm_s=1.0, seconds=5.0, hashing_seconds=12.0, samples=20_000, times=50, pages=10_000)

    told = report(_measured(), scale)

    titles = [str(row[0]) for row in told.rows]
    assert "POST /users/register, Kafka down and 1,000,000 records pending, p99" in titles
    assert "GET /users/{id}/profile, from the cache" in titles
    assert "page 10,000 over page 1, answers/s" in titles
    assert "GET /admin/users, a search that finds 250,024, page 1" in titles
    assert told.figures["listed_users"] == 1_000_100
    assert any("ends with the user number 1,000,000." in note for note in told.notes)


def test_a_changed_name_is_another_each_time_whichever_version_is_there() -> None:
    one = [Person(id="1", username="one", token="t")]

    [first], [again] = requests(PATCH, one), requests(PATCH_BARE, one)

    assert b"\r\nIf-Match: *\r\n" in first
    assert NUMBER.encode() in first
    assert body_of(first) != body_of(again)


@pytest.mark.parametrize(
    ("ones", "others", "expected"),
    [
        ([3.0, 4.0], [1.0, 2.0], 1.0),
        ([1.0, 2.0], [3.0, 4.0], 0.0),
        ([1.0, 3.0], [2.0, 4.0], 0.25),
        ([4.0, 2.0], [1.0, 3.0], 0.75),
        ([1.0, 2.0], [2.0, 3.0], 0.125),
        ([5.0, 5.0, 5.0], [5.0, 5.0], 0.5),
        ([7.0], [1.0, 7.0, 9.0], 0.5),
    ],
)
def test_the_auc_is_the_share_of_pairs_that_the_first_wins(
    ones: list[float], others: list[float], expected: float
) -> None:
    assert auc(ones, others) == expected


@pytest.mark.parametrize(
    ("equality", "holds"),
    [
        (Equality(0.5, 30.0, 27.1), True),
        (Equality(0.5, 30.0, 26.9), False),
        (Equality(0.5, 26.9, 30.0), False),
        (Equality(0.5, 104.0, 100.0), True),
        (Equality(0.5, 106.0, 100.0), False),
        (Equality(0.4, 30.0, 30.0), True),
        (Equality(0.61, 30.0, 30.0), False),
        (Equality(0.39, 30.0, 30.0), False),
    ],
)
def test_times_are_equal_if_neither_their_order_nor_their_medians_tell(equality: Equality, holds: bool) -> None:  # noqa: FBT001 - a table
    assert equality.holds is holds


def test_what_is_compared_are_medians() -> None:
    assert compare([1.0, 2.0, 90.0], [4.0, 1.5, 5.0]) == Equality(4 / 9, 2.0, 4.0)


def test_each_pair_has_an_auc_and_those_that_are_told_apart_are_named() -> None:
    found = {pair.name: Equality(0.5, 30.0, 29.0) for pair in PAIRS} | {"login_wrong": Equality(1.0, 35.0, 30.0)}

    told = figures_of_times(found)

    assert told.pop("unequal") == ["login_wrong"]
    assert told.pop("login_wrong") == {"auc": 1.0, "medians_apart_ms": 5.0, "equal": False}
    assert set(told) == {pair.name for pair in PAIRS} - {"login_wrong"}
    assert all(one == {"auc": 0.5, "medians_apart_ms": 1.0, "equal": True} for one in told.values())


def test_a_request_says_how_long_its_body_is() -> None:
    head, _, body = request("POST", "/x", body={"a": "é"}, token="t").partition(b"\r\n\r\n")

    assert head.splitlines()[0] == b"POST /x HTTP/1.1"
    assert b"Authorization: Bearer t" in head
    assert b"Content-Length: %d" % len(body) in head


def test_an_answer_is_read_as_it_came() -> None:
    answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\n{}"

    assert (status_of(answer), body_of(answer)) == (503, b"{}")
