"""Directories not as they were left: foreign, patched, unpaired. A clear error or a healed log, no guess."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import format as fmt

from striate import (
    CorruptError,
    CorruptManifestError,
    CorruptSegmentError,
    DamagedLogError,
    Log,
    LogNotFoundError,
    NotALogError,
    OffsetOutOfRangeError,
    OptionMismatchError,
    StrayFileError,
    StriateError,
    UnknownVersionError,
)

COUNT = 100


def value_of(number: int) -> bytes:
    return b"%d." % number * 20


@pytest.fixture
def closed(log_path: Path) -> Path:
    """A log of a hundred records in several segments, closed in order."""
    with Log(log_path, segment_bytes=4096, durability="process") as log:
        for number in range(COUNT):
            log.append(value_of(number), b"k%d" % number)
        assert len(log.segments()) >= 3
    return log_path


def reopened(path: Path, **options: Any) -> Log:
    return Log(path, segment_bytes=4096, durability="process", **options)


def whole(path: Path) -> None:
    """The log at the path has all its records and takes another, which is cut off again."""
    with reopened(path) as log:
        assert [record.value for record in log] == [value_of(number) for number in range(COUNT)]
        assert log.append(b"on") == COUNT
        log.truncate_after(COUNT - 1)
        assert log.verify().ok
    with Log(path, mode="r") as log:
        assert log.next_offset == COUNT


def test_fixture(closed: Path) -> None:
    whole(closed)


# ---------------------------------------------------------------- not a log


def test_a_plain_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"text")
    for mode in ("a", "r"):
        with pytest.raises(NotALogError) as caught:
            Log(file, mode=mode)
        assert caught.value.path == str(file)
    assert file.read_bytes() == b"text"


def test_below_a_plain_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    with pytest.raises(StriateError):
        Log(tmp_path / "file" / "log")


@pytest.mark.parametrize("name", ["notes.txt", "00000000000000000000.store", "00000000000000000000.log", "sub/"])
def test_a_foreign_directory(log_path: Path, name: str) -> None:
    log_path.mkdir()
    thing = log_path / name
    if name.endswith("/"):
        thing.mkdir()
    else:
        thing.write_bytes(b"precious")
    with pytest.raises((NotALogError, CorruptManifestError)):
        Log(log_path)
    with pytest.raises((NotALogError, LogNotFoundError, CorruptManifestError)):
        Log(log_path, mode="r")
    assert [item.name for item in log_path.iterdir()] == [name.rstrip("/")]
    if not name.endswith("/"):
        assert thing.read_bytes() == b"precious"


def test_an_empty_directory(log_path: Path) -> None:
    log_path.mkdir()
    with pytest.raises(LogNotFoundError):
        Log(log_path, mode="r")
    assert list(log_path.iterdir()) == []
    with reopened(log_path) as log:
        assert log.append(b"value") == 0


def test_nothing_there(log_path: Path) -> None:
    with pytest.raises(LogNotFoundError) as caught:
        Log(log_path, mode="r")
    assert isinstance(caught.value, FileNotFoundError)
    assert not log_path.exists()


STRAYS = [
    "notes.txt",
    "00000000000000000007.store",
    "00000000000000000000.r9.store",
    "00000000000000000007.index",
    "7.store",
    "manifest~",
    "checkpoint.old",
    "broken",
    "0000000000000000000x.store",
    "directory/",
]


@pytest.mark.parametrize("name", STRAYS)
@pytest.mark.parametrize("mode", ["a", "r"])
def test_stray_files(closed: Path, name: str, mode: str) -> None:
    """Left by somebody: named, never deleted. What a crash of ours leaves, by its name, may go."""
    stray = closed / name
    if name.endswith("/"):
        stray.mkdir()
    else:
        stray.write_bytes(b"precious")
    ours = name.startswith("0000") and "x.store" not in name
    if mode == "r":
        try:
            Log(closed, mode="r").close()
        except StrayFileError:
            pass
    elif ours:
        try:
            reopened(closed).close()
        except StrayFileError as error:
            assert error.path == str(stray)  # noqa: PT017
    else:
        with pytest.raises(StrayFileError) as caught:
            reopened(closed)
        assert caught.value.path.rstrip("/") == str(stray).rstrip("/")
        assert stray.exists()
    if stray.is_dir():
        stray.rmdir()
    else:
        if not ours:
            assert stray.read_bytes() == b"precious"
        stray.unlink(missing_ok=True)
    whole(closed)


def test_hidden_and_broken_files_are_ignored(closed: Path) -> None:
    (closed / ".nfs0001").write_bytes(b"x")
    (closed / "00000000000000000000.store.1.broken").write_bytes(b"x")
    whole(closed)
    assert (closed / ".nfs0001").exists()


# ---------------------------------------------------------------- another version

VERSIONED = {
    "manifest": lambda path: (path / "manifest", 0),
    "store of a sealed segment": lambda path: (path / fmt.segment_names(0)[0], 0),
    "store of the last segment": lambda path: (sorted(path.glob("*.store"))[-1], 0),
}


@pytest.mark.parametrize("place", VERSIONED.values(), ids=VERSIONED.keys())
@pytest.mark.parametrize("version", [0, 2, 65535])
def test_another_version(closed: Path, place: Callable[[Path], tuple[Path, int]], version: int) -> None:
    file, position = place(closed)
    good = file.read_bytes()
    file.write_bytes(fmt.patch_version(good, version, position))
    for mode in ("a", "r"):
        with pytest.raises(UnknownVersionError) as caught, Log(closed, mode=mode, segment_bytes=4096) as log:
            list(log)
        assert (caught.value.got, caught.value.supported) == (version, 1)
        assert caught.value.path == str(file)
    assert file.read_bytes()[4:6] == version.to_bytes(2, "little"), "the file is left alone"
    file.write_bytes(good)
    whole(closed)


# ---------------------------------------------------------------- unpaired files


@pytest.mark.parametrize("which", [0, 1, -1])
@pytest.mark.parametrize("how", ["deleted", "empty", "shortened", "garbage", "zeros", "of another segment"])
def test_an_index_is_rebuilt(closed: Path, which: int, how: str) -> None:
    index = sorted(closed.glob("*.index"))[which]
    good = index.read_bytes()
    if how == "deleted":
        index.unlink()
    elif how == "empty":
        index.write_bytes(b"")
    elif how == "shortened":
        index.write_bytes(good[: len(good) // 16 * 8])
    elif how == "garbage":
        index.write_bytes(bytes(range(1, 256)) * 40)
    elif how == "zeros":
        index.write_bytes(bytes(len(good)))
    else:
        shutil.copyfile(sorted(closed.glob("*.index"))[which - 1], index)
    with Log(closed, mode="r") as log:
        assert [record.value for record in log] == [value_of(number) for number in range(COUNT)]
    whole(closed)


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_store_that_is_gone(closed: Path, which: int) -> None:
    """It is reported, at once or when read; what is left is right; nothing is put in its place."""
    store = sorted(closed.glob("*.store"))[which]
    good = store.read_bytes()
    missing = range(int(store.name[:20]), COUNT)
    store.unlink()
    for mode in ("r", "a"):
        try:
            log = Log(closed, mode=mode, segment_bytes=4096)
        except CorruptSegmentError as error:
            assert error.path == str(store)  # noqa: PT017
            continue
        with log:
            assert not log.verify().ok
            with pytest.raises(CorruptError):
                log.read(missing[0])
            assert log.read(COUNT - 1 if which >= 0 else 0).value == value_of(COUNT - 1 if which >= 0 else 0)
            if mode == "a":
                with pytest.raises(DamagedLogError):
                    log.append(b"value")
    assert not store.exists()
    store.write_bytes(good)
    with Log(closed, mode="r") as log:
        assert [record.value for record in log] == [value_of(number) for number in range(COUNT)]


def test_a_store_in_the_place_of_another(closed: Path) -> None:
    """Every segment has a random id, so bytes of one never pass for another's."""
    first, second = sorted(closed.glob("*.store"))[:2]
    shutil.copyfile(second, first)
    try:
        with reopened(closed) as log:
            assert not log.verify().ok
            with pytest.raises(CorruptError):
                log.read(0)
    except CorruptSegmentError:
        pass


