from collections.abc import Callable
from typing import Any, final

from striate._native.partition import Partition

@final
class Connection:
    session: Any
    def __init__(self, *args: Any, **kwargs: Any) -> None: ...
    def push(self, reply: Any) -> None: ...
    def reply(self, reply: Any) -> None: ...
    def close(self, after_reply: bool = False) -> None: ...
    def set_protocol(self, version: int) -> None: ...
    def set_plain(self, plain: bool, database: int) -> None: ...
    def set_trusted(self, trusted: bool) -> None: ...
    @property
    def peer(self) -> str: ...
    @property
    def local(self) -> str: ...
    @property
    def figures(self) -> dict[str, Any]: ...

class Reactor:
    partition: Partition
    connections: dict[int, Connection]
    plain: bool
    requests: int
    gets: int
    sets: int
    appends: int
    hits: int
    received_bytes: int
    sent_bytes: int
    accepted: int
    refused: int
    dropped: int
    output_limit: int
    most_connections: int
    def __new__(
        cls,
        partition: Partition,
        *,
        tables: list[Any],
        streams: list[Any],
        names: dict[bytes, Any],
        appended: list[dict[bytes, tuple[Any, bytes, Any]]],
        dispatch: Callable[[Any, Any], Any],
        open_session: Callable[[Connection], Any],
        close_session: Callable[[Any], None],
        hand_over: Callable[[int, bool, bytes], None],
        want_durable: Callable[[], None],
        wake: Callable[[], None],
        retry: object,
        later: object,
        silence: object,
    ) -> Reactor: ...
    def fileno(self) -> int: ...
    def drain(self) -> int: ...
    def set_limits(self, *, arguments: int, argument_bytes: int, request_bytes: int, inline: bool) -> None: ...
    def listen(self, descriptor: int) -> None: ...
    def stop_listening(self, descriptor: int) -> None: ...
    def adopt(self, descriptor: int) -> Connection: ...
    def run(self) -> None: ...
    def released(self) -> None: ...
