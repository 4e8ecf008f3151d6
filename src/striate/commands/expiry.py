"""Times to live in arguments: how Redis reads EX, PX, EXAT and PXAT, and what it refuses."""

from __future__ import annotations

from typing import Final

from striate.commands.numbers import HIGHEST, integer
from striate.commands.session import Session
from striate.protocol.replies import Failure

UNITS: Final = {"ex": (1000, True), "px": (1, True), "exat": (1000, False), "pxat": (1, False)}
"""Milliseconds of one, and whether it counts from now."""


def end_of(session: Session, text: bytes, unit: str, command: str) -> int:
    """The end in milliseconds since the epoch of a time to live, which must be more than 0."""
    number = integer(text)
    scale, from_now = UNITS[unit]
    now = session.server.effects.now_ms() if from_now else 0
    if number <= 0 or number * scale + now > HIGHEST:
        raise Failure(f"ERR invalid expire time in '{command}' command")
    return number * scale + now
