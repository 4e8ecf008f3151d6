"""What :meth:`striate.Log.segments` tells of a segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate._native.segment import Segment, file_names
from striate.errors import CorruptSegmentError, DiskError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["SegmentInfo"]


@dataclass(frozen=True)
class SegmentInfo:
    """One segment at one moment.

    Attributes:
        base_offset, next_offset: its range, half-open. record_count: records there are. size_bytes: of header and
            frames.
        sealed: never appended to again. has_gaps: compaction has dropped records. revision: how often it was rewritten.
        first_timestamp, last_timestamp: microseconds since the epoch. index_path: ``None`` in a fixed-length log.
    """

    base_offset: int
    next_offset: int
    record_count: int
    size_bytes: int
    sealed: bool
    has_gaps: bool
    revision: int
    first_timestamp: int
    last_timestamp: int
    segment_id: int
    store_path: str
    index_path: str | None

    @classmethod
    def of(cls, directory: str, segment: Segment) -> SegmentInfo:
        """Of an open segment."""
        store_path, index_path = file_names(directory, segment.base_offset, segment.revision)
        return cls(
            base_offset=segment.base_offset,
            next_offset=segment.next_offset,
            record_count=segment.record_count,
            size_bytes=segment.end_position,
            sealed=bool(segment.sealed),
            has_gaps=bool(segment.gaps),
            revision=segment.revision,
            first_timestamp=segment.first_timestamp_us,
            last_timestamp=segment.last_timestamp_us,
            segment_id=segment.store.segment_id,
            store_path=store_path,
            index_path=None if segment.store.record_size else index_path,
        )

    @property
    def index(self) -> npt.NDArray[np.uint32] | None:
        """The index file as a read-only ``numpy.memmap`` of shape ``(record_count, 2)``, dtype ``<u4``: relative offset
        and position in units of 8 bytes. ``None`` in a fixed-length log. Not a copy: pages are read as they are
        touched.

        Raises:
            DiskError: the file is gone, as after compaction or retention. CorruptSegmentError: it is too short.
        """
        import numpy

        if self.index_path is None:
            return None
        if self.record_count == 0:
            return numpy.empty((0, 2), dtype="<u4")
        try:
            return numpy.memmap(self.index_path, dtype="<u4", mode="r", shape=(self.record_count, 2))
        except OSError as error:
            raise DiskError(self.index_path, "map", error.errno or 0, error.strerror or "") from None
        except ValueError:
            raise CorruptSegmentError(self.index_path, "the file is too short") from None
