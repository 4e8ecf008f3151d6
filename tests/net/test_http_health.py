"""HTTP on the port of RESP: what watches the process, figures, requests that are none."""

from __future__ import annotations

import subprocess
import sys

import pytest
import redis
from prometheus_client.parser import text_string_to_metric_families

from tests.net.conftest import Served
from tests.net.http_client import Client
from tests.net.test_reactor import answers


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/startupz"])
def test_those_who_watch_are_answered(shared: Served, path: str) -> None:
    with Client(shared) as call:
        answer = call("GET", path)
        assert (answer.status, answer.body) == (200, b"ok\n")
        assert call("HEAD", path).body == b""
        assert call("POST", path).failed(405, "method_not_allowed")


def samples(served: Served) -> dict[str, float]:
    with Client(served) as call:
        text = call("GET", "/metrics").body.decode()
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        assert family.type in ("counter", "gauge"), family
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_metrics_follow_what_is_done(served: Served) -> None:
    with redis.Redis(port=served.port) as client:
        before = samples(served)
        client.set("a", 1)
        client.get("a")
        client.get("none")
        client.xadd('s"\\\n', {"n": 1})
        client.xgroup_create('s"\\\n', "g", "0")
        client.set("b", 1, ex=1000)
        after = samples(served)
    assert after["striate_commands_total{command=xadd}"] == 1
    assert after["striate_commands_total{command=set}"] - before["striate_commands_total{command=set}"] == 2
    assert after["striate_key_hits_total"] - before["striate_key_hits_total"] == 1
    assert after["striate_key_misses_total"] - before["striate_key_misses_total"] == 1
    assert after["striate_keys{database=0}"] == 3
    assert after['striate_group_lag_entries{stream=s"\\\n,group=g}'] == 1
    assert after["striate_connections{protocol=http}"] == 1
    assert after["striate_connections{protocol=resp}"] == 1
    assert after["striate_connections_accepted_total"] - before["striate_connections_accepted_total"] == 2
    assert after["striate_http_requests_total{operation=metrics,status=200}"] == 1
    assert after["process_open_fds"] > 3 and after["process_resident_memory_bytes"] > 1 << 20
    assert after["striate_log_durable_offset"] <= after["striate_log_next_offset"]


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, b"not_found"),
        (b"GET /livez HTTP/1.1\r\nno colon\r\n\r\n", 400, b"bad_request"),
        (b"GET /livez HTTP/9.9.9\r\n\r\n", 400, b"bad_request"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, b"bad_request"),
        (b"GET /livez HTTP/1.1\r\nLong: " + b"x" * 9000 + b"\r\n\r\n", 431, b"header_too_large"),
        (b"GET /" + b"x" * 40000 + b" HTTP/1.1\r\n\r\n", 431, b"header_too_large"),
        (b"GET /livez HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 400, b"bad_request"),
        (b"GET /livez HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", 421, b"misdirected"),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n\r\n", 403, b"forbidden"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, b"bad_request"),
    ],
)
def test_what_is_no_good_gets_one_error(shared: Served, sent: bytes, status: int, error: bytes) -> None:
    with shared.connect() as client:
        client.sendall(sent)
        client.settimeout(2)
        # What is no HTTP ends the connection.
        answer = answers(client, 1 << 20) if status in (400, 431) else client.recv(1 << 16)
    assert answer[:7] == b"HTTP/1." and answer[9:12] == b"%d" % status, answer
    assert answer.count(b"HTTP/1.") == answer.count(b'{"error":"%s","message":' % error) == 1, answer


def test_requests_in_a_row_and_in_pieces(served: Served) -> None:
    request = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with served.connect() as client:
        for byte in request[:-1]:
            client.sendall(bytes([byte]))
        client.sendall(request[-1:] + request * 99)
        found = b""
        while found.count(b"ok\n") < 100:
            piece = client.recv(1 << 16)
            assert piece
            found += piece
        assert found.count(b"HTTP/1.1 200 OK") == 100


def test_it_stops_though_clients_stay(served: Served) -> None:
    with Client(served) as call, served.connect() as silent:
        call("GET", "/livez")
        silent.sendall(b"GET /livez HT")
        assert served.stop() == ""


def test_without_aiohttp_it_says_what_to_install() -> None:
    program = (
        "import importlib.util as u; own = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'aiohttp' else own(name, *rest)\n"
        "from striate.net.optional_http import NO_HTTP, new_http_server\n"
        "assert new_http_server(None, None, None) is None; print(NO_HTTP.decode())"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("HTTP/1.1 400 ") and "pip install 'striate[server]'" in shown
