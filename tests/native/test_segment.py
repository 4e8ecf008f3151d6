"""The segment alone: sealing, opening, copying, checking."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support import format as disk_format
from support.format import (
    CONTINUES,
    FOOTER_BYTES,
    HEADER_BYTES,
    SEGMENT_HAS_GAPS,
    SYNCED_BEFORE,
    TOMBSTONE,
)
from support.layers import (
    BASE,
    SEGMENT_ID,
    TIME_US,
    Body,
    flip,
    four,
    frame,
    fresh,
    source_in,
    write_sealed,
)

from striate._native.segment import Segment, file_names
from striate.errors import CorruptRecordError, CorruptSegmentError, DiskError, UnknownVersionError
from striate.storage.manifest import SegmentEntry

# ---------------------------------------------------------------- making and sealing


@pytest.mark.parametrize(
    ("base", "revision", "store", "index"),
    [
        (0, 0, "00000000000000000000.store", "00000000000000000000.index"),
        (42, 3, "00000000000000000042.r3.store", "00000000000000000042.r3.index"),
        ((1 << 63) - 1, 0, "09223372036854775807.store", "09223372036854775807.index"),
    ],
)
def test_names(base: int, revision: int, store: str, index: str) -> None:
    assert file_names("/log", base, revision) == (f"/log/{store}", f"/log/{index}")
    assert file_names("", base, revision) == disk_format.segment_names(base, revision)


def test_a_new_segment(tmp_path: Path) -> None:
    segment = fresh(tmp_path, 2)
    assert sorted(os.listdir(tmp_path)) == sorted(file_names("", BASE, 2))
    assert (segment.base_offset, segment.next_offset, segment.revision) == (BASE, BASE, 2)
    assert (segment.record_count, segment.sealed, segment.gaps, segment.damage) == (0, False, False, [])
    assert (segment.first_timestamp_us, segment.last_timestamp_us) == (TIME_US, TIME_US)
    assert segment.end_position == HEADER_BYTES
    assert segment.allocated_bytes == os.path.getsize(segment.store.path)
    assert segment.offsets() == []
    assert segment.check() == (0, HEADER_BYTES, [])


@pytest.mark.parametrize("which", [0, 1])
def test_files_that_are_there_are_not_touched(tmp_path: Path, which: int) -> None:
    names = file_names(str(tmp_path), BASE, 0)
    Path(names[which]).write_bytes(b"precious")
    with pytest.raises(DiskError) as caught:
        fresh(tmp_path)
    assert caught.value.errno == errno.EEXIST
    assert os.listdir(tmp_path) == [os.path.basename(names[which])]
    assert Path(names[which]).read_bytes() == b"precious"


def test_sealing(tmp_path: Path) -> None:
    source = source_in(tmp_path)
    copy = fresh(tmp_path, 1)
    copy.copy_from(source, [BASE, BASE + 1, BASE + 2, BASE + 3])
    copy.seal_now()
    assert copy.sealed
    store_name, index_name = file_names(str(tmp_path), BASE, 1)
    data, index = Path(store_name).read_bytes(), Path(index_name).read_bytes()
    store = disk_format.decode_store(data)
    assert [(one.relative_offset, one.value, one.key) for one in store.frames] == [
        (number, frame(number).value, frame(number).key) for number in range(4)
    ]
    assert len(data) == store.end_position + FOOTER_BYTES == copy.end_position + FOOTER_BYTES
    assert index == disk_format.encode_index((one.relative_offset, one.position) for one in store.frames)
    footer = store.footer
    assert footer is not None
    assert footer.index_checksum == copy.index_checksum == disk_format.checksum(index)
    assert footer.chain_checksum == copy.chain_checksum
    assert (footer.record_count, footer.last_relative, footer.flags) == (4, 3, 0)
    assert (footer.first_timestamp_us, footer.last_timestamp_us) == (TIME_US, TIME_US + 3)
    assert (footer.segment_id, footer.end_position) == (SEGMENT_ID + 1, copy.end_position)


@pytest.mark.parametrize("kept", [[0], [3], [0, 2], [1, 2], []])
def test_gaps(tmp_path: Path, kept: list[int]) -> None:
    source = source_in(tmp_path)
    copy = fresh(tmp_path, 1)
    copy.copy_from(source, [BASE + number for number in kept])
    copy.end_at(BASE + 4)
    assert copy.gaps is (kept != [0, 1, 2, 3])
    copy.seal_now()
    opened = Segment.open_sealed(str(tmp_path), SegmentEntry.of(copy))
    assert opened.gaps
    assert opened.next_offset == BASE + 4
    assert opened.offsets() == [BASE + number for number in kept]
    assert opened.offsets(BASE + 1, BASE + 3) == [BASE + number for number in kept if number in (1, 2)]
    for start in range(6):
        assert opened.count_from(BASE + start) == sum(number >= start for number in kept)
    assert opened.check() == (len(kept), opened.end_position, [])
    footer = disk_format.decode_store(Path(opened.store.path).read_bytes()).footer
    assert footer is not None
    assert footer.flags == SEGMENT_HAS_GAPS


def test_copies_keep_everything_but_marks_and_batches(tmp_path: Path) -> None:
    batch = (7, 8, 9, 10, 2)
    body = Body.of(
        [
            frame(0, flags=CONTINUES | disk_format.HAS_VIEW, view_id=77),
            frame(1, flags=SYNCED_BEFORE | disk_format.HAS_BATCH, batch=batch),
            frame(2, kind=TOMBSTONE, value=b""),
            frame(3, key=None, flags=disk_format.ENCODED),
        ]
    )
    copy = fresh(tmp_path, 1)
    copy.copy_from(source_in(tmp_path, body), [BASE + number for number in range(4)])
    frames = disk_format.decode_store(Path(copy.store.path).read_bytes()).frames
    assert [one.flags for one in frames] == [disk_format.HAS_VIEW, disk_format.HAS_BATCH, 0, disk_format.ENCODED]
    assert (frames[0].view_id, frames[1].batch, frames[2].kind) == (77, batch, TOMBSTONE)
    assert [one.key for one in frames] == [b"key 0", b"key 1", b"key 2", None]
    assert [one.timestamp_us for one in frames] == [TIME_US + number for number in range(4)]


def test_a_rotten_record_is_never_copied(tmp_path: Path) -> None:
    source = source_in(tmp_path)
    with open(source.store.path, "r+b") as file:
        file.seek(four().position(2) + 30)
        file.write(b"\xff")
    copy = fresh(tmp_path, 1)
    with pytest.raises(CorruptRecordError) as caught:
        copy.copy_from(source, [BASE + number for number in range(4)])
    assert caught.value.offset == BASE + 2
    assert copy.offsets() == [BASE, BASE + 1]


# ---------------------------------------------------------------- opening what was sealed


def test_opening_what_was_sealed(tmp_path: Path) -> None:
    body = four()
    entry = write_sealed(tmp_path, body)
    segment = Segment.open_sealed(str(tmp_path), entry)
    assert segment.sealed
    assert not segment.checked, "the index is looked at when it is first needed"
    assert SegmentEntry.of(segment) == entry
    assert segment.check() == (4, body.end, [])
    assert segment.checked
    assert segment.index is not None
    assert not segment.index.is_in_memory


def change(name: str, position: int) -> Callable[[Path, SegmentEntry], SegmentEntry]:
    def apply(directory: Path, entry: SegmentEntry) -> SegmentEntry:
        path = directory / name
        path.write_bytes(flip(path.read_bytes(), position))
        return entry

    return apply


def shorten(count: int) -> Callable[[Path, SegmentEntry], SegmentEntry]:
    def apply(directory: Path, entry: SegmentEntry) -> SegmentEntry:
        os.truncate(directory / STORE, os.path.getsize(directory / STORE) - count)
        return entry

    return apply


def renumber(directory: Path, entry: SegmentEntry) -> SegmentEntry:
    path = directory / STORE
    path.write_bytes(disk_format.patch_version(path.read_bytes(), 9))
    return entry


def remove(directory: Path, entry: SegmentEntry) -> SegmentEntry:
    (directory / STORE).unlink()
    return entry


def misplace(directory: Path, entry: SegmentEntry) -> SegmentEntry:
    os.rename(directory / STORE, directory / file_names("", BASE + 1, 0)[0])
    return replace(entry, base_offset=BASE + 1)


STORE, INDEX = file_names("", BASE, 0)
END = four().end
REFUSALS: list[tuple[str, Callable[[Path, SegmentEntry], SegmentEntry], type[Exception], str]] = [
    ("header", change(STORE, 20), CorruptSegmentError, "checksum"),
    ("version", renumber, UnknownVersionError, "version 9"),
    ("footer", change(STORE, END + 20), CorruptSegmentError, "footer"),
    ("footer's magic", change(STORE, END), CorruptSegmentError, "footer"),
    ("one byte short", shorten(1), CorruptSegmentError, "bytes long"),
    ("no footer", shorten(FOOTER_BYTES), CorruptSegmentError, "bytes long"),
    ("gone", remove, CorruptSegmentError, "missing"),
    ("at another base", misplace, CorruptSegmentError, "base offset"),
    ("another id", lambda _, entry: replace(entry, segment_id=1), CorruptSegmentError, "names"),
    ("another count", lambda _, entry: replace(entry, record_count=3), CorruptSegmentError, "disagree"),
    ("another chain", lambda _, entry: replace(entry, chain_checksum=1), CorruptSegmentError, "disagree"),
    ("another index", lambda _, entry: replace(entry, index_checksum=1), CorruptSegmentError, "disagree"),
    ("another end", lambda _, entry: replace(entry, end_position=END - 8), CorruptSegmentError, "footer"),
]


@pytest.mark.parametrize(
    ("damage", "error", "words"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
def test_what_is_refused(
    tmp_path: Path,
    damage: Callable[[Path, SegmentEntry], SegmentEntry],
    error: type[Exception],
    words: str,
) -> None:
    entry = damage(tmp_path, write_sealed(tmp_path, four()))
    with pytest.raises(error, match=words):
        Segment.open_sealed(str(tmp_path), entry)


@pytest.mark.parametrize("way", ["gone", "flipped", "short", "empty", "a link"])
def test_an_index_is_rebuilt(tmp_path: Path, way: str) -> None:
    body = four()
    entry = write_sealed(tmp_path, body)
    path = tmp_path / INDEX
    data = path.read_bytes()
    path.unlink()
    if way == "a link":
        (tmp_path / "elsewhere").write_bytes(data)
        path.symlink_to(tmp_path / "elsewhere")
    elif way != "gone":
        path.write_bytes({"flipped": flip(data, 12), "short": data[:-8], "empty": b""}[way])
    segment = Segment.open_sealed(str(tmp_path), entry)
    segment.check_index()
    assert segment.index is not None
    assert segment.index.is_in_memory
    assert segment.check() == (4, body.end, [])
    segment.save_index()
    assert path.read_bytes() == body.index()
    assert not path.is_symlink()
    again = Segment.open_sealed(str(tmp_path), entry)
    again.check_index()
    assert again.index is not None
    assert not again.index.is_in_memory


@pytest.mark.parametrize("number", range(4))
def test_a_rotten_record_is_found(tmp_path: Path, number: int) -> None:
    body = four()
    entry = write_sealed(tmp_path, body)
    change(STORE, body.position(number) + 30)(tmp_path, entry)
    segment = Segment.open_sealed(str(tmp_path), entry)
    records, _, problems = segment.check()
    assert records == 3
    assert [(position, offset) for position, offset, _ in problems] == [(body.position(number), BASE + number)]


def test_padding_is_checked(tmp_path: Path) -> None:
    body = Body.of([frame(number, size=41) for number in range(3)])
    assert body.parts[1].endswith(b"\0")
    entry = write_sealed(tmp_path, body)
    change(STORE, body.position(2) - 1)(tmp_path, entry)
    problems = Segment.open_sealed(str(tmp_path), entry).check()[2]
    assert problems == [(body.position(1), BASE + 1, "the padding is not zero")]


def test_what_is_left_of_a_damaged_segment(tmp_path: Path) -> None:
    body = four()
    entry = write_sealed(tmp_path, body)
    change(STORE, 20)(tmp_path, entry)  # the header
    change(STORE, body.position(1) + 30)(tmp_path, entry)
    shorten(FOOTER_BYTES + 8)(tmp_path, entry)  # the last record
    segment = Segment.open_damaged(str(tmp_path), entry, 0)
    assert segment.offsets() == [BASE, BASE + 2]
    assert [(first, after) for first, after, _, _ in segment.damage] == [(BASE + 1, BASE + 2), (BASE + 3, BASE + 4)]
    assert (segment.gaps, segment.sealed) == (True, True)


# ---------------------------------------------------------------- going on, and reading along


def test_going_on_in_a_sealed_segment(tmp_path: Path) -> None:
    body = four()
    entry = write_sealed(tmp_path, body)
    # A longer index than the store has records would mean that it is another one's; a resumed one gets new blocks.
    segment = Segment.resume(str(tmp_path), entry)
    assert not segment.sealed
    assert segment.next_offset == BASE + 4
    data = (tmp_path / STORE).read_bytes()
    assert not any(data[body.end :]), "the footer is gone before anything else stands there"
    other = tmp_path / "other"
    other.mkdir()
    more = source_in(other, Body.of([frame(number) for number in range(6)]))
    segment.copy_from(more, [BASE + 4, BASE + 5])
    segment.seal_now()
    store = disk_format.decode_store((tmp_path / STORE).read_bytes())
    assert [one.value for one in store.frames] == [frame(number).value for number in range(6)]
    assert store.frames[4].flags == SYNCED_BEFORE, "the first frame says that all before it was durable"
    assert store.footer is not None
    assert store.footer.record_count == 6
    assert Segment.open_sealed(str(tmp_path), SegmentEntry.of(segment)).check()[2] == []


@pytest.mark.parametrize("damage", [change(STORE, END + 20), change(INDEX, 12)], ids=["footer", "index"])
def test_nothing_is_appended_to_what_does_not_verify(
    tmp_path: Path, damage: Callable[[Path, SegmentEntry], SegmentEntry]
) -> None:
    entry = damage(tmp_path, write_sealed(tmp_path, four()))
    before = (tmp_path / STORE).read_bytes()
    with pytest.raises(CorruptSegmentError):
        Segment.resume(str(tmp_path), entry)
    assert (tmp_path / STORE).read_bytes() == before


def test_reading_along(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    source = source_in(other)
    writer = fresh(tmp_path)
    reader = Segment.open_unsealed(str(tmp_path), SegmentEntry.of(writer))
    reader.follow_writer()
    assert reader.offsets() == []
    for number in range(4):
        writer.copy_from(source, [BASE + number])
        reader.set_visible(BASE + number + 1)
        assert reader.next_offset == BASE + number + 1
        copy = fresh(tmp_path, number + 1)
        copy.copy_from(reader, reader.offsets())
        assert copy.record_count == number + 1
