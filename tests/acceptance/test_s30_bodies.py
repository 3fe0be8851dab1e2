"""S30: whatever the body is, the answer is a refusal that costs little, and the worker lives on."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.described import Operation, operations_where
from tests.acceptance.trying import INVALID, MALFORMED, UNKNOWN, People, Trial, Try
from tests.acceptance.web import LOGIN, PASSWORD, Web

TOO_LARGE, NO_FORM = (413, "payload-too-large"), (415, "unsupported-media-type")
BODIES: dict[str, tuple[bytes, tuple[int, str]]] = {
    "over 64 KB": (b'{"password": "' + b"x" * 66_000 + b'"}', TOO_LARGE),
    "over 64 KB of blanks": (b" " * 66_000 + b"{}", TOO_LARGE),
    "60k levels of arrays": (b"[" * 60_000, MALFORMED),
    "12k levels of objects": (b'{"a":' * 12_000, MALFORMED),
    "21 levels": (b'{"a":' + b"[" * 20 + b"]" * 20 + b"}", MALFORMED),
    "endless number": (b'{"password": ' + b"9" * 60_000 + b"}", MALFORMED),
    "infinite number": (b'{"password": 1e999}', MALFORMED),
    "NaN": (b'{"password": NaN}', MALFORMED),
    "-Infinity": (b'{"password": -Infinity}', MALFORMED),
    "an octal number": (b'{"password": 007}', MALFORMED),
    "BOM": (b'\xef\xbb\xbf{"password": "x"}', MALFORMED),
    "not UTF-8": (b'{"password": "\xff"}', MALFORMED),
    "UTF-16": ('{"password": "x"}'.encode("utf-16"), MALFORMED),
    "half a surrogate in UTF-8": (b'{"password": "\xed\xa0\x80"}', MALFORMED),
    "half a surrogate": (b'{"password": "\\ud800"}', MALFORMED),
    "half a surrogate as a name": (b'{"\\udfff": 1}', MALFORMED),
    "half a surrogate, deep": (b'{"a": [{"b": ["\\udfff"]}]}', MALFORMED),
    "a member twice": (b'{"password": "x", "password": "y"}', MALFORMED),
    "a member twice, deep": (b'{"a": [{"b": 1, "\\u0062": 2}]}', MALFORMED),
    "an array": (b"[]", MALFORMED),
    "a string": (b'"password"', MALFORMED),
    "a number": (b"7", MALFORMED),
    "null": (b"null", MALFORMED),
    "blanks": (b" \n", MALFORMED),
    "NUL": (b"\0", MALFORMED),
    "cut short": (b'{"password": "x', MALFORMED),
    "two objects": (b"{}{}", MALFORMED),
    "a comma more": (b'{"password": "x",}', MALFORMED),
    "a comment": (b"/* */ {}", MALFORMED),
    "single quotes": (b"{'password': 'x'}", MALFORMED),
    "a raw line in a string": (b'{"password": "a\nb"}', MALFORMED),
    "a form": (b"password=x", MALFORMED),
    "HTML": (b"<html></html>", MALFORMED),
    "an unknown member": (UNKNOWN, INVALID),
    "two thousand unknown members": (json.dumps({f"a{n}": n for n in range(2_000)}).encode(), INVALID),
}
# Of another form than JSON in UTF-8; the first ones are refused before it is asked whose they are.
CODED = [
    {"Content-Type": "application/json; charset=bz2_codec"}, {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "application/json; charset=idna"}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "deflate"},
]  # fmt: skip
TYPES = [
    "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "*/*", "", "text/json",
    "application/*", "application/json, text/plain", "application/vnd.api+json", "application/json; x*=odd''y",
    "application/json" + "; a=b" * 200, ";", "\udcff",
]  # fmt: skip
CHANGING = operations_where(lambda operation: not operation.is_safe)
READING = operations_where(lambda operation: operation.is_safe)


@pytest.mark.parametrize("operation", CHANGING, ids=str)
def test_a_hostile_body_is_refused(web: Web, people: People, operation: Operation) -> None:
    with Trial(web, operation, people) as trial:
        for name, (body, must) in BODIES.items():
            trial.ask(Try(name, body=body, must=must))
        for headers in [*CODED, *({"Content-Type": kind} for kind in TYPES)]:
            trial.ask(Try(f"{headers}", headers=[*headers.items()], body=UNKNOWN, must=NO_FORM))
        merging = {"Content-Type": "application/merge-patch+json"}
        must = INVALID if operation.method == "PATCH" else NO_FORM
        trial.ask(Try("a merge patch", headers=[*merging.items()], body=UNKNOWN, must=must))


@pytest.mark.parametrize("operation", READING, ids=str)
def test_a_body_has_no_say_in_what_is_read(web: Web, people: People, operation: Operation) -> None:
    with Trial(web, operation, people) as trial:
        assert trial.ask(Try("none")).status == 200
        for name in ("over 64 KB", "60k levels of arrays", "not UTF-8", "cut short", "an unknown member"):
            trial.ask(Try(name, body=BODIES[name][0], must=(200, "")))
        for headers in CODED:
            trial.ask(Try(f"{headers}", headers=[*headers.items()], body=b"{}", must=NO_FORM))
        trial.ask(Try("an odd type", headers=[("Content-Type", "application/json; x*=odd''y")], must=(200, "")))


def chunked(web: Web, chunks: list[bytes], *, end: bool) -> bytes:
    """A body without a length, by hand; the answer's first line."""
    with socket.create_connection(("127.0.0.1", web.port), timeout=20) as client:
        head = f"POST {LOGIN} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        client.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        for chunk in chunks:
            client.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        if end:
            client.sendall(b"0\r\n\r\n")
        return client.makefile("rb").readline()


def test_a_chunked_body_is_read(web: Web) -> None:
    user = web.register()["user"]
    body = json.dumps({"identifier": user["username"], "password": PASSWORD}).encode()

    assert b" 200 " in chunked(web, [body[:10], body[10:]], end=True)


def test_a_chunked_body_without_an_end_is_refused_at_the_limit(web: Web) -> None:
    assert b" 413 " in chunked(web, [b"x" * 8_192] * 9, end=False)


def test_slow_bodies_do_not_keep_others_waiting(web: Web) -> None:
    head = (
        f"POST {LOGIN} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
    )
    with ExitStack() as until_the_end:
        for _ in range(20):
            slow = until_the_end.enter_context(socket.create_connection(("127.0.0.1", web.port), timeout=20))
            slow.sendall(head.encode())

        assert [web.call("GET", "/healthz").status for _ in range(5)] == [200] * 5
        assert web.login("nobody").status == 401


def memory_of(pids: list[int]) -> int:
    """Resident kilobytes of these processes."""
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return sum(int(status.split("VmRSS:")[1].split()[0]) for status in statuses)


def test_refusing_a_thousand_bodies_takes_no_more_memory(web: Web) -> None:
    hostile: list[Any] = [BODIES[name][0] for name in ("over 64 KB", "12k levels of objects", "endless number")]
    connection = web.connection()

    def repeat(times: int) -> None:
        for n in range(times):
            connection.request("POST", LOGIN, hostile[n % 3], {"Content-Type": "application/json"})
            connection.getresponse().read()

    repeat(200)
    before, workers = memory_of(web.workers()), web.workers()
    repeat(800)
    connection.close()

    assert web.workers() == workers
    assert memory_of(workers) - before < 20_000