def test_a_store_of_another_log(closed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    with Log(other, segment_bytes=4096, durability="process") as log:
        for number in range(COUNT):
            log.append(value_of(number + 1000), b"k%d" % number)
    first = fmt.segment_names(0)[0]
    shutil.copyfile(other / first, closed / first)
    try:
        with reopened(closed) as log:
            with pytest.raises(CorruptError):
                log.read(0)
            assert not log.verify().ok
    except CorruptSegmentError:
        pass


def test_the_manifest_is_gone(closed: Path) -> None:
    before = {file.name: file.read_bytes() for file in closed.iterdir()}
    (closed / "manifest").unlink()
    for mode in ("a", "r"):
        with pytest.raises((CorruptManifestError, NotALogError, LogNotFoundError)):
            Log(closed, mode=mode)
    for name, data in before.items():
        if name.endswith((".store", ".index")):
            assert (closed / name).read_bytes() == data
    (closed / "manifest").write_bytes(before["manifest"])
    whole(closed)


@pytest.mark.parametrize("name", ["checkpoint", "live", "reserve", "lock"])
@pytest.mark.parametrize("how", ["deleted", "empty", "garbage"])
def test_helpers_may_be_lost(closed: Path, name: str, how: str) -> None:
    file = closed / name
    if not file.exists() and how == "deleted":
        return
    if how == "deleted":
        file.unlink()
    else:
        file.write_bytes(b"" if how == "empty" else bytes(range(1, 256)) * 40)
    whole(closed)


# ---------------------------------------------------------------- options against what is stored


@pytest.mark.parametrize(("created", "opened"), [(None, 8), (8, 16), (16, 8)])
def test_record_size_that_differs(log_path: Path, created: int | None, opened: int) -> None:
    with Log(log_path, record_size=created, durability="process") as log:
        log.append(b"x" * (created or 3))
    for mode in ("a", "r"):
        with pytest.raises(OptionMismatchError) as caught:
            Log(log_path, record_size=opened, mode=mode)
        error = caught.value
        assert (error.option, error.stored, error.got) == ("record_size", created, opened)
    with Log(log_path) as log:
        assert log.record_size == created
        assert log.append(b"x" * (created or 3)) == 1


def test_options_that_may_change(closed: Path) -> None:
    """The size of segments, the durability and an initial offset of an existing log are no mismatch."""
    end = COUNT
    for options in (
        {"segment_bytes": 8192, "durability": "power"},
        {"segment_bytes": 100_001, "durability": "process"},
        {"segment_bytes": 4096},
    ):
        with Log(closed, **options) as log:
            assert log.next_offset == end
            for _ in range(50):
                log.append(value_of(end))
                end += 1
    with Log(closed, mode="r") as log:
        assert [record.value for record in log] == [value_of(number) for number in range(end)]


def test_a_damaged_record_is_fenced(closed: Path) -> None:
    """A record of a sealed segment that does not verify: its reading says so, its neighbours are right."""
    store = closed / fmt.segment_names(0)[0]
    frames = fmt.decode_store(store.read_bytes()).frames
    place = frames[5].position + fmt.FRAME_BYTES + 10
    data = bytearray(store.read_bytes())
    data[place] ^= 1
    store.write_bytes(data)
    with reopened(closed) as log:
        for read in (log.read, log.view, lambda offset: log.read_many([offset])):
            with pytest.raises(CorruptError) as caught:
                read(5)
            assert caught.value.offset == 5
            assert caught.value.path == str(store)
        assert [log.read(offset).value for offset in (4, 6)] == [value_of(4), value_of(6)]
        with pytest.raises(CorruptError):
            list(log)
        with pytest.raises(OffsetOutOfRangeError):
            log.read(COUNT)
        report = log.verify()
        assert not report.ok
        assert any(problem.offset == 5 and problem.path == str(store) for problem in report.problems)
