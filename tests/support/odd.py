"""A small filled log for tests of input that is bad or odd, and some of that input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Opener = Callable[..., Any]

COUNT = 60
HUGE = 2**80
LENGTHS = np.array([1, 1], dtype=np.uint32)
OBJECTS = np.array([b"a", None, 1], dtype=object)  # its buffer is addresses


class Index:
    """Converts to an offset, or to what it was given instead."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __index__(self) -> Any:
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def released() -> memoryview:
    view = memoryview(b"gone")
    view.release()
    return view


def filled(open_log: Opener, **options: Any) -> Any:
    log = open_log(**options)
    for number in range(COUNT):
        log.append(value_of(number), b"k%d" % number)
    return log


def value_of(number: int) -> bytes:
    return b"%d." % number * 20


def unharmed(log: Any) -> None:
    """Nothing is lost or added, and the next append goes to the next offset; it is cut off again."""
    assert [record.value for record in log] == [value_of(number) for number in range(COUNT)]
    assert (log.lowest_offset, log.next_offset) == (0, COUNT)
    assert log.append(b"on", b"key") == COUNT
    assert log.read(COUNT).value == b"on"
    log.truncate_after(COUNT - 1)
