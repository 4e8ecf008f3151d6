"""What the documents show runs, and what they say of limits is what the code does.

The ```python blocks of a file run in order, in one namespace and an empty directory. In its ```console blocks each
`$` line that calls striate runs in a shell there: its exit code must be 0, or what a following `$ echo $?` shows,
and the output under it must be what comes out, digits apart. Other `$` lines and other blocks are not run.
"""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from striate import AsyncLog, Log, errors
from striate.storage.log import DEFAULT_TOMBSTONE_GRACE, MAX_SEGMENT_BYTES, MIN_SEGMENT_BYTES

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#:\s]+)\)")


def blocks(document: Path, language: str) -> Iterator[tuple[int, str]]:
    """The code blocks of one language, each with the number of its first line."""
    text = document.read_text()
    for match in BLOCK.finditer(text):
        if match[1] == language:
            yield text.count("\n", 0, match.start(2)) + 1, match[2]


def having(language: str) -> list[object]:
    return [
        pytest.param(path, id=path.relative_to(ROOT).as_posix())
        for path in DOCUMENTS
        if next(blocks(path, language), None)
    ]


@pytest.mark.parametrize("document", having("python"))
def test_python_blocks_run(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for line, source in blocks(document, "python"):
        padded = "\n" * (line - 1) + source  # so that a traceback names the document's line
        exec(compile(padded, str(document), "exec"), namespace)


# ---------------------------------------------------------------- console blocks


def steps(document: Path) -> Iterator[tuple[int, str, list[str], int]]:
    """Commands: (line, command, shown output, expected exit code)."""
    for first, source in blocks(document, "console"):
        found: list[tuple[int, str, list[str]]] = []
        for number, line in enumerate(source.splitlines(), first):
            if line.startswith("$ "):
                found.append((number, line[2:], []))
            elif found:
                found[-1][2].append(line)
        for place, (number, command, shown) in enumerate(found):
            following = found[place + 1] if place + 1 < len(found) else None
            asked = following is not None and following[1] == "echo $?"
            code = int(following[2][0]) if following is not None and asked else 0
            if re.search(r"(^|\| )striate ", command):
                yield number, command, shown, code


def masked(text: str) -> list[str]:
    return [re.sub(r"[\d,.]+", "#", line).rstrip() for line in text.splitlines()]


@pytest.mark.parametrize("document", having("console"))
def test_console_blocks_run(document: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    striate = programs / "striate"
    striate.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m striate "$@"\n')
    striate.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    environment = os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "120"}
    for line, command, shown, code in steps(document):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=work,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        told = f"{document.name}:{line}: {command}\n{done.stdout}{done.stderr}"
        assert done.returncode == code, told
        if shown and shown != ["..."]:
            assert masked(done.stdout) == masked("\n".join(shown)), told


def test_the_first_two_commands() -> None:
    commands = next(blocks(README, "sh"))[1].splitlines()
    assert commands[0] == "python3 -m pip install . && striate demo"
    assert commands[1] == "python3 -m pip install '.[test]' && python3 -m pytest"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    targets = LINK.findall(document.read_text())
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing


# ---------------------------------------------------------------- the limits table

LIMITS = {
    cells[0]: cells[1:]
    for line in README.read_text().split("## Limits")[1].split("\n## ")[0].splitlines()
    if line.startswith("| ") and not line.startswith("| limit")
    for cells in [[cell.strip() for cell in line.strip("| ").split("|")]]
}


def number(cell: str) -> int:
    """The last number of a cell."""
    return int(re.findall(r"\d[\d,]*", cell)[-1].replace(",", ""))


def default_of(function: object, name: str) -> object:
    assert callable(function)
    return inspect.signature(function).parameters[name].default


@pytest.mark.parametrize("face", [Log, AsyncLog])
def test_defaults_are_those_of_the_table(face: type[Log] | type[AsyncLog]) -> None:
    for name in ("segment_bytes", "initial_offset", "sync_interval_ms"):
        assert default_of(face.__init__, name) == number(LIMITS[f"`{name}`"][0]), name
    assert default_of(face.__init__, "record_size") is None
    assert default_of(face.__init__, "durability") == "power"
    batch = number(LIMITS["`max_bytes` of `read_batch` and `batches`"][0])
    assert default_of(face.read_batch, "max_bytes") == default_of(face.batches, "max_bytes") == batch
    grace = number(LIMITS["`tombstone_grace` of `compact`, seconds"][0])
    assert default_of(face.compact, "tombstone_grace") == DEFAULT_TOMBSTONE_GRACE
    assert DEFAULT_TOMBSTONE_GRACE.total_seconds() == grace


def test_every_error_of_the_table_exists() -> None:
    for cells in LIMITS.values():
        for name in re.findall(r"`(\w+Error)`", cells[3]):
            assert name in errors.__all__


@pytest.mark.parametrize("name", ["segment_bytes", "initial_offset", "sync_interval_ms", "record_size"])
def test_options_at_their_bounds(name: str, tmp_path: Path) -> None:
    row = "`record_size` of a fixed-length log" if name == "record_size" else f"`{name}`"
    lowest, highest = number(LIMITS[row][1]), number(LIMITS[row][2])
    if name == "record_size":
        highest = number(LIMITS["`segment_bytes`"][0]) - highest
    for value in (lowest, highest):
        Log(tmp_path / f"{name}-{value}", **{name: value}).close()
    for value in (lowest - 1, highest + 1):
        with pytest.raises(errors.InvalidArgumentError) as caught:
            Log(tmp_path / "beyond", **{name: value})
        assert caught.value.argument == name
    lowest, highest = map(number, LIMITS["`segment_bytes`"][1:3])
    assert lowest == MIN_SEGMENT_BYTES and highest == MAX_SEGMENT_BYTES


def test_records_and_keys_at_their_bounds(tmp_path: Path) -> None:
    cell = LIMITS["a record: key + value"][2]  # "`segment_bytes` − 96, at most …"
    less, most = (number(part) for part in cell.split(" at most "))
    key_most = number(LIMITS["a key"][2])
    with Log(tmp_path / "log", durability="process", segment_bytes=1 << 17) as log:
        limit = log.segment_bytes - less
        log.append(bytes(limit))
        log.append(bytes(limit - 3), b"key")
        with pytest.raises(errors.RecordTooLargeError) as too_large:
            log.append(bytes(limit + 1))
        assert (too_large.value.size_bytes, too_large.value.limit_bytes) == (limit + 1, limit)
        log.append(b"", bytes(key_most))
        with pytest.raises(errors.KeyTooLargeError) as key_too_large:
            log.append(b"", bytes(key_most + 1))
        assert key_too_large.value.limit_bytes == key_most
    too_much = memoryview(bytes(most + 1))  # never touched, so it takes no memory
    with Log(tmp_path / "large", segment_bytes=MAX_SEGMENT_BYTES) as log, pytest.raises(errors.RecordTooLargeError):
        log.append(too_much)


def test_a_batch_beyond_its_bound(tmp_path: Path) -> None:
    row = next(name for name in LIMITS if name.startswith("a batch"))
    value = bytes(1 << 28)
    with Log(tmp_path / "log", segment_bytes=MAX_SEGMENT_BYTES) as log:
        with pytest.raises(errors.BatchTooLargeError) as caught:
            log.append_many([value] * 128)
        assert caught.value.limit_bytes == number(LIMITS[row][2])
        assert log.next_offset == 0


def test_the_least_and_greatest_batch(tmp_path: Path) -> None:
    lowest, highest = map(number, LIMITS["`max_bytes` of `read_batch` and `batches`"][1:3])
    with Log(tmp_path / "log", durability="process") as log:
        log.append_many([b"a", b"b"])
        assert len(log.read_batch(max_bytes=lowest)) == 1
        assert len(log.read_batch(max_bytes=highest + 1)) == 2
        with pytest.raises(errors.InvalidArgumentError):
            log.read_batch(max_bytes=lowest - 1)
        with pytest.raises(errors.InvalidArgumentError):
            log.compact(tombstone_grace=number(LIMITS["`tombstone_grace` of `compact`, seconds"][2]))


def test_the_size_of_a_plain_record(tmp_path: Path) -> None:
    with Log(tmp_path / "log", durability="process") as log:
        log.append_many([bytes(128)] * 10)
        segment = log.segments()[0]
        assert segment.size_bytes == 64 + 10 * (24 + 128)
        assert segment.index is not None and segment.index.nbytes == 10 * 8


def test_async_follows_in_step() -> None:
    """The tour says that both faces have the same methods."""
    public = {name for name in dir(Log) if not name.startswith("_")}
    assert public - {"closed"} <= set(dir(AsyncLog))
    assert inspect.iscoroutinefunction(AsyncLog.append) and not inspect.iscoroutinefunction(AsyncLog.read)
