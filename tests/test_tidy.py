"""What a reviewer should never have to say: lengths, layers, docstrings, the cost of an import.

The two ALLOWED tables are ratchets: their numbers may go down, and a new entry needs a reason in the review.
"""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PYTHON = {".py", ".pyi"}
CYTHON = {".pyx", ".pxd"}
C = {".c", ".h"}

MOST_COLUMNS = 120
MOST_LINES_OF_A_FUNCTION = 70
MOST_LINES_OF_A_FILE = 400

# "path:function" → lines
ALLOWED_FUNCTIONS: dict[str, int] = {}
# path → lines
ALLOWED_FILES: dict[str, int] = {
    "native/crc32c.c": 420,
    "native/log.pyx": 920,  # appends and group commit share one set of locks
    "native/reader.pyx": 600,
    "native/simulation.pyx": 430,  # one table of functions
    "native/segment.pyx": 830,  # one judgement of a segment's bytes
    "native/partition.pyx": 430,  # one way into the log and out of it
    "native/reactor.pyx": 630,  # connections and their set know each other
    "src/striate/errors.py": 570,  # every error in one place
    "src/striate/storage/database.py": 420,  # one public class
    "src/striate/storage/cache.py": 420,  # one public class
    "src/striate/storage/async_log.py": 430,  # one public class
    "src/striate/storage/log.py": 690,  # one public class
}

# Who may import whom, from the lowest up; a module imports from lower layers and from its own part.
PUBLIC = "the public names"  # from striate import Log
LAYERS = [
    {"errors"},
    {"types"},
    {"config"},
    {"_native"},
    {"storage", "protocol", "coordination"},
    {"commands"},
    {"net"},
    {"services"},
    {"node"},
    {PUBLIC},
    {"demo"},
    {"cli"},
    {"__main__"},
]
NOT_AT_IMPORT = {"numpy", "click", "rich", "asyncio", "pyarrow"}


