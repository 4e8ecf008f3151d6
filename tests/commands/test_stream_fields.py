"""How fields and values of Redis become entries of striate, and back; streams shared with a program."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.clients import Run

import striate
from striate.commands.stream_fields import as_entry, as_fields, pack, unpack


@pytest.mark.parametrize(
    ("fields", "value", "key"),
    [
        ([b"data", b"v"], b"v", None),
        ([b"data", b""], b"", None),
        ([b"data", b"v", b"key", b"k"], b"v", b"k"),
        ([b"data", b"v", b"key", b""], b"\x04data\x01v\x03key\x00", b""),
        ([b"f", b"v"], b"\x01f\x01v", b""),
        ([b"f", b"x" * 300], b"\x01f\xac\x02" + b"x" * 300, b""),
        ([b"key", b"k", b"data", b"v"], b"\x03key\x01k\x04data\x01v", b""),
    ],
)
def test_form(fields: list[bytes], value: bytes, key: bytes | None) -> None:
    assert as_entry(fields) == (value, key)
    assert as_fields(value, key) == fields


_pairs = st.lists(
    st.tuples(st.sampled_from([b"data", b"key", b"f"]) | st.binary(), st.binary(max_size=300)), min_size=1
)


@given(_pairs)
def test_every_list_of_fields_comes_back(pairs: list[tuple[bytes, bytes]]) -> None:
    fields = [part for pair in pairs for part in pair]
    assert as_fields(*as_entry(fields)) == fields


@given(st.binary())
def test_any_bytes_are_read(packed: bytes) -> None:
    fields = unpack(packed)
    assert as_fields(packed, b"") == (fields or [b"data", packed, b"key", b""])
    if fields is not None:
        assert unpack(pack(fields)) == fields


def test_bytes_that_are_no_fields() -> None:
    for packed in (b"", b"\x01", b"\x01a", b"\x80", b"\xff\xff\xff\xff\xff\xff\x01", b"\x01a\x05b"):
        assert unpack(packed) is None


def test_a_program_and_clients_share_a_stream(run: Run, database: striate.Database) -> None:
    stream = database.stream("orders")
    stream.append(b"plain", id="1-1")
    stream.append(b"keyed", b"k", id="1-2")
    assert run("XRANGE", "orders", "-", "+") == [
        [b"1-1", [b"data", b"plain"]],
        [b"1-2", [b"data", b"keyed", b"key", b"k"]],
    ]
    run("XADD", "orders", "1-3", "data", "v")
    entry = stream["1-3"]
    assert (entry.value, entry.key) == (b"v", None)


def test_a_stream_with_a_codec_shows_what_is_stored(run: Run, database: striate.Database) -> None:
    database.stream("events", "json").append({"a": 1}, id="1-1")
    assert run("XRANGE", "events", "-", "+") == [[b"1-1", [b"data", b'{"a":1}']]]
