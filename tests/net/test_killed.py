"""A server that is killed: what it answered is there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

import striate
from tests.net.conftest import Served
from tests.net.test_reactor import request


@pytest.mark.parametrize("durability", ["process", "power"])
def test_what_was_answered_survives_a_kill(tmp_path: Path, durability: str, rng: random.Random) -> None:
    """SET, XADD and transactions over both in a pipeline; the kill comes between two replies."""
    server = Served(tmp_path / "db", durability)
    answered, replies = 0, b""
    with server.connect() as client:
        for number in range(3000):
            value = b"%d" % number
            client.sendall(
                request(b"SET", b"k", value)
                + request(b"MULTI")
                + request(b"XADD", b"s", b"*", b"data", value)
                + request(b"SET", b"last", value)
                + request(b"EXEC")
            )
            if number % 50 == 49:  # so many are on their way at once
                wanted = number + 1 if rng.random() < 0.9 else number - rng.randrange(40)
                while (answered := replies.count(b"*2\r\n")) < wanted:
                    replies += client.recv(65536)
                if rng.random() < 0.05:
                    break
        server.process.kill()
    server.ended(-9)
    with striate.open(tmp_path / "db") as db:
        entries = [int(entry.value) for entry in db.stream("s").range()]
        assert entries == list(range(len(entries))) and len(entries) >= answered
        keys = db.table("keys")
        assert int(keys[b"last"]) == entries[-1]
        assert int(keys[b"k"]) in (entries[-1], entries[-1] + 1)
