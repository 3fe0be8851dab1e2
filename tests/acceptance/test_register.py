"""POST /users/register: the contract, and that every fault of the fields is told at once."""

import json
import re

import pytest
from msgspec import msgpack

from tests.acceptance.web import ME, PASSWORD, REGISTER, TOKEN_ANSWER, Web, bearer

VALID = {"username": "newcomer", "email": "newcomer@example.com", "password": PASSWORD}


def test_a_registration_answers_the_user_and_a_token_that_works(web: Web) -> None:
    body = {
        "username": "Zoë",
        "email": "Zoe@Example.com",
        "password": PASSWORD,
        "display_name": " Zoë K. ",
        "locale": "pt-BR",
    }

    answer = web.call("POST", REGISTER, body, User_Agent="Tester/1.0")

    assert answer.status == 201
    assert answer.headers["Location"] == "/api/v1/users/me"
    assert set(answer.json) == TOKEN_ANSWER
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 300)
    user = answer.json["user"]
    user_id = user.pop("id")
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", user_id)
    assert user.pop("created_at") == user.pop("updated_at")
    assert user == {
        "username": "Zoë", "email": "Zoe@example.com", "email_verified": False, "status": "active",
        "display_name": "Zoë K.", "locale": "pt-BR", "time_zone": "UTC", "version": 1,
    }  # fmt: skip
    me = web.call("GET", ME, **bearer(answer.json["token"]))
    assert (me.status, me.headers["ETag"], me.json) == (200, '"1"', answer.json["user"])
    opened = web.sql("select device, host(ip::inet) from accounts_session where user_id = %s", user_id)
    assert opened == [("Tester/1.0", "127.0.0.1")]


def test_the_event_goes_into_the_outbox_with_the_users_own_trace(web: Web) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    body = {"username": "traced", "email": "traced@example.com", "password": PASSWORD}

    user_id = web.call("POST", REGISTER, body, traceparent=trace).json["user"]["id"]

    [(headers, value)] = web.sql("select headers, value from events_outbox where key = %s", user_id)
    told = {name: value.decode() for name, value in msgpack.decode(bytes(headers))}
    assert (told["ce_type"], told["ce_authtype"], told["ce_authid"]) == ("user.registered", "user", user_id)
    assert told["traceparent"] == trace
    data = json.loads(bytes(value))
    assert data.pop("registered_at")
    assert data == {
        "user_id": user_id, "version": 1, "username": "traced", "email": "traced@example.com", "display_name": "",
        "locale": "en",
    }  # fmt: skip


def test_all_wrong_fields_are_told_at_once(web: Web) -> None:
    body = {"username": "a", "email": "nobody", "password": "short", "display_name": 7, "locale": "?", "is_staff": True}

    answer = web.call("POST", REGISTER, body)

    assert answer.status == 400
    assert (answer.json["code"], answer.json["detail"]) == ("validation-error", "6 fields need attention.")
    assert sorted(answer.codes) == [
        ("/display_name", "invalid_type"), ("/email", "invalid_email"), ("/is_staff", "unknown_field"),
        ("/locale", "invalid_locale"), ("/password", "password_too_short"), ("/username", "username_too_short"),
    ]  # fmt: skip
    params = {error["pointer"]: error.get("params") for error in answer.json["errors"]}
    assert params["/password"] == {"min": 8}
    assert params["/username"] == {"min": 3}
    assert params["/email"] is None


@pytest.mark.parametrize("missing", ["username", "email", "password"])
def test_a_missing_or_null_field_is_told(web: Web, missing: str) -> None:
    without = web.call("POST", REGISTER, {name: value for name, value in VALID.items() if name != missing})
    null = web.call("POST", REGISTER, {**VALID, missing: None})

    assert (without.codes, null.codes) == ([(f"/{missing}", "required")], [(f"/{missing}", "null")])


def test_a_query_parameter_is_refused(web: Web) -> None:
    answer = web.call("POST", f"{REGISTER}?next=/", VALID)

    assert (answer.status, answer.codes) == (400, [("next", "unknown_field")])


def test_no_body_is_told_as_missing_fields(web: Web) -> None:
    answer = web.call("POST", REGISTER)

    assert answer.status == 400
    assert {code for _, code in answer.codes} == {"required"}
