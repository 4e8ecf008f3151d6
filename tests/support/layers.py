"""Segments made by hand: bytes of support.format in a file, and the manifest entry that names them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from striate._native.segment import Segment
from striate.storage.manifest import SegmentEntry
from support import format as disk_format
from support.format import Footer, Frame, StoreHeader

LOG_ID = 0x10610610610610
SEGMENT_ID = 0x5E65E65E65E6
BASE = 1000
CAPACITY = 4096
FILE_BYTES = 8192
TIME_US = 1_700_000_000_000_000

HEADER = StoreHeader(LOG_ID, SEGMENT_ID, BASE, TIME_US, capacity=CAPACITY)


def frame(relative: int, *, size: int = 40, **fields: object) -> Frame:
    """A frame whose value tells its number."""
    value = f"value {relative} ".encode().ljust(size, b".")[:size]
    made = Frame(relative, TIME_US + relative, value, b"key %d" % relative)
    return replace(made, **fields)  # type: ignore[arg-type]


def flip(data: bytes, position: int) -> bytes:
    """One bit of one byte turned over."""
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]


@dataclass
class Body:
    """Frames, encoded one by one, so that a test can damage one of them and knows where each stands."""

    parts: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, frames: Sequence[Frame], segment_id: int = SEGMENT_ID) -> Body:
        return cls([disk_format.encode_frame(one, segment_id) for one in frames])

    def position(self, number: int) -> int:
        """Where part `number` begins in the file; one past the last: where the parts end."""
        return disk_format.HEADER_BYTES + sum(len(part) for part in self.parts[:number])

    @property
    def end(self) -> int:
        return self.position(len(self.parts))

    def footer(self, *, index_checksum: int = 0, flags: int = 0, count: int | None = None) -> bytes:
        """The footer that belongs behind all parts."""
        records = len(self.parts) if count is None else count
        return disk_format.encode_footer(
            Footer(
                SEGMENT_ID,
                self.end,
                TIME_US,
                TIME_US + max(records - 1, 0),
                records,
                max(records - 1, 0),
                disk_format.chain_checksum(self.parts),
                index_checksum,
                flags,
            )
        )

    def index(self) -> bytes:
        return disk_format.encode_index((number, self.position(number)) for number in range(len(self.parts)))


def write_store(
    directory: Path, body: bytes, *, header: StoreHeader = HEADER, file_bytes: int = FILE_BYTES
) -> SegmentEntry:
    """A store file with these bytes behind its header, zeros behind them, and the entry of an unsealed segment."""
    path = directory / disk_format.segment_names(header.base_offset)[0]
    path.write_bytes((disk_format.encode_store_header(header) + body).ljust(file_bytes, b"\0"))
    return SegmentEntry(header.base_offset, header.segment_id)


def write_sealed(directory: Path, body: Body) -> SegmentEntry:
    """A sealed segment, store and index, and its entry."""
    index = body.index()
    checksum = disk_format.checksum(index)
    write_store(directory, b"".join(body.parts) + body.footer(index_checksum=checksum), file_bytes=0)
    (directory / disk_format.segment_names(BASE)[1]).write_bytes(index)
    return SegmentEntry(
        BASE,
        SEGMENT_ID,
        sealed=True,
        next_offset=BASE + len(body.parts),
        end_position=body.end,
        first_timestamp_us=TIME_US,
        last_timestamp_us=TIME_US + len(body.parts) - 1,
        record_count=len(body.parts),
        chain_checksum=disk_format.chain_checksum(body.parts),
        index_checksum=checksum,
    )


def four() -> Body:
    return Body.of([frame(number) for number in range(4)])


def joined(body: Body) -> bytes:
    return b"".join(body.parts)


def fresh(directory: Path, revision: int = 0, *, capacity: int = CAPACITY, record_size: int = 0) -> Segment:
    return Segment.create(
        str(directory),
        BASE,
        revision,
        log_id=LOG_ID,
        segment_id=SEGMENT_ID + revision,
        capacity=capacity,
        base_timestamp_us=TIME_US,
        record_size=record_size,
    )


def source_in(directory: Path, body: Body | None = None) -> Segment:
    """A recovered segment to copy records from."""
    segment = Segment.open_unsealed(str(directory), write_store(directory, joined(body or four())))
    segment.recover()
    return segment
