"""The TLS context by which a broker is reached, and which of the files that it is made of is no use.

Files are PEM; an empty path is none. What is told of a file holds nothing of it.
"""

import ssl
from collections.abc import Iterator
from typing import NamedTuple


class Files(NamedTuple):
    """The authority of the brokers' certificates, the system's where there is none; our own certificate and its key."""

    cafile: str
    certfile: str
    keyfile: str


def context(files: Files) -> ssl.SSLContext:
    """As the Kafka client makes it. Raises OSError."""
    made = ssl.create_default_context(cafile=files.cafile or None)
    if files.certfile:
        _load_own(made, files)
    return made


def faults(files: Files) -> Iterator[tuple[str, str]]:
    """Each file that cannot be used, by its field's name, and why."""
    for name, path in (("cafile", files.cafile), ("certfile", files.certfile)):
        try:
            if path:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
        except OSError as error:
            yield name, _told(error)
            if name == "certfile":
                return  # of its key nothing can be said
    if not files.certfile:
        if files.keyfile:
            yield "certfile", "nothing, beside a key"
        return
    try:
        _load_own(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), files)
    except OSError as error:
        yield "keyfile", _told(error)


def _load_own(made: ssl.SSLContext, files: Files) -> None:
    # The key may stand in the certificate's file. One under a passphrase would have OpenSSL ask for it at a terminal.
    made.load_cert_chain(files.certfile, files.keyfile or None, password="")


def _told(error: OSError) -> str:
    return "something else" if isinstance(error, ssl.SSLError) else (error.strerror or "something else")
