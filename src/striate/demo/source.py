"""The demo's data: every line of every module of the standard library of the running interpreter.

Lines are bytes, with their line end, so that a module's lines put together are its file again. A module is
a ``.py`` file; its name is its path with dots. Modules of tests come last, so that they are the ones left
out where there is not the time for all.
"""

from __future__ import annotations

import os
import sysconfig
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Module", "Source", "list_modules", "read_lines"]

_SKIPPED = {"__pycache__", "site-packages", "dist-packages"}
_TESTS = {"test", "tests", "idle_test"}


class Module(NamedTuple):
    """A file of the standard library, and the key of its lines."""

    key: bytes
    path: str


def standard_library() -> str:
    """The directory of the standard library."""
    return sysconfig.get_path("stdlib")


def list_modules() -> list[Module]:
    """All modules, in an order that does not change from process to process."""
    root = standard_library()
    found: dict[str, str] = {}
    for directory, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name not in _SKIPPED)
        for file in sorted(files):
            path = os.path.join(directory, file)
            if file.endswith(".py") and os.access(path, os.R_OK):
                name = _module_name(os.path.relpath(path, root))
                found.setdefault(name if name not in found else os.path.relpath(path, root), path)
    ordered = sorted(found.items(), key=lambda item: (not _TESTS.isdisjoint(item[0].split(".")), item))
    return [Module(os.fsencode(name), path) for name, path in ordered]


def _module_name(relative_path: str) -> str:
    return relative_path.removesuffix(".py").replace(os.sep, ".").removesuffix(".__init__")


def read_lines(modules: list[Module]) -> Iterator[tuple[bytes, bytes]]:
    """Key and line of every line of the modules, in order, read from the files."""
    for key, path in modules:
        with open(path, "rb") as file:
            for line in file:
                yield key, line


@dataclass
class Source:
    """The modules that the demo uses, with their sizes; line *n*, from 0, is the record of offset *n*.

    Attributes:
        modules: those with at least one line. first_lines: the number of each one's first line.
        line_count, size_bytes: of all of them. capped: whether modules were left out to keep the demo short.
    """

    modules: list[Module] = field(default_factory=list)
    first_lines: list[int] = field(default_factory=list)
    line_count: int = 0
    size_bytes: int = 0
    capped: bool = False

    @classmethod
    def load(cls, max_lines: int) -> Source:
        """Count the lines of all modules, up to the module that would go beyond ``max_lines``."""
        source = cls()
        for module in list_modules():
            with open(module.path, "rb") as file:
                data = file.read()
            count = data.count(b"\n") + (not data.endswith(b"\n"))
            if data and source.line_count + count <= max_lines:
                source.modules.append(module)
                source.first_lines.append(source.line_count)
                source.line_count += count
                source.size_bytes += len(data)
            elif data:
                source.capped = True
                break
        return source

    def lines(self) -> Iterator[tuple[bytes, bytes]]:
        """Key and line of every line, read from the files again."""
        return read_lines(self.modules)

    def locate(self, offset: int) -> tuple[Module, int, bytes]:
        """Module, line number in it (from 1) and line that the record of this offset has to hold."""
        number = bisect_right(self.first_lines, offset) - 1
        module, place = self.modules[number], offset - self.first_lines[number]
        with open(module.path, "rb") as file:
            line = next(line for index, line in enumerate(file) if index == place)
        return module, place + 1, line
