"""The mail catcher's process: `python -m devstack.catcher PORT FOLDER`. Each mail becomes one .eml file."""

import asyncio
import itertools
import signal
import sys
import time
from functools import partial
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

_SIZE_LIMIT_BYTES = 32 * 2**20


class _Keeper:
    """What aiosmtpd calls for each mail."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        """Keep the mail, headed by whom it was really for (a Bcc shows nowhere else), and accept it."""
        content = envelope.original_content or b""
        name = f"{time.time_ns():020d}-{next(self._numbers):06d}"
        unfinished = self._folder / f"{name}.part"
        unfinished.write_bytes(_head(envelope) + content)
        # Whoever lists the folder never sees half a mail.
        unfinished.rename(self._folder / f"{name}.eml")
        return "250 OK"


def _head(envelope: Envelope) -> bytes:
    return f"X-Envelope-From: {envelope.mail_from}\r\nX-Envelope-To: {', '.join(envelope.rcpt_tos)}\r\n".encode()


async def _serve(port: int, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    keeper = _Keeper(folder)
    catcher = partial(SMTP, keeper, data_size_limit=_SIZE_LIMIT_BYTES, enable_SMTPUTF8=True, hostname="localhost")
    async with await loop.create_server(catcher, "127.0.0.1", port):
        print("ready to accept mail", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
