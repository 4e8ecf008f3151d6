"""A model of a disk under a file system that keeps only its written promises.

Promises: a file's bytes and size are durable once the file was synced; a name is durable once its directory
was synced; a rename is one step; bytes next to a write are safe. Everything else may or may not be on the
disk after a power cut, in any combination (see ``variants``).

What may not live here: randomness, and anything that knows what a log is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

SECTOR_BYTES = 512
ROOT = 0

Operation = tuple[Any, ...]


class Piece(NamedTuple):
    """A part of an unsynced change of a file; what the disk does, it does to pieces.

    kind: "data" (at most one sector), "grow" (the file reaches at least `position`) or "cut" (it ends there).
    """

    kind: str
    position: int
    data: bytes
    serial: int


class Rename(NamedTuple):
    """An unsynced change of names, all of it or nothing: (directory, name, inode number or None) in order."""

    directory: int
    changes: tuple[tuple[int, str, int | None], ...]


class Content:
    """A file's bytes: `data`, and zeros from there up to `size`."""

    __slots__ = ("data", "size")

    def __init__(self, data: bytes | bytearray = b"", size: int | None = None) -> None:
        self.data = bytearray(data)
        self.size = len(data) if size is None else size

    def apply(self, piece: Piece) -> None:
        """Carry out one piece."""
        kind, position, data, _ = piece
        if kind == "data":
            end = position + len(data)
            if position > len(self.data):
                self.data.extend(bytes(position - len(self.data)))
            self.data[position:end] = data
            self.size = max(self.size, end)
        elif kind == "grow":
            self.size = max(self.size, position)
        else:
            del self.data[position:]
            self.size = position

    def copy(self) -> Content:
        """An independent copy."""
        return Content(self.data, self.size)

    def frozen(self) -> tuple[int, bytes]:
        """Size, and the bytes without the zeros behind them."""
        return self.size, bytes(self.data[: self.size].rstrip(b"\0"))


