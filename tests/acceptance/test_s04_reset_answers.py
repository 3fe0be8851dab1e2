"""S04: who asks for a link learns nothing: not by the answer, nor by a mail server or a queue that fails."""

import pytest

from devstack import Stack
from tests.acceptance.mailing import Mailing
from tests.acceptance.web import Answer, Web
from tests.waiting import wait_for

RESET, RESEND = "/api/v1/users/password/reset", "/api/v1/users/email/verify/resend"
SOON = "update accounts_outsidecall set next_attempt_at = now() where settled_at is null"


def told(answer: Answer) -> tuple[object, ...]:
    headers = [(name, value) for name, value in answer.headers.items() if name not in ("Date", "X-Request-ID")]
    return answer.status, headers, answer.body


def ask(web: Web, path: str, email: str) -> tuple[object, ...]:
    return told(web.call("POST", path, {"email": email}))


def addresses(web: Web) -> dict[str, str]:
    """One of each: theirs is not verified, but the verified one's."""
    of = {what: str(web.register()["user"]["email"]) for what in ("active", "suspended", "pending_deletion", "deleted")}
    for status, email in of.items():
        web.unguarded("update accounts_user set status = %s where email = %s", status, email)
    verified = web.register()["user"]["email"]
    web.unguarded("update accounts_user set email_verified = true where email = %s", verified)
    return {**of, "verified": verified, "unknown": "nobody-at-all@example.com"}


@pytest.mark.parametrize(("path", "written_to"), [(RESET, {"active", "verified"}), (RESEND, {"active"})])
def test_every_address_is_answered_the_same_and_its_reader_alone_learns_more(
    web: Web, mailing: Mailing, path: str, written_to: set[str]
) -> None:
    of = addresses(web)

    answers = [ask(web, path, email) for email in of.values()]

    assert answers[0][0] == 202
    assert answers[0][2] == b"{}"
    assert [answer for answer in answers if answer != answers[0]] == []
    mailing.wait_until_idle(web)
    assert {what for what, email in of.items() if mailing.mails_to(email)} == written_to
    assert all(len(mailing.mails_to(of[what])) == 1 for what in written_to)
    # Every one was a row, and none keeps its address.
    kept = web.sql("select count(*), count(*) filter (where email <> '') from accounts_outsidecall")
    assert kept[0][0] >= len(of)
    assert kept[0][1] == 0


def test_an_address_that_cannot_be_one_is_told_so_whoever_asks(web: Web) -> None:
    for path in (RESET, RESEND):
        answer = web.call("POST", path, {"email": "no address"})
        assert (answer.status, answer.codes) == (400, [("/email", "invalid_email")])


@pytest.mark.parametrize("path", [RESET, RESEND])
def test_a_mail_server_that_is_away_shows_in_no_answer_and_the_mail_comes_later(
    web: Web, mailing: Mailing, parts: Stack, path: str
) -> None:
    email, nobodys = web.register()["user"]["email"], "nobody-during-an-outage@example.com"
    before = ask(web, path, "nobody-before@example.com")
    parts.smtp.stop()
    try:
        during = [ask(web, path, address) for address in (email, nobodys)]
        mailing.sweep()  # the web keeps quiet for a while where its queue was away in a test before
        wait_until_tried(web, email)
    finally:
        parts.smtp.start()

    assert during == [before, before]
    assert mailing.mails_to(email) == []
    web.sql(SOON)
    mailing.sweep()
    assert len(mailing.wait_for_mails(email)) == 1
    assert mailing.mails_to(nobodys) == []


@pytest.mark.parametrize("fault", ["refusing", "silent"])
def test_a_queue_that_is_away_shows_in_no_answer_and_the_sweep_brings_the_mail(
    web: Web, mailing: Mailing, fault: str
) -> None:
    email = web.register()["user"]["email"]
    expected = ask(web, RESET, "nobody-before@example.com")
    begin = web.cache.refuse if fault == "refusing" else web.cache.half_open
    begin()
    try:
        answers = [ask(web, RESET, address) for address in ("nobody@example.com", email, "nobody-2@example.com")]
        mailing.sweep()
        mails = mailing.wait_for_mails(email)
    finally:
        web.cache.heal()

    assert answers == [expected] * 3
    assert len(mails) == 1
    # Each worker process of the web tells it once in a while.
    assert any('"task queue away"' in line for line in web.log_lines())


def wait_until_tried(web: Web, email: str) -> None:
    """Until the worker has found nobody to give the mail to."""
    tried = "select error from accounts_outsidecall where email = %s and error <> ''"
    wait_for(lambda: web.sql(tried, email))
