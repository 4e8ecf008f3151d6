"""Figures and checks of a log that is written meanwhile, by this process and by another."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from striate import CorruptError, CorruptSegmentError, DiskError, Log


def written(path: Path, **options: Any) -> Log:
    log = Log(path, durability="process", **options)
    for number in range(100):
        log.append(b"%07d" % number)
    log.append_many([b"7 bytes"] * 200)
    return log


@pytest.mark.parametrize("options", [{}, {"segment_bytes": 4096}, {"record_size": 7}], ids=str)
def test_a_reader_measures_what_another_writes(log_path: Path, options: dict[str, Any]) -> None:
    with written(log_path, **options) as writer, Log(log_path, mode="r") as reader:
        for _ in range(2):
            mine, theirs = reader.stats(), writer.stats()
            same = {"allocated_bytes": 0, "durable_offset": 0, "appends": 0, "syncs": 0}
            assert replace(mine, **same) == replace(theirs, **same)
            sealed = {"sealed": False, "index_path": None}
            assert [replace(s, **sealed) for s in reader.segments()] == [
                replace(s, **sealed) for s in writer.segments()
            ]
            assert reader.verify() == writer.verify()
            assert reader.verify().records == reader.next_offset
            writer.append(b"another")


def test_a_reader_finds_rot_in_what_another_writes(log_path: Path) -> None:
    with written(log_path) as writer, Log(log_path, mode="r") as reader:
        with open(writer.segments()[-1].store_path, "r+b") as file:
            file.seek(200)
            file.write(b"rot")
        assert len(reader.verify().problems) == 1
        assert len(writer.verify().problems) == 1


class AppendedTo(Log):
    """Others append while it is checked."""

    def _moment(self) -> Any:
        moment = super()._moment()
        self.append(b"meanwhile")
        return moment


@pytest.mark.parametrize("segment_bytes", [1 << 20, 4096])
def test_what_is_appended_while_it_is_checked(log_path: Path, segment_bytes: int) -> None:
    with AppendedTo(log_path, durability="process", segment_bytes=segment_bytes) as log:
        log.append(b"value")
        for count in range(1, 300):
            report = log.verify()
            assert report.ok, report
            assert report.records == count


# ---------------------------------------------------------------- files that go or change


def test_the_index_of_a_segment_that_is_gone(log_path: Path) -> None:
    with written(log_path, segment_bytes=4096) as log:
        first, second, *_ = log.segments()
        log.truncate_before(first.next_offset)
        with pytest.raises(DiskError) as caught:
            first.index  # noqa: B018
        assert caught.value.path == first.index_path
        assert second.index_path is not None
        os.truncate(second.index_path, 8)
        with pytest.raises(CorruptSegmentError):
            second.index  # noqa: B018


def test_a_directory_that_is_moved_away(log_path: Path) -> None:
    with written(log_path) as log:
        log.truncate_after(50)  # leaves no segment open
        os.rename(log_path, log_path.with_name("away"))
        with pytest.raises(DiskError):
            log.append(b"value")
        assert log.read(50).value == b"0000050"
        os.rename(log_path.with_name("away"), log_path)
        assert log.append(b"value") == 51


@pytest.mark.parametrize("name", ["manifest", "live", "checkpoint", "lock", "reserve", "index", "store"])
def test_a_pipe_is_not_waited_for(log_path: Path, name: str) -> None:
    """It is an error or replaced, for writers and readers."""
    written(log_path, segment_bytes=4096).close()
    for path in sorted(log_path.iterdir()):
        if path.name.endswith(name):
            path.unlink()
            os.mkfifo(path)
            break
    for mode in ("r", "a"):
        try:
            with Log(log_path, mode=mode) as log:
                assert log.read(299).value == b"7 bytes"
        except (DiskError, CorruptError):
            pass
    shutil.rmtree(log_path)


def test_a_reader_knows_what_is_durable(log_path: Path) -> None:
    with Log(log_path, durability="process", sync_interval_ms=3_600_000) as writer:
        writer.append(b"synced")
        writer.sync()
        writer.append(b"not yet")
        with Log(log_path, mode="r") as reader:
            assert (reader.next_offset, reader.durable_offset) == (2, 1) == (writer.next_offset, writer.durable_offset)
            writer.sync()
            assert reader.durable_offset == 2
            writer.append_many([b"x"] * 10)
            assert reader.durable_offset == 2
            writer.truncate_after(0)
            assert (reader.next_offset, reader.durable_offset) == (1, 1)
            writer.append(b"again")
            writer.close()
            assert (reader.next_offset, reader.durable_offset) == (2, 2)
