"""What tells a torn tail from rot (docs/durability.md): a checkpoint keeps recovery from cutting, and does not lie."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from striate import CorruptRecordError, DamagedLogError, Log
from striate._native.simulation import SimulatedDisk
from striate.storage import directory


def killed_log(path: Path, *values: bytes, checkpoint: bool) -> Path:
    """A log whose writer was killed after these appends, each durable, and perhaps a checkpoint."""
    with Log(path, segment_bytes=4096, _disk=SimulatedDisk()) as log:
        for value in values:
            log.append(value)
        if checkpoint:
            with log._exclusive():
                log._write_checkpoint()
        kept = path.with_name("killed")
        shutil.copytree(path, kept)
    return kept


def rot(path: Path, value: bytes) -> Path:
    store = next(file for file in sorted(path.glob("*.store")) if value in file.read_bytes())
    data = bytearray(store.read_bytes())
    data[data.index(value)] ^= 1
    store.write_bytes(data)
    return store


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_checkpoint_vouches_for_what_has_no_mark_behind_it(fast_path: Path, checkpoint: bool) -> None:
    path = killed_log(fast_path / "log", b"first" * 9, b"the last one" * 9, checkpoint=checkpoint)
    store = rot(path, b"the last one")
    before = store.read_bytes()
    with Log(path) as log:
        assert log.read(0).value == b"first" * 9
        if not checkpoint:  # nobody knows: set aside and reported
            assert log.recovery.suspect
            assert log.next_offset == 1
            return
        assert [segment.verdict for segment in log.recovery.segments] == ["corrupt"]
        assert log.next_offset == 2
        with pytest.raises(CorruptRecordError):
            log.read(1)
        with pytest.raises(DamagedLogError):
            log.append(b"x")
    assert store.read_bytes() == before
    assert not list(path.glob("*.broken"))


@pytest.mark.parametrize("durability", ["power", "process"])
def test_a_checkpoint_claims_only_what_was_synced(fast_path: Path, durability: str) -> None:
    """Appends go on while the sync thread writes it."""
    disk = SimulatedDisk()
    path = str(fast_path / "log")
    with Log(path, durability=durability, _disk=disk) as log:
        log.append(b"durable")
        log.sync()
        synced = log.segments()[0].size_bytes
        log._append_nowait(b"not yet")
        with log._exclusive():
            log._write_checkpoint()
        found = directory.load_checkpoint(disk, path, log._log_id)
        assert found is not None
        assert (found.synced_position, found.next_offset) == (synced, 1)
        log.sync()


@pytest.mark.parametrize("torn", [False, True])
def test_a_torn_footer_behind_whole_records_is_no_damage(fast_path: Path, torn: bool) -> None:
    """The checkpoint of a later segment proves all records before it durable, and no footer: recovery, killed in turn,
    may have been writing it again."""
    disk = SimulatedDisk()
    disk.defer_seals()
    values = [b"%04d" % number * 300 for number in range(8)]
    kept = fast_path / "killed"
    with Log(fast_path / "log", durability="process", segment_bytes=4096, _disk=disk) as log:
        for value in values:
            log.append(value)
        log.sync()
        with log._exclusive():
            log._write_checkpoint()
        footers = [segment.size_bytes for segment in log.segments()]
        shutil.copytree(fast_path / "log", kept)
    stores = sorted(kept.glob("*.store"))
    assert len(stores) >= 3
    if torn:
        with open(stores[0], "r+b") as file:
            file.seek(footers[0])
            file.write(b"\x5a" * 64)
    for _ in range(2):
        with Log(kept, durability="process", segment_bytes=4096) as log:
            assert log.recovery.problems == []
            assert [record.value for record in log.scan(0, 8)] == values
            log.append(b"goes on")
            assert log.verify().ok


def test_a_footer_that_is_there_is_not_written_again(fast_path: Path) -> None:
    disk = SimulatedDisk()
    disk.defer_seals()
    kept = fast_path / "killed"
    with Log(fast_path / "log", durability="process", segment_bytes=4096, _disk=disk) as log:
        for number in range(8):
            log.append(b"%04d" % number * 300)
        log.sync()
        shutil.copytree(fast_path / "log", kept)
    disk = SimulatedDisk()
    with Log(kept, durability="process", segment_bytes=4096, _disk=disk) as log:
        assert [segment.verdict for segment in log.recovery.segments][:2] == ["sealed", "sealed"]
    footers = [op for op in disk.operations if op[0] == "store" and op[3][:4] == b"SEND"]
    assert len(footers) == 1, "of the last segment, which had none"
