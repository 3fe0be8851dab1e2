"""Free ports on loopback, chosen by the supervisor before it starts a part."""

import random
import socket

# Below every system's range for outgoing connections: a client that keeps calling a stopped broker could
# otherwise be given the broker's own port, connect to itself and bar the broker's return.
_RANGE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether nobody listens there now."""
    with socket.socket() as caller:
        caller.settimeout(1)
        if caller.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free() -> int:
    """One free port."""
    return choose(1, rather=[])[0]


def choose(count: int, *, rather: list[int]) -> list[int]:
    """`count` distinct free ports; `rather` where these are free."""
    if len(rather) == count and all(map(is_free, rather)):
        return rather
    chosen: list[int] = []
    while len(chosen) < count:
        port = random.choice(_RANGE)  # noqa: S311  # a port, not a secret
        if port not in chosen and is_free(port):
            chosen.append(port)
    return chosen
