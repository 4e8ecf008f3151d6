"""/v1/keys: values, time to live, versions, durable answers."""

from __future__ import annotations

import random

import pytest
import redis

from tests.net.conftest import Served
from tests.net.http_client import Client


def test_a_key_from_beginning_to_end(served: Served) -> None:
    with Client(served) as call, redis.Redis(port=served.port) as client:
        call("GET", "/v1/keys/k").failed(404, "not_found")
        put = call("PUT", "/v1/keys/k", b"\0\xffvalue")
        assert (put.status, put.body) == (204, b"")
        assert client.get("k") == b"\0\xffvalue"
        got = call("GET", "/v1/keys/k")
        assert (got.status, got.body, got.headers["ETag"]) == (200, b"\0\xffvalue", put.headers["ETag"])
        assert got.headers["Content-Type"] == "application/octet-stream"
        assert got.headers["X-Content-Type-Options"] == "nosniff"
        assert "Striate-TTL" not in got.headers
        head = call("HEAD", "/v1/keys/k")
        assert (head.status, head.headers["Content-Length"], head.body) == (200, "7", b"")
        assert call("DELETE", "/v1/keys/k").status == 204
        assert client.get("k") is None
        call("DELETE", "/v1/keys/k").failed(404, "not_found")


def test_any_bytes_are_a_key(shared: Served) -> None:
    with Client(shared) as call, redis.Redis(port=shared.port) as client:
        for key in (b"a/b", b"a b", b"\0\xff\xfe", "ü€".encode(), b"100%", b"a?b#c", b"+"):
            target = "/v1/keys/" + "".join(f"%{byte:02X}" for byte in key)
            assert call("PUT", target, key).status == 204
            assert client.get(key) == key
            assert call("GET", target).body == key
        call("GET", "/v1/keys/").failed(400, "bad_request")
        call("GET", "/v1/keys/a/b").failed(404, "not_found")
        call("PUT", "/v1/keys/" + "x" * 2001, b"").failed(400, "bad_request")


def test_databases_are_apart(shared: Served) -> None:
    with Client(shared) as call, redis.Redis(port=shared.port, db=3) as client:
        call("PUT", "/v1/keys/apart?database=3", b"3")
        assert client.get("apart") == b"3"
        call("GET", "/v1/keys/apart").failed(404, "not_found")
        call("GET", "/v1/keys/apart?database=16").failed(400, "bad_request")


def test_time_to_live(shared: Served) -> None:
    with Client(shared) as call, redis.Redis(port=shared.port) as client:
        call("PUT", "/v1/keys/timed?ttl=100.5", b"v")
        assert 90_000 < client.pttl("timed") <= 100_500
        assert 90 < float(call("GET", "/v1/keys/timed").headers["Striate-TTL"]) <= 100.5
        call("PUT", "/v1/keys/timed", b"v")
        assert client.pttl("timed") == -1
        for ttl in ("0", "-1", "nan", "1e99", "x", ""):
            call("PUT", f"/v1/keys/timed?ttl={ttl}", b"w").failed(400, "bad_request")
        assert client.get("timed") == b"v"


def test_versions_decide(shared: Served) -> None:
    with Client(shared) as call:
        call("DELETE", "/v1/keys/v")
        call("PUT", "/v1/keys/v", b"0", If_Match='"1"').failed(412, "precondition_failed")
        call("PUT", "/v1/keys/v", b"0", If_Match="*").failed(412, "precondition_failed")
        first = call("PUT", "/v1/keys/v", b"1", If_None_Match="*").headers["ETag"]
        call("PUT", "/v1/keys/v", b"2", If_None_Match="*").failed(412, "precondition_failed")
        second = call("PUT", "/v1/keys/v", b"2", If_Match=f'"7", {first}').headers["ETag"]
        assert first != second
        call("PUT", "/v1/keys/v", b"3", If_Match=first).failed(412, "precondition_failed")
        call("DELETE", "/v1/keys/v", If_Match=first).failed(412, "precondition_failed")
        assert call("GET", "/v1/keys/v", If_None_Match=first).body == b"2"
        assert call("GET", "/v1/keys/v", If_None_Match=second).status == 304
        for bad in ("17x", '"1" "', "'1'", ""):
            call("PUT", "/v1/keys/v", b"4", If_Match=bad).failed(400, "bad_request")
        third = call("PUT", "/v1/keys/v", b"3", If_Match=second.strip('"')).headers["ETag"]
        assert call("DELETE", "/v1/keys/v", If_Match=third).status == 204
        call("DELETE", "/v1/keys/v", If_Match=third).failed(412, "precondition_failed")


def test_a_stream_is_no_string(shared: Served) -> None:
    with Client(shared) as call:
        call("POST", "/v1/streams/stream-not-string", b"entry")
        call("GET", "/v1/keys/stream-not-string").failed(409, "conflict")
        call("PUT", "/v1/keys/stream-not-string", b"").failed(409, "conflict")
        assert len(call("GET", "/v1/streams/stream-not-string").json["entries"]) == 1


@pytest.mark.parametrize("size", [0, 1, 70_000, 8 << 20])
def test_sizes(shared: Served, size: int) -> None:
    value = random.Random(size).randbytes(size)
    with Client(shared) as call:
        assert call("PUT", "/v1/keys/size", value, Expect="100-continue").status == 204
        assert call("GET", "/v1/keys/size").body == value


@pytest.mark.parametrize(
    ("target", "headers", "status", "error"),
    [
        ("/v1/keys/refused?TTL=5", {}, 400, "bad_request"),
        ("/v1/keys/refused?ttl=5&ttl=5", {}, 400, "bad_request"),
        ("/v1/keys/refused?database=-1", {}, 400, "bad_request"),
        ("/v1/keys/refused?database=1_0", {}, 400, "bad_request"),
        ("/v1/keys/refused", {"Content_Encoding": "gzip"}, 415, "unsupported_media_type"),
        ("/v1/keys/refused", {"Content_Length": str((64 << 20) + 1)}, 413, "too_large"),
        ("/v1/keys/refused", {"Origin": "http://elsewhere.example"}, 403, "forbidden"),
        ("/v1/keys/refused", {"Host": "elsewhere.example"}, 421, "misdirected"),
    ],
)
def test_refused_is_not_stored(shared: Served, target: str, headers: dict[str, str], status: int, error: str) -> None:
    with Client(shared) as call:
        call("PUT", target, b"v", **headers).failed(status, error)
    with Client(shared) as call:
        call("GET", "/v1/keys/refused").failed(404, "not_found")


def test_a_broken_body_is_not_stored(shared: Served) -> None:
    with shared.connect() as client:
        client.sendall(
            b"PUT /v1/keys/broken HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz"
        )
        client.sendall(b"\r\n\r\n")
        client.settimeout(5)
        assert b'"error":"bad_request"' in client.recv(1 << 16)
    with shared.connect() as client:
        client.sendall(b"PUT /v1/keys/broken HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
    with Client(shared) as call:
        call("GET", "/v1/keys/broken").failed(404, "not_found")


def test_it_is_there_after_a_kill(served: Served) -> None:
    with Client(served) as call:
        assert call("PUT", "/v1/keys/kept", b"value").status == 204
    served.process.kill()
    served.process.communicate()
    command = list(served.process.args)  # type: ignore[arg-type]
    again = Served(command[command.index("--data") + 1])
    with Client(again) as call:
        assert call("GET", "/v1/keys/kept").body == b"value"
    assert again.stop() == ""
