"""S18: of refreshes that race one decides; nobody gets a second branch, and no honest user is thrown out."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.serving import serving
from tests.acceptance.web import REFRESH, Answer, Call, Web

RACERS = 50
REUSED, REVOKED = (401, "refresh-token-reused"), (401, "session-revoked")


@pytest.fixture(scope="module")
def strict_web(web: Web, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """With no grace at all."""
    with serving(tmp_path_factory.mktemp("strict") / "log", REFRESH_GRACE_S="0") as strict:
        yield strict


def race(web: Web, opened: dict[str, Any]) -> list[Answer]:
    return web.race_to_the_end([Call("POST", REFRESH, {"refresh_token": opened["refresh_token"]})] * RACERS)


def leaves(web: Web, opened: dict[str, Any]) -> tuple[int, int]:
    """How many tokens of the family may be used, and how many there are."""
    count = "select count(*) filter (where used_at is null), count(*) from accounts_refreshtoken where session_id = %s"
    [(unspent, of)] = web.sql(count, opened["session_id"])
    return unspent, of


def test_all_who_race_within_the_grace_get_one_and_the_same_successor(web: Web) -> None:
    opened = web.register()

    answers = race(web, opened)

    assert {answer.status for answer in answers} == {200}
    [successor] = {answer.json["refresh_token"] for answer in answers}
    assert leaves(web, opened) == (1, 2)
    assert {web.me(answer.json["token"]).status for answer in answers} == {200}
    assert web.refresh(successor).status == 200


def test_a_family_stays_one_line_over_many_races(web: Web) -> None:
    opened = web.register()

    for generation in range(2, 7):
        [successor] = {answer.json["refresh_token"] for answer in race(web, opened)}
        opened = {**opened, "refresh_token": successor}
        assert leaves(web, opened) == (1, generation)


def test_who_lost_the_answer_gets_it_again(web: Web) -> None:
    opened = web.register()
    lost = web.refresh(opened["refresh_token"])
    five_seconds_ago = "update accounts_refreshtoken set used_at = used_at - interval '5 s' where session_id = %s"
    web.sql(five_seconds_ago, opened["session_id"])

    again = web.refresh(opened["refresh_token"])

    assert again.status == 200
    assert set(again.json) == {
        "token", "token_type", "expires_in", "refresh_token", "refresh_expires_in", "session_id",
    }  # fmt: skip
    assert again.json["refresh_token"] == lost.json["refresh_token"]
    assert web.refresh(again.json["refresh_token"]).status == 200


def test_within_the_grace_a_predecessor_is_a_reuse_once_somebody_went_on(web: Web) -> None:
    opened = web.register()
    second = web.refresh(opened["refresh_token"]).json
    third = web.refresh(second["refresh_token"]).json

    assert web.refresh(opened["refresh_token"]).told == REUSED
    assert web.refresh(third["refresh_token"]).told == REVOKED
    assert len(web.published(opened["user"]["id"], "user.security_alert")) == 1


def test_without_a_grace_exactly_one_goes_on_and_the_reuse_ends_the_family(strict_web: Web) -> None:
    opened = strict_web.register()

    answers = race(strict_web, opened)

    told = Counter(answer.status if answer.status == 200 else answer.told for answer in answers)
    assert told[200] == 1
    assert set(told) <= {200, REUSED, REVOKED}
    assert told[REUSED] >= 1
    assert leaves(strict_web, opened) == (1, 2)
    [won] = [answer.json for answer in answers if answer.status == 200]
    assert strict_web.refresh(won["refresh_token"]).told == REVOKED
    assert strict_web.me(won["token"]).status == 401
    assert len(strict_web.published(opened["user"]["id"], "user.security_alert")) == 1


def test_without_a_grace_nobody_gets_the_successor_by_a_clock_that_is_behind(strict_web: Web) -> None:
    opened = strict_web.register()
    assert strict_web.refresh(opened["refresh_token"]).status == 200
    ahead = "update accounts_refreshtoken set used_at = now() + interval '1 min' where session_id = %s"
    strict_web.sql(ahead + " and used_at is not null", opened["session_id"])

    assert strict_web.refresh(opened["refresh_token"]).told == REUSED


def test_without_a_grace_one_after_the_other_is_fine(strict_web: Web) -> None:
    opened = strict_web.register()
    token = opened["refresh_token"]

    for _ in range(3):
        answer = strict_web.refresh(token)
        assert answer.status == 200
        token = answer.json["refresh_token"]

    assert strict_web.me(answer.json["token"]).status == 200
    assert strict_web.refresh(opened["refresh_token"]).told == REUSED
