"""Checks of what callers pass: each raises :class:`~striate.InvalidTypeError` or :class:`~striate.InvalidArgumentError`
with the argument's name."""

from __future__ import annotations

import math
import operator
import os
from datetime import timedelta

from striate._native.inputs import as_utf8
from striate.errors import InvalidArgumentError, InvalidTypeError


def any_integer(value: object, name: str) -> int:
    """An int, or what converts to one without loss."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InvalidTypeError(name, "an int", type(value))
    try:
        return operator.index(value)
    except TypeError:
        raise InvalidTypeError(name, "an int", type(value)) from None


def integer(value: object, name: str, lowest: int, highest: int) -> int:
    """As :func:`any_integer`, within bounds (both allowed)."""
    number = any_integer(value, name)
    if not lowest <= number <= highest:
        raise InvalidArgumentError(name, f"from {lowest} to {highest}", number)
    return number


def absolute_path(path: object, name: str) -> str:
    """A file system path, absolute, links not followed."""
    if not isinstance(path, (str, os.PathLike)) or not isinstance(os.fspath(path), str):
        raise InvalidTypeError(name, "a str or os.PathLike", type(path))
    text = os.fspath(path)
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise InvalidArgumentError(name, "a file system path", text) from None
    if "\0" in text or not text:
        raise InvalidArgumentError(name, "a file system path", text)
    return os.path.abspath(text)


def check_outside(path: str, name: str, directory: str) -> None:
    """A path that is neither a directory nor below it, links followed."""
    own = os.path.realpath(directory)
    if os.path.commonpath([own, os.path.realpath(path)]) == own:
        raise InvalidArgumentError(name, f"outside {directory}", path)


def check_progress(progress: object) -> None:
    """A callable, or ``None``."""
    if progress is not None and not callable(progress):
        raise InvalidTypeError("progress", "a callable", type(progress))


def check_timeout(timeout: float | None) -> float | None:
    """Seconds from 0 on, or ``None``, for which infinity stands as well; what to wait, ``None``: for ever."""
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, (int, float))):
        raise InvalidTypeError("timeout", "seconds or None", type(timeout))
    if timeout is not None and not timeout >= 0:
        raise InvalidArgumentError("timeout", "0 or more seconds", timeout)
    return None if timeout == math.inf else timeout


def check_retries(retries: object, function: object) -> int:
    """What a transaction is done with: how often again, from 0 on, and a callable."""
    if not callable(function):
        raise InvalidTypeError("function", "a callable", type(function))
    return integer(retries, "retries", 0, 1 << 62)


def microseconds(value: float | timedelta, name: str) -> int:
    """A duration in seconds or as ``timedelta``, as microseconds."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidTypeError(name, "seconds or a timedelta", type(value))
    if not 0 <= value < 1e12:
        raise InvalidArgumentError(name, "0 or more seconds", value)
    return int(value * 1_000_000)


def lifetime(value: float | timedelta, name: str) -> float:
    """How long an entry of a cache lives, in seconds; infinity for ever, as for its native half."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidTypeError(name, "seconds, a timedelta or None", type(value))
    try:
        seconds = float(seconds)
    except OverflowError:
        raise InvalidArgumentError(name, "seconds that a float can express, or None", value) from None
    if not seconds > 0:
        raise InvalidArgumentError(name, "more than 0 seconds", value)
    return math.inf if seconds > 3.2e9 else seconds


def nanoseconds(timeout: float | None) -> int:
    """For a native wait; ``None``: for ever."""
    timeout = check_timeout(timeout)
    return -1 if timeout is None else int(min(timeout, 4e9) * 1e9)


def milliseconds(value: float | timedelta, name: str) -> int:
    """A duration, rounded up."""
    return -(-microseconds(value, name) // 1000)


def as_bytes(text: bytes | str, name: str) -> bytes:
    """The bytes that a key, prefix or tag stands for."""
    if isinstance(text, str):
        return as_utf8(text, name)
    if not isinstance(text, bytes):
        raise InvalidTypeError(name, "bytes or str", type(text))
    return text
