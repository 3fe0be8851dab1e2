"""The embedded stack from a shell: `python -m devstack …`."""

import json
import shutil
import smtplib
import subprocess
import sys
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devstack import Stack, mail
from devstack.places import CHECKOUT, Places
from tests.integration.devstack.stacks import all_gone, own_name, pids_of, run_devstack
from tests.waiting import wait_for


def test_a_mail_becomes_a_file_and_is_printed(one: Stack) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "centre@example.org", "zoë@example.org", "Grüße"
    message.set_content("Willkommen, Zoë!\n.\nEnde\n")
    address = urlsplit(one.environ["EMAIL_URL"])
    assert address.hostname is not None
    assert address.port is not None
    with smtplib.SMTP(address.hostname, address.port) as client:
        client.send_message(message, to_addrs=["zoë@example.org", "hidden@example.org"])
    (file,) = one.mailbox.glob("*.eml")
    kept = mail.read(file)
    assert kept["Subject"] == "Grüße"
    assert kept["X-Envelope-To"] == "zoë@example.org, hidden@example.org"
    assert kept.get_content().splitlines() == ["Willkommen, Zoë!", ".", "Ende"]
    printed = run_devstack("mail", "--stack", own_name("one")).stdout
    assert "Subject: Grüße" in printed
    assert "Willkommen, Zoë!" in printed
    assert f"mails: 1, in {one.mailbox}" in printed


def test_the_addresses_can_be_read_by_a_shell(one: Stack) -> None:
    script = (
        f'set -a; eval "$({sys.executable} -m devstack env --stack {own_name("one")})"; exec {sys.executable} -c "$0"'
    )
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    shell = subprocess.run(["bash", "-c", script, show], cwd=CHECKOUT, capture_output=True, check=True)
    assert one.environ.items() <= json.loads(shell.stdout).items()
    assert set(one.environ) == {
        "DATABASE_URL", "DATABASE_DIRECT_URL", "KAFKA_BROKERS", "REDIS_URL", "CELERY_BROKER_URL", "EMAIL_URL"
    }  # fmt: skip


def test_up_holds_until_down(kept: Places) -> None:
    own = ("--stack", kept.name)
    assert "DATABASE_URL=postgres://" in run_devstack("up", *own).stdout
    pids = pids_of(kept.name)
    try:
        status = run_devstack("status", *own)
        assert status.returncode == 0
        assert "holders: 0; kept up until `down`" in status.stdout
    finally:
        assert run_devstack("down", *own).returncode == 0
    wait_for(lambda: all_gone(pids))
    assert run_devstack("status", *own).returncode == 1
    assert "is not running" in run_devstack("env", *own).stderr


@pytest.mark.parametrize("folder", ["größe", "back\\slash", "com,ma"])
def test_a_checkout_where_kafka_would_write_elsewhere_is_refused(tmp_path: Path, folder: str) -> None:
    checkout = tmp_path / folder
    shutil.copytree(CHECKOUT / "devstack", checkout / "devstack")
    refused = run_devstack("up", checkout=checkout)
    assert refused.returncode == 1
    assert "a non-ASCII character, a backslash or a comma" in refused.stderr
    assert not (checkout / ".devstack").exists()


def test_a_taken_port_is_refused_at_once_by_its_name(one: Stack) -> None:
    taken = str(urlsplit(one.environ["REDIS_URL"]).port)
    refused = run_devstack("run", "--stack", own_name("never"), PORT=taken)
    assert refused.returncode == 1
    assert f"Port {taken} is taken. Choose another with PORT=" in refused.stderr
    assert not Places(own_name("never")).folder.exists()


def test_a_tool_asks_the_named_stack_whatever_the_environment_says(one: Stack) -> None:
    assert one
    listed = run_devstack("kafka-topics", "--list", "--stack", own_name("one"), KAFKA_BROKERS="127.0.0.1:1")
    assert listed.returncode == 0
