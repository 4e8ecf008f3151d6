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

from striate._native.resp import NULL_ARRAY, Failure, Push, Simple, Verbatim

__all__ = ["NULL_ARRAY", "OK", "QUEUED", "Failure", "Push", "Reply", "Simple", "Verbatim"]

Reply = Any
"""One of the objects of the table above."""

OK: Final = Simple(b"OK")
QUEUED: Final = Simple(b"QUEUED")
