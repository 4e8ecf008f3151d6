"""Format version 1 is frozen: the same inputs give the same bytes, and an independent encoder gives them too.

A failure here means another version number, never another golden file (docs/format.md).
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import format as fmt
from support.child import until
from support.model import held

from striate import Log

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


def load_maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_golden", GOLDEN / "make_golden.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


maker = load_maker()
NAMES = list(maker.LOGS)


def golden_files(name: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((maker.GOLDEN / name).iterdir())}


@pytest.mark.parametrize("name", NAMES)
def test_the_same_inputs_give_the_same_bytes(name: str, log_path: Path) -> None:
    made, golden = maker.build(name, log_path), golden_files(name)
    assert list(made) == list(golden)
    for file, data in made.items():
        different = [at for at, (a, b) in enumerate(zip(data, golden[file], strict=False)) if a != b]
        assert not different, f"{file} differs at {different[:20]}"
        assert len(data) == len(golden[file]), file


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["r", "a"])
def test_old_files_are_read(name: str, mode: str, log_path: Path) -> None:
    """The golden files hold the records of records.json, which can be checked by eye."""
    shutil.copytree(maker.GOLDEN / name, log_path)
    wanted = json.loads((GOLDEN / "records.json").read_text())[name]
    with Log(log_path, mode=mode, segment_bytes=4096) as log:
        rows = maker.rows_of(log)
        assert rows == wanted["records"]
        assert (log.lowest_offset, log.next_offset) == (wanted["lowest_offset"], wanted["next_offset"])
        for offset, timestamp, *_ in rows:
            assert log.read(offset).timestamp == timestamp
        assert log.verify().ok
        assert log.recovery.clean
        if mode == "a":
            assert log.append(b"x" * (log.record_size or 9)) == wanted["next_offset"]
    if mode == "a":
        with Log(log_path, mode="r") as log:
            assert len(held(log)) == len(wanted["records"]) + 1


def test_golden_files_are_small() -> None:
    assert sum(file.stat().st_size for file in maker.GOLDEN.rglob("*") if file.is_file()) < 20 * 1024


# ---------------------------------------------------------------- the independent encoder


def encode_segment(store: fmt.Store, *, gaps: bool) -> tuple[bytes, bytes, fmt.Footer]:
    """Store and index of a sealed segment, from header fields and frames alone."""
    header = store.header
    frames, pairs, position = [], [], fmt.HEADER_BYTES
    for frame in store.frames:
        data = fmt.encode_frame(frame, header.segment_id)
        frames.append(data)
        pairs.append((frame.relative_offset, position))
        position += len(data)
    index = b"" if header.record_size else fmt.encode_index(pairs)
    footer = fmt.Footer(
        segment_id=header.segment_id,
        end_position=position,
        first_timestamp_us=store.frames[0].timestamp_us,
        last_timestamp_us=store.frames[-1].timestamp_us,
        record_count=len(frames),
        last_relative=store.frames[-1].relative_offset,
        chain_checksum=fmt.chain_checksum(frames),
        index_checksum=fmt.checksum(index),
        flags=fmt.SEGMENT_HAS_GAPS if gaps else 0,
    )
    data = fmt.encode_store_header(header) + b"".join(frames) + fmt.encode_footer(footer)
    return data, index, footer


@pytest.mark.parametrize("name", NAMES)
def test_an_independent_encoder_gives_the_same_bytes(name: str) -> None:
    """Every structure of every file, encoded anew in pure Python from the decoded fields, byte for byte."""
    files = golden_files(name)
    manifest = fmt.decode_manifest(files["manifest"])
    left = set(files) - {"manifest"}
    entries = []
    for entry in manifest.entries:
        store_name, index_name = fmt.segment_names(entry.base_offset, entry.revision)
        store = fmt.decode_store(files[store_name])
        relative = [frame.relative_offset for frame in store.frames]
        gaps = entry.next_offset - entry.base_offset != len(relative)
        data, index, footer = encode_segment(store, gaps=gaps)
        assert data == files[store_name]
        left.remove(store_name)
        if not manifest.record_size:
            assert index == files[index_name]
            assert fmt.decode_index(index) == [(f.relative_offset, f.position) for f in store.frames]
            left.remove(index_name)
        assert store.header.log_id == manifest.log_id
        assert (store.header.base_offset, store.header.record_size) == (
            entry.base_offset,
            manifest.record_size,
        )
        assert gaps or relative == list(range(len(relative)))
        entries.append(entry_of(store.header, footer, entry.next_offset, entry.revision, gaps))
    rebuilt = replace(manifest, flags=0, codec=0, entries=tuple(entries))
    assert fmt.encode_manifest(rebuilt) == files["manifest"]
    assert not left, f"files that nothing explains: {left}"


def entry_of(header: fmt.StoreHeader, footer: fmt.Footer, next_offset: int, revision: int, gaps: bool) -> fmt.Entry:
    """The manifest's entry for a sealed segment."""
    return fmt.Entry(
        base_offset=header.base_offset,
        segment_id=header.segment_id,
        next_offset=next_offset,
        end_position=footer.end_position,
        first_timestamp_us=footer.first_timestamp_us,
        last_timestamp_us=footer.last_timestamp_us,
        record_count=footer.record_count,
        revision=revision,
        chain_checksum=footer.chain_checksum,
        index_checksum=footer.index_checksum,
        flags=fmt.ENTRY_SEALED | (fmt.ENTRY_GAPS if gaps else 0),
    )


