"""/v1/streams and /v1/transactions."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import Any

import pytest
import redis

from tests.net.conftest import Served
from tests.net.http_client import Client
from tests.net.test_reactor import answers


def test_produce_and_consume(served: Served) -> None:
    with Client(served) as call, redis.Redis(port=served.port) as client:
        call("GET", "/v1/streams/s").failed(404, "not_found")
        first = call("POST", "/v1/streams/s", b"\xff raw")
        assert first.status == 201
        call("POST", "/v1/streams/s?key=k", b"keyed", Content_Type="text/plain")
        entries: list[dict[str, Any]] = [
            {"value": "text"},
            {"value": {"base64": base64.b64encode(b"\xff").decode()}, "key": "k"},
            {"fields": {"a": "1", "b": "2"}},
            {"fields": [["a", "1"], ["a", "2"]]},
        ]
        ids = call("POST", "/v1/streams/s", {"entries": entries}).json["ids"]
        assert [fields for _, fields in client.xrange("s")][:4] == [
            {b"data": b"\xff raw"},
            {b"data": b"keyed", b"key": b"k"},
            {b"data": b"text"},
            {b"data": b"\xff", b"key": b"k"},
        ]
        assert [id.decode() for id, _ in client.xrange("s")][2:] == ids
        shown = call("GET", "/v1/streams/s").json
        assert [{**entry, "id": ""} for entry in shown["entries"][2:]] == [{**entry, "id": ""} for entry in entries]
        assert shown["entries"][0] == {"id": first.json["ids"][0], "value": {"base64": "/yByYXc="}}
        assert shown["entries"][1]["key"] == "k"
        assert shown["last_id"] == ids[-1]
        assert call("GET", f"/v1/streams/s?after={shown['last_id']}").json == {"entries": [], "last_id": ids[-1]}
        two = call("GET", f"/v1/streams/s?after={ids[0]}&count=2").json
        assert [entry["id"] for entry in two["entries"]] == ids[1:3]
        assert call("GET", "/v1/streams/s?after=99999999999999999999").json["entries"] == []
        assert call("GET", "/v1/streams/s?after=$").json == {"entries": [], "last_id": ids[-1]}
        client.xadd("s", {"from": "redis"})
        assert call("GET", f"/v1/streams/s?after={ids[-1]}").json["entries"][0]["fields"] == {"from": "redis"}


def test_a_long_poll_waits_for_an_entry(served: Served) -> None:
    with Client(served) as call, Client(served) as other:
        id = call("POST", "/v1/streams/s", b"old").json["ids"][0]
        begun = time.monotonic()
        assert call("GET", f"/v1/streams/s?after={id}&wait=0.2").json["entries"] == []
        assert time.monotonic() - begun >= 0.2
        timer = threading.Timer(0.2, lambda: other("POST", "/v1/streams/s", b"new"))
        timer.start()
        entries = call("GET", f"/v1/streams/s?after={id}&wait=30").json["entries"]
        assert [entry["value"] for entry in entries] == ["new"]
        timer.join()
        call("GET", "/v1/streams/s?wait=61").failed(400, "bad_request")


def test_server_sent_events(served: Served) -> None:
    with Client(served) as call, served.connect() as client:
        ids = [call("POST", "/v1/streams/s", b"%d" % number).json["ids"][0] for number in range(3)]
        request = (
            f"GET /v1/streams/s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\nLast-Event-ID: {ids[0]}"
        )
        client.sendall(f"{request}\r\n\r\n".encode())
        found = b""
        while found.count(b"\ndata: ") < 2:
            found += client.recv(1 << 16)
        assert b"Content-Type: text/event-stream" in found
        ids += call("POST", "/v1/streams/s", b"line\nline").json["ids"]
        while found.count(b"\ndata: ") < 3:
            found += client.recv(1 << 16)
        events = [line.removeprefix(b"data: ") for line in found.splitlines() if line.startswith(b"data: ")]
        assert [json.loads(event)["id"] for event in events] == ids[1:]
        assert [json.loads(event)["value"] for event in events] == ["1", "2", "line\nline"]
        assert [line for line in found.splitlines() if line.startswith(b"id: ")][-1] == f"id: {ids[-1]}".encode()


def test_who_waits_does_not_hold_up_the_end(served: Served) -> None:
    with Client(served) as call, served.connect() as poll, served.connect() as events:
        call("POST", "/v1/streams/s", b"")
        poll.sendall(b"GET /v1/streams/s?after=$&wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        events.sendall(b"GET /v1/streams/s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        assert b"200 OK" in events.recv(1 << 16)
        call("GET", "/livez")
        begun = time.monotonic()
        assert served.stop() == ""
        assert time.monotonic() - begun < 4
        assert b'"entries":[]' in answers(poll, 1 << 20)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"entries":[]}',
        b'{"entries":[{}]}',
        b'{"entries":[{"value":1}]}',
        b'{"entries":[{"value":"a","fields":{"a":"b"}}]}',
        b'{"entries":[{"key":"k","fields":{"a":"b"}}]}',
        b'{"entries":[{"fields":{}}]}',
        b'{"entries":[{"fields":[["a"]]}]}',
        b'{"entries":[{"value":{"base64":"?"}}]}',
        b'{"entries":[{"value":"\\ud800"}]}',
        b'{"entries":[{"value":"a"},{"value":"b","more":1}]}',
        b'{"entries":[{"value":"a"}],"more":1}',
        b"[" * 100_000,
    ],
)
def test_a_malformed_list_appends_nothing(shared: Served, body: bytes) -> None:
    with Client(shared) as call:
        call("POST", "/v1/streams/malformed", body, Content_Type="application/json").failed(400, "bad_request")
        call("GET", "/v1/streams/malformed").failed(404, "not_found")


@pytest.mark.parametrize("query", ["after=x", "after=1-", "after=", "count=0", "count=10001", "wait=0", "count=1.0"])
def test_a_malformed_question_is_refused(shared: Served, query: str) -> None:
    with Client(shared) as call:
        call("GET", f"/v1/streams/any?{query}").failed(400, "bad_request")


# ---------------------------------------------------------------- transactions


def test_a_transaction_is_all_or_nothing(served: Served) -> None:
    with Client(served) as call, redis.Redis(port=served.port) as client:
        results = call(
            "POST",
            "/v1/transactions",
            [
                {"op": "set", "key": "a", "value": "1", "version": 0},
                {"op": "set", "key": {"base64": "/w=="}, "value": {"base64": "/w=="}, "ttl": 100},
                {"op": "append", "stream": "s", "fields": {"x": "y"}},
                {"op": "check", "key": "none", "version": 0},
                {"op": "delete", "key": "none"},
            ],
        ).json["results"]
        assert client.get("a") == b"1" and client.get(b"\xff") == b"\xff" and 90 < client.ttl(b"\xff") <= 100
        assert [id.decode() for id, _ in client.xrange("s")] == [results[2]["id"]]
        assert call("GET", "/v1/keys/a").headers["ETag"] == f'"{results[0]["version"]}"'
        assert results[3] == results[4] == {}
        again = [
            {"op": "append", "stream": "s", "value": "no"},
            {"op": "set", "key": "b", "value": "no"},
            {"op": "delete", "key": "a", "version": results[0]["version"] + 1},
        ]
        call("POST", "/v1/transactions", again).failed(409, "conflict")
        assert client.get("a") == b"1" and client.get("b") is None and client.xlen("s") == 1
        again[2]["version"] = results[0]["version"]
        assert call("POST", "/v1/transactions", again).status == 200
        assert client.get("a") is None and client.get("b") == b"no" and client.xlen("s") == 2


@pytest.mark.parametrize(
    ("operations", "status"),
    [
        ([], 400),
        ({}, 400),
        ([{"op": "set", "key": "t", "value": "1"}, {"op": "none"}], 400),
        ([{"op": "set", "key": "t", "value": "1"}, {"op": "append", "stream": "u"}], 400),
        ([{"op": "set", "key": "t", "value": "1"}, {"op": "append", "stream": "t", "value": ""}], 400),
        ([{"op": "set", "key": "t", "value": "1", "version": -1}], 400),
        ([{"op": "set", "key": "t", "value": "1", "ttl": 0}], 400),
        ([{"op": "check", "key": "t", "version": 0}, {"op": "set", "key": "t", "value": "1", "version": 1}], 400),
        ([{"op": "set", "key": "t", "value": "1"}, {"op": "set", "key": "is-a-stream", "value": "1"}], 409),
        ([{"op": "set", "key": "t", "value": "1"}, {"op": "append", "stream": "is-a-string", "value": "1"}], 409),
    ],
)
def test_what_cannot_be_done_does_nothing(shared: Served, operations: object, status: int) -> None:
    with Client(shared) as call:
        call("POST", "/v1/streams/is-a-stream", b"")
        call("PUT", "/v1/keys/is-a-string", b"")
        call("POST", "/v1/transactions", operations).failed(status, "bad_request" if status == 400 else "conflict")
        call("GET", "/v1/keys/t").failed(404, "not_found")
        call("GET", "/v1/streams/u").failed(404, "not_found")
