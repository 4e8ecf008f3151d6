"""Snapshots: a point in time, checksummed; later records never leak in; restoring gives the same offsets."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import format as fmt

from striate import (
    CorruptRecordError,
    DiskError,
    InvalidArgumentError,
    Log,
    LogLockedError,
    PathExistsError,
    StriateError,
)
from striate._native.simulation import OPERATIONS, SimulatedDisk

Opener = Callable[..., Any]


def content(log: Any) -> list[Any]:
    return [(r.offset, r.timestamp, r.key, r.value, r.kind) for r in log]


def filled(open_log: Opener, **options: Any) -> Any:
    log = open_log(initial_offset=500, **options)
    for number in range(90):
        log.append(b"%d." % number * 15, b"k%d" % (number % 9))
    log.append_many([b"a", b"b", b"c"])
    log.append_tombstone(b"k1")
    return log


def test_snapshot_and_restore(open_log: Opener, tmp_path: Path) -> None:
    log = filled(open_log)
    before = content(log)
    info = log.snapshot(tmp_path / "snapshot")
    assert (info.lowest_offset, info.next_offset) == (500, 594)
    assert Path(info.path) == tmp_path / "snapshot"
    stored = sum(file.stat().st_size for file in (tmp_path / "snapshot").rglob("*") if file.is_file())
    assert 0 < info.size_bytes <= stored + 4096
    restored = log.restored(tmp_path / "snapshot", tmp_path / "restored")
    try:
        assert content(restored) == before
        assert (restored.lowest_offset, restored.next_offset) == (500, 594)
        assert restored.verify().ok
        assert restored.append(b"on") == 594
        assert content(log) == before
    finally:
        restored.dispose()


def test_later_records_never_leak_in(open_log: Opener, tmp_path: Path) -> None:
    """The snapshot shares the active segment's bytes at most; what is appended afterwards is not in it."""
    log = filled(open_log)
    before = content(log)
    log.snapshot(tmp_path / "snapshot")
    for number in range(70):
        log.append(b"later %d" % number * 9)
    log.truncate_before(550)
    log.compact()
    log.truncate_after(600)
    log.append(b"other")
    with_later = log.restored(tmp_path / "snapshot", tmp_path / "restored")
    assert content(with_later) == before
    with_later.dispose()
    log.close()
    shutil.rmtree(log.path)
    again = log.restored(tmp_path / "snapshot", tmp_path / "again")
    assert content(again) == before
    again.dispose()


def test_a_snapshot_is_left_alone_by_its_restored_log(open_log: Opener, tmp_path: Path) -> None:
    log = filled(open_log)
    before = content(log)
    log.snapshot(tmp_path / "snapshot")
    one = log.restored(tmp_path / "snapshot", tmp_path / "one")
    for number in range(60):
        one.append(b"%d" % number * 30)
    one.truncate_before(580)
    one.reset()
    one.dispose()
    two = log.restored(tmp_path / "snapshot", tmp_path / "two")
    assert content(two) == before
    two.dispose()


@pytest.mark.parametrize("state", ["empty", "truncated", "compacted", "fixed length", "reset"])
def test_snapshot_of_every_state(open_log: Opener, tmp_path: Path, state: str) -> None:
    if state == "fixed length":
        log = open_log(record_size=24)
        log.append_many([b"%024d" % number for number in range(200)])
    else:
        log = open_log(initial_offset=7)
    if state not in ("empty", "fixed length"):
        for number in range(150):
            log.append(b"%d." % number * 12, b"key-%d" % (number % 5))
    if state == "truncated":
        log.truncate_before(41)
        log.truncate_after(120)
    if state == "compacted":
        log.compact()
    if state == "reset":
        log.reset(1000)
    before, low, high = content(log), log.lowest_offset, log.next_offset
    log.snapshot(tmp_path / "snapshot")
    restored = log.restored(tmp_path / "snapshot", tmp_path / "restored")
    assert (restored.lowest_offset, restored.next_offset) == (low, high)
    assert content(restored) == before
    assert restored.record_size == log.record_size
    assert restored.append(b"%024d" % 200) == high
    restored.dispose()


