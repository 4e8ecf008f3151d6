from collections.abc import Callable
from typing import Any, Final

from striate._native.io import Disk

OPERATIONS: Final[tuple[str, ...]]

class ThreadlessDisk(Disk):
    def __init__(self) -> None: ...

class SimulatedDisk(Disk):
    @property
    def operations(self) -> list[tuple[Any, ...]]: ...
    @property
    def calls(self) -> dict[str, int]: ...
    @property
    def faults_hit(self) -> int: ...
    @property
    def misuses(self) -> int: ...
    @property
    def open_files(self) -> list[str]: ...
    @property
    def mapped_files(self) -> list[str]: ...
    recording: bool
    volatile_names: frozenset[str]
    mapped_ahead: list[tuple[int, int, int]] | None
    before_fill: Callable[[str, int, int], object] | None
    def __init__(self) -> None: ...
    def defer_seals(self, deferred: bool = ...) -> None: ...
    def note(self, *what: object) -> None: ...
    def fail(
        self,
        operation: str,
        nth: int = 1,
        errno: int = ...,
        *,
        forever: bool = False,
        path_contains: str = "",
        partial: bool = False,
    ) -> None: ...
    def heal(self) -> None: ...
