"""The store alone: one file of frames, judged by the second codec in support.format."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import format as disk_format
from support.format import FOOTER_BYTES, FRAME_BYTES, HAS_SYNC, HEADER_BYTES, SYNCED_BEFORE, Frame
from support.layers import BASE, CAPACITY, HEADER, LOG_ID, SEGMENT_ID, TIME_US, flip

from striate._native.store import Store
from striate.errors import CorruptSegmentError, DiskError, UnknownVersionError

PAGE = 4096
FIRST_GROWTH = 65536


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "00000000000000001000.store")


def create(path: str, capacity: int = CAPACITY, record_size: int = 0) -> Store:
    return Store.create(
        path,
        log_id=LOG_ID,
        segment_id=SEGMENT_ID,
        base_offset=BASE,
        capacity=capacity,
        base_timestamp_us=TIME_US,
        record_size=record_size,
    )


def frames_of(path: str) -> list[Frame]:
    return disk_format.decode_store(Path(path).read_bytes()).frames


# ---------------------------------------------------------------- the file


def test_the_header(path: str) -> None:
    store = create(path)
    data = Path(path).read_bytes()
    assert data[:HEADER_BYTES] == disk_format.encode_store_header(HEADER)
    assert not any(data[HEADER_BYTES:])
    assert (store.path, store.log_id, store.segment_id) == (path, LOG_ID, SEGMENT_ID)
    assert (store.base_offset, store.base_timestamp_us, store.capacity) == (BASE, TIME_US, CAPACITY)
    assert (store.leader_epoch, store.record_size, store.codec) == (0, 0, 0)
    assert (store.written, store.chain) == (HEADER_BYTES, 0)


def test_the_file_is_private(path: str) -> None:
    create(path)
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_file_that_is_there_is_not_touched(path: str) -> None:
    Path(path).write_bytes(b"precious")
    with pytest.raises(DiskError) as caught:
        create(path)
    assert (caught.value.errno, caught.value.path) == (errno.EEXIST, path)
    assert Path(path).read_bytes() == b"precious"


def test_a_link_is_not_followed(path: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    Path(path).symlink_to(target)
    with pytest.raises(DiskError):
        create(path)
    assert not target.exists()
    Path(path).unlink()
    create(str(target))
    Path(path).symlink_to(target)
    for writable in (False, True):
        with pytest.raises(DiskError) as caught:
            Store.open(path, segment_id=SEGMENT_ID, writable=writable)
        assert caught.value.errno == errno.ELOOP


def test_no_descriptor_is_left(path: str) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    create(path)
    Store.open(path, segment_id=SEGMENT_ID, writable=True)
    with pytest.raises(DiskError):
        create(path)
    with pytest.raises(CorruptSegmentError):
        Store.open(path, segment_id=SEGMENT_ID + 1)
    assert descriptors() == before


# ---------------------------------------------------------------- frames


@pytest.mark.parametrize(
    ("value", "key"),
    [
        pytest.param(b"value", None, id="no key"),
        pytest.param(b"value", b"key", id="key"),
        pytest.param(b"value", b"", id="empty key"),
        pytest.param(b"", None, id="nothing"),
        pytest.param(b"", b"key", id="only a key"),
        pytest.param(bytes(range(256)) * 4, b"k" * 255, id="long"),
        pytest.param(b"\0" * 100, b"\0" * 9, id="zeros"),
    ],
)
def test_one_frame(path: str, value: bytes, key: bytes | None) -> None:
    store = create(path)
    assert store.append_record(value, key, 3, TIME_US + 5) == HEADER_BYTES
    assert store.read_record(HEADER_BYTES) == (TIME_US + 5, key, value)
    expected = disk_format.encode_frame(Frame(3, TIME_US + 5, value, key), SEGMENT_ID)
    assert Path(path).read_bytes()[HEADER_BYTES : store.written] == expected
    assert store.written == HEADER_BYTES + len(expected)
    assert store.chain == disk_format.chain_checksum([expected])


@settings(max_examples=50)
@given(st.lists(st.tuples(st.binary(max_size=90), st.none() | st.binary(max_size=20)), max_size=12))
def test_many_frames(records: list[tuple[bytes, bytes | None]]) -> None:
    # A directory of its own for each example: a fixture would be shared by all.
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "x.store")
        store = create(path)
        positions = [
            store.append_record(value, key, number, TIME_US + number) for number, (value, key) in enumerate(records)
        ]
        assert None not in positions
        assert all(position % 8 == 0 for position in positions if position is not None)
        frames = frames_of(path)
        assert [(frame.value, frame.key) for frame in frames] == records
        assert [frame.position for frame in frames] == positions
        for position, (value, key) in zip(positions, records, strict=True):
            assert position is not None
            record = store.read_record(position)
            assert record is not None
            assert record[1:] == (key, value)


@pytest.mark.parametrize("size", range(17))
def test_frames_are_aligned_and_padded_with_zeros(path: str, size: int) -> None:
    store = create(path)
    store.append_record(b"\xff" * size)
    second = store.append_record(b"next", relative_offset=1)
    assert second == HEADER_BYTES + -(-(FRAME_BYTES + size) // 8) * 8
    padding = Path(path).read_bytes()[HEADER_BYTES + FRAME_BYTES + size : second]
    assert not any(padding)


@pytest.mark.parametrize("position", [0, 8, 63, 65, 72, 4096, 1 << 40])
def test_where_no_frame_stands(path: str, position: int) -> None:
    store = create(path)
    store.append_record(b"value of some length")
    assert store.read_record(position) is None


def test_a_frame_of_another_segment_is_no_frame(path: str) -> None:
    create(path).append_record(b"value")
    data = Path(path).read_bytes()
    other = disk_format.encode_store_header(replace(HEADER, segment_id=SEGMENT_ID + 1))
    Path(path).write_bytes(other + data[HEADER_BYTES:])
    store = Store.open(path, segment_id=SEGMENT_ID + 1, writable=True)
    # append_record moves the end behind the old frame, so that reading it is allowed.
    assert store.append_record(b"value") == HEADER_BYTES
    assert store.read_record(HEADER_BYTES) is not None
    Path(path).write_bytes(other + data[HEADER_BYTES:])
    assert store.read_record(HEADER_BYTES) is None


# ---------------------------------------------------------------- room


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (8, True), (-8, False)])
def test_the_last_frame_fits_exactly(path: str, spare: int, fits: bool) -> None:
    store = create(path)
    value = bytes(CAPACITY - HEADER_BYTES - FRAME_BYTES - spare)
    assert (store.append_record(value) is not None) is fits
    if fits:
        assert store.written == CAPACITY - spare


def test_a_full_store_stays_as_it_is(path: str) -> None:
    store = create(path)
    count = 0
    while store.append_record(b"x" * 80, relative_offset=count) is not None:
        count += 1
    assert count == (CAPACITY - HEADER_BYTES) // (FRAME_BYTES + 80)
    before = store.written, store.chain, Path(path).read_bytes()
    assert store.append_record(b"x" * 80, relative_offset=count) is None
    assert (store.written, store.chain, Path(path).read_bytes()) == before
    # What is smaller than the room that is left still fits.
    assert store.append_record(b"", relative_offset=count) is not None
    assert len(frames_of(path)) == count + 1


@pytest.mark.parametrize("size", [100, 5000, 200_000])
def test_the_file_grows_with_its_content(path: str, size: int) -> None:
    capacity = 1 << 20
    store = create(path, capacity)
    most = (capacity + FOOTER_BYTES + PAGE - 1) // PAGE * PAGE
    assert os.path.getsize(path) == FIRST_GROWTH
    sizes = set()
    count = 0
    while store.append_record(bytes(size), relative_offset=count) is not None:
        count += 1
        length = os.path.getsize(path)
        assert store.written + FOOTER_BYTES <= length <= most
        assert length % PAGE == 0
        assert length <= 2 * store.written + FIRST_GROWTH + size + PAGE
        sizes.add(length)
    assert 2 <= len(sizes) <= 20
    assert os.stat(path).st_blocks * 512 >= store.written, "real blocks"


# ---------------------------------------------------------------- sync marks


def test_a_sync_is_noted_once(path: str) -> None:
    store = create(path)
    for number, synced in enumerate([False, True, False, False, True]):
        if synced:
            store.mark_synced()
        store.append_record(b"value", relative_offset=number)
    store.mark_synced()  # nothing follows, so nothing notes it
    store.mark_synced()
    flags = [frame.flags for frame in frames_of(path)]
    assert flags == [0, SYNCED_BEFORE, 0, 0, SYNCED_BEFORE]


def test_marks_in_a_fixed_length_store(path: str) -> None:
    store = create(path, record_size=16)
    expected = []
    for number in range(5):
        if number in (2, 4):
            store.mark_synced()
        marked = store.written if number in (2, 4) else (expected[-1] if expected else HEADER_BYTES)
        expected.append(marked)
        store.append_record(b"%016d" % number, relative_offset=number)
    frames = frames_of(path)
    assert [frame.flags for frame in frames] == [HAS_SYNC] * 5
    assert [frame.synced_position for frame in frames] == expected
    stride = 8 * -(-(FRAME_BYTES + 8 + 16) // 8)
    assert [frame.position for frame in frames] == [HEADER_BYTES + number * stride for number in range(5)]
    assert store.read_record(HEADER_BYTES + stride) == (0, None, b"%016d" % 1)


# ---------------------------------------------------------------- opening


def test_opening_again(path: str) -> None:
    create(path).append_record(b"value")
    store = Store.open(path, segment_id=SEGMENT_ID)
    assert (store.log_id, store.segment_id, store.base_offset) == (LOG_ID, SEGMENT_ID, BASE)
    assert (store.capacity, store.base_timestamp_us) == (CAPACITY, TIME_US)
    assert store.written == HEADER_BYTES, "what stands behind the header is for the segment to judge"


def reserved(data: bytes) -> bytes:
    return disk_format.patch_version(data, 2)


BAD_HEADERS: list[tuple[str, Callable[[bytes], bytes], type[Exception], int | None]] = [
    ("empty", lambda data: b"", CorruptSegmentError, 0),
    ("short", lambda data: data[:63], CorruptSegmentError, 63),
    ("zeros", lambda data: bytes(len(data)), CorruptSegmentError, 0),
    ("magic", lambda data: flip(data, 0), CorruptSegmentError, 0),
    ("version", reserved, UnknownVersionError, None),
    ("log id", lambda data: flip(data, 8), CorruptSegmentError, 0),
    ("segment id", lambda data: flip(data, 16), CorruptSegmentError, 0),
    ("base offset", lambda data: flip(data, 24), CorruptSegmentError, 0),
    ("capacity", lambda data: flip(data, 48), CorruptSegmentError, 0),
    ("checksum", lambda data: flip(data, 63), CorruptSegmentError, 0),
]


@pytest.mark.parametrize(
    ("damage", "error", "position"), [case[1:] for case in BAD_HEADERS], ids=[case[0] for case in BAD_HEADERS]
)
def test_bad_headers(path: str, damage: Callable[[bytes], bytes], error: type[Exception], position: int | None) -> None:
    create(path).append_record(b"value")
    Path(path).write_bytes(damage(Path(path).read_bytes()))
    with pytest.raises(error) as caught:
        Store.open(path, segment_id=SEGMENT_ID)
    assert getattr(caught.value, "position", None) == position
    assert path in str(caught.value)


def test_another_segments_file(path: str) -> None:
    create(path)
    with pytest.raises(CorruptSegmentError, match="manifest names") as caught:
        Store.open(path, segment_id=SEGMENT_ID + 1)
    assert caught.value.position == 16


def test_a_damaged_header_that_is_not_needed(path: str) -> None:
    create(path).append_record(b"value")
    Path(path).write_bytes(flip(Path(path).read_bytes(), 24))
    store = Store.open(path, segment_id=SEGMENT_ID, trusted=(BASE, 0, CAPACITY))
    assert (store.base_offset, store.record_size, store.capacity) == (BASE, 0, CAPACITY)


def test_a_missing_file(path: str) -> None:
    with pytest.raises(DiskError) as caught:
        Store.open(path, segment_id=SEGMENT_ID)
    assert caught.value.errno == errno.ENOENT
