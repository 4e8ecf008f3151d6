from typing import Any

from striate._native.partition import Partition

class PlainCommands:
    gets: int
    hits: int
    sets: int
    appends: int
    def __new__(
        cls,
        partition: Partition,
        *,
        tables: list[Any],
        names: dict[bytes, Any],
        appended: list[dict[bytes, tuple[Any, bytes, Any]]],
    ) -> PlainCommands: ...
