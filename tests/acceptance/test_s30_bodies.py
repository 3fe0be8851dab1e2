"""S30: whatever the body is, the answer is a refusal that costs little, and the worker lives on."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.web import LOGIN, PASSWORD, REGISTER, Web

NAME = b'"identifier": "x", '
BODIES: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "over 64 KB": (b'{"password": "' + b"x" * 66_000 + b'"}', {}, 413, "payload-too-large"),
    "100k levels of arrays": (b"[" * 60_000, {}, 400, "malformed-request"),
    "60k levels of objects": (b'{"a":' * 12_000, {}, 400, "malformed-request"),
    "21 levels": (b'{"a":' + b"[" * 20 + b"]" * 20 + b"}", {}, 400, "malformed-request"),
    "endless number": (b'{"password": ' + b"9" * 60_000 + b"}", {}, 400, "malformed-request"),
    "infinite number": (b'{"password": 1e999}', {}, 400, "malformed-request"),
    "NaN": (b'{"password": NaN}', {}, 400, "malformed-request"),
    "-Infinity": (b'{"password": -Infinity}', {}, 400, "malformed-request"),
    "BOM": (b'\xef\xbb\xbf{"password": "x"}', {}, 400, "malformed-request"),
    "not UTF-8": (b'{"password": "\xff"}', {}, 400, "malformed-request"),
    "UTF-16": ('{"password": "x"}'.encode("utf-16"), {}, 400, "malformed-request"),
    "half a surrogate": (b'{"password": "\\ud800"}', {}, 400, "malformed-request"),
    "half a surrogate as a name": (b'{"\\udfff": 1}', {}, 400, "malformed-request"),
    "an array": (b"[]", {}, 400, "malformed-request"),
    "a string": (b'"password"', {}, 400, "malformed-request"),
    "a number": (b"7", {}, 400, "malformed-request"),
    "null": (b"null", {}, 400, "malformed-request"),
    "cut short": (b'{"password": "x', {}, 400, "malformed-request"),
    "two objects": (b"{}{}", {}, 400, "malformed-request"),
    "single quotes": (b"{'password': 'x'}", {}, 400, "malformed-request"),
    "a bool for a string": (b"{" + NAME + b'"password": true}', {}, 400, "validation-error"),
    "a number for a string": (b"{" + NAME + b'"password": 12345678}', {}, 400, "validation-error"),
    "an array for a string": (b"{" + NAME + b'"password": ["x"]}', {}, 400, "validation-error"),
    "an object for a string": (b"{" + NAME + b'"password": {"a": "b"}}', {}, 400, "validation-error"),
    "a NUL": (b"{" + NAME + b'"password": "a\\u0000b"}', {}, 400, "validation-error"),
    "a packing charset": (
        b"{}",
        {"Content-Type": "application/json; charset=bz2_codec"},
        415,
        "unsupported-media-type",
    ),
    "another charset": (b"{}", {"Content-Type": "application/json; charset=utf-16"}, 415, "unsupported-media-type"),
    "gzip": (b"\x1f\x8b", {"Content-Encoding": "gzip"}, 415, "unsupported-media-type"),
    "text": (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
    "a form": (b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "unsupported-media-type"),
    "an upload": (b"--a--", {"Content-Type": "multipart/form-data; boundary=a"}, 415, "unsupported-media-type"),
    "any type": (b"{}", {"Content-Type": "*/*"}, 415, "unsupported-media-type"),
    "no type": (b"{}", {"Content-Type": ""}, 415, "unsupported-media-type"),
}


@pytest.mark.parametrize("path", [REGISTER, LOGIN])
@pytest.mark.parametrize("name", BODIES)
def test_a_hostile_body_is_refused(web: Web, name: str, path: str) -> None:
    body, headers, status, code = BODIES[name]
    workers = web.workers()

    answer = web.call("POST", path, body, **headers)

    assert (answer.status, answer.json["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert web.workers() == workers


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
    hostile: list[Any] = [BODIES[name][0] for name in ("over 64 KB", "60k levels of objects", "endless number")]
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
