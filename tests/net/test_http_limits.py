"""Clients of HTTP that mean harm, or do it: slow ones, many at once, strangers."""

from __future__ import annotations

import asyncio
import base64
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import striate
from striate.commands.keyspace import Entry
from striate.net.http import call as call_module
from striate.net.http import protocol
from striate.net.http import server as server_module
from striate.net.resp_server import RespServer


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[RespServer, int]]:
    async with striate.aopen(path / "db", "process") as database:
        server = RespServer(database)
        try:
            yield server, server.start(port=0)
        finally:
            await server.stop(1.0)


async def ask(port: int, request: bytes) -> bytes:
    """All that is answered until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


def get(path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.mark.asyncio
async def test_headers_that_do_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.3)
    async with serving(tmp_path) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/livez").replace(b"Connection: close\r\n", b""))
        assert b"ok\n" in await reader.readuntil(b"ok\n")
        begun = time.monotonic()
        writer.write(b"GET /livez HTTP/1.1\r\nHost: loc")
        answer = await asyncio.wait_for(reader.read(), 10)
        assert time.monotonic() - begun < 5
        assert answer.startswith(b"HTTP/1.1 408") and b'{"error":"timeout"' in answer
        writer.close()
        assert b"200 OK" in await ask(port, get("/livez"))


@pytest.mark.asyncio
async def test_a_body_that_does_not_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "BODY_SECONDS", 0.2)
    async with serving(tmp_path) as (server, port):
        answer = await ask(port, b"PUT /v1/keys/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab")
        assert answer[9:12] == b"408" and answer.count(b"HTTP/1.1") == 1
        assert server.server.keyspaces[0].get(b"k") is None


@pytest.mark.asyncio
async def test_an_answer_that_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "STALLED_SECONDS", 0.2)
    async with serving(tmp_path) as (server, port):
        server.server.keyspaces[0].set(b"large", bytes(32 << 20))
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(get("/v1/keys/large"))
        assert server._http is not None
        async with asyncio.timeout(10):
            while not server._http.dropped or server.server.sessions:
                await ask(port, get("/livez"))
        client.close()


@pytest.mark.asyncio
async def test_a_pipeline_without_end_is_taken_in_parts(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/livez").replace(b"Connection: close\r\n", b"") * 5000 + get("/livez"))
        answer = await asyncio.wait_for(reader.read(), 60)
        assert answer.count(b"HTTP/1.1 200 OK") == 5001
        writer.close()


@pytest.mark.asyncio
async def test_connections_have_a_bound(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, port):
        server._reactor.most_connections = 3  # with the socket that listens
        kept = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(get("/livez").replace(b"Connection: close\r\n", b""))
            await reader.readuntil(b"ok\n")
            kept.append(writer)
        assert (await ask(port, get("/livez"))).startswith(b"HTTP/1.1 503")
        kept[0].close()
        await kept[0].wait_closed()
        kept[1].close()


@pytest.mark.asyncio
async def test_waits_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MOST_WAITING", 2)
    async with serving(tmp_path) as (server, port):
        server.server.keyspaces[0].create_stream(b"s")
        first = [asyncio.create_task(ask(port, get("/v1/streams/s?wait=60"))) for _ in range(2)]
        assert server._http is not None
        while len(server._http._waits) < 2:
            await ask(port, get("/livez"))
        for headers in ((), ("Accept: text/event-stream",)):
            answer = await ask(port, get("/v1/streams/s?wait=3", *headers))
            assert answer[9:12] == b"503" and b"Retry-After" in answer
        for task in first:
            task.cancel()
        await asyncio.gather(*first, return_exceptions=True)
        async with asyncio.timeout(10):
            while server._http._waits:  # who goes away waits no longer
                await ask(port, get("/livez"))


class OneUser:
    def __init__(self) -> None:
        self.asked = 0

    def is_open(self) -> bool:
        return False

    def admits(self, name: bytes, password: bytes) -> bool:
        self.asked += 1
        return (name, password) == (b"ann", b"secret")


@pytest.mark.asyncio
async def test_users_are_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, port):
        users = server.server.users = OneUser()
        for path in ("/v1/keys/k", "/v1/streams/s", "/metrics"):
            answer = await ask(port, get(path))
            assert answer[9:12] == b"401" and b"WWW-Authenticate: Basic" in answer
        for given in (
            "Basic x",
            "Basic eA==",
            "Bearer YW5uOnNlY3JldA==",
            "Basic " + base64.b64encode(b"ann:no").decode(),
        ):
            assert (await ask(port, get("/v1/keys/k", f"Authorization: {given}")))[9:12] == b"401"
        for path in ("/livez", "/readyz", "/startupz", "/openapi.json"):
            assert (await ask(port, get(path, "Host: anything.example")))[9:12] in (b"200", b"400")
            assert (await ask(port, get(path)))[9:12] == b"200"
        users.asked = 0
        good = "Authorization: Basic " + base64.b64encode(b"ann:secret").decode()
        request = get("/v1/keys/k", good).replace(b"Connection: close\r\n", b"")
        answer = await ask(port, request * 3 + get("/v1/keys/k"))
        assert answer.count(b" 404 ") == 3 and answer.count(b" 401 ") == 1
        assert users.asked == 1  # scrypt is slow: once for a connection


@pytest.mark.asyncio
async def test_it_is_not_ready_when_the_disk_failed(tmp_path: Path) -> None:
    async with serving(tmp_path) as (server, port):
        assert (await ask(port, get("/readyz")))[9:12] == b"200"
        assert server._http is not None
        server._http.draining, kept = True, server._http.draining
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(get("/readyz"))
        assert (await reader.read())[9:12] == b"503"
        writer.close()
        server._http.draining = kept
        server.server.database.log._fail(5)
        answer = await ask(port, get("/readyz"))
        assert answer[9:12] == b"503" and b"the log has failed" in answer
        assert (await ask(port, get("/livez")))[9:12] == b"200"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/v1/keys/k", b"value", b"204"),
        ("DELETE", "/v1/keys/old", b"", b"204"),
        ("GET", "/v1/keys/old", b"", b"200"),
        ("GET", "/v1/keys/none", b"", b"404"),
        ("POST", "/v1/streams/s", b"value", b"201"),
        ("POST", "/v1/transactions", b'[{"op":"set","key":"k","value":"v"}]', b"200"),
    ],
)
async def test_answers_wait_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, path: str, body: bytes, status: bytes
) -> None:
    async with serving(tmp_path) as (server, port):
        server.server.keyspaces[0].set(b"old", b"value")
        assert server._http is not None
        synced = asyncio.get_running_loop().create_future()
        asked = asyncio.Event()

        def settled() -> asyncio.Future[None]:
            asked.set()
            return synced

        monkeypatch.setattr(server, "is_durable", lambda: False)
        monkeypatch.setattr(server._http.database, "_settled", settled)
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
        kind = "json" if body.startswith(b"[") else "octet-stream"
        request = asyncio.create_task(ask(port, f"{head}Content-Type: application/{kind}\r\n\r\n".encode() + body))
        await asyncio.wait_for(asked.wait(), 10)
        await ask(port, get("/livez"))
        assert not request.done()
        synced.set_result(None)
        assert (await request)[9:12] == status


@pytest.mark.asyncio
async def test_a_thread_that_writes_between_look_and_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path) as (server, port):
        keyspace = server.server.keyspaces[0]
        keyspace.set(b"k", b"1")
        look = keyspace.entry
        version = keyspace.version(b"k")
        raced = []

        def entry(key: bytes) -> Entry | None:
            found = look(key)
            if not raced:
                raced.append(keyspace.set(key, b"the other's"))
            return found

        monkeypatch.setattr(keyspace, "entry", entry)
        head = f'PUT /v1/keys/k HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nIf-Match: "{version}"\r\n'
        answer = await ask(port, f"{head}Content-Length: 1\r\n\r\n2".encode())
        assert answer[9:12] == b"412"
        assert keyspace.get(b"k") == b"the other's"
