"""Glob patterns."""

from __future__ import annotations

import pytest

from striate.commands.patterns import literal, matches, prefix


@pytest.mark.parametrize(
    ("pattern", "fits", "misses"),
    [
        (b"", [b""], [b"a"]),
        (b"*", [b"", b"abc"], []),
        (b"a*c", [b"ac", b"abbc", b"acc"], [b"a", b"acb"]),
        (b"**a**", [b"a", b"bab"], [b"", b"b"]),
        (b"h?llo", [b"hello", b"hallo"], [b"hllo", b"heello"]),
        (b"h[ae]llo", [b"hello", b"hallo"], [b"hillo"]),
        (b"h[^e]llo", [b"hallo"], [b"hello"]),
        (b"h[a-c]llo", [b"hbllo"], [b"hdllo"]),
        (b"h[c-a]llo", [b"hbllo"], [b"hdllo"]),
        (b"[a", [b"a"], [b"b", b"ab"]),
        (b"[\\]]", [b"]"], [b"\\"]),
        (b"a\\*", [b"a*"], [b"ab", b"a\\"]),
        (b"a\\", [b"a\\"], [b"a"]),
        (b"[a-]x", [b"a", b"x", b"_"], [b"ax", b"-x"]),
        (b"*[0-9]", [b"a1", b"11"], [b"a"]),
    ],
)
def test_patterns(pattern: bytes, fits: list[bytes], misses: list[bytes]) -> None:
    assert [text for text in fits + misses if matches(pattern, text)] == fits


def test_case_may_be_ignored() -> None:
    assert matches(b"Max*", b"maxmemory", ignore_case=True)
    assert not matches(b"Max*", b"maxmemory")


@pytest.mark.timeout(5)
def test_many_stars_take_no_more_than_pattern_times_text() -> None:
    assert not matches(b"a*" * 50 + b"b", b"a" * 5000)


def test_what_a_pattern_begins_with() -> None:
    assert prefix(b"user:*:[ab]") == b"user:"
    assert prefix(b"user") == b"user"
    assert literal(b"user") == b"user"
    assert literal(b"us?r") is literal(b"us\\er") is None
