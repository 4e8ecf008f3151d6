"""The live page alone: what makes it believable, and what it remembers of failed syncs."""

from __future__ import annotations

import errno
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from striate._native.live import Live
from striate.errors import DiskError

LOG_ID = 77
VERSION_AT, BOOT_AT = 4, 8


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "live")


def begun(path: str, next_offset: int = 10, generation: int = 3) -> Live:
    live = Live.open(path, LOG_ID)
    live.begin(next_offset, generation)
    return live


def test_a_new_page_says_nothing(path: str) -> None:
    live = Live.open(path, LOG_ID)
    assert not live.trusted
    assert (live.visible_next, live.generation, live.failed_offset, live.recovery_failed) == (0, 0, None, False)
    assert os.path.getsize(path) == 4096
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert not Live.open(path, LOG_ID).trusted, "no writer has begun"


def test_what_a_writer_says_reaches_readers(path: str) -> None:
    reader = Live.open_reader(path, LOG_ID)
    assert reader is not None
    assert not reader.trusted
    writer = begun(path)
    assert writer.trusted
    assert reader.judge()
    assert reader.trusted
    assert (reader.visible_next, reader.generation, reader.writer_pid) == (10, 3, os.getpid())
    writer.set_generation(4)
    assert reader.generation == 4
    writer.begin(12, 5)
    assert (reader.visible_next, reader.generation) == (12, 5)


@pytest.mark.parametrize("number", [0, 1, (1 << 63) - 1])
def test_extremes(path: str, number: int) -> None:
    live = begun(path, number, number)
    assert (live.visible_next, live.generation) == (number, number)


def test_the_next_writer_finds_it(path: str) -> None:
    begun(path)
    again = Live.open(path, LOG_ID)
    assert again.trusted
    assert (again.visible_next, again.generation, again.failed_offset) == (10, 3, None)


def edit(position: int) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        path.write_bytes(data)

    return apply


def copied(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    os.rename(path.with_name("copy"), path)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(edit(0), id="magic"),
        pytest.param(edit(VERSION_AT), id="version"),
        pytest.param(edit(BOOT_AT), id="another boot"),
        pytest.param(edit(BOOT_AT + 15), id="another boot's end"),
        pytest.param(edit(32), id="log id"),
        pytest.param(copied, id="copied"),
        pytest.param(emptied, id="emptied"),
        pytest.param(lambda path: path.write_bytes(b"\xff" * 4096), id="noise"),
    ],
)
def test_what_is_not_believed(path: str, change: Callable[[Path], None]) -> None:
    live = begun(path)
    live.note_failure(5)
    del live
    change(Path(path))
    reader = Live.open_reader(path, LOG_ID)
    assert reader is not None
    assert not reader.trusted
    writer = Live.open(path, LOG_ID)
    assert not writer.trusted
    assert (writer.visible_next, writer.failed_offset, writer.recovery_failed) == (0, None, False)
    writer.begin(1, 1)
    assert Live.open(path, LOG_ID).trusted


def test_another_log(path: str) -> None:
    begun(path)
    assert not Live.open(path, LOG_ID + 1).trusted


def test_a_failed_sync_is_remembered_until_a_writer_begins(path: str) -> None:
    live = begun(path)
    live.note_failure(8)
    again = Live.open(path, LOG_ID)
    assert again.failed_offset == 8
    assert not again.recovery_failed
    again.begin(8, 4)
    assert again.failed_offset is None
    assert Live.open(path, LOG_ID).failed_offset is None


def test_a_failed_recovery_is_remembered(path: str) -> None:
    live = Live.open(path, LOG_ID)
    live.note_recovery_failure()
    assert live.trusted
    again = Live.open(path, LOG_ID)
    assert again.recovery_failed
    assert again.failed_offset is None
    again.note_failure(3)
    assert (again.failed_offset, again.recovery_failed) == (3, True)
    again.begin(3, 1)
    assert (again.failed_offset, again.recovery_failed) == (None, False)


def test_a_link_is_not_followed(path: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"precious")
    os.symlink(target, path)
    with pytest.raises(DiskError):
        Live.open(path, LOG_ID)
    assert Live.open_reader(path, LOG_ID) is None
    assert target.read_bytes() == b"precious"


def test_where_no_page_can_be_made(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing" / "live")
    assert Live.open_reader(missing, LOG_ID) is None
    with pytest.raises(DiskError):
        Live.open(missing, LOG_ID)


def test_a_reader_does_not_change_the_page(path: str) -> None:
    begun(path)
    before = Path(path).read_bytes()
    Live.open_reader(path, LOG_ID)
    assert Path(path).read_bytes() == before


def test_the_layout_of_docs_format(path: str) -> None:
    begun(path, 10, 3)
    data = Path(path).read_bytes()
    magic, version, size = struct.unpack_from("<4sHH", data)
    inode, log_id, pid, generation, failed, _ = struct.unpack_from("<QQQQQQ", data, 24)
    assert (magic, version, size) == (b"SLIV", 1, 256)
    assert (inode, log_id, pid) == (os.stat(path).st_ino, LOG_ID, os.getpid())
    assert (generation, failed) == (3, 0)
    assert struct.unpack_from("<Q", data, 128) == (10,)


def test_no_descriptor_is_left(path: str) -> None:
    before = len(os.listdir("/proc/self/fd"))
    begun(path)
    Live.open_reader(path, LOG_ID)
    assert len(os.listdir("/proc/self/fd")) == before


# ---------------------------------------------------------------- sleeping


def test_a_wake_up_before_the_sleep_is_not_lost(path: str) -> None:
    live = begun(path)
    announced = live._announce()
    live._wake()
    assert live._sleep(announced, 5_000_000_000) == -errno.EAGAIN


def test_the_announcement_of_another_is_not_ones_own(path: str) -> None:
    """One is about to sleep, all are woken, and another announces itself: the first may not sleep any more."""
    live = begun(path)
    other = Live.open_reader(path, LOG_ID)
    assert other is not None
    announced = live._announce()
    assert other._announce() == announced, "they sleep together"
    live._wake()
    other._announce()
    assert live._sleep(announced, 5_000_000_000) == -errno.EAGAIN


def test_a_sleep_without_a_wake_up_lasts(path: str) -> None:
    live = begun(path)
    live._wake()  # of nobody
    assert live._sleep(live._announce(), 10_000_000) == -errno.ETIMEDOUT
