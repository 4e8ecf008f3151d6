from typing import Any, final

from typing_extensions import Buffer

class Simple(bytes): ...
class Verbatim(bytes): ...
class Push(tuple[Any, ...]): ...

class Failure(Exception):  # noqa: N818
    line: bytes
    def __init__(self, text: str) -> None: ...

class NullArray: ...

NULL_ARRAY: NullArray

def encode(reply: Any, protocol: int = 2) -> bytes: ...

@final
class RequestParser:
    def __new__(
        cls,
        *,
        arguments: int = ...,
        argument_bytes: int = ...,
        request_bytes: int = ...,
        inline: bool = False,
    ) -> RequestParser: ...
    def feed(self, data: Buffer) -> list[list[bytes]]: ...
    @property
    def pending_bytes(self) -> int: ...
