"""What kafka-python finds beside itself in this process: part of the `doctor`."""

from collections.abc import Iterator
from importlib import import_module

from events.conf import EventsSettings
from events.doctor.finding import Finding


def findings(settings: EventsSettings) -> Iterator[Finding]:
    """The codec that the settings ask for, and checksums in C: in Python they end at 11,000 records a second."""
    yield library("crc32c")
    if settings.producer_compression in ("snappy", "lz4"):
        yield library(settings.producer_compression)


def library(module: str) -> Finding:
    """Whether it can be imported, with all that it needs itself."""
    subject = f"library {module}"
    try:
        import_module(module)
    except ImportError as error:
        return Finding(subject, str(error), "pip install 'kafka-python[snappy,lz4,crc32c]'")
    return Finding(subject, "present")
