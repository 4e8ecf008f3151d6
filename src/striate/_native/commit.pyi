from typing import Any

from striate._native.durable import TableCore
from striate._native.partition import Partition

class Commit:
    def __new__(cls, partition: Partition, capacity: int) -> Commit: ...
    def check(self, table: TableCore[Any], key: bytes | str, version: int) -> None: ...
    def watch(self, table: TableCore[Any], changes: int) -> None: ...
    def add(
        self,
        table: TableCore[Any],
        key: bytes | str,
        value: bytes | None,
        end: int = 0,
        condition: int = 0,
        expected: int = 0,
    ) -> None: ...
    def run(self) -> tuple[Any, bytes | None] | None: ...
