from striate._native.io import Disk

class Store:
    @property
    def path(self) -> str: ...
    @property
    def log_id(self) -> int: ...
    @property
    def segment_id(self) -> int: ...
    @property
    def base_offset(self) -> int: ...
    @property
    def base_timestamp_us(self) -> int: ...
    @property
    def leader_epoch(self) -> int: ...
    @property
    def record_size(self) -> int: ...
    @property
    def codec(self) -> int: ...
    @property
    def capacity(self) -> int: ...
    @property
    def written(self) -> int: ...
    @property
    def chain(self) -> int: ...
    @staticmethod
    def create(
        path: str,
        *,
        log_id: int,
        segment_id: int,
        base_offset: int,
        capacity: int,
        base_timestamp_us: int = 0,
        leader_epoch: int = 0,
        record_size: int = 0,
        codec: int = 0,
        disk: Disk = ...,
    ) -> Store: ...
    @staticmethod
    def open(
        path: str,
        *,
        segment_id: int,
        mapped_bytes: int = -1,
        writable: bool = False,
        disk: Disk = ...,
        trusted: tuple[int, int, int] | None = None,
    ) -> Store: ...
    def append_record(
        self, value: bytes, key: bytes | None = None, relative_offset: int = 0, timestamp_us: int = 0
    ) -> int | None: ...
    def read_record(self, position: int) -> tuple[int, bytes | None, bytes] | None: ...
    def mark_synced(self) -> None: ...
