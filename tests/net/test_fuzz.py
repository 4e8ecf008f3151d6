"""Random and damaged requests: the server answers or ends the connection, and goes on serving others.

``STRIATE_FUZZ_SECONDS=600 python -m pytest tests/net/test_fuzz.py`` goes on for as long; the seed is printed.
"""

from __future__ import annotations

import os
import random
import socket
import time

from tests.net.conftest import Served
from tests.net.test_reactor import answers, request

SECONDS = float(os.environ.get("STRIATE_FUZZ_SECONDS", "2"))

WORDS = [
    *b"get set xadd xrange xread xreadgroup xgroup xack xtrim del exists ping echo incr append mget mset hello".split(),
    *b"multi exec discard watch scan keys type expire ttl subscribe publish config info client command select".split(),
    *b"* $ > - + 0 1 -1 5 5-5 0-0 count block streams group create mkstream maxlen ~ = match nx xx ex px k".split(),
    *b"s t g c data field value getrange setrange object rename copy dump restore unlink persist dbsize on off".split(),
    b"",
    b"\0\xff",
    b"9223372036854775807",
    b"-9223372036854775809",
    b"18446744073709551615",
    b"x" * 300,
]


def damaged(chance: random.Random, wire: bytes) -> bytes:
    """Some bytes changed, taken out or put in."""
    bytes_ = bytearray(wire)
    for _ in range(chance.choice([0, 0, 1, 1, 3, 10])):
        if not bytes_:
            break
        place = chance.randrange(len(bytes_))
        how = chance.randrange(4)
        if how == 0:
            bytes_[place] = chance.randrange(256)
        elif how == 1:
            del bytes_[place : place + chance.randrange(1, 9)]
        elif how == 2:
            bytes_[place:place] = chance.choice([b"\r\n", b"*3\r\n", b"$5\r\n", b"$-1\r\n", b"*99999999\r\n", b"\0"])
        else:
            bytes_[place] = chance.choice(b"$*+-:0123456789\r\n")
    return bytes(bytes_)


def session(chance: random.Random) -> bytes:
    """What one client sends."""
    wire = b""
    for _ in range(chance.randrange(1, 30)):
        wire += request(*chance.choices(WORDS, k=chance.randrange(1, 9)))
    return damaged(chance, wire)


def test_random_requests(served: Served, rng: random.Random) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        with served.connect() as client:
            wire = session(rng)
            try:
                for place in range(0, len(wire), 1 + len(wire) // rng.choice([1, 1, 2, 7])):
                    client.sendall(wire[place : place + 1 + len(wire) // 7])
                client.shutdown(socket.SHUT_WR)
                answers(client, 1 << 24)
            except OSError:
                pass  # it need not listen to what is no request
    with served.connect() as client:
        client.sendall(request(b"SELECT", b"0") + request(b"SET", b"alive", b"yes") + request(b"GET", b"alive"))
        assert answers(client, 19) == b"+OK\r\n+OK\r\n$3\r\nyes\r\n"


def test_any_cursor_may_be_scanned_from(served: Served, rng: random.Random) -> None:
    with served.connect() as client:
        for number in range(2000):
            client.sendall(request(b"SET", b"key %d" % number, b"v"))
            assert answers(client, 5) == b"+OK\r\n"
        for _ in range(300):
            cursor = rng.randrange(1 << rng.randrange(1, 65))
            client.sendall(request(b"SCAN", b"%d" % cursor) + request(b"PING"))
            reply = b""
            while not reply.endswith(b"+PONG\r\n"):
                reply += client.recv(65536)
            assert reply.startswith(b"*2\r\n")
