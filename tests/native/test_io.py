"""The real disk: names and small files, and what errors of the system become."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from striate._native.io import REAL_DISK, Disk, check_result
from striate.errors import DiskError, DiskFullError, StorageError, SyncFailedError


@pytest.fixture
def disk() -> Disk:
    return Disk()


# ---------------------------------------------------------------- errors

MAPPING: list[tuple[int, str, type[DiskError]]] = [
    (errno.EIO, "write", DiskError),
    (errno.ENOENT, "open", DiskError),
    (errno.EACCES, "open", DiskError),
    (errno.EMFILE, "open", DiskError),
    (errno.ENOMEM, "map", DiskError),
    (errno.ENOSPC, "write", DiskFullError),
    (errno.ENOSPC, "allocate", DiskFullError),
    (errno.EDQUOT, "allocate", DiskFullError),
    (errno.EFBIG, "allocate", DiskFullError),
    (errno.EROFS, "open", DiskFullError),
    (errno.EIO, "sync", SyncFailedError),
    (errno.ENOSPC, "sync", SyncFailedError),
    (errno.EDQUOT, "sync", SyncFailedError),
]


@pytest.mark.parametrize(("number", "operation", "expected"), MAPPING)
def test_errors(number: int, operation: str, expected: type[DiskError]) -> None:
    with pytest.raises(DiskError) as caught:
        check_result(-number, "/log/file", operation)
    error = caught.value
    assert type(error) is expected
    assert isinstance(error, StorageError)
    assert isinstance(error, OSError)
    assert (error.errno, error.strerror) == (number, os.strerror(number))
    assert (error.path, error.filename, error.operation) == ("/log/file", "/log/file", operation)
    assert str(error).startswith(f"cannot {operation} /log/file: {os.strerror(number)}")


@pytest.mark.parametrize("result", [0, 1, 1 << 30])
def test_no_errors(result: int) -> None:
    check_result(result, "/log/file", "write")


CALLS: list[tuple[str, str, int, Callable[[Disk, str], object]]] = [
    ("make_directory", "create", errno.ENOENT, lambda disk, path: disk.make_directory(path)),
    ("remove_directory", "remove", errno.ENOENT, lambda disk, path: disk.remove_directory(path)),
    ("sync_directory", "sync", errno.ENOENT, lambda disk, path: disk.sync_directory(path)),
    ("rename", "rename", errno.ENOENT, lambda disk, path: disk.rename(path, path + "2")),
    ("unlink", "remove", errno.ENOENT, lambda disk, path: disk.unlink(path)),
    ("read_file", "open", errno.ENOENT, lambda disk, path: disk.read_file(path)),
    ("write_file", "open", errno.ENOENT, lambda disk, path: disk.write_file(path, b"x")),
    ("replace_file", "open", errno.ENOENT, lambda disk, path: disk.replace_file(path, b"x")),
    ("open_file", "open", errno.ENOENT, lambda disk, path: disk.open_file(path, os.O_RDONLY)),
]


@pytest.mark.parametrize(("operation", "number", "call"), [case[1:] for case in CALLS], ids=[case[0] for case in CALLS])
def test_what_is_missing(
    tmp_path: Path, disk: Disk, operation: str, number: int, call: Callable[[Disk, str], object]
) -> None:
    path = str(tmp_path / "missing" / "file")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(DiskError) as caught:
        call(disk, path)
    assert (caught.value.operation, caught.value.errno) == (operation, number)
    assert caught.value.path.startswith(path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_full_device() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(DiskFullError) as caught:
        REAL_DISK.write_file("/dev/full", b"x")
    assert (caught.value.operation, caught.value.errno) == ("write", errno.ENOSPC)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_directory_is_no_file(tmp_path: Path, disk: Disk) -> None:
    with pytest.raises(DiskError) as caught:
        disk.read_file(str(tmp_path))
    assert (caught.value.operation, caught.value.errno) == ("read", errno.EISDIR)


# ---------------------------------------------------------------- directories


def test_directories_are_private(tmp_path: Path, disk: Disk) -> None:
    path = tmp_path / "log"
    disk.make_directory(str(path))
    assert path.stat().st_mode & 0o777 == 0o700
    disk.sync_directory(str(path))
    with pytest.raises(DiskError) as caught:
        disk.make_directory(str(path))
    assert caught.value.errno == errno.EEXIST
    disk.write_file(str(path / "file"), b"x")
    with pytest.raises(DiskError) as caught:
        disk.remove_directory(str(path))
    assert caught.value.errno == errno.ENOTEMPTY
    disk.unlink(str(path / "file"))
    disk.remove_directory(str(path))
    assert not path.exists()


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("size", [0, 1, 4096, 1 << 20])
def test_a_round_trip(tmp_path: Path, disk: Disk, size: int) -> None:
    path = str(tmp_path / "file")
    data = os.urandom(size)
    disk.write_file(path, data)
    assert disk.read_file(path) == data
    assert os.stat(path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_any_buffer(tmp_path: Path, disk: Disk, buffer: Callable[[bytes], bytes]) -> None:
    path = str(tmp_path / "file")
    disk.write_file(path, buffer(b"content"))
    disk.replace_file(path, buffer(b"others"))
    assert disk.read_file(path) == b"others"


@pytest.mark.parametrize(("limit", "expected"), [(-1, 10), (0, 0), (3, 3), (10, 10), (11, 10), (1 << 40, 10)])
def test_reading_the_beginning(tmp_path: Path, disk: Disk, limit: int, expected: int) -> None:
    path = str(tmp_path / "file")
    disk.write_file(path, b"0123456789")
    assert disk.read_file(path, limit) == b"0123456789"[:expected]


def test_writing_again(tmp_path: Path, disk: Disk) -> None:
    path = str(tmp_path / "file")
    disk.write_file(path, b"long content")
    disk.write_file(path, b"short")
    assert disk.read_file(path) == b"short"
    with pytest.raises(DiskError) as caught:
        disk.write_file(path, b"other", exclusive=True)
    assert caught.value.errno == errno.EEXIST
    assert disk.read_file(path) == b"short"


def test_replacing_gives_another_file(tmp_path: Path, disk: Disk) -> None:
    path = str(tmp_path / "file")
    disk.write_file(path, b"old")
    with open(path, "rb") as reader:
        disk.replace_file(path, b"new")
        assert reader.read() == b"old"
    assert disk.read_file(path) == b"new"
    assert os.listdir(tmp_path) == ["file"]
    Path(path + ".new").write_bytes(b"of a crash, and longer than what comes")
    disk.replace_file(path, b"newer")
    assert disk.read_file(path) == b"newer"


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda disk, path: disk.read_file(path), id="read"),
        pytest.param(lambda disk, path: disk.write_file(path, b"x"), id="write"),
        pytest.param(lambda disk, path: disk.write_file(path, b"x", exclusive=True), id="write exclusively"),
    ],
)
def test_a_link_is_not_followed(tmp_path: Path, disk: Disk, call: Callable[[Disk, str], object]) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"precious")
    link.symlink_to(target)
    with pytest.raises(DiskError) as caught:
        call(disk, str(link))
    assert caught.value.errno in (errno.ELOOP, errno.EEXIST)
    assert target.read_bytes() == b"precious"


def test_a_replaced_link_is_a_file(tmp_path: Path, disk: Disk) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"precious")
    link.symlink_to(target)
    disk.replace_file(str(link), b"own")
    assert not link.is_symlink()
    assert target.read_bytes() == b"precious"


def test_renaming_and_removing(tmp_path: Path, disk: Disk) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    disk.rename(str(first), str(second))
    assert second.read_bytes() == b"1"
    disk.unlink(str(second))
    assert os.listdir(tmp_path) == []


def test_descriptors(tmp_path: Path, disk: Disk) -> None:
    descriptor = disk.open_file(str(tmp_path / "file"), os.O_RDWR | os.O_CREAT)
    assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    disk.close_file(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("name", ["ü", "日本", "with space", "\udcff\udcfe", "x" * 200])
def test_names(tmp_path: Path, disk: Disk, name: str) -> None:
    path = str(tmp_path / name)
    disk.replace_file(path, b"content")
    assert disk.read_file(path) == b"content"
    disk.unlink(path)
    with pytest.raises(DiskError) as caught:
        disk.read_file(path)
    assert caught.value.path == path


def test_the_real_disk() -> None:
    assert type(REAL_DISK) is Disk
    assert REAL_DISK.background
    assert not REAL_DISK.deferred
