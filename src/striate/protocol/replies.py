"""What a command answers, as Python objects; :mod:`striate._native.resp` writes them in RESP2 or RESP3.

=====================  ======================  =========================
object                 RESP3                   RESP2
=====================  ======================  =========================
``None``               null                    null bulk string
:data:`NULL_ARRAY`     null                    null array
``bool``               boolean                 integer 1 or 0
``int``                integer                 integer
``float``              double                  bulk string
``bytes``, ``str``     bulk string             bulk string
:class:`Simple`        simple string           simple string
:class:`Failure`       error                   error
:class:`Verbatim`      verbatim text           bulk string
``list``, ``tuple``    array                   array
``dict``               map                     array of keys and values
``set``                set                     array
:class:`Push`          push                    array
=====================  ======================  =========================
"""

from __future__ import annotations

from typing import Any, Final

Reply = Any
"""One of the objects of the table above."""


class Simple(bytes):
    """A status without CR and LF, such as ``OK``."""

    __slots__ = ()


class Failure(Exception):  # noqa: N818
    """An error: a code in capitals and a sentence, as Redis words it. Raised by commands, or an element of a reply."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.line = text.replace("\r", " ").replace("\n", " ").encode("utf-8", "surrogateescape")


class Verbatim(bytes):
    """Text to show as it is, such as that of INFO."""

    __slots__ = ()


class Push(tuple[Any, ...]):
    """What no request asked for: a message of a channel, an invalidation."""

    __slots__ = ()


class _NullArray:
    """The type of :data:`NULL_ARRAY`."""

    def __repr__(self) -> str:
        return "NULL_ARRAY"


NULL_ARRAY: Final = _NullArray()
OK: Final = Simple(b"OK")
QUEUED: Final = Simple(b"QUEUED")
