"""Numbers with a fraction: sums as a redis-server on x86-64 gives them."""

from __future__ import annotations

import pytest

from striate.commands.extended import add_extended, parse_extended, show_extended
from striate.protocol.replies import Failure


def total(one: str, other: str) -> str:
    return show_extended(add_extended(parse_extended(one.encode()), parse_extended(other.encode()))).decode()


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("3.0", "1.1", "4.1"),
        ("0.1", "0.2", "0.3"),
        ("1e20", "0.1", "100000000000000000000"),
        ("17179869184", "0.00000001", "17179869184.00000000931322575"),
        ("1.23456789012345678", "1e-17", "1.23456789012345679"),
        ("-0.5", ".5", "0"),
        ("-0", "-1e-30", "0"),
        ("5.", "+3", "8"),
        ("9223372036854775807", "0.5", "9223372036854775807.5"),
        ("18446744073709551615", "2", "18446744073709551616"),
        ("-1.5", "0", "-1.5"),
    ],
)
def test_sums(one: str, other: str, expected: str) -> None:
    assert total(one, other) == expected


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1e", "nan", "1_0", "--1", "1e5000", "1e-5000", "1e999999999999", "1" * 4001]
)
def test_what_is_no_number(text: str) -> None:
    for one, other in ((text, "1"), ("inf", text)):
        with pytest.raises(Failure, match="not a valid float"):
            total(one, other)


@pytest.mark.parametrize(("one", "other"), [("inf", "1"), ("1", "-Infinity"), ("1.1e4932", "1.1e4932")])
def test_sums_that_are_too_large(one: str, other: str) -> None:
    with pytest.raises(Failure, match="NaN or Infinity"):
        total(one, other)


def test_the_largest_are_shown_in_full() -> None:
    assert len(total("1e4931", "0")) == 4932
