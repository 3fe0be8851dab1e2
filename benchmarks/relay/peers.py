"""The Python peers that are installed, each carrying the very same records. Called by `bench` where a person asks.

None is a dependency of the project: install one beside it to have it measured. The others that were looked at
(faststream-outbox, django-reliable-outbox, django-jaiminho) are slower than this one by 3 times and more.
"""

from importlib.metadata import PackageNotFoundError, version

from benchmarks.frame.figures import Taken
from benchmarks.frame.ground import Ground

# By distribution: the module that runs it as a process and prints what it took, and what that needs beside it.
_PEERS = {"txoutbox": ("benchmarks.relay.peer_txoutbox", ("aiokafka", "asyncpg"))}


def installed() -> list[str]:
    """Those that can be measured here."""
    return [name for name, (_, needs) in _PEERS.items() if all(map(_is_installed, (name, *needs)))]


def drain(ground: Ground, name: str, *, samples: int, times: int) -> Taken:
    """What it takes for `times` the samples, start excluded."""
    module, _ = _PEERS[name]
    return Taken.read(ground.run("-m", module, ground.dsn, ground.brokers, ground.topic, str(samples), str(times)))


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True