def test_targets_that_exist(open_log: Opener, tmp_path: Path) -> None:
    log = filled(open_log)
    empty, used, file = tmp_path / "empty", tmp_path / "used", tmp_path / "file"
    empty.mkdir()
    used.mkdir()
    (used / "something").write_bytes(b"precious")
    file.write_bytes(b"precious")
    for wrong in (used, file):
        with pytest.raises(PathExistsError):
            log.snapshot(wrong)
    with pytest.raises(InvalidArgumentError):
        log.snapshot(Path(log.path))
    log.snapshot(empty)
    for wrong in (used, file):
        with pytest.raises(PathExistsError):
            log.restored(empty, wrong)
    with pytest.raises(PathExistsError):
        log.snapshot(empty)
    assert (used / "something").read_bytes() == b"precious"
    assert file.read_bytes() == b"precious"
    assert log.append(b"on") == 594


@pytest.mark.parametrize("target", ["new", "of the caller", "new/in/new"])
def test_a_failed_snapshot_leaves_nothing(open_log: Opener, log_path: Path, tmp_path: Path, target: str) -> None:
    log = filled(open_log)
    stores = sorted(log_path.glob("*.store"))
    assert len(stores) == 2
    with stores[-1].open("r+b") as file:
        file.seek(90)
        file.write(b"rot")
    if target == "of the caller":
        (tmp_path / target).mkdir()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CorruptRecordError):
        log.snapshot(tmp_path / target)
    log.close()  # a snapshot seals the last segment of its log, that is all
    assert [path for path in sorted(tmp_path.rglob("*")) if log_path not in path.parents] == [
        path for path in before if log_path not in path.parents
    ]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_snapshot_that_the_disk_fails_leaves_nothing(tmp_path: Path, operation: str) -> None:
    """Every call of the snapshot fails once; what fails before the copy is begun is the log's own affair."""
    for nth in range(1, 1000):
        disk = SimulatedDisk()
        disk.recording = False
        path, target = tmp_path / f"log-{nth}", tmp_path / "snapshot"
        with Log(path, segment_bytes=4096, _disk=disk) as log:
            for number in range(3):
                log.append(bytes(3000) + b"%d" % number)
            log.compact()  # seals, so that the snapshot has nothing to do but copy
            disk.fail(operation, nth, errno.EIO)
            try:
                log.snapshot(target)
            except DiskError:
                assert not target.exists()
            else:
                with Log(target, mode="r") as copy:
                    assert [record.value for record in copy] == [record.value for record in log]
                shutil.rmtree(target)
                break
            disk.heal()
            assert log.append(b"on") == 3


@pytest.mark.parametrize("what", ["nothing there", "a file", "an empty directory", "a foreign directory"])
def test_restoring_what_is_no_snapshot(open_log: Opener, tmp_path: Path, what: str) -> None:
    source = tmp_path / "source"
    if what == "a file":
        source.write_bytes(b"text")
    elif what != "nothing there":
        source.mkdir()
        if what == "a foreign directory":
            (source / "file").write_bytes(b"text")
    log = open_log()
    with pytest.raises(StriateError):
        log.restored(source, tmp_path / "restored")
    assert not (tmp_path / "restored" / "manifest").exists()