def sources(suffixes: set[str]) -> Iterator[Path]:
    for folder in ("src", "native", "tests", "bench"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and path.is_file():
                yield path


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ---------------------------------------------------------------- lengths


def test_lines_fit() -> None:
    too_long = [
        f"{name_of(path)}:{number}: {len(line)} columns"
        for path in sources(PYTHON | CYTHON | C)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > MOST_COLUMNS
    ]
    assert not too_long, "\n".join(too_long)


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.name, node.end_lineno - node.lineno + 1


CYTHON_FUNCTION = re.compile(r"^(\s*)(?:async def|def|cdef|cpdef)\b[^=\n]*?(\w+)\s*\([^\n]*$")


def cython_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Find functions by their indentation: from the header to the last line that lies deeper."""
    lines = path.read_text().splitlines()
    for first, line in enumerate(lines):
        match = CYTHON_FUNCTION.match(line)
        if not match or line.lstrip().startswith(("cdef class", "cdef extern")):
            continue
        indent, last, in_header = len(match[1]), first, not line.rstrip().endswith(":")
        for number in range(first + 1, len(lines)):
            text = lines[number]
            if in_header:
                in_header = not text.rstrip().endswith(":")
            elif text.strip() and len(text) - len(text.lstrip()) <= indent:
                break
            if text.strip():
                last = number
        yield match[2], last - first + 1


C_FUNCTION = re.compile(r"^(?!#|typedef|struct|static const|extern)[\w*].*?\b(\w+)\([^;]*$")


def c_functions(path: Path) -> Iterator[tuple[str, int]]:
    """Find functions that begin and end in the first column."""
    begun: tuple[str, int] | None = None
    for number, line in enumerate(path.read_text().splitlines()):
        if begun is None and (match := C_FUNCTION.match(line)):
            begun = match[1], number
        elif begun is not None and line.startswith("}"):
            yield begun[0], number - begun[1] + 1
            begun = None


def all_functions() -> Iterator[tuple[str, int]]:
    for suffixes, find in ((PYTHON, python_functions), ({".pyx"}, cython_functions), (C, c_functions)):
        for path in sources(suffixes):
            for name, lines in find(path):
                yield f"{name_of(path)}:{name}", lines


def test_functions_fit() -> None:
    too_long = [
        f"{name}: {lines} lines"
        for name, lines in all_functions()
        if lines > ALLOWED_FUNCTIONS.get(name, MOST_LINES_OF_A_FUNCTION)
    ]
    assert not too_long, "\n".join(too_long)


def test_files_fit() -> None:
    too_long = []
    for path in sources(PYTHON | CYTHON | C):
        lines = len(path.read_text().splitlines())
        if lines > ALLOWED_FILES.get(name_of(path), MOST_LINES_OF_A_FILE):
            too_long.append(f"{name_of(path)}: {lines} lines")
    assert not too_long, "\n".join(too_long)


def test_ratchets_are_no_looser_than_needed() -> None:
    longest: dict[str, int] = {}
    for name, lines in all_functions():
        longest[name] = max(lines, longest.get(name, 0))
    for name, allowed in ALLOWED_FUNCTIONS.items():
        assert MOST_LINES_OF_A_FUNCTION < allowed <= longest.get(name, 0) + 10, name
    for name, allowed in ALLOWED_FILES.items():
        lines = len((ROOT / name).read_text().splitlines())
        assert MOST_LINES_OF_A_FILE < allowed <= lines + 50, name


def test_the_measures_measure(tmp_path: Path) -> None:
    cython = tmp_path / "x.pyx"
    cython.write_text(
        "cdef int f(int a,\n           int b) except -1:\n    return a\n\n"
        "cdef class A:\n    def g(self):\n        pass\n"
    )
    assert list(cython_functions(cython)) == [("f", 3), ("g", 2)]
    c = tmp_path / "x.c"
    c.write_text("static int f(int a,\n    int b) {\n    return a;\n}\n\nint g(void);\n")
    assert list(c_functions(c)) == [("f", 4)]


# ---------------------------------------------------------------- layers


def imported_parts(path: Path) -> Iterator[str]:
    """Name the parts of striate (errors, storage, ...) that a module imports or cimports anywhere."""
    for match in re.finditer(
        r"^\s*(?:from\s+striate(?:\.(\w+)[\w.]*)?\s+c?import\s+(\w+)|c?import\s+striate\.(\w+))",
        path.read_text(),
        re.MULTILINE,
    ):
        part = match[1] or match[3] or match[2]
        yield part if match[1] or match[3] or layer_of(part) is not None else PUBLIC


def layer_of(part: str) -> int | None:
    return next((number for number, layer in enumerate(LAYERS) if part in layer), None)


def test_layers_of_compiled_and_python_modules() -> None:
    package = ROOT / "src" / "striate"
    modules = dict.fromkeys(sources(CYTHON), "_native")
    for path in package.rglob("*.py"):
        part = path.relative_to(package).parts[0].removesuffix(".py")
        if part != "__init__":
            modules[path] = part
    wrong = []
    for path, part in modules.items():
        own = layer_of(part)
        assert own is not None, f"{name_of(path)} is in no layer"
        for imported in imported_parts(path):
            other = layer_of(imported)
            if other is None or other > own or (other == own and imported != part):
                wrong.append(f"{name_of(path)} imports striate.{imported}")
    assert not wrong, "\n".join(wrong)


def test_import_contracts() -> None:
    command = shutil.which("lint-imports", path=sysconfig.get_path("scripts")) or shutil.which("lint-imports")
    assert command, "import-linter is part of the test extra"
    result = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


# ---------------------------------------------------------------- the public face


def test_public_names_are_documented() -> None:
    import striate

    bare = []
    for name in striate.__all__:
        thing = getattr(striate, name)
        if name.startswith("__") or not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        if not inspect.getdoc(thing):
            bare.append(name)
        elif inspect.isclass(thing):
            bare += [
                f"{name}.{member}"
                for member, value in vars(thing).items()
                if not member.startswith("_") and callable(value) and not inspect.getdoc(getattr(thing, member))
            ]
    assert not bare, ", ".join(bare)


def test_every_error_is_public() -> None:
    import striate
    from striate import errors

    assert set(errors.__all__) <= set(striate.__all__)
    assert list(errors.__all__) == sorted(errors.__all__)


def test_importing_is_cheap() -> None:
    """A command-line tool or a worker process pays for the import each time it starts."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import striate"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = re.findall(r"^import time:\s+\d+ \|\s+(\d+) \| +(\S+)$", result.stderr, re.MULTILINE)
    microseconds = {name: int(cumulative) for cumulative, name in rows}
    heavy = NOT_AT_IMPORT & {name.partition(".")[0] for name in microseconds}
    assert not heavy, f"import striate brings in {sorted(heavy)}"
    assert microseconds["striate"] < 500_000  # some 20 ms on an idle machine


@pytest.mark.parametrize("word", ["TODO", "FIXME", "XXX", "breakpoint("])
def test_nothing_is_left_lying_about(word: str) -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in sources(PYTHON | CYTHON | C)
        if path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if word in line
    ]
    assert not found, ", ".join(found)
