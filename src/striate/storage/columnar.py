"""Batches of records as columns: numpy arrays and Arrow data over the bytes of a segment, without a copy.

What may not live here: file access (batches come from :class:`striate.Log`), and an import of numpy or of an
Arrow library at the top: numpy is imported when the first array is asked for, Arrow libraries are never.
"""

from __future__ import annotations

import operator
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex

from striate._native.arrow import arrow_array, arrow_schema, arrow_stream
from striate._native.columnar import RecordColumns
from striate._native.record import Record, make_record
from striate.errors import InvalidTypeError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["RecordBatch", "RecordBatches"]


class RecordBatch:
    """Consecutive records of one segment as columns over one buffer.

    Made by :meth:`striate.Log.read_batch` and :meth:`striate.Log.batches`. Row ``i`` of each column belongs
    to the batch's ``i``-th record; ``batch[i]`` is that record with its bytes copied out. The arrays are made
    on first use, are read-only, and are the same objects each time.

    Lifetime: the batch, :attr:`buffer`, what :meth:`value` and :meth:`key` return, and everything given to
    Arrow pin the segment's mapping: if retention or compaction removes the segment, its disk space is freed
    when the last of them dies. The numpy arrays of columns own their memory and pin nothing. All of them stay
    valid without the batch, and after the log is closed.

    Thread safety: immutable; any number of threads may use one batch.

    Arrow: ``pyarrow.record_batch(batch)``. Keys and values are binary views, for which pyarrow 26 has no
    filter, take and sort; ``table["value"].cast(pyarrow.binary())`` copies them into a type that has.
    """

    __slots__ = ("__weakref__", "_arrays", "_columns")

    def __init__(self, columns: RecordColumns) -> None:
        self._columns = columns
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    # ------------------------------------------------ columns

    @property
    def offsets(self) -> npt.NDArray[np.uint64]:
        """Offsets of the records, uint64, shape (n,); ascending, with gaps only where a log was compacted."""
        return self._array("offsets", "uint64")

    @property
    def timestamps(self) -> npt.NDArray[np.int64]:
        """Timestamps in µs since the epoch, int64, shape (n,); never decreasing."""
        return self._array("timestamps", "int64")

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """Where in :attr:`buffer` the values begin, in bytes, int64, shape (n,)."""
        return self._array("positions", "int64")

    @property
    def lengths(self) -> npt.NDArray[np.uint32]:
        """Sizes of the values in bytes, uint32, shape (n,)."""
        return self._array("lengths", "uint32")

    @property
    def key_positions(self) -> npt.NDArray[np.int64]:
        """Where in :attr:`buffer` the keys begin, in bytes, int64, shape (n,); any number for no key."""
        return self._array("key_positions", "int64")

    @property
    def key_lengths(self) -> npt.NDArray[np.int32]:
        """Sizes of the keys in bytes, -1 for a record without a key, int32, shape (n,)."""
        return self._array("key_lengths", "int32")

    @property
    def kinds(self) -> npt.NDArray[np.uint8]:
        """Kinds of the records as numbers of :class:`striate.RecordKind`, uint8, shape (n,)."""
        return self._array("kinds", "uint8")

    def _array(self, name: str, dtype: str) -> npt.NDArray[Any]:
        array = self._arrays.get(name)
        if array is None:
            import numpy as np

            # Two threads may get here at once; both get the array that was stored first.
            array = self._arrays.setdefault(name, np.frombuffer(self._columns.column(name), dtype))
        return array

    # ------------------------------------------------ bytes

    @property
    def buffer(self) -> memoryview:
        """The bytes that positions refer to, a read-only memoryview of format "B" over the mapped segment."""
        return self._columns.buffer

    def value(self, index: SupportsIndex) -> memoryview:
        """Return the value of one record without copying it.

        Args:
            index: the row, 0 to n - 1, or -n to -1 to count from the end.

        Returns:
            A read-only memoryview into the mapped segment; pins it.

        Raises:
            IndexError: there is no such row.
            InvalidTypeError: ``index`` is no integer.
        """
        return self._columns.value(_integer(index))

    def key(self, index: SupportsIndex) -> memoryview | None:
        """Return the key of one record without copying it; None if the record has none.

        Arguments and errors as of :meth:`value`. An empty key is a key.
        """
        return self._columns.key(_integer(index))

    # ------------------------------------------------ records

    @property
    def base_offset(self) -> int:
        """Offset of the first record; of an empty batch, :attr:`next_offset`."""
        return self._columns.base_offset

    @property
    def next_offset(self) -> int:
        """Where to go on reading after this batch."""
        return self._columns.next_offset

    def __len__(self) -> int:
        return len(self._columns)

    def __getitem__(self, index: SupportsIndex) -> Record:
        return make_record(*self._columns.row(_integer(index)))

    def __iter__(self) -> Iterator[Record]:
        row = self._columns.row
        for index in range(len(self._columns)):
            yield make_record(*row(index))

    def __repr__(self) -> str:
        if not hasattr(self, "_columns"):
            return "<RecordBatch, half made>"
        if not len(self):
            return f"<RecordBatch: no records, next_offset={self.next_offset}>"
        last = self._columns.column("offsets")[-1]
        return f"<RecordBatch: {len(self)} records, offsets {self.base_offset} to {last}>"

    # ------------------------------------------------ Arrow

    def __arrow_c_schema__(self) -> object:
        """Return the type of the exported data as a PyCapsule "arrow_schema".

        It is ``struct<offset: uint64, timestamp: timestamp[us, UTC], key: binary_view, value: binary_view>``,
        the same for all batches; only ``key`` may be null.
        """
        return arrow_schema()

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Return the batch as a struct array of length n: PyCapsules "arrow_schema" and "arrow_array".

        Offsets, timestamps and the bytes of keys and values are not copied; 32 bytes of views are made for
        each record. The data lives until the consumer releases it, whatever becomes of batch and log.

        Args:
            requested_schema: not regarded, as the protocol permits; the consumer casts.

        Raises:
            BatchTooLargeError: the batch spans 2 GiB or more, which Arrow's 32-bit view offsets cannot reach.
            RecordTooLargeError: a single value does.
        """
        return arrow_schema(), arrow_array(self._columns)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a stream of this one batch as a PyCapsule "arrow_array_stream".

        As :meth:`__arrow_c_array__`, but errors reach the consumer as EIO with a text, and it raises its own.
        """
        return arrow_stream([self._columns])


