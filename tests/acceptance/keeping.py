"""Everything that is kept, as text: each row of each table, and each key of Valkey."""

import base64
import json
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
from msgspec import msgpack
from psycopg import sql

from tests.acceptance.web import Web

_TABLES = "select tablename from pg_tables where schemaname = 'public' order by 1"


def tables(web: Web, *names: str) -> dict[str, list[str]]:
    """The rows of these tables, or of all, sorted; bytes also as what they say."""
    with psycopg.connect(web.dsn) as connection:
        wanted = names or [name for (name,) in connection.execute(_TABLES)]
        return {name: sorted(_rows(connection, name)) for name in wanted}


def valkey(databases: Iterable[int]) -> dict[str, str]:
    """The value of each key of these databases, whatever kind it is of."""
    kept: dict[str, str] = {}
    for number in databases:
        url = urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{number}").geturl()
        with redis.Redis.from_url(url, decode_responses=True) as client:
            kept |= {f"{number} {key}": _value(client, key) for key in client.scan_iter()}
    return kept


def holding(places: Mapping[str, str], words: Sequence[str]) -> list[tuple[str, str]]:
    """Where which of these words stands, however it is written."""
    found = []
    for place, text in places.items():
        lower = text.lower()
        found += [(word, place) for word in words if word.lower() in lower]
    return found


def _rows(connection: psycopg.Connection, table: str) -> Iterable[str]:
    rows = connection.execute(sql.SQL("select to_jsonb(t) from {} t").format(sql.Identifier(table)))
    for (row,) in rows:
        yield json.dumps({name: _shown(name, value) for name, value in row.items()}, sort_keys=True, ensure_ascii=False)


def _shown(column: str, value: Any) -> Any:
    if column == "session_data":
        return _session(value)
    if not isinstance(value, str) or not value.startswith("\\x"):
        return value
    content = bytes.fromhex(value[2:])
    shown = content.decode(errors="replace")
    return f"{value} {_headers(content) if column == 'headers' else shown}"


def _headers(content: bytes) -> str:
    """The outbox has them in one encoding, what is set aside in another."""
    if content.startswith(b"["):
        pairs = [(name, base64.b64decode(value or "")) for name, value in json.loads(content)]
    else:
        pairs = msgpack.decode(content)
    return str([(name, value.decode(errors="replace")) for name, value in pairs])


def _session(signed: str) -> str:
    """What Django signs and packs (`django.core.signing`)."""
    is_packed, text = signed.startswith("."), signed.lstrip(".").split(":")[0]
    content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return (zlib.decompress(content) if is_packed else content).decode()


def _value(client: redis.Redis, key: str) -> str:
    read: Mapping[str, Callable[[], object]] = {
        "string": lambda: client.get(key), "hash": lambda: client.hgetall(key),
        "list": lambda: client.lrange(key, 0, -1), "set": lambda: client.smembers(key),
        "zset": lambda: client.zrange(key, 0, -1), "none": str,  # it has gone since it was listed
    }  # fmt: skip
    return str(read[str(client.type(key))]())
