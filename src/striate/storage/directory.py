"""The log directory: who may use it, what may lie in it, and the small files beside the segments.

Nothing here looks into a segment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from striate._native.frame import crc32c
from striate.errors import (
    DiskError,
    LogLockedError,
    LogNotFoundError,
    NetworkFilesystemError,
    NotALogError,
    StrayFileError,
)
from striate.storage import manifest

if TYPE_CHECKING:
    from striate._native.io import Disk

LOCK = "lock"
LIVE = "live"
CHECKPOINT = "checkpoint"
RESERVE = "reserve"
_OWN = {manifest.NAME, LOCK, LIVE, CHECKPOINT, RESERVE}
_SEGMENT = re.compile(r"(\d{20})(?:\.r(\d+))?\.(store|index)")
_LEFTOVER = re.compile(r"(manifest|checkpoint|reserve|\d{20}(\.r\d+)?\.index)\.new")
_BROKEN = re.compile(r".*\.broken")
# Locks and shared mappings on these are promises that the server may not keep (RULES §4.14).
_NETWORK = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "lustre",
}
_CHECKPOINT = struct.Struct("<4sHHQQQQQQII")
_CHECKPOINT_SLOT_BYTES = 4096


@dataclass(frozen=True)
class Checkpoint:
    """How far the log was known durable."""

    sequence: int
    segment_id: int
    base_offset: int
    synced_position: int
    next_offset: int


def filesystem_of(path: str) -> str:
    """Type of the file system a path lies on, as /proc/self/mountinfo names it; empty when unknown."""
    device = os.stat(path).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                fields = line.split()
                if fields[2] == wanted:
                    return fields[fields.index("-") + 1]
    except OSError:
        return ""
    return ""


def prepare(disk: Disk, path: str) -> None:
    """Make sure that a directory for a log is there and may be used.

    Raises:
        NotALogError: the path is no directory. NetworkFilesystemError. DiskError: it cannot be made.
    """
    if not os.path.isdir(path):
        if os.path.lexists(path):
            raise NotALogError(path, "it is not a directory")
        missing = path
        parents: list[str] = []
        while not os.path.isdir(missing):
            if os.path.lexists(missing):
                raise NotALogError(path, f"{missing} is not a directory")
            parents.append(missing)
            missing = os.path.dirname(missing)
        above = os.path.dirname(missing)
        if os.access(above, os.W_OK):
            disk.sync_directory(above)  # whoever made what is there may have been killed before doing so
        for parent in reversed(parents):
            disk.make_directory(parent)
            disk.sync_directory(os.path.dirname(parent))
    filesystem = filesystem_of(path)
    if filesystem in _NETWORK:
        raise NetworkFilesystemError(path, filesystem)


def lock(disk: Disk, path: str) -> int:
    """Take the writer's lock; the descriptor keeps it.

    Raises:
        LogLockedError: another writer has it, in this process or another.
    """
    name = os.path.join(path, LOCK)
    descriptor = disk.open_file(name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # For the message below only; nothing depends on it.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0)
        disk.close_file(descriptor)
        raise LogLockedError(path, int(holder) if holder.isdigit() else None) from None
    except OSError as error:
        disk.close_file(descriptor)
        raise DiskError(name, "lock", error.errno or 0, error.strerror or "") from None
    except BaseException:  # a signal's, which may come with the lock taken
        disk.close_file(descriptor)
        raise
    return descriptor


def unlock(descriptor: int) -> None:
    """Give the writer's lock back. Closing alone would not while a forked child has the descriptor too."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def check_present(path: str) -> None:
    """Raise unless a log is at the path.

    Raises:
        LogNotFoundError: nothing is there. NotALogError: something else is.
    """
    if not os.path.lexists(path):
        raise LogNotFoundError(path)
    if not os.path.isdir(path):
        raise NotALogError(path, "it is not a directory")
    if not os.path.lexists(os.path.join(path, manifest.NAME)):
        names = _visible_names(path)
        if not names - {LOCK}:
            raise LogNotFoundError(path)
        raise NotALogError(path, f"it holds {sorted(names)[0]} but no manifest")


def check_new(path: str) -> None:
    """Raise unless a log may be created in the (existing) directory.

    Raises:
        NotALogError: it holds other things. What a creation that was interrupted left is no other thing.
    """
    others = {name for name in _visible_names(path) - {LOCK} if not _LEFTOVER.fullmatch(name)}
    if others:
        raise NotALogError(path, f"it holds {sorted(others)[0]} but no manifest")