def test_every_flipped_byte_is_refused(open_log: Opener, tmp_path: Path) -> None:
    """A byte of any file of the snapshot, here and there: restore refuses, and leaves no half-made log."""
    log = filled(open_log)
    before = content(log)
    snapshot = tmp_path / "snapshot"
    log.snapshot(snapshot)
    number = 0
    for file in sorted(item for item in snapshot.rglob("*") if item.is_file() and item.stat().st_size):
        good = file.read_bytes()
        step = max(1, len(good) // 12)
        for position in range(0, len(good), step):
            file.write_bytes(good[:position] + bytes([good[position] ^ 0x10]) + good[position + 1 :])
            target = tmp_path / f"restored-{number}"
            number += 1
            try:
                restored = log.restored(snapshot, target)
            except StriateError:
                assert not (target / "manifest").exists(), "nothing half-made is left"
                continue
            try:  # a byte that carries nothing: the restored log must be right in every record
                assert content(restored) == before, f"{file.name} at {position}"
                assert file.suffix != ".store" or position in padding(good), f"{file.name} at {position}"
            finally:
                restored.dispose()
        file.write_bytes(good)
    assert number > 30


def padding(data: bytes) -> set[int]:
    """Where zeros stand in a store that belong to nothing, and that no checksum covers."""
    store = fmt.decode_store(data)
    covered = set(range(fmt.HEADER_BYTES)) | set(range(store.end_position, store.end_position + fmt.FOOTER_BYTES))
    for frame in store.frames:
        size = fmt.FRAME_BYTES + int.from_bytes(data[frame.position + 4 : frame.position + 8], "little")
        covered |= set(range(frame.position, frame.position + size))
    return set(range(len(data))) - covered


def test_a_missing_or_shortened_file_is_refused(open_log: Opener, tmp_path: Path) -> None:
    log = filled(open_log)
    snapshot = tmp_path / "snapshot"
    log.snapshot(snapshot)
    stores = sorted(snapshot.rglob("*.store"))
    assert stores
    for number, store in enumerate([*stores, snapshot / "manifest"]):
        for keep in (None, 0, 63, store.stat().st_size // 2):
            good = store.read_bytes()
            store.unlink()
            if keep is not None:
                store.write_bytes(good[:keep])
            with pytest.raises(StriateError):
                log.restored(snapshot, tmp_path / f"restored-{number}-{keep}")
            store.write_bytes(good)
    log.restored(snapshot, tmp_path / "good").dispose()


def test_snapshot_by_a_reader(log_path: Path, tmp_path: Path) -> None:
    """A reader may take a snapshot or says that it may not; the log is the same afterwards."""
    with Log(log_path, segment_bytes=4096, durability="process") as writer:
        for number in range(90):
            writer.append(b"%d." % number * 15)
        with Log(log_path, mode="r") as reader:
            try:
                reader.snapshot(tmp_path / "snapshot")
            except StriateError:
                return
        with Log.restore(tmp_path / "snapshot", tmp_path / "restored") as restored:
            assert content(restored) == content(writer)


def test_the_restored_log_has_a_writer(log_path: Path, tmp_path: Path) -> None:
    with Log(log_path, durability="process") as log:
        log.append(b"value")
        log.snapshot(tmp_path / "snapshot")
    with Log.restore(tmp_path / "snapshot", tmp_path / "restored", durability="process") as restored:
        assert restored.durability == "process"
        with pytest.raises(LogLockedError):
            Log(tmp_path / "restored")


def test_snapshots_under_way_while_others_append(log_path: Path, tmp_path: Path) -> None:
    """Each snapshot of a busy log ends between batches, and holds all of them."""
    import threading

    stop = threading.Event()
    with Log(log_path, segment_bytes=4096, durability="process") as log:

        def write() -> None:
            number = 0
            while not stop.is_set():
                log.append_many([b"%d/%d" % (number, part) for part in range(3)])
                number += 1

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(8):
                info = log.snapshot(tmp_path / f"snapshot-{number}")
                with Log.restore(tmp_path / f"snapshot-{number}", tmp_path / f"restored-{number}") as restored:
                    assert restored.next_offset == info.next_offset
                    assert restored.next_offset % 3 == 0
                    assert len(content(restored)) == info.next_offset - info.lowest_offset
                    for record in restored:
                        assert record.value == b"%d/%d" % divmod(record.offset, 3)
                log.truncate_before(info.next_offset)
        finally:
            stop.set()
            writer.join()
