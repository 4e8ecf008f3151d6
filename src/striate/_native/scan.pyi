from typing import Literal, overload

from striate._native.table import StripedTable

@overload
def batch(
    striped: StripedTable, space: int, cursor: int, now: int, *, prefix: bytes = b"", values: Literal[False] = False
) -> tuple[list[bytes], int]: ...
@overload
def batch(
    striped: StripedTable, space: int, cursor: int, now: int, *, prefix: bytes = b"", values: Literal[True]
) -> tuple[list[tuple[bytes, bytes, int]], int]: ...
def discard_prefix(striped: StripedTable, space: int, now: int, prefix: bytes, source: int = 0) -> int: ...
def discard_tag(striped: StripedTable, space: int, now: int, tag: bytes, source: int = 0) -> int: ...