def _visible_names(path: str) -> set[str]:
    return {name for name in os.listdir(path) if not name.startswith(".")}


@dataclass(frozen=True)
class Leftovers:
    """Names that interrupted work of the log left behind, or that cannot be told from such.

    Attributes:
        removable: the log's own, and no record is in them. doubtful: named like segments, with a header that does not
            verify: what a torn creation leaves, but perhaps something precious; these are renamed and not removed.
    """

    removable: list[str]
    doubtful: list[str]


def leftovers(path: str, named: manifest.Manifest) -> Leftovers:
    """Find names in the directory that the manifest does not name.

    Raises:
        StrayFileError: a name that is neither the log's nor a leftover of its work.
    """
    wanted = {(entry.base_offset, entry.revision) for entry in named.entries}
    found = Leftovers([], [])
    for name in sorted(_visible_names(path) - _OWN):
        segment = _SEGMENT.fullmatch(name)
        if segment and (int(segment[1]), int(segment[2] or 0)) in wanted:
            continue
        kind = _judge_segment(os.path.join(path, name), segment[3], named) if segment else ""
        if kind == "own" or _LEFTOVER.fullmatch(name):
            found.removable.append(name)
        elif kind == "doubtful":
            found.doubtful.append(name)
        elif not _BROKEN.fullmatch(name):
            raise StrayFileError(os.path.join(path, name))
    return found


def _judge_segment(path: str, suffix: str, named: manifest.Manifest) -> str:
    """``own``, ``doubtful`` or ``foreign``, for a segment file that the manifest does not name.

    A creation syncs the header before the manifest names the segment, so a header that does not verify belongs to one
    that was interrupted; a whole header of another log does not.
    """
    if os.path.islink(path) or not os.path.isfile(path):
        return "foreign"
    if suffix == "index":
        store = path[: -len("index")] + "store"
        return _judge_segment(store, "store", named) if os.path.exists(store) else "doubtful"
    with open(path, "rb") as file:
        header = file.read(64)
    if not any(header):
        return "own"
    if len(header) < 64 or header[:4] != b"SLOG" or crc32c(header[:60]) != int.from_bytes(header[60:], "little"):
        return "doubtful"
    return "own" if header[8:16] == struct.pack("<Q", named.log_id) else "foreign"


def broken_name(path: str) -> str:
    """A free name for bytes of a file that are set aside."""
    number = 1
    while os.path.lexists(f"{path}.{number}.broken"):
        number += 1
    return f"{path}.{number}.broken"


def open_checkpoint(disk: Disk, path: str) -> int:
    """Descriptor of the checkpoint file, made and allocated when it is not there."""
    name = os.path.join(path, CHECKPOINT)
    if not os.path.lexists(name) or os.path.getsize(name) < 2 * _CHECKPOINT_SLOT_BYTES:
        disk.replace_file(name, bytes(2 * _CHECKPOINT_SLOT_BYTES))
    return disk.open_file(name, os.O_RDWR | os.O_NOFOLLOW)


def load_checkpoint(disk: Disk, path: str, log_id: int) -> Checkpoint | None:
    """The newer valid checkpoint of this log, or ``None``."""
    name = os.path.join(path, CHECKPOINT)
    if not os.path.lexists(name):
        return None
    data = disk.read_file(name)
    found: Checkpoint | None = None
    for position in (0, _CHECKPOINT_SLOT_BYTES):
        slot = data[position : position + _CHECKPOINT.size]
        if len(slot) < _CHECKPOINT.size or crc32c(slot[:-4]) != int.from_bytes(slot[-4:], "little"):
            continue
        magic, version, _, owner, sequence, segment_id, base, synced, following, _, _ = _CHECKPOINT.unpack(slot)
        if magic == b"SCHK" and version == 1 and owner == log_id and (found is None or sequence > found.sequence):
            found = Checkpoint(sequence, segment_id, base, synced, following)
    return found


def clean(disk: Disk, path: str, named: manifest.Manifest) -> list[str]:
    """Remove what interrupted work left, set aside what only looks like it; gives the names.

    Raises:
        StrayFileError: as :func:`leftovers`; nothing was touched.
    """
    found = leftovers(path, named)
    for name in found.doubtful:
        disk.rename(os.path.join(path, name), broken_name(os.path.join(path, name)))
    for name in found.removable:
        disk.unlink(os.path.join(path, name))
    return found.removable + found.doubtful
