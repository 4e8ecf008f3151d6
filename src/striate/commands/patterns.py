"""Glob patterns of keys and channels as Redis matches them: ``*``, ``?``, ``[a-z]``, ``[^...]``; behind a backslash a
character stands for itself.

Iterative: it goes back to the last ``*`` only, so the steps are at most pattern times text, whatever the pattern.
"""

from __future__ import annotations

_STAR, _ANY, _OPEN, _CLOSE, _NOT, _ESCAPE, _TO = b"*?[]^\\-"


def matches(pattern: bytes, text: bytes, ignore_case: bool = False) -> bool:
    """Whether all of a text fits a pattern."""
    if ignore_case:
        pattern, text = pattern.lower(), text.lower()
    at = place = 0
    star = mark = -1
    while place < len(text):
        if at < len(pattern) and pattern[at] == _STAR:
            star, mark = at, place
            at += 1
            continue
        fits, after = _step(pattern, at, text[place])
        if fits:
            at, place = after, place + 1
        elif star >= 0:
            mark += 1
            at, place = star + 1, mark
        else:
            return False
    return not pattern[at:].strip(b"*")


def _step(pattern: bytes, at: int, byte: int) -> tuple[bool, int]:
    """Whether one byte fits what of the pattern begins there, and where that ends."""
    if at >= len(pattern):
        return False, at
    kind = pattern[at]
    if kind == _ANY:
        return True, at + 1
    if kind == _OPEN:
        return _in_class(pattern, at + 1, byte)
    if kind == _ESCAPE and at + 1 < len(pattern):
        at += 1
    return pattern[at] == byte, at + 1


def _in_class(pattern: bytes, at: int, byte: int) -> tuple[bool, int]:
    """As :func:`_step` for what stands behind a ``[``; one that is never closed ends with the pattern."""
    negated = at < len(pattern) and pattern[at] == _NOT
    at += negated
    found = False
    while at < len(pattern) and pattern[at] != _CLOSE:
        if pattern[at] == _ESCAPE and at + 1 < len(pattern):
            at += 1
            found |= pattern[at] == byte
        elif at + 2 < len(pattern) and pattern[at + 1] == _TO:
            low, high = sorted((pattern[at], pattern[at + 2]))
            found |= low <= byte <= high
            at += 2
        else:
            found |= pattern[at] == byte
        at += 1
    return found != negated, at + 1


def literal(pattern: bytes) -> bytes | None:
    """The only text that fits a pattern; ``None`` when it may be several."""
    return None if any(special in pattern for special in b"*?[\\") else pattern


def prefix(pattern: bytes) -> bytes:
    """What every text begins with that fits a pattern."""
    ends = [place for place in (pattern.find(special) for special in (b"*", b"?", b"[", b"\\")) if place >= 0]
    return pattern[: min(ends, default=len(pattern))]
