"""The simulated disk records what is done and fails when told to; the model knows what of it is durable."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from random import Random

import pytest

from striate._native.simulation import OPERATIONS, SimulatedDisk
from striate.errors import DiskError, DiskFullError, InvalidArgumentError, SyncFailedError

from .model import DiskModel, Image
from .recording import scratch
from .variants import KILLED, make_image


@pytest.fixture
def root() -> Iterator[str]:
    with scratch() as path:
        os.mkdir(path)
        yield path


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


def replayed(disk: SimulatedDisk, root: str) -> DiskModel:
    model = DiskModel(root)
    for operation in disk.operations:
        model.apply(operation)
    return model


def images(model: DiskModel, count: int = 200) -> list[Image]:
    return [make_image(model, variant, 7) for variant in range(count)]


# ---------------------------------------------------------------- recording


def test_operations_are_recorded_in_order(disk: SimulatedDisk, root: str) -> None:
    disk.make_directory(f"{root}/d")
    disk.replace_file(f"{root}/d/a", b"hello")
    disk.note("acknowledged", 7)
    disk.unlink(f"{root}/d/a")
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_TRUNC
    assert disk.operations == [
        ("make_directory", f"{root}/d"),
        ("open", f"{root}/d/a.new", flags, 0, True),
        ("write", 0, 0, b"hello"),
        ("sync", 0),
        ("rename", f"{root}/d/a.new", f"{root}/d/a"),
        ("sync_directory", f"{root}/d"),
        ("note", "acknowledged", 7),
        ("unlink", f"{root}/d/a"),
    ]
    assert disk.open_files == disk.mapped_files == []
    assert disk.calls["write"] == 1


def test_files_keep_their_number_when_renamed(disk: SimulatedDisk, root: str) -> None:
    file = disk.open_file(f"{root}/a", os.O_RDWR | os.O_CREAT)
    disk.rename(f"{root}/a", f"{root}/b")
    other = disk.open_file(f"{root}/a", os.O_RDWR | os.O_CREAT)
    disk.close_file(file)
    disk.close_file(other)
    model = replayed(disk, root)
    assert model.running() == Image.read(root)
    assert model.running().files == {"a": (0, b""), "b": (0, b"")}


def test_an_emptied_file_is_recorded_as_cut(disk: SimulatedDisk, root: str) -> None:
    disk.write_file(f"{root}/a", b"long content")
    disk.write_file(f"{root}/a", b"short")
    assert ("truncate", 1, 0) in disk.operations
    assert replayed(disk, root).running().files == {"a": (5, b"short")}


def test_recording_can_be_switched_off(disk: SimulatedDisk, root: str) -> None:
    disk.recording = False
    disk.write_file(f"{root}/a", b"x")
    assert disk.operations == []


# ---------------------------------------------------------------- faults


def test_only_the_nth_call_fails(disk: SimulatedDisk, root: str) -> None:
    disk.fail("write", 2, errno.EIO)
    disk.write_file(f"{root}/a", b"1")
    with pytest.raises(DiskError) as caught:
        disk.write_file(f"{root}/b", b"2")
    error = caught.value
    assert (error.errno, error.operation, error.path) == (errno.EIO, "write", f"{root}/b")
    disk.write_file(f"{root}/c", b"3")
    assert disk.faults_hit == 1
    assert disk.open_files == []


def test_failing_for_ever_lasts_until_healed(disk: SimulatedDisk, root: str) -> None:
    disk.fail("open", 1, errno.EMFILE, forever=True)
    for _ in range(3):
        with pytest.raises(DiskError):
            disk.write_file(f"{root}/a", b"1")
    disk.heal()
    disk.write_file(f"{root}/a", b"1")
    assert disk.faults_hit == 3


def test_faults_can_be_meant_for_a_path(disk: SimulatedDisk, root: str) -> None:
    disk.fail("sync", path_contains="manifest")
    disk.write_file(f"{root}/a", b"1")
    with pytest.raises(SyncFailedError):
        disk.write_file(f"{root}/manifest.new", b"1")


def test_a_write_may_stop_half_way(disk: SimulatedDisk, root: str) -> None:
    disk.fail("write", 1, errno.ENOSPC, partial=True)
    with pytest.raises(DiskFullError):
        disk.write_file(f"{root}/a", b"12345678")
    assert replayed(disk, root).running().files == {"a": (4, b"1234")}


@pytest.mark.parametrize(("operation", "nth"), [("flush", 1), ("write", 0)])
def test_senseless_faults_are_refused(disk: SimulatedDisk, operation: str, nth: int) -> None:
    with pytest.raises(InvalidArgumentError):
        disk.fail(operation, nth)
    assert "flush" not in OPERATIONS


# ---------------------------------------------------------------- what is durable


def test_synced_files_with_synced_names_survive_everything(disk: SimulatedDisk, root: str) -> None:
    disk.write_file(f"{root}/a", b"kept")
    disk.sync_directory(root)
    assert {image.files["a"] for image in images(replayed(disk, root))} == {(4, b"kept")}


def test_a_name_may_be_lost_until_its_directory_is_synced(disk: SimulatedDisk, root: str) -> None:
    disk.write_file(f"{root}/a", b"kept")
    assert {image.files.get("a") for image in images(replayed(disk, root))} == {None, (4, b"kept")}


def test_a_rename_is_one_step(disk: SimulatedDisk, root: str) -> None:
    disk.write_file(f"{root}/a", b"old")
    disk.sync_directory(root)
    disk.write_file(f"{root}/a.new", b"new")
    disk.rename(f"{root}/a.new", f"{root}/a")
    assert {image.files["a"] for image in images(replayed(disk, root))} == {(3, b"old"), (3, b"new")}


def unsynced_write(disk: SimulatedDisk, root: str, data: bytes) -> DiskModel:
    disk.write_file(f"{root}/a", b"\1" * 2000)
    disk.sync_directory(root)
    disk.fail("sync")
    file = disk.open_file(f"{root}/a", os.O_RDWR)
    disk.close_file(file)
    model = replayed(disk, root)
    model.apply(("write", 1, 100, data))
    return model


def test_unsynced_bytes_may_be_anything_and_their_neighbours_stay(disk: SimulatedDisk, root: str) -> None:
    model = unsynced_write(disk, root, b"\2" * 1000)
    contents = [image.files["a"][1] for image in images(model)]
    assert all(data[:100] == b"\1" * 100 and data[1100:] == b"\1" * 900 for data in contents)
    middles = {data[100:1100] for data in contents}
    assert {b"\1" * 1000, b"\2" * 1000} <= middles
    assert any(set(middle) == {1, 2} for middle in middles), "torn"
    assert any(len(set(middle)) > 100 for middle in middles), "garbage"
    assert any(middle[0] == 1 and middle[-1] == 2 for middle in middles), "reordered"
    assert make_image(model, KILLED, 7).files["a"][1][100:1100] == b"\2" * 1000


def test_a_file_may_grow_before_its_bytes_come(disk: SimulatedDisk, root: str) -> None:
    disk.write_file(f"{root}/a", b"")
    disk.sync_directory(root)
    model = replayed(disk, root)
    model.apply(("write", 0, 0, b"\2" * 700))
    assert {(0, b""), (700, b""), (700, b"\2" * 700)} <= {image.files["a"] for image in images(model)}


def test_a_failed_sync_is_not_made_good_by_the_next(disk: SimulatedDisk, root: str) -> None:
    model = unsynced_write(disk, root, b"\2" * 1000)
    for operation in (("sync_failed", 1), ("write", 1, 1500, b"\3" * 100), ("sync", 1)):
        model.apply(operation)
    contents = {image.files["a"][1] for image in images(model)}
    assert all(data[1500:1600] == b"\3" * 100 for data in contents)
    assert {data[100:1100] for data in contents} >= {b"\1" * 1000, b"\2" * 1000}
    model.apply(("write", 1, 100, b"\2" * 1000))
    model.apply(("sync", 1))
    assert {image.files["a"][1][100:1100] for image in images(model)} == {b"\2" * 1000}


def test_equal_arguments_give_equal_images(disk: SimulatedDisk, root: str) -> None:
    model = unsynced_write(disk, root, Random(1).randbytes(1000))
    assert [image.key() for image in images(model)] == [image.key() for image in images(model.clone())]
