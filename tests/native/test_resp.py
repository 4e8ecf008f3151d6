"""Requests out of bytes in any pieces, and replies in both protocols."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate._native.resp import RequestParser, encode
from striate.errors import InvalidArgumentError, InvalidTypeError, ProtocolError
from striate.protocol.replies import NULL_ARRAY, OK, Failure, Push, Simple, Verbatim


def request(*arguments: bytes) -> bytes:
    return b"*%d\r\n" % len(arguments) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in arguments)


@given(
    st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=6), max_size=8),
    st.randoms(use_true_random=False),
)
def test_pieces_of_any_size(requests: list[list[bytes]], chance: random.Random) -> None:
    wire = b"".join(request(*words) for words in requests)
    parser, found, place = RequestParser(), [], 0
    while place < len(wire):
        size = chance.randrange(1, 12)
        found += parser.feed(wire[place : place + size])
        place += size
    assert found == requests and parser.pending_bytes == 0


def test_many_arguments_in_single_bytes() -> None:
    """Nothing is read twice: else this would take minutes."""
    words = [b"%d" % number for number in range(20_000)]
    wire = request(*words)
    parser, found = RequestParser(), []
    for place in range(len(wire)):
        found += parser.feed(wire[place : place + 1])
    assert found == [words]


INLINE = {
    b"PING\r\n": [b"PING"],
    b"  SET  a\t'b c' \n": [b"SET", b"a", b"b c"],
    b'ECHO "a\\x41\\n\\"b\\\\"\r\n': [b"ECHO", b'aA\n"b\\'],
    b"ECHO 'it\\'s'\r\n": [b"ECHO", b"it's"],
    b'ECHO ""\r\n': [b"ECHO", b""],
}


@pytest.mark.parametrize("wire", list(INLINE))
def test_lines_of_words(wire: bytes) -> None:
    assert RequestParser(inline=True).feed(wire) == [INLINE[wire]]
    with pytest.raises(ProtocolError):
        RequestParser(inline=False).feed(wire)


def test_empty_requests_are_skipped() -> None:
    assert RequestParser(inline=True).feed(b"*0\r\n*-1\r\n\r\n\n" + request(b"PING")) == [[b"PING"]]


REFUSED = {
    "count not a number": b"*x\r\n",
    "count of 19 digits": b"*1000000000000000000\r\n",
    "count above the limit": b"*6\r\n",
    "no dollar": b"*1\r\n:1\r\n",
    "size not a number": b"*1\r\n$x\r\n",
    "size below 0": b"*1\r\n$-1\r\n",
    "size above the limit": b"*1\r\n$101\r\n",
    "all arguments above the limit": b"*3\r\n" + b"$100\r\n%s\r\n" % bytes(100) * 3,
    "no line end behind an argument": b"*1\r\n$1\r\nabc",
    "endless count": b"*" + b"1" * 70_000,
    "endless line": b"a" * 70_000,
    "open quote": b"ECHO 'a\r\n",
    "quote in a word's end": b"ECHO 'a'b\r\n",
    "too many words": b"a b c d e f\r\n",
}


@pytest.mark.parametrize("name", list(REFUSED))
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_what_is_no_request(name: str, piece: int) -> None:
    parser = RequestParser(arguments=5, argument_bytes=100, request_bytes=300, inline=True)
    wire = REFUSED[name]
    pieces = [wire[place : place + piece] for place in range(0, len(wire), piece)]
    with pytest.raises(ProtocolError, match="Protocol error"):
        list(map(parser.feed, pieces))


def test_memory_grows_with_bytes_and_not_with_promises() -> None:
    parser = RequestParser()
    assert parser.feed(b"*1000000\r\n$536870912\r\nabc") == []
    assert parser.pending_bytes == 25


REPLIES: dict[str, tuple[Any, bytes, bytes]] = {
    "null": (None, b"$-1\r\n", b"_\r\n"),
    "null array": (NULL_ARRAY, b"*-1\r\n", b"_\r\n"),
    "true": (True, b":1\r\n", b"#t\r\n"),
    "false": (False, b":0\r\n", b"#f\r\n"),
    "integer": (-5, b":-5\r\n", b":-5\r\n"),
    "smallest integer": (-(1 << 63), b":-9223372036854775808\r\n", b":-9223372036854775808\r\n"),
    "double": (2.5, b"$3\r\n2.5\r\n", b",2.5\r\n"),
    "whole double": (3.0, b"$1\r\n3\r\n", b",3\r\n"),
    "infinity": (float("-inf"), b"$4\r\n-inf\r\n", b",-inf\r\n"),
    "nan": (float("nan"), b"$3\r\nnan\r\n", b",nan\r\n"),
    "bytes": (b"a\r\n", b"$3\r\na\r\n\r\n", b"$3\r\na\r\n\r\n"),
    "empty": (b"", b"$0\r\n\r\n", b"$0\r\n\r\n"),
    "text": ("é", b"$2\r\n\xc3\xa9\r\n", b"$2\r\n\xc3\xa9\r\n"),
    "status": (OK, b"+OK\r\n", b"+OK\r\n"),
    "error": (Failure("ERR a\r\nb"), b"-ERR a  b\r\n", b"-ERR a  b\r\n"),
    "verbatim": (Verbatim(b"ab"), b"$2\r\nab\r\n", b"=6\r\ntxt:ab\r\n"),
    "array": ([1, [b"a"]], b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n", b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n"),
    "map": ({"a": 1}, b"*2\r\n$1\r\na\r\n:1\r\n", b"%1\r\n$1\r\na\r\n:1\r\n"),
    "set": ({1}, b"*1\r\n:1\r\n", b"~1\r\n:1\r\n"),
    "push": (Push([Simple(b"a")]), b"*1\r\n+a\r\n", b">1\r\n+a\r\n"),
}


@pytest.mark.parametrize("name", list(REPLIES))
def test_replies(name: str) -> None:
    reply, old, new = REPLIES[name]
    assert (encode(reply, 2), encode(reply, 3)) == (old, new)


def test_what_is_no_reply() -> None:
    deep: Any = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(InvalidArgumentError):
        encode(deep)
    with pytest.raises(InvalidTypeError):
        encode(object())
