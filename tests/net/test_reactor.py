"""Connections: order, pieces, pipelines, limits, clients that go."""

from __future__ import annotations

import random
import socket
import threading

from tests.net.conftest import Served


def request(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def answers(client: socket.socket, size: int) -> bytes:
    """So many bytes."""
    found = b""
    while len(found) < size and (piece := client.recv(65536)):
        found += piece
    return found


def test_set_and_get(served: Served) -> None:
    with served.connect() as client:
        client.sendall(request(b"SET", b"key", b"value") + request(b"get", b"key") + request(b"Get", b"none"))
        wanted = b"+OK\r\n$5\r\nvalue\r\n$-1\r\n"
        assert answers(client, len(wanted)) == wanted


def test_pieces_and_pipelines_in_order(served: Served) -> None:
    chance = random.Random(4)
    words, wanted = b"", b""
    values: dict[bytes, bytes] = {}
    for number in range(3000):
        key = b"k%d" % chance.randrange(50)
        if chance.random() < 0.5:
            values[key] = b"%d" % number * chance.randrange(1, 40)
            words += request(b"SET", key, values[key])
            wanted += b"+OK\r\n"
        else:
            words += request(b"GET", key)
            value = values.get(key)
            wanted += b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)
    with served.connect() as client:

        def send() -> None:
            place = 0
            while place < len(words):
                size = chance.choice([1, 3, 50, 5000, 60000])
                client.sendall(words[place : place + size])
                place += size

        sender = threading.Thread(target=send)
        sender.start()
        assert answers(client, len(wanted)) == wanted
        sender.join()


def test_a_large_value(served: Served) -> None:
    value = random.Random(1).randbytes(20 << 20)
    with served.connect() as client:
        client.sendall(request(b"SET", b"large", value))
        assert answers(client, 5) == b"+OK\r\n"
        client.sendall(request(b"GET", b"large"))
        wanted = b"$%d\r\n%s\r\n" % (len(value), value)
        assert answers(client, len(wanted)) == wanted


def test_what_is_no_request_ends_the_connection_and_no_other(served: Served) -> None:
    with served.connect() as good, served.connect() as bad:
        bad.sendall(request(b"SET", b"a", b"1") + b"*1\r\n!oops")
        assert answers(bad, 1 << 20) == b"+OK\r\n-ERR Protocol error: expected '$', got '!'\r\n"
        good.sendall(request(b"GET", b"a"))
        assert answers(good, 7) == b"$1\r\n1\r\n"


def test_clients_that_go_in_the_middle(served: Served) -> None:
    for size in range(0, 34, 3):
        with served.connect() as client:
            client.sendall(request(b"SET", b"half", b"value")[:size])
    with served.connect() as client:
        client.sendall(request(b"GET", b"half"))
        assert answers(client, 5) == b"$-1\r\n"


def test_who_asks_and_leaves_is_answered(served: Served) -> None:
    """Half-closed: `printf ... | nc` gets its replies."""
    with served.connect() as client:
        client.sendall(request(b"SET", b"a", b"1") * 1000)
        client.shutdown(socket.SHUT_WR)
        assert answers(client, 1 << 20) == b"+OK\r\n" * 1000


def test_it_is_there_after_a_restart(served: Served) -> None:
    with served.connect() as client:
        client.sendall(request(b"SET", b"kept", b"value"))
        assert answers(client, 5) == b"+OK\r\n"
    path = served.process.args[served.process.args.index("--data") + 1]  # type: ignore[union-attr, index]
    served.stop()
    again = Served(path)
    with again.connect() as client:
        client.sendall(request(b"GET", b"kept"))
        assert answers(client, 11) == b"$5\r\nvalue\r\n"
    assert again.stop() == ""


def test_a_slow_reader_holds_up_nobody(served: Served) -> None:
    """It is not read from while its replies wait, and gets them all in the end."""
    value = bytes(1 << 20)
    with served.connect() as slow, served.connect() as other:
        slow.sendall(request(b"SET", b"large", value))
        assert answers(slow, 5) == b"+OK\r\n"
        asked = threading.Thread(target=lambda: slow.sendall(request(b"GET", b"large") * 200))
        asked.start()
        other.sendall(request(b"SET", b"a", b"1"))
        assert answers(other, 5) == b"+OK\r\n"
        wanted = 200 * (len(value) + 12)
        received = 0
        while received < wanted and (piece := slow.recv(1 << 20)):
            received += len(piece)
        asked.join()
        assert received == wanted


def test_what_was_answered_is_sent_before_the_end(served: Served) -> None:
    """SIGTERM while a client has not read its replies."""
    value = bytes(4 << 20)
    with served.connect() as client:
        client.sendall(request(b"SET", b"large", value))
        assert answers(client, 5) == b"+OK\r\n"
        client.sendall(request(b"GET", b"large") * 4)
        first = answers(client, 1)
        served.process.terminate()
        assert len(first + answers(client, 1 << 30)) == 4 * (len(value) + 12)
    assert served.ended() == ""


def test_clients_that_do_not_read_do_not_stop_the_end(served: Served) -> None:
    with served.connect() as client:
        client.sendall(request(b"SET", b"large", bytes(20 << 20)) + request(b"GET", b"large"))
        assert answers(client, 5).startswith(b"+OK\r\n")
        assert "did not read" in served.stop()
