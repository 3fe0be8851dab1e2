"""S07: two spellings of one name are one name, and look-alikes are none."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest

from tests.acceptance.administering import USERS, chief_of
from tests.acceptance.browsing import signed_in
from tests.acceptance.web import PASSWORD, REGISTER, Web

SPELLINGS = ["ann", "ANN", "\uff41\uff4e\uff4e", "ann.smith@example.com", "ANN.SMITH@EXAMPLE.COM"]


@pytest.fixture(scope="module")
def ann(web: Web) -> dict[str, Any]:
    user: dict[str, Any] = web.register(username="ann", email="Ann.Smith@example.com")["user"]
    return user


@pytest.mark.parametrize("spelling", ["ann", "ANN", "\uff41\uff4e\uff4e", "  Ann "])
def test_another_spelling_of_a_taken_name_is_taken(web: Web, ann: dict[str, Any], spelling: str) -> None:
    body = {"username": spelling, "email": "other@example.com", "password": PASSWORD}

    answer = web.call("POST", REGISTER, body)

    assert (answer.status, answer.json["code"]) == (409, "username-taken")


@pytest.mark.parametrize("look_alike", ["an\u200bn", "\u0430nn", "ann\u202e", "a\u0301\u0301\u0301nn", "\u0251nn"])
def test_a_look_alike_is_refused(web: Web, ann: dict[str, Any], look_alike: str) -> None:
    body = {"username": look_alike, "email": "other@example.com", "password": PASSWORD}

    answer = web.call("POST", REGISTER, body)

    assert (answer.status, answer.json["code"]) == (400, "validation-error")
    assert [place for place, _ in answer.codes] == ["/username"]


@pytest.mark.parametrize(
    "address",
    ["ann.smith@EXAMPLE.com", "ANN.SMITH@example.com", "Ann.Smith@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.com"],
)
def test_another_spelling_of_a_taken_address_is_taken(web: Web, ann: dict[str, Any], address: str) -> None:
    answer = web.call("POST", REGISTER, {"username": "someoneelse", "email": address, "password": PASSWORD})

    assert (answer.status, answer.json["code"]) == (409, "email-taken")


@pytest.fixture(scope="module")
def chief(web: Web) -> Mapping[str, Any]:
    return chief_of(web)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_signs_in_to_the_same_user(web: Web, ann: dict[str, Any], spelling: str) -> None:
    answer = web.login(spelling)

    assert (answer.status, answer.json["user"]["id"]) == (200, ann["id"])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_finds_the_user(web: Web, ann: dict[str, Any], chief: Mapping[str, Any], spelling: str) -> None:
    assert [user["id"] for user in web.listed(USERS, chief["token"], search=spelling)] == [ann["id"]]

    page = signed_in(web, chief["user"]).get(f"/admin/accounts/user/?q={quote(spelling)}").body.decode()
    assert f"/admin/accounts/user/{ann['id']}/change/" in page
    assert "1 user" in page


def test_an_address_is_kept_as_it_was_typed(ann: dict[str, Any]) -> None:
    assert ann["email"] == "Ann.Smith@example.com"


@pytest.mark.parametrize("name", ["admin", "ME", "Root", "support"])
def test_a_reserved_name_is_refused(web: Web, name: str) -> None:
    answer = web.call("POST", REGISTER, {"username": name, "email": "other@example.com", "password": PASSWORD})

    expected = "username_too_short" if name == "ME" else "username_reserved"
    assert answer.codes == [("/username", expected)]


@pytest.mark.parametrize(
    "address",
    ["a@b@c.com", "a,b@example.com", '"a b"@example.com', "a(comment)@example.com", "a%0ab@example.com",
     "x\r\nBcc: a@b.c@example.com", "a@localhost", "a" * 250 + "@example.com", "a@[127.0.0.1]", ""],
)  # fmt: skip
def test_what_is_no_plain_address_is_refused(web: Web, address: str) -> None:
    answer = web.call("POST", REGISTER, {"username": "newcomer", "email": address, "password": PASSWORD})

    assert answer.status == 400
    assert [place for place, _ in answer.codes] == ["/email"]
