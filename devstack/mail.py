"""Shows what the mail catcher kept: `python -m devstack mail`."""

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path

_HEADERS = ("X-Envelope-To", "From", "To", "Subject", "Date", "Message-ID")


def show(mailbox: Path) -> None:
    """Print the mails of the folder, the oldest first."""
    files = sorted(mailbox.glob("*.eml"))
    for file in files:
        print(f"── {file}\n{_text(read(file))}\n")
    print(f"mails: {len(files)}, in {mailbox}")


def read(file: Path) -> EmailMessage:
    """The mail in an .eml file."""
    return email.message_from_bytes(file.read_bytes(), policy=email.policy.default)


def _text(message: EmailMessage) -> str:
    head = [f"{name}: {message[name]}" for name in _HEADERS if message[name]]
    body = message.get_body(preferencelist=("plain", "html"))
    content = body.get_content().rstrip() if isinstance(body, EmailMessage) else ""
    return "\n".join([*head, "", content])
