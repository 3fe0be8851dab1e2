"""S06: of many who register one name at once, one gets it, and the others are told as anyone later is."""

import pytest

from tests.acceptance.web import PASSWORD, REGISTER, Answer, Call, Web

RACERS = 50


def without_request_id(answer: Answer) -> dict[str, object]:
    return {name: value for name, value in answer.json.items() if name != "request_id"}


@pytest.mark.parametrize(
    ("raced", "code", "pointer"),
    [("username", "username-taken", "/username"), ("email", "email-taken", "/email")],
)
def test_one_of_fifty_gets_the_name(web: Web, raced: str, code: str, pointer: str) -> None:
    spelled = ["Anna", "ANNA", "anna", "\uff41\uff4e\uff4e\uff41"]
    bodies = [
        {
            "username": spelled[i % 4] if raced == "username" else f"racer{i}",
            "email": f"racer{i}@example.com" if raced == "username" else f"{spelled[i % 3]}@Example.COM",
            "password": PASSWORD,
        }
        for i in range(RACERS)
    ]
    before = web.sql("select (select count(*) from accounts_user), (select count(*) from events_outbox)")[0]

    answers = web.race_to_the_end([Call("POST", REGISTER, body) for body in bodies])
    late = web.call(
        "POST",
        REGISTER,
        {"username": "late", "email": "late@example.com", raced: bodies[0][raced], "password": PASSWORD},
    )

    won = [answer for answer in answers if answer.status == 201]
    lost = [answer for answer in answers if answer.status == 409]
    assert (len(won), len(lost)) == (1, RACERS - 1)
    assert late.status == 409
    assert late.json["code"] == code
    assert late.json["errors"][0]["pointer"] == pointer
    assert {str(without_request_id(answer)) for answer in lost} == {str(without_request_id(late))}
    after = web.sql("select (select count(*) from accounts_user), (select count(*) from events_outbox)")[0]
    assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
    user_id = won[0].json["user"]["id"]
    assert web.sql("select type, version from events_outbox where key = %s", user_id) == [("user.registered", 1)]
    assert web.sql("select count(*) from accounts_session where user_id = %s", user_id) == [(1,)]