class Inode:
    """A file: what is durable, what a running system sees, and the difference as pieces.

    After a failed sync the system takes the pieces for written, whether or not they are: later syncs pass
    them by. From then on `durable` stays and `history` holds what came after, each piece with a flag:
    surely on the disk, or perhaps.
    """

    __slots__ = ("current", "durable", "history", "pending", "volatile")

    def __init__(self, content: Content, volatile: bool = False) -> None:
        self.durable = content
        self.current = content.copy()
        self.pending: list[Piece] = []
        self.history: list[tuple[bool, Piece]] = []
        self.volatile = volatile

    def clone(self) -> Inode:
        """An independent copy."""
        copy = Inode.__new__(Inode)
        copy.durable, copy.current = self.durable.copy(), self.current.copy()
        copy.pending, copy.history, copy.volatile = list(self.pending), list(self.history), self.volatile
        return copy

    def change(self, piece: Piece) -> None:
        """Change the file; the change is not durable."""
        self.current.apply(piece)
        self.pending.append(piece)

    def write(self, position: int, data: bytes, serial: int) -> None:
        """Write bytes, sector by sector."""
        end = position + len(data)
        start = position
        while start < end:
            stop = min(end, (start // SECTOR_BYTES + 1) * SECTOR_BYTES)
            self.change(Piece("data", start, data[start - position : stop - position], serial))
            start = stop

    def sync(self) -> None:
        """Make the file durable as it is."""
        if self.history:
            self.history += [(True, piece) for piece in self.pending]
        elif self.pending:
            self.durable = self.current.copy()
        self.pending.clear()

    def fail_sync(self) -> None:
        """A sync has failed: what it was to write may be on the disk or not, and is never written again."""
        self.history += [(piece.kind != "data", piece) for piece in self.pending]
        self.pending.clear()

    def settled(self, perhaps: Callable[[], bool]) -> Content:
        """What the syncs have left on the disk; `perhaps` is asked about the pieces of failed ones."""
        content = self.durable.copy()
        for sure, piece in self.history:
            if sure or perhaps():
                content.apply(piece)
        return content


class Image(NamedTuple):
    """What a disk holds: directories, and files as (size, bytes without the zeros behind), by path."""

    directories: tuple[str, ...]
    files: dict[str, tuple[int, bytes]]

    def key(self) -> int:
        """Equal for equal images."""
        return hash((self.directories, tuple(sorted(self.files.items()))))

    def write(self, root: str) -> None:
        """Put the image into a new directory."""
        os.mkdir(root)
        for name in self.directories:
            os.mkdir(f"{root}/{name}")
        for name, (size, data) in self.files.items():
            descriptor = os.open(f"{root}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            if data:
                os.write(descriptor, data)
            if size > len(data):
                os.ftruncate(descriptor, size)
            os.close(descriptor)

    @classmethod
    def read(cls, root: str) -> Image:
        """The image that a directory holds."""
        directories = []
        files = {}
        for folder, below, names in os.walk(root):
            relative = os.path.relpath(folder, root)
            prefix = "" if relative == "." else f"{relative}/"
            directories += [prefix + name for name in sorted(below)]
            for name in names:
                with open(f"{folder}/{name}", "rb") as file:
                    data = file.read()
                files[prefix + name] = (len(data), data.rstrip(b"\0"))
        return cls(tuple(sorted(directories)), files)


class DiskModel:
    """Replays operations of a SimulatedDisk below `root` and knows what of them is durable."""

    def __init__(self, root: str, image: Image | None = None) -> None:
        self.prefix = root + "/"
        self.inodes: dict[int, Inode] = {}
        self.durable_names: dict[int, dict[str, int]] = {ROOT: {}}
        self.names: dict[int, dict[str, int]] = {ROOT: {}}
        self.pending_names: list[Rename] = []
        self.files: dict[int, Inode] = {}
        self.serial = 0
        self._next_inode = 1
        if image is not None:
            self._load(image)

    def clone(self, root: str | None = None) -> DiskModel:
        """A copy for another run, which has no files open and may lie elsewhere."""
        copy = DiskModel(self.prefix[:-1] if root is None else root)
        copy.inodes = {number: inode.clone() for number, inode in self.inodes.items()}
        copy.durable_names = {number: dict(names) for number, names in self.durable_names.items()}
        copy.names = {number: dict(names) for number, names in self.names.items()}
        copy.pending_names = list(self.pending_names)
        copy.serial = self.serial
        copy._next_inode = self._next_inode
        return copy

    def _load(self, image: Image) -> None:
        for path in image.directories:
            self._add(path, self._new_directory())
        for path, (size, data) in image.files.items():
            self._add(path, self._new_file(Content(data, size), path))
        self.pending_names.clear()
        self.durable_names = {number: dict(names) for number, names in self.names.items()}

    def _new_directory(self) -> int:
        number = self._next_inode
        self._next_inode += 1
        self.names[number] = {}
        self.durable_names[number] = {}
        return number

    def _new_file(self, content: Content, path: str) -> int:
        number = self._next_inode
        self._next_inode += 1
        self.inodes[number] = Inode(content, volatile=path.rpartition("/")[2] == "live")
        return number

    def _find(self, path: str) -> tuple[int, str]:
        directory = ROOT
        *above, name = path.split("/")
        for step in above:
            directory = self.names[directory][step]
        return directory, name

    def _relative(self, path: str) -> str:
        assert path.startswith(self.prefix), f"{path} lies outside of {self.prefix}"
        return path[len(self.prefix) :]

    def _rename(self, directory: int, *changes: tuple[int, str, int | None]) -> None:
        self.pending_names.append(Rename(directory, changes))
        apply_names(self.names, changes)

    def _add(self, path: str, number: int) -> None:
        directory, name = self._find(path)
        self._rename(directory, (directory, name, number))

    def apply(self, operation: Operation) -> bool:
        """Carry out one recorded operation; whether the disk may have changed."""
        kind = operation[0]
        if kind == "note":
            return False
        self.serial += 1
        getattr(self, f"_on_{kind}")(*operation[1:])
        return kind != "open" or bool(operation[4])

    def _on_open(self, path: str, flags: int, file: int, created: bool) -> None:
        path = self._relative(path)
        if created:
            self._add(path, self._new_file(Content(), path))
        directory, name = self._find(path)
        self.files[file] = self.inodes[self.names[directory][name]]

    def _on_allocate(self, file: int, position: int, size: int) -> None:
        self.files[file].change(Piece("grow", position + size, b"", self.serial))

    def _on_truncate(self, file: int, size: int) -> None:
        inode = self.files[file]
        kind = "grow" if size > inode.current.size else "cut"
        inode.change(Piece(kind, size, b"", self.serial))

    def _on_store(self, file: int, position: int, data: bytes) -> None:
        inode = self.files[file]
        assert position + len(data) <= inode.current.size, "a store past the end of its file: SIGBUS"
        inode.write(position, data, self.serial)

    def _on_write(self, file: int, position: int, data: bytes) -> None:
        self.files[file].write(position, data, self.serial)

    def _on_volatile(self, file: int, data: bytes) -> None:
        self.files[file].write(0, data, self.serial)

    def _on_sync(self, file: int) -> None:
        self.files[file].sync()

    def _on_sync_failed(self, file: int) -> None:
        self.files[file].fail_sync()

    def _on_rot(self, path: str, position: int, byte: int) -> None:
        directory, name = self._find(self._relative(path))
        inode = self.inodes[self.names[directory][name]]
        piece = Piece("data", position, bytes((byte,)), self.serial)
        inode.current.apply(piece)
        if inode.history:
            inode.history.append((True, piece))
        else:
            inode.durable.apply(piece)

    def _on_sync_directory(self, path: str) -> None:
        if self.prefix.startswith(path + "/") and path + "/" != self.prefix:
            return  # of the name of what all this is in
        number = ROOT
        if path + "/" != self.prefix:
            directory, name = self._find(self._relative(path))
            number = self.names[directory][name]
        left = []
        for rename in self.pending_names:
            if rename.directory == number:
                apply_names(self.durable_names, rename.changes)
            else:
                left.append(rename)
        self.pending_names = left

    def _on_rename(self, source: str, destination: str) -> None:
        old = self._find(self._relative(source))
        new = self._find(self._relative(destination))
        number = self.names[old[0]][old[1]]
        self._rename(new[0], (*old, None), (*new, number))

    def _on_unlink(self, path: str) -> None:
        directory, name = self._find(self._relative(path))
        self._rename(directory, (directory, name, None))

    def _on_make_directory(self, path: str) -> None:
        self._add(self._relative(path), self._new_directory())

    _on_remove_directory = _on_unlink

    def walk(self, names: dict[int, dict[str, int]]) -> Iterator[tuple[str, int]]:
        """Paths and inode numbers that names lead to, directories before what is in them."""
        stack = [("", ROOT)]
        while stack:
            prefix, directory = stack.pop()
            for name, number in names[directory].items():
                yield prefix + name, number
                if number in names:
                    stack.append((f"{prefix}{name}/", number))

    def image(self, names: dict[int, dict[str, int]], contents: dict[int, Content]) -> Image:
        """The disk with these names; files without contents here are left out."""
        directories = []
        files = {}
        for path, number in self.walk(names):
            if number in names:
                directories.append(path)
            elif number in contents:
                files[path] = contents[number].frozen()
        return Image(tuple(sorted(directories)), files)

    def running(self) -> Image:
        """What the running system sees, shared memory left out: the files must be equal to it."""
        contents = {number: inode.current for number, inode in self.inodes.items() if not inode.volatile}
        return self.image(self.names, contents)


def apply_names(names: dict[int, dict[str, int]], changes: Iterable[tuple[int, str, int | None]]) -> None:
    """Carry out changes of names in order."""
    for directory, name, number in changes:
        if number is None:
            names[directory].pop(name, None)
        else:
            names[directory][name] = number
