"""S05: nobody fills another's mailbox: over the quota the answer stays as it is, and no mail goes."""

import re
from collections.abc import Iterator

import pytest

from tests.acceptance.mailing import Mailing
from tests.acceptance.visiting import Visitor, visitor
from tests.acceptance.web import Web

RESET, RESEND = "/api/v1/users/password/reset", "/api/v1/users/email/verify/resend"
AN_HOUR, A_DAY, FROM_ONE_ADDRESS = 3, 10, 20


@pytest.fixture(autouse=True)
def _nothing_owed_before(guarded: Web) -> Iterator[None]:
    guarded.sql("delete from accounts_outsidecall")
    yield
    guarded.sql("delete from accounts_throttle")


@pytest.fixture
def eve(guarded: Web) -> Visitor:
    return visitor(guarded)


def owed(web: Web) -> int:
    """Mails that were owed in this test, sent or not."""
    [(count,)] = web.sql("select count(*) from accounts_outsidecall")
    return int(count)


def suppressed(web: Web, kind: str) -> float:
    """By the metrics of all workers together."""
    shown = web.call("GET", "/metrics", Authorization="Bearer CANARY-sec-metrics").body.decode()
    found = re.search(rf'^mail_suppressed_total\{{kind="{kind}"\}} (\S+)$', shown, re.MULTILINE)
    return float(found[1]) if found else 0.0


def spellings_of(email: str) -> list[str]:
    local, _, domain = email.partition("@")
    return [email, email.upper(), f"{local}@{domain.title()}", f"{local.title()}@{domain}", f" {email} "]


def test_fifty_at_once_in_five_spellings_are_three_mails(guarded: Web, mailing: Mailing) -> None:
    email = guarded.register()["user"]["email"]
    spelled = spellings_of(email)
    before = suppressed(guarded, "reset")

    answers = guarded.race([visitor(guarded).posting(RESET, {"email": spelled[n % 5]}) for n in range(50)])

    assert {(answer.status, answer.body) for answer in answers} == {(202, b"{}")}
    assert owed(guarded) == AN_HOUR
    mailing.wait_until_idle(guarded)
    # Fewer, where a later one's link was made before: the earlier would carry a void one.
    assert 1 <= len(mailing.mails_to(email)) <= AN_HOUR
    assert suppressed(guarded, "reset") - before == 50 - AN_HOUR


def test_an_address_that_nobody_has_is_counted_the_same(guarded: Web, eve: Visitor) -> None:
    answers = [eve.post(RESET, {"email": "nobody@example.com"}) for _ in range(AN_HOUR + 2)]

    assert {(answer.status, answer.body) for answer in answers} == {(202, b"{}")}
    assert owed(guarded) == AN_HOUR


def test_asking_for_one_kind_of_mail_keeps_no_other_kind_from_the_owner(guarded: Web, eve: Visitor) -> None:
    email = guarded.register()["user"]["email"]

    statuses = [eve.post(path, {"email": email}).status for path in (RESEND,) * 4 + (RESET,) * 4]

    assert statuses == [202] * 8
    assert owed(guarded) == 2 * AN_HOUR


def test_hour_by_hour_ten_mails_are_the_end_of_the_day(guarded: Web) -> None:
    email = guarded.register()["user"]["email"]

    for _ in range(5):
        for _ in range(AN_HOUR):
            assert visitor(guarded).post(RESET, {"email": email}).status == 202
        hour = "update accounts_throttle set ends_at = now() - interval '1 s' where key like 'mail-recipient/3600:%%'"
        guarded.sql(hour)

    assert owed(guarded) == A_DAY


def test_one_address_writes_to_twenty_mailboxes_an_hour(guarded: Web, eve: Visitor) -> None:
    before = suppressed(guarded, "verify")

    answers = [eve.post(RESEND, {"email": f"victim-{n}@example.com"}) for n in range(FROM_ONE_ADDRESS + 5)]

    assert {(answer.status, answer.body) for answer in answers} == {(202, b"{}")}
    assert owed(guarded) == FROM_ONE_ADDRESS
    assert suppressed(guarded, "verify") - before == 5
    assert visitor(guarded).post(RESEND, {"email": "another@example.com"}).status == 202
    assert owed(guarded) == FROM_ONE_ADDRESS + 1


def test_what_was_refused_uses_up_nothing(guarded: Web, eve: Visitor) -> None:
    """Whoever has spent the address's share keeps no mail from its reader, who asks from elsewhere."""
    email = guarded.register()["user"]["email"]
    for n in range(FROM_ONE_ADDRESS):
        eve.post(RESET, {"email": f"victim-{n}@example.com"})

    eve.post(RESET, {"email": email})
    for _ in range(AN_HOUR):
        visitor(guarded).post(RESET, {"email": email})

    assert owed(guarded) == FROM_ONE_ADDRESS + AN_HOUR
