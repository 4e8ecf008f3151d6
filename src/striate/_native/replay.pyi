from collections.abc import Callable

from striate._native.partition import Partition

def take_in(
    partition: Partition,
    start: int,
    on_catalog: Callable[[bytes, bytes, int], object],
    progress: Callable[[int, int], object] | None = None,
) -> None: ...
