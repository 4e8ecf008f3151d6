"""The manifest's bytes, against the second codec and against damage."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import format as disk_format
from support.layers import Body, frame, write_sealed

from striate._native.io import REAL_DISK
from striate._native.segment import Segment
from striate.errors import CorruptManifestError, DiskError, UnknownVersionError
from striate.storage import manifest
from striate.storage.manifest import Manifest, SegmentEntry, decode

SEALED = SegmentEntry(100, 9, 2, True, False, 110, 4000, 1000, 2000, 10, 0xDEADBEEF, 0xCAFE)
GAPPED = replace(SEALED, base_offset=110, has_gaps=True, next_offset=200)
UNSEALED = SegmentEntry(200, 11)
MANIFESTS = [
    pytest.param(Manifest(1), id="empty"),
    pytest.param(Manifest((1 << 64) - 1, 5, 10, 3, 64, 0), id="no segments"),
    pytest.param(Manifest(7, 8, 100, 100, 0, 0, (SEALED, GAPPED, UNSEALED)), id="segments"),
    pytest.param(Manifest(7, 8, 0, 0, 0, 0, tuple(SegmentEntry(n, n + 1) for n in range(500))), id="many"),
]
WHOLE = Manifest(7, 8, 100, 100, 0, 0, (SEALED, GAPPED, UNSEALED))


def by_the_book(made: Manifest) -> bytes:
    """The same manifest encoded by support.format."""
    entries = tuple(
        disk_format.Entry(
            entry.base_offset,
            entry.segment_id,
            entry.next_offset,
            entry.end_position,
            entry.first_timestamp_us,
            entry.last_timestamp_us,
            entry.record_count,
            entry.revision,
            entry.chain_checksum,
            entry.index_checksum,
            disk_format.ENTRY_SEALED * entry.sealed | disk_format.ENTRY_GAPS * entry.has_gaps,
        )
        for entry in made.entries
    )
    return disk_format.encode_manifest(
        disk_format.Manifest(
            made.log_id,
            made.sequence,
            made.lowest_offset,
            made.initial_offset,
            made.record_size,
            0,
            made.codec,
            entries,
        )
    )


@pytest.mark.parametrize("made", MANIFESTS)
def test_both_codecs_agree(made: Manifest) -> None:
    data = made.encode()
    assert data == by_the_book(made)
    assert len(data) == 64 + 72 * len(made.entries)
    assert decode(data, "manifest") == made


u32, u64 = st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1)
entries = st.builds(SegmentEntry, u64, u64, u32, st.booleans(), st.booleans(), u64, u64, u64, u64, u32, u32, u32)
in_order = st.lists(entries, max_size=5, unique_by=lambda entry: entry.base_offset).map(
    lambda made: tuple(sorted(made, key=lambda entry: entry.base_offset))
)
manifests = st.builds(Manifest, u64, u64, u64, u64, u32, u32, in_order)


@given(manifests)
def test_everything_comes_back(made: Manifest) -> None:
    assert decode(made.encode(), "manifest") == made
    assert made.encode() == by_the_book(made)


def count_as(number: int) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        changed = data[:44] + struct.pack("<I", number) + data[48:]
        return disk_format.patch_version(changed, 1)  # makes the checksum right again

    return apply


CORRUPTIONS: list[tuple[str, Callable[[bytes], bytes], type[Exception], str, int | None]] = [
    ("empty", lambda data: b"", CorruptManifestError, "too few", 0),
    ("short header", lambda data: data[:63], CorruptManifestError, "too few", 63),
    ("zeros", lambda data: bytes(len(data)), CorruptManifestError, "magic", 0),
    ("magic", lambda data: b"XMAN" + data[4:], CorruptManifestError, "magic", 0),
    ("a store", lambda data: b"SLOG" + data[4:], CorruptManifestError, "magic", 0),
    ("version 0", lambda data: disk_format.patch_version(data, 0), UnknownVersionError, "version 0", None),
    ("version 2", lambda data: disk_format.patch_version(data, 2), UnknownVersionError, "version 2", None),
    ("version, checksum elsewhere", lambda data: data[:4] + b"\2" + data[5:], UnknownVersionError, "version 2", None),
    ("checksum", lambda data: data[:60] + bytes(4) + data[64:], CorruptManifestError, "checksum", 60),
    ("last entry gone", lambda data: data[:-72], CorruptManifestError, "checksum", 60),
    ("last byte gone", lambda data: data[:-1], CorruptManifestError, "checksum", 60),
    ("a byte more", lambda data: data + b"\0", CorruptManifestError, "checksum", 60),
    ("an entry more", lambda data: data + bytes(72), CorruptManifestError, "checksum", 60),
    ("count too low", count_as(2), CorruptManifestError, "do not hold 2", 280),
    ("count too high", count_as(4), CorruptManifestError, "do not hold 4", 280),
    ("count beyond reason", count_as(0xFFFFFFFF), CorruptManifestError, "do not hold", 280),
]


@pytest.mark.parametrize(
    ("damage", "error", "words", "position"),
    [case[1:] for case in CORRUPTIONS],
    ids=[case[0] for case in CORRUPTIONS],
)
def test_corruptions(
    damage: Callable[[bytes], bytes], error: type[Exception], words: str, position: int | None
) -> None:
    with pytest.raises(error, match=words) as caught:
        decode(damage(WHOLE.encode()), "/log/manifest")
    assert "/log/manifest" in str(caught.value)
    assert getattr(caught.value, "position", None) == position


def test_every_bit() -> None:
    data = WHOLE.encode()
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CorruptManifestError, UnknownVersionError)):
            decode(bytes(changed), "manifest")


def test_every_length() -> None:
    data = WHOLE.encode()
    for length in range(len(data)):
        with pytest.raises(CorruptManifestError):
            decode(data[:length], "manifest")


# ---------------------------------------------------------------- on disk


def test_saving_and_loading(tmp_path: Path) -> None:
    for made in (Manifest(7, 1), WHOLE, Manifest(7, 9)):
        manifest.save(REAL_DISK, str(tmp_path), made)
        assert manifest.load(REAL_DISK, str(tmp_path)) == made
        assert [path.name for path in tmp_path.iterdir()] == ["manifest"]


def test_a_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(DiskError):
        manifest.load(REAL_DISK, str(tmp_path))


def test_the_entry_of_a_segment(tmp_path: Path) -> None:
    entry = write_sealed(tmp_path, Body.of([frame(number) for number in range(3)]))
    segment = Segment.open_sealed(str(tmp_path), entry)
    assert SegmentEntry.of(segment) == entry
    unsealed = SegmentEntry.of(segment, sealed=False)
    assert unsealed == SegmentEntry(entry.base_offset, entry.segment_id)


@pytest.mark.parametrize("entries", [(UNSEALED, SEALED), (SEALED, SEALED)], ids=["descending", "equal"])
def test_base_offsets_ascend(entries: tuple[SegmentEntry, ...]) -> None:
    with pytest.raises(CorruptManifestError, match="ascend"):
        decode(replace(WHOLE, entries=entries).encode(), "manifest")