def test_frames_from_the_inputs_alone() -> None:
    """The fixed-length and the durable log, encoded without looking at a byte of the core's."""
    ids = maker.ids()
    log_id, segment_id = next(ids), next(ids)
    begin = maker.BEGIN_US
    header = fmt.StoreHeader(log_id, segment_id, 0, 0, record_size=12, capacity=4096)
    # An append knows all before it to be durable; the records of a batch know what its first knew.
    synced = [fmt.HEADER_BYTES + 48 * number for number in (0, 1, 2, 3, 4, 4, 4, 4, 4)]
    frames = [
        fmt.Frame(
            number,
            begin + 10 * min(number, 4),
            b"record %05d" % number,
            flags=fmt.HAS_SYNC | (fmt.CONTINUES if 4 <= number < 8 else 0),
            synced_position=synced[number],
        )
        for number in range(9)
    ]
    data = encode_segment(fmt.Store(header, frames), gaps=False)[0]
    assert data == golden_files("fixed")[fmt.segment_names(0)[0]]

    values = [*(b"durable %d" % number for number in range(5)), b"in", b"one", b"batch", b"end"]
    frames = []
    for number, value in enumerate(values):
        continues = fmt.CONTINUES if number in (5, 6) else 0
        before = fmt.SYNCED_BEFORE if number not in (0, 6, 7) else 0
        key = b"k%d" % number if number < 5 else None
        when = begin + 1000 * min(number, 5)
        frames.append(fmt.Frame(number, when, value, key, flags=continues | before))
    header = fmt.StoreHeader(log_id, segment_id, 2**40, 0, capacity=4096)
    data = encode_segment(fmt.Store(header, frames), gaps=False)[0]
    assert data == golden_files("durable")[fmt.segment_names(2**40)[0]]


def test_the_checkpoint(log_path: Path) -> None:
    """Its slots, while the log is open, say no more than is durable, in the written layout."""
    with Log(log_path, segment_bytes=4096, durability="process", sync_interval_ms=1) as log:
        for number in range(10):
            log.append(b"%d" % number)
        file = log_path / "checkpoint"
        until(lambda: file.exists() and any(file.read_bytes()), "a checkpoint")
        data = file.read_bytes()
        slots = fmt.decode_checkpoint(data)
        store = fmt.decode_store((log_path / fmt.segment_names(0)[0]).read_bytes())
        for slot in slots:
            assert slot.log_id == store.header.log_id
            assert slot.segment_id == store.header.segment_id
            assert slot.base_offset == 0
            assert slot.synced_position <= store.end_position
            assert slot.next_offset <= 10
            position = fmt.SLOT_POSITIONS[slot.sequence & 1]
            assert fmt.encode_slot(slot) == data[position : position + fmt.HEADER_BYTES]


def test_vectors() -> None:
    """Checksums of fixed bytes, so that the encoder itself cannot drift together with the core."""
    assert fmt.checksum(b"123456789") == 0xE3069283
    frame = fmt.encode_frame(fmt.Frame(5, 1_700_000_000_000_000, b"value", b"key"), 0x0123456789ABCDEF)
    assert len(frame) == 32
    assert fmt.decode_frame(frame, 0, 0x0123456789ABCDEF) is not None
    assert fmt.decode_frame(frame, 0, 0x0123456789ABCDEE) is None
    assert frame[4:24].hex() == "0800000000401e18240a06000500000003000101"