class RecordBatches:
    """Batches one after the other, read when they are asked for: an iterator, and a stream for Arrow.

    Made by :meth:`striate.Log.batches`. Holds a position and no data. ``next`` moves it on; an Arrow stream
    starts there and has a position of its own, so ``pyarrow.table(batches)`` may be repeated.

    Thread safety: threads may share one; each batch goes to one of them.
    """

    __slots__ = ("_lock", "_position", "_read", "_stop")

    def __init__(self, read: Callable[[int], RecordBatch], start: int, stop: int) -> None:
        """Iterate over the records from ``start`` to ``stop``.

        Args:
            read: returns the batch that begins with the first record at or after an offset; an empty batch
                means that there is none. What it raises comes out of ``next``, which may then be tried again.
            start: first offset.
            stop: offset after the last; a batch that reaches further is cut short.
        """
        self._read = read
        self._position = start
        self._stop = stop
        self._lock = threading.Lock()

    def __iter__(self) -> RecordBatches:
        return self

    def __next__(self) -> RecordBatch:
        with self._lock:
            if self._position >= self._stop:
                raise StopIteration
            columns = self._read(self._position)._columns.before(self._stop)
            if not len(columns):
                self._position = self._stop
                raise StopIteration
            assert columns.next_offset > self._position, "a batch without progress"
            self._position = columns.next_offset
        return RecordBatch(columns)

    def __repr__(self) -> str:
        if not hasattr(self, "_lock"):
            return "<RecordBatches, half made>"
        return f"<RecordBatches: offsets {self._position} to {self._stop - 1}>"

    def __arrow_c_schema__(self) -> object:
        """Return the type of the exported data; see :meth:`RecordBatch.__arrow_c_schema__`."""
        return arrow_schema()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the remaining batches as a PyCapsule "arrow_array_stream", each read when the consumer asks.

        An exception while reading reaches the consumer as EIO with the exception's text.

        Args:
            requested_schema: not regarded, as the protocol permits; the consumer casts.
        """
        batches = RecordBatches(self._read, self._position, self._stop)
        return arrow_stream(map(operator.attrgetter("_columns"), batches))


def _integer(index: SupportsIndex) -> int:
    try:
        number = operator.index(index)
    except TypeError:
        raise InvalidTypeError("index", "an integer", type(index)) from None
    if not -sys.maxsize <= number <= sys.maxsize:
        raise IndexError("there is no such row")
    return number
