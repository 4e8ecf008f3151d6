"""The order of writes and syncs that the promises rest on (docs/durability.md), read off the record of a disk.

The crash states find out what a wrong order costs; they draw their states, and these tests do not.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from support import format as fmt

from striate._native.simulation import SimulatedDisk
from striate.storage.log import Log

Operation = tuple[object, ...]


def record(path: Path, durability: str) -> list[Operation]:
    """Rolls, seals, a resumption, a rewritten segment, a compaction and a close."""
    disk = SimulatedDisk()
    options = {"segment_bytes": 4096, "durability": durability, "_disk": disk}
    with Log(path, **options) as log:
        for number in range(12):
            log.append(b"x" * 900, b"%d" % (number % 5))
    with Log(path, **options) as log:
        log.append(b"resumed")
        log.truncate_after(9)
        log.append(b"y" * 900, b"0")
        log.compact(tombstone_grace=0)
        log.append(b"the end")
    return disk.operations


@pytest.fixture(params=["power", "process"])
def operations(request: pytest.FixtureRequest, fast_path: Path) -> list[Operation]:
    return record(fast_path / "log", request.param)


def is_manifest(operation: Operation) -> bool:
    return operation[0] == "rename" and str(operation[2]).endswith("/manifest")


def test_what_a_manifest_names_has_a_durable_header_and_name(operations: list[Operation]) -> None:
    unsynced: set[object] = set()
    unnamed: set[object] = set()
    manifests = 0
    for operation in operations:
        if operation[0] == "open" and operation[4] and str(operation[1]).endswith(".store"):
            unsynced.add(operation[3])
            unnamed.add(operation[3])
        elif operation[0] == "sync":
            unsynced.discard(operation[1])
        elif operation[0] == "sync_directory":
            unnamed.clear()
        elif is_manifest(operation):
            assert not unsynced | unnamed
            manifests += 1
    assert manifests > 5


def test_a_manifest_is_whole_before_it_is_named_and_named_before_anything_builds_on_it(
    operations: list[Operation],
) -> None:
    for place, operation in enumerate(operations):
        if is_manifest(operation):
            assert [kind for kind, *_ in operations[place - 2 : place + 2]] == [
                "write",
                "sync",
                "rename",
                "sync_directory",
            ]


def test_nothing_is_unlinked_while_the_durable_manifest_names_it(operations: list[Operation]) -> None:
    """A file goes right after the manifest that no longer names it, or another one that went."""
    for before, operation in pairwise(operations):
        if operation[0] == "unlink" and str(operation[1]).endswith((".store", ".index")):
            assert before[0] in ("unlink", "sync_directory", "volatile")


def test_frames_are_durable_before_a_footer_says_so(operations: list[Operation]) -> None:
    dirty: dict[object, bool] = {}
    footers = 0
    for operation in operations:
        if operation[0] == "store":
            data = operation[3]
            assert isinstance(data, bytes)
            if data[:4] == b"SEND" and len(data) == fmt.FOOTER_BYTES:
                assert not dirty.get(operation[1]), "frames before the footer are not synced"
                footers += 1
            dirty[operation[1]] = True
        elif operation[0] == "sync":
            dirty[operation[1]] = False
    assert footers > 5


def test_a_sealed_segment_is_durable_before_a_manifest_says_so(operations: list[Operation]) -> None:
    unsynced: set[object] = set()
    for operation in operations:
        if operation[0] == "store" and isinstance(operation[3], bytes) and operation[3][:4] == b"SEND":
            unsynced.add(operation[1])
        elif operation[0] == "sync":
            unsynced.discard(operation[1])
        elif is_manifest(operation):
            assert not unsynced


def test_a_footer_is_gone_durably_before_frames_follow(operations: list[Operation]) -> None:
    wiped = [
        place
        for place, operation in enumerate(operations)
        if operation[0] == "store" and operation[3] == bytes(fmt.FOOTER_BYTES)
    ]
    assert wiped, "nothing was resumed"
    for place in wiped:
        file = operations[place][1]
        following = next(o for o in operations[place + 1 :] if o[0] in ("store", "sync") and o[1] == file)
        assert following[0] == "sync"
