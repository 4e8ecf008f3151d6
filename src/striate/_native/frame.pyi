from typing import Final, Literal

from typing_extensions import Buffer

VERSION: Final = 1

def crc32c(data: Buffer, seed: int = 0) -> int: ...
def crc32c_portable(data: Buffer, seed: int = 0) -> int: ...
def parse_frame(
    segment: Buffer, position: int, segment_id: int
) -> dict[str, int | bytes | None] | Literal[False] | None: ...
