"""Numbers with a fraction as Redis computes them: C's ``long double`` of 64 bits of precision, shown by ``%.17Lf``.

Python has no such type, so it is computed with fractions and rounded as the processor does.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

from striate.commands.numbers import NOT_A_FLOAT
from striate.protocol.replies import Failure

NOT_FINITE = "ERR increment would produce NaN or Infinity"

_DIGITS = 64
_LARGEST = (1 << 16384) - (1 << (16384 - _DIGITS))
_SMALLEST = Fraction(1, 1 << 16445)
_FLOAT = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]{1,9}))?")
_INFINITE = re.compile(rb"[+-]?inf(?:inity)?", re.IGNORECASE)
_MOST_TEXT = 4000  # Python reads no more than 4,300 digits
_MOST_EXPONENT = 11_000  # more than a long double has, and little enough to compute with


def parse_extended(text: bytes) -> Fraction | None:
    """The number that a decimal text stands for, ``None`` for infinity. Failure: none, or out of range."""
    if _INFINITE.fullmatch(text):
        return None
    found = _FLOAT.fullmatch(text) if len(text) < _MOST_TEXT else None
    if found is None or abs(int(found[1] or 0)) > _MOST_EXPONENT:
        raise Failure(NOT_A_FLOAT)
    exact = Fraction(text.decode())
    if abs(exact) > _LARGEST or 0 < abs(exact) < _SMALLEST:
        raise Failure(NOT_A_FLOAT)
    return _rounded(exact)


def add_extended(one: Fraction | None, other: Fraction | None) -> Fraction:
    """Their sum. Failure: it is too large."""
    if one is None or other is None or abs(total := _rounded(one + other)) > _LARGEST:
        raise Failure(NOT_FINITE)
    return total


def _rounded(exact: Fraction) -> Fraction:
    """The nearest number with so many binary digits, the even one of two."""
    if not exact:
        return exact
    exponent = abs(exact.numerator).bit_length() - exact.denominator.bit_length() - _DIGITS
    rounded = Fraction(0)
    # The estimate of the exponent is right or one too low.
    for shift in (exponent, exponent + 1):
        scale = Fraction(1 << shift) if shift >= 0 else Fraction(1, 1 << -shift)
        digits = round(exact / scale)
        rounded = digits * scale
        if abs(digits) <= 1 << _DIGITS:
            break
    return rounded


def show_extended(number: Fraction) -> bytes:
    """The number with at most 17 digits behind the point, no zeros at the end."""
    scaled = abs(round(number * 10**17))
    whole, rest = divmod(scaled, 10**17)
    # By Decimal, since Python shows no int of more than 4,300 digits.
    digits = f"{Decimal(whole):f}.{rest:017}".rstrip("0").rstrip(".")
    return (f"-{digits}" if number < 0 and scaled else digits).encode()
