"""A sign-in from a new device: over HTTP, relay, Kafka, consumer and worker to the mail and the security log, once."""

from collections.abc import Iterator
from typing import Any

import pytest

from devstack import Stack
from tests.acceptance.mailing import Mailing
from tests.acceptance.streaming import Streaming, streaming_of
from tests.acceptance.web import LOGIN, PASSWORD, Web
from tests.integration.mailing import text_of
from tests.waiting import wait_for

SECURITY_LOG = "/api/v1/users/me/security-log"
HOME, NEW = "Firefox at home", "Chrome on a phone"


@pytest.fixture(scope="module")
def streaming(web: Web, parts: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Streaming]:
    with streaming_of(web, dict(parts.environ), tmp_path_factory.mktemp("streaming")) as streaming:
        yield streaming


def sign_in(web: Web, user: dict[str, Any], device: str, password: str = PASSWORD) -> str:
    """The access token; empty where the password is wrong."""
    body = {"identifier": user["username"], "password": password}
    answer = web.call("POST", LOGIN, body, User_Agent=device)
    assert answer.status == (200 if password == PASSWORD else 401)
    return str(answer.json.get("token", ""))


def wait_until_all_is_handled(web: Web, user_id: str) -> None:
    """Until every event of this user's has been through the inbox."""
    unhandled = """
        select event_id from events_outbox as record where key = %s
            and not exists (select from events_inbox as inbox where inbox.event_id = record.event_id)
    """
    wait_for(lambda: web.sql(unhandled, user_id) == [])


def test_a_sign_in_from_a_new_device_is_one_mail_and_one_row_of_the_security_log(
    web: Web, mailing: Mailing, streaming: Streaming
) -> None:
    user = web.register()["user"]
    for device in (HOME, HOME, NEW, NEW):
        sign_in(web, user, device)
        # In the order of a person: each is in the login log before the next.
        wait_until_all_is_handled(web, user["id"])
    for _ in range(3):
        sign_in(web, user, HOME, "not the password")
    token = sign_in(web, user, HOME)

    wait_until_all_is_handled(web, user["id"])
    mailing.wait_until_idle(web)

    alerts = web.published(user["id"], "user.security_alert")
    assert [(alert["kind"], alert["signs"], alert["device"]) for alert in alerts] == [
        ("unusual_login", ["new_device"], NEW),
        ("unusual_login", ["after_failures"], HOME),
    ]
    rows = web.listed(SECURITY_LOG, token)
    assert [(row["kind"], row["device_name"]) for row in rows] == [("unusual_login", HOME), ("unusual_login", NEW)]
    mails = [mail for mail in mailing.mails_to(user["email"]) if mail["Subject"] == "Please look at your account"]
    texts = " ".join(text_of(mail) for mail in mails)
    assert [len(mails), texts.count("from a new device"), texts.count("after several wrong passwords")] == [2, 1, 1]
