"""Numbers in arguments, as Redis reads them."""

from __future__ import annotations

import re
from typing import Final

from striate.protocol.replies import Failure

NOT_AN_INTEGER: Final = "ERR value is not an integer or out of range"
NOT_A_FLOAT: Final = "ERR value is not a valid float"
SYNTAX: Final = "ERR syntax error"
LOWEST, HIGHEST = -(1 << 63), (1 << 63) - 1

_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")


def integer_or_none(text: bytes) -> int | None:
    """A whole number of 64 bits, ``None`` for what is none: no blanks, plus signs or leading zeros."""
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if LOWEST <= number <= HIGHEST else None


def integer(text: bytes, failure: str = NOT_AN_INTEGER) -> int:
    """A whole number of 64 bits; Failure for what is none."""
    number = integer_or_none(text)
    if number is None:
        raise Failure(failure)
    return number


def natural(text: bytes, failure: str) -> int:
    """A whole number that is not below 0; Failure for what is none."""
    number = integer(text, failure)
    if number < 0:
        raise Failure(failure)
    return number


def option(text: bytes) -> str:
    """An option's name in lower case."""
    return text.decode("latin-1").lower()
