"""The proxy does to a connection what its methods say, in front of each part."""

import select
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from kafka import KafkaConsumer  # type: ignore[import-untyped]  # ships no types

from devstack import Stack
from tests.faults.proxy import Proxy, in_front_of
from tests.waiting import wait_for

PATIENCE_S = 5.0
SHORT_S = 0.3


@pytest.fixture
def valkey(parts: Stack) -> Iterator[Proxy]:
    with in_front_of(parts.valkey) as proxy:
        yield proxy


@pytest.fixture
def client(valkey: Proxy) -> Iterator[socket.socket]:
    """A connection by way of the proxy that has been answered once."""
    with connected(valkey) as opened:
        assert answer(opened) == b"+PONG\r\n"
        yield opened


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S)


def answer(opened: socket.socket) -> bytes:
    opened.sendall(b"PING\r\n")
    return opened.recv(100)


def test_cut_resets_what_is_open_and_takes_the_next(valkey: Proxy, client: socket.socket) -> None:
    valkey.cut()
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with connected(valkey) as another:
        assert answer(another) == b"+PONG\r\n"


def test_refuse_takes_nobody_until_healed(valkey: Proxy, client: socket.socket) -> None:
    valkey.refuse()
    with pytest.raises(ConnectionResetError):
        client.recv(100)
    with pytest.raises(ConnectionRefusedError):
        connected(valkey)
    valkey.heal()
    with connected(valkey) as another:
        assert answer(another) == b"+PONG\r\n"


def test_half_open_answers_nobody_and_holds_back_what_was_sent(valkey: Proxy, client: socket.socket) -> None:
    valkey.half_open()
    with connected(valkey) as another:
        for silent in (client, another):
            silent.settimeout(SHORT_S)
            with pytest.raises(TimeoutError):
                answer(silent)
            silent.settimeout(PATIENCE_S)
        valkey.heal()
        assert (client.recv(100), another.recv(100)) == (b"+PONG\r\n", b"+PONG\r\n")


def test_one_connection_alone_can_be_half_open(parts: Stack) -> None:
    with in_front_of(parts.postgres) as proxy:
        url = proxy.url(parts.environ["DATABASE_URL"])
        with closing(psycopg.connect(url)) as held, psycopg.connect(url) as other:
            row = held.execute("select inet_client_port()").fetchone()
            assert row
            proxy.half_open_only(row[0])
            held.pgconn.send_query(b"select 1")
            held.pgconn.flush()
            assert other.execute("select 2").fetchone() == (2,)
            assert select.select([held.fileno()], [], [], SHORT_S)[0] == []
            proxy.heal()
            assert select.select([held.fileno()], [], [], PATIENCE_S)[0] == [held.fileno()]


def test_an_end_does_not_pass_a_half_open_connection(parts: Stack) -> None:
    url = parts.environ["DATABASE_URL"]
    with in_front_of(parts.postgres) as proxy, psycopg.connect(url, autocommit=True) as onlooker:
        with closing(psycopg.connect(proxy.url(url))) as session:
            pid = session.info.backend_pid
            proxy.half_open()

        def is_there() -> bool:
            return onlooker.execute("select from pg_stat_activity where pid = %s", [pid]).rowcount == 1

        assert is_there()
        proxy.heal()
        wait_for(lambda: not is_there(), within_s=PATIENCE_S)


def test_delay_makes_every_answer_later(valkey: Proxy, client: socket.socket) -> None:
    valkey.delay(0.05)
    began = time.monotonic()
    assert answer(client) == b"+PONG\r\n"
    assert time.monotonic() - began >= 0.1


def test_a_kafka_client_stays_with_the_proxy_that_it_was_told_of(parts: Stack) -> None:
    with in_front_of(parts.kafka) as proxy, closing(KafkaConsumer(bootstrap_servers=proxy.address)) as client:
        assert client.topics() is not None
        assert [(broker.host, broker.port) for broker in client._manager.cluster.brokers()] == [
            ("127.0.0.1", proxy.port)
        ]
