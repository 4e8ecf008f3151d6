"""What is answered in native code says and does what striate/commands would: also where somebody need be told."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from striate.commands.stream_fields import as_entry, as_fields
from tests.net.conftest import Served


@pytest.fixture(params=[2, 3])
def client(served: Served, request: pytest.FixtureRequest) -> Iterator[Any]:
    with redis.Redis(port=served.port, protocol=request.param) as connected:
        connected.xadd("known", {"f": "v"})  # from the second on it is appended to in native code
        yield connected


def fields_of(chance: random.Random) -> list[bytes]:
    """Fields and values in turn: short, long, empty, and those that have a form of their own."""
    sizes = [0, 1, 3, 127, 128, 300, 20_000]
    words = [b"data", b"key", *(chance.randbytes(chance.choice(sizes)) for _ in range(4))]
    return [chance.choice(words) for _ in range(2 * chance.choice([1, 1, 2, 2, 3, 10]))]


def test_fields_are_packed_as_python_packs_them(served: Served, client: Any, rng: random.Random) -> None:
    wanted = [[b"f", b"v"]]
    for _ in range(200):
        fields = fields_of(rng)
        client.execute_command("XADD", "known", "*", *fields)
        wanted.append(fields)
    with redis.Redis(port=served.port, protocol=2) as reader:
        raw = reader.connection_pool.get_connection()
        raw.send_command("XRANGE", "known", "-", "+")
        assert [entry[1] for entry in raw.read_response()] == wanted
        reader.connection_pool.release(raw)
    for fields in wanted:
        assert as_fields(*as_entry(fields)) == fields


def test_keys_that_are_streams(client: Any) -> None:
    client.xadd("known", {"f": "v"})
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.get("known")
    assert client.set("known", "text") and client.get("known") == b"text"
    assert client.xlen("other") == 0
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        client.xadd("known", {"f": "v"})
    assert client.keys() == [b"known"]


GONE = {
    "delete": lambda client: client.delete("known"),
    "rename": lambda client: client.rename("known", "elsewhere"),
    "flush": lambda client: client.flushdb(),
    "end": lambda client: client.pexpireat("known", 1),
    "overwritten and deleted": lambda client: (client.set("known", "text"), client.delete("known")),
}


@pytest.mark.parametrize("how", list(GONE))
def test_streams_that_are_gone_are_made_anew(client: Any, how: str) -> None:
    client.xadd("known", {"f": "v"})
    GONE[how](client)
    client.xadd("known", {"f": "new"})
    assert [entry[1] for entry in client.xrange("known")] == [{b"f": b"new"}]
    assert client.xlen("elsewhere") == (2 if how == "rename" else 0)


def test_a_stream_with_an_end_ends(client: Any) -> None:
    client.xadd("known", {"f": "v"})
    client.expire("known", 100)
    client.xadd("known", {"f": "v"})
    assert client.xlen("known") == 3 and client.ttl("known") > 90


def test_who_waits_is_served(served: Served, client: Any) -> None:
    client.xadd("known", {"f": "v"})
    with redis.Redis(port=served.port, protocol=2) as other:
        waiting = other.connection_pool.get_connection()
        waiting.send_command("XREAD", "BLOCK", 20_000, "STREAMS", "known", "$")
        while not any(each["cmd"] == "xread" for each in client.client_list()):
            pass  # it is not carried out yet
        id = client.xadd("known", {"f": "new"})
        assert waiting.read_response()[0][1] == [[id, [b"f", b"new"]]]
        other.connection_pool.release(waiting)


def test_watched_keys(served: Served, client: Any) -> None:
    client.xadd("known", {"f": "v"})
    with redis.Redis(port=served.port) as other:
        for change in (lambda: other.set("text", "1"), lambda: other.xadd("known", {"f": "v"})):
            with client.pipeline() as pipeline:
                pipeline.watch("text", "known")
                change()
                pipeline.multi()
                pipeline.set("text", "2")
                with pytest.raises(redis.WatchError):
                    pipeline.execute()
        assert client.get("text") == b"1"


def test_whoever_wants_to_hear_of_keys_hears_of_them(served: Served, client: Any) -> None:
    client.config_set("notify-keyspace-events", "KEA")
    with redis.Redis(port=served.port) as listener, listener.pubsub() as heard:
        heard.psubscribe("__keyevent@0__:*")
        assert heard.get_message(timeout=30)["type"] == "psubscribe"
        client.set("text", "1")
        client.xadd("known", {"f": "v"})
        messages = [heard.get_message(timeout=30) for _ in range(2)]
        assert [(each["channel"], each["data"]) for each in messages] == [
            (b"__keyevent@0__:set", b"text"),
            (b"__keyevent@0__:xadd", b"known"),
        ]
