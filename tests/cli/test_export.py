"""``striate db export`` and ``import``: round trips, and files that are wrong."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import striate

Run = Callable[..., Any]
SOON_MS = 4_000_000_000_000  # far away, so that nothing of the test expires


class Upper:
    """A codec that is an object."""

    def encode(self, value: str, /) -> bytes:
        return value.upper().encode()

    def decode(self, stored: bytes, /) -> str:
        return stored.decode()


@pytest.fixture
def shop(tmp_path: Path) -> str:
    with striate.open(tmp_path / "shop", "process") as db:
        stock = db.table("stock")
        stock.set_many({b"%d" % number: os.urandom(number % 300) for number in range(2500)})
        stock.set_many({b"": b"empty key", b"bin\xff\x00": b"\xfe\x00", b"empty": b"", "tëa": "gräen".encode()})
        stock._write_nowait(b"soon", b"1", SOON_MS)
        stock.set(b"gone", b"")
        stock.delete(b"gone")
        db.table("prices", "json")[b"tea"] = {"eur": 3, "base64": "x"}
        db.table("upper", Upper())["a"] = "text"
        db.table("none at all", "msgpack")
        db.cache("c")
    return str(tmp_path / "shop")


def contents(path: str | Path) -> dict[str, Any]:
    with striate.open(path) as db:
        return {
            name: (options, {key: db.stored(name)._read_latest(key)[1:] for key in db.stored(name)})
            for name, options in db.tables().items()
        }


@pytest.mark.parametrize("form", ["jsonl", "arrow"])
@pytest.mark.parametrize("way", ["file", "stdout"])
def test_a_round_trip(form: str, way: str, run: Run, shop: str, tmp_path: Path) -> None:
    file, copy = tmp_path / "file", tmp_path / "copy"
    result = run("db", "export", shop, "--format", form, *(["-o", file] if way == "file" else []))
    assert result.code == 0
    if way == "file":
        assert result.out == b"" and file.stat().st_mode & 0o777 == 0o600
        assert run("db", "import", copy, file, "--json").json["imported"] == 2507
    else:
        assert run("db", "import", copy, "--json", stdin=result.out).json["imported"] == 2507
    assert contents(copy) == contents(shop)
    assert contents(copy)["stock"][1][b"soon"] == (b"1", SOON_MS)
    assert contents(copy)["upper"] == ({"codec": "Upper"}, {b"a": (b"TEXT", 0)})
    assert run("db", "import", copy, file if way == "file" else "-", stdin=result.out).code == 0  # again: the same
    assert contents(copy) == contents(shop)


@pytest.mark.parametrize("form", ["jsonl", "arrow"])
def test_some_tables(form: str, run: Run, shop: str, tmp_path: Path) -> None:
    line = ["db", "export", shop, "--format", form, "-o", tmp_path / "f", "--table", "prices", "--table", "upper"]
    assert run(*line).code == 0 and run("db", "import", tmp_path / "copy", tmp_path / "f").text == "2 keys\n"
    assert set(contents(tmp_path / "copy")) == {"prices", "upper"}
    (tmp_path / "f").write_text("as it was")
    assert run(*line, "--table", "nothing").code == 1
    assert (tmp_path / "f").read_text() == "as it was" and sorted(os.listdir(tmp_path)) == ["copy", "f", "shop"]


def test_a_failing_export_leaves_the_file_that_was_there(
    run: Run, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "f").write_text("as it was")
    monkeypatch.setattr("striate.cli.export_formats.JsonLinesWriter.write", failing)
    assert run("db", "export", shop, "-o", tmp_path / "f").code == 1
    assert (tmp_path / "f").read_text() == "as it was" and sorted(os.listdir(tmp_path)) == ["f", "shop"]


def test_what_others_see_of_an_arrow_file(run: Run, shop: str, tmp_path: Path) -> None:
    run("db", "export", shop, "--format", "arrow", "-o", tmp_path / "f")
    table = pa.ipc.open_file(tmp_path / "f").read_all()
    assert table.column_names == ["table", "key", "value", "expires"] and table.num_rows == 2507
    row = next(row for row in table.to_pylist() if row["key"] == b"soon")
    assert (row["table"], row["value"], row["expires"].year) == ("stock", b"1", 2096)


def test_without_pyarrow(run: Run, shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("db", "export", shop, "--format", "arrow", "-o", tmp_path / "f")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    for line in (
        ["export", shop, "--format", "arrow", "-o", tmp_path / "g"],
        ["import", tmp_path / "x", tmp_path / "f"],
    ):
        result = run("db", *line)
        assert result.code == 1 and "striate[arrow]" in result.err and len(result.err.splitlines()) == 1
    assert run("db", "export", shop).code == 0
    assert not (tmp_path / "g").exists() and not (tmp_path / "x").exists()


# ---------------------------------------------------------------- files that are wrong

GOOD = b'{"table": "t", "codec": null}\n{"key": "a", "value": "b"}\n'
WRONG: dict[str, bytes] = {
    "a line of another command": b'{"table": "t", "key": "k", "value": "v"}\n',
    "a field that is none": b'{"table": "t"}\n{"key": "k", "value": "v", "expires": 5}\n',
    "text": b"hello\n",
    "no object": GOOD + b"[1, 2]\n",
    "half a line": GOOD + b'{"key": "a", "val',
    "half a row": GOOD + b'{"key": "a"}\n',
    "a key before a table": b'{"key": "a", "value": "b"}\n',
    "no name": b'{"table": 5}\n',
    "an empty name": b'{"table": ""}\n',
    "a long name": b'{"table": "%s"}\n' % (b"x" * 65_536),
    "no codec": b'{"table": "t", "codec": 5}\n',
    "two codecs": GOOD + b'{"table": "t", "codec": "json"}\n',
    "another codec than is there": b'{"table": "stock", "codec": "json"}\n{"key": "a", "value": "1"}\n',
    "a cache": b'{"table": "c", "codec": null}\n',
    "no bytes": GOOD + b'{"key": 5, "value": "b"}\n',
    "no base64": GOOD + b'{"key": {"base64": "!"}, "value": "b"}\n',
    "a surrogate": GOOD + b'{"key": "\\ud800", "value": "b"}\n',
    "a long key": GOOD + b'{"key": "%s", "value": "b"}\n' % (b"x" * 65_536),
    "no time": GOOD + b'{"key": "a", "value": "b", "expires_ms": "soon"}\n',
    "a negative time": GOOD + b'{"key": "a", "value": "b", "expires_ms": -1}\n',
    "a time too far": GOOD + b'{"key": "a", "value": "b", "expires_ms": 99999999999999999}\n',
    "deep": GOOD + b"[" * 100_000 + b"\n",
    "only the magic of Arrow": b"ARROW1",
    "noise after the magic": b"ARROW1\0\0" + bytes(range(256)) * 8,
}


def arrow_file(schema: Any, *columns: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch(list(columns), schema=schema))
    return sink.getvalue()


def columns_of(**changed: Any) -> bytes:
    """An export with one row, or with something else in a column or in the metadata."""
    tables = changed.pop("tables", json.dumps({"t": {"codec": None}}))
    parts = {
        "table": pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array(["t"])),
        "key": pa.array([b"k"], pa.binary()),
        "value": pa.array([b"v"], pa.large_binary()),
        "expires": pa.array([None], pa.timestamp("ms", "UTC")),
        **changed,
    }
    schema = pa.schema(
        [pa.field(name, column.type) for name, column in parts.items()],
        {"striate.export": "1", "striate.tables": tables},
    )
    return arrow_file(schema, *parts.values())


WRONG |= {
    "another Arrow file": arrow_file(pa.schema([("a", pa.int64())]), pa.array([1])),
    "another type": columns_of(value=pa.array([b"v"], pa.binary())),
    "another column": columns_of(more=pa.array([1])),
    "no key": columns_of(key=pa.array([None], pa.binary())),
    "an unknown table": columns_of(tables='{"u": {"codec": null}}'),
    "no tables": columns_of(tables="[]"),
    "no options": columns_of(tables='{"t": 5}'),
    "broken options": columns_of(tables="{"),
    "a key too long": columns_of(key=pa.array([b"x" * 65_536], pa.binary())),
    "a time below zero": columns_of(expires=pa.array([-1], pa.int64()).cast(pa.timestamp("ms", "UTC"))),
    "the codec of another": columns_of(tables='{"t": {"codec": null}, "stock": {"codec": "json"}}'),
}


MISFITS = {"another codec than is there", "a cache", "the codec of another"}  # wrong for a database that has the name


@pytest.mark.parametrize(("name", "there"), [(name, there) for name in WRONG for there in {True, name in MISFITS}])
def test_a_wrong_file_changes_nothing(name: str, there: bool, run: Run, shop: str, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_bytes(WRONG[name])
    target = shop if there else str(tmp_path / "new")
    before = contents(shop)
    result = run("db", "import", target, tmp_path / "wrong", "--json")
    assert result.code == 2 and result.out == b""
    assert result.error["error"] == ("OptionMismatchError" if name in MISFITS else "ImportFormatError"), result.error
    assert contents(shop) == before and not (tmp_path / "new").exists()


def test_the_good_parts_are_good(run: Run, tmp_path: Path) -> None:
    """What the wrong files are made of can be imported."""
    for number, data in enumerate((GOOD, columns_of(), b"")):
        assert run("db", "import", tmp_path / str(number), stdin=data).code == 0


def test_an_arrow_file_cut_anywhere(run: Run, tmp_path: Path) -> None:
    whole = columns_of()
    for size in range(6, len(whole), 7):
        result = run("db", "import", tmp_path / "db", "--json", stdin=whole[:size])
        assert result.code == 2 and result.error["error"] == "ImportFormatError"
    assert not (tmp_path / "db").exists()


def test_a_pipe(run: Run, shop: str, spawn: Callable[..., Any], tmp_path: Path) -> None:
    exporting = spawn("db", "export", shop, "--format", "arrow")
    importing = spawn("db", "import", tmp_path / "copy", stdin=exporting.stdout)
    assert importing.wait(60) == 0 and exporting.wait(60) == 0
    assert contents(tmp_path / "copy") == contents(shop)


@pytest.mark.parametrize("expires", [{}, {"expires_ms": SOON_MS}])
def test_what_does_not_fit_a_segment_changes_nothing(
    expires: dict[str, int], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (1 << 16) - 104 - (8 if expires else 0) - 1
    real = striate.open
    monkeypatch.setattr(striate, "open", lambda path, **options: real(path, segment_bytes=1 << 16, **options))
    first = {"key": "a", "value": "b"}
    for more in (1, 0):
        rows = [{"table": "t", "codec": None}, first, {"key": "k", "value": "x" * (size + more), **expires}]
        (tmp_path / "lines").write_text("".join(json.dumps(row) + "\n" for row in rows))
        result = run("db", "import", tmp_path / "db", tmp_path / "lines", "--json")
        if more:
            assert result.code == 2 and result.error["error"] == "RecordTooLargeError"
            assert contents(tmp_path / "db") == {}
        else:
            assert result.json["imported"] == 2
