"""S35: nothing that a user writes gets into a mail's head, adds a reader to it or can be clicked in it.

Each kind of mail, its text and its HTML, is looked at in tests/integration/test_mail_kinds.py.
"""

import re
from uuid import uuid4

import pytest

from tests.acceptance.mailing import Mailing
from tests.acceptance.web import PASSWORD, REGISTER, Web
from tests.integration.mailing import Shown, html_of, text_of

RESET, RESEND = "/api/v1/users/password/reset", "/api/v1/users/email/verify/resend"
HEAD = {
    "X-Envelope-From", "X-Envelope-To", "Content-Type", "MIME-Version", "Subject", "From", "To", "Date", "Message-ID",
    "Auto-Submitted",
}  # fmt: skip
HOSTILE_ADDRESSES = [
    # Decoded on the way out it would be mail to somebody else, past the quota of their address.
    "=?utf-8?q?eve?=@example.com", "=?utf-8?q?eve=40evil.example?=@example.com",
    "x\r\nBcc: eve@evil.example@example.com", "x@example.com\r\nBcc: eve@evil.example", "x\n@example.com",
    "x@example.com,eve@evil.example", "x@example.com;eve@evil.example", "x@example.com eve@evil.example",
    '"x eve"@example.com', '"x\r\n"@example.com', "x%0aBcc:eve@example.com", "x%eve@example.com", "x!eve@example.com",
    "x(comment)@example.com", "X <x@example.com>", "<x@example.com>", "x@exa\u200bmple.com\r",
    "x\x00@example.com", "x" * 250 + "@example.com", "@example.com", "x@",
]  # fmt: skip
HOSTILE_NAMES = [
    "x\r\nBcc: eve@evil.example", "<a href=https://evil.example>x</a>", "<b>x</b>", "{{7*7}}", "{% now 'Y' %}",
    "${jndi:ldap://evil}", "https://evil.example", "x@evil.example", "x\ty", "=1+1", "x\u202ey", "x\u200by",
]  # fmt: skip


def body(**names: str) -> dict[str, str]:
    name = f"u{uuid4().hex[:12]}"
    return {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **names}


@pytest.mark.parametrize("address", HOSTILE_ADDRESSES)
def test_an_address_that_is_not_just_one_stays_outside(web: Web, address: str) -> None:
    owed = web.sql("select count(*) from accounts_outsidecall")
    asked = [web.call("POST", path, {"email": address}) for path in (RESET, RESEND)]
    asked.append(web.call("POST", REGISTER, body(email=address)))

    assert [answer.status for answer in asked] == [400] * 3
    assert {place for answer in asked for place, _ in answer.codes} == {"/email"}
    assert web.sql("select count(*) from accounts_outsidecall") == owed


@pytest.mark.parametrize("around", ["\n", "\r\n", "\t", "\u2028", "\u00a0"])
def test_white_space_around_an_address_is_no_part_of_it(web: Web, mailing: Mailing, around: str) -> None:
    email = web.register()["user"]["email"]

    assert web.call("POST", RESET, {"email": f"{around}{email}{around}"}).status == 202

    [mail] = mailing.wait_for_mails(email)
    assert mail["X-Envelope-To"] == email


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_is_markup_or_breaks_lines_stays_outside(web: Web, name: str) -> None:
    answer = web.call("POST", REGISTER, body(username=name))

    assert answer.status == 400
    assert {place for place, _ in answer.codes} == {"/username"}


@pytest.mark.parametrize("path", [RESET, RESEND])
def test_a_mail_has_one_reader_and_a_head_of_ours_alone(web: Web, mailing: Mailing, path: str) -> None:
    user = web.register()["user"]

    web.call("POST", path, {"email": f" {user['email'].upper()} "})

    [mail] = mailing.wait_for_mails(user["email"])
    assert set(mail.keys()) == HEAD
    assert (mail["To"], mail["X-Envelope-To"]) == (user["email"], user["email"])
    assert mail["From"] == "usercenter@localhost"
    assert mail["Subject"] in ("Set a new password", "Is this your e-mail address?")
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_username_like_an_address_of_the_web_cannot_be_clicked(web: Web, mailing: Mailing) -> None:
    user = web.register(username="evil.example", display_name="https://evil.example <b>{{7*7}}</b>")["user"]

    web.call("POST", RESET, {"email": user["email"]})

    [mail] = mailing.wait_for_mails(user["email"])
    assert "evil" not in mail["Subject"] + mail["From"]
    links = re.findall(r"\S+://\S+", text_of(mail))
    assert links
    assert all(link.startswith("http://localhost:8080") for link in links)
    assert set(Shown(html_of(mail)).leads_to) == set(links)
    for shown in (text_of(mail), html_of(mail)):
        assert "evil.\u200bexample" in shown
        assert "evil.example" not in shown


def test_what_a_client_calls_itself_is_in_no_mail(web: Web, mailing: Mailing) -> None:
    email = web.register()["user"]["email"]
    headers = {
        "User_Agent": "https://evil.example",
        "Referer": "https://evil.example",
        "Origin": "https://evil.example",
    }

    assert web.call("POST", RESET, {"email": email}, Host="localhost", **headers).status == 202

    [mail] = mailing.wait_for_mails(email)
    assert "evil" not in mail.as_string()
    assert f"http://localhost:8080/reset-password#token={mailing.tokens_to(email)[0]}" in text_of(mail)
