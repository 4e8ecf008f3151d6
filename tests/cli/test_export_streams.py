"""``striate db export`` and ``import`` of streams."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import striate
from striate.cli.stream_figures import group_head

Run = Callable[..., Any]
FORMS = pytest.mark.parametrize("form", ["jsonl", "arrow"])


@pytest.fixture
def shop(tmp_path: Path) -> str:
    with striate.open(tmp_path / "shop", "process") as db:
        db.table("stock")["tea"] = b"5"
        events = db.stream("events", "json")
        for number in range(2300):
            events.append({"n": number}, (None, b"", b"bin\xff\x00", "tëa")[number % 4], id=(number + 1, number % 3))
        billing = events.group("billing", "0")
        entries = billing.read("ann", count=7)
        events.delete([(5, 1)])  # pending, and not exported
        billing._claim_nowait("zoë", entries[6:], 0, False, 3, 5000)
        billing.add_consumer("idle")
        striate.Group(events, b"\xff")._set_nowait("2300-2", 1)
        db.stream("none at all", "msgpack", ids="offset").group("waiting")
        numbered = db.stream("numbered", ids="offset")
        numbered.append_many([os.urandom(number) for number in range(300)])
        numbered.trim(max_length=200)
        numbered.delete([150, 299, 300])
        gone = db.stream("gone")
        gone.append(b"x", id="9-9")
        gone.trim(max_length=0)
    return str(tmp_path / "shop")


def contents(path: str | Path) -> dict[str, Any]:
    with striate.open(path) as db:
        found: dict[str, Any] = {name: dict(db.stored(name)) for name in db.tables()}
        for name, options in db.streams().items():
            stream = db.stored_stream(name)
            groups = [striate.Group(stream, key) for key in stream._group_names()]
            positions = {group._name: (group.info().last_id, group_head(stream, group)) for group in groups}
            entries = [(entry.id, entry.key, entry.value) for entry in stream]
            found[name] = options, entries, stream.info().last_id, positions
        return found


@FORMS
def test_a_round_trip_is_exact(form: str, run: Run, shop: str, tmp_path: Path) -> None:
    exported = run("db", "export", shop, "--format", form)
    assert exported.code == 0
    found = run("db", "import", tmp_path / "copy", "--json", stdin=exported.out).json
    assert (found["imported"], found["entries"]) == (2497, 2496)
    assert contents(tmp_path / "copy") == contents(shop)
    assert run("db", "export", tmp_path / "copy", "--format", form).out == exported.out
    with striate.open(tmp_path / "copy") as db:
        billing = db.stream("events", "json").group("billing")
        assert [(one.consumer, one.deliveries) for one in billing.pending()] == [("ann", 1)] * 5 + [("zoë", 3)]
        assert [one.name for one in billing.consumers()] == ["ann", "idle", "zoë"] and billing.info().pending == 6
        assert [entry.value["n"] for entry in billing.read("bob", count=2)] == [7, 8]
        assert str(db.stream("numbered", ids="offset").append(b"next")) == "301-0"
        assert db.stream("gone").append(b"next").ms > 9


@FORMS
def test_names_that_are_no_text(form: str, run: Run, tmp_path: Path) -> None:
    with striate.open(tmp_path / "odd", "process") as db:
        db.table(b"\xfft")["k"] = b"v"
        db.table("täble")["k"] = b"w"
        db.stream(b"\xff\x00s").append(b"x", id="1-0")
    exported = run("db", "export", tmp_path / "odd", "--format", form)
    assert run("db", "import", tmp_path / "copy", stdin=exported.out).text == "2 keys, 1 entries\n"
    with striate.open(tmp_path / "copy", "process") as db:
        assert db.names() == {b"\xfft": "table", "täble".encode(): "table", b"\xff\x00s": "stream"}
        assert db.table(b"\xfft")["k"] == b"v" and db.stream(b"\xff\x00s")["1-0"].value == b"x"
    assert run("db", "export", tmp_path / "copy", "--format", form).out == exported.out


def test_older_exports_have_nothing_pending(run: Run, tmp_path: Path) -> None:
    found = lines(ONE, groups=[{"group": "g", "last_id": "1-0"}])
    assert run("db", "import", tmp_path / "new", stdin=found).text == "0 keys, 1 entries\n"
    with striate.open(tmp_path / "new") as db:
        assert db.stream("s").group("g").info().pending == 0


@FORMS
def test_some_streams(form: str, run: Run, shop: str, tmp_path: Path) -> None:
    line = ["db", "export", shop, "--format", form, "-o", tmp_path / "f", "--stream", "numbered"]
    assert run(*line).code == 0
    assert run("db", "import", tmp_path / "one", tmp_path / "f").text == "0 keys, 197 entries\n"
    assert set(contents(tmp_path / "one")) == {"numbered"}
    assert run(*line, "--table", "stock").code == 0
    assert run("db", "import", tmp_path / "two", tmp_path / "f").text == "1 keys, 197 entries\n"
    (tmp_path / "f").write_text("as it was")
    assert run(*line, "--stream", "stock").code == 1 and (tmp_path / "f").read_text() == "as it was"


@FORMS
def test_onto_a_stream_that_is_there(form: str, run: Run, shop: str, tmp_path: Path) -> None:
    exported = run("db", "export", shop, "--format", form).out
    before = contents(shop)
    assert run("db", "import", shop, "--json", stdin=exported).error["error"] == "StreamIdError"
    assert contents(shop) == before
    with striate.open(tmp_path / "new") as db:
        db.stream("events", "json").append({"old": 1}, id="0-7")
        db.stream("numbered", ids="offset").append_many([b"a", b"b"])
    assert run("db", "import", tmp_path / "new", stdin=exported).code == 0
    after = contents(tmp_path / "new")
    assert after["events"][1][0][2] == b'{"old":1}' and after["events"][1][1:] == before["events"][1]
    assert after["numbered"][1][2:] == before["numbered"][1]


def test_old_arrow_files_are_still_written_for_tables_only(run: Run, shop: str, tmp_path: Path) -> None:
    def columns(*options: str) -> list[str]:
        assert run("db", "export", shop, "--format", "arrow", "-o", tmp_path / "f", *options).code == 0
        return list(pa.ipc.open_file(tmp_path / "f").read_all().column_names)

    assert columns("--table", "stock") == ["table", "key", "value", "expires"]
    assert columns() == ["table", "stream", "id_ms", "id_seq", "key", "value", "expires"]
    rows = pa.ipc.open_file(tmp_path / "f").read_all().to_pylist()
    first = next(row for row in rows if row["stream"] == "events")
    assert (first["table"], first["id_ms"], first["id_seq"], first["key"]) == (None, 1, 0, None)


# ---------------------------------------------------------------- files that are wrong


def lines(*entries: dict[str, Any], **head: Any) -> bytes:
    first = {"stream": "s", "codec": None, "ids": "time", "last_id": "9-0", "groups": [], **head}
    return b"".join(json.dumps(line).encode() + b"\n" for line in (first, *entries))


def group(**changed: Any) -> dict[str, Any]:
    return {"group": "g", "last_id": "1-0", "consumers": ["a"], "pending": [], **changed}


ONE = {"id": "1-0", "value": "a"}
WRONG: dict[str, bytes] = {
    "no name": lines(stream=5),
    "no codec": lines(codec=5),
    "other ids": lines(ids="none"),
    "no last id": lines(last_id=None),
    "no groups": lines(groups=None),
    "a group without a name": lines(groups=[{"group": "", "last_id": "1-0"}]),
    "a group twice": lines(groups=[{"group": "g", "last_id": "1-0"}] * 2),
    "a group without a place": lines(groups=[{"group": "g"}]),
    "pending entries that are none": lines(groups=[group(pending={})]),
    "a short pending entry": lines(groups=[group(pending=[["1-0", 0, 5]])]),
    "a pending entry without an id": lines(groups=[group(pending=[["x", 0, 5, 1]])]),
    "a pending entry of nobody": lines(groups=[group(pending=[["1-0", 1, 5, 1]])]),
    "a pending entry before all time": lines(groups=[group(pending=[["1-0", 0, -5, 1]])]),
    "half a delivery": lines(groups=[group(pending=[["1-0", 0, 5, 0.5]])]),
    "a consumer twice": lines(groups=[group(consumers=["a", "a"])]),
    "a consumer without a name": lines(groups=[group(consumers=[""])]),
    "table and stream": lines(table="t"),
    "no value": lines({"id": "1-0"}),
    "no id": lines({"key": "a", "value": "b"}),
    "an id that is none": lines({"id": "x", "value": "b"}),
    "the lowest id": lines({"id": "0-0", "value": "b"}),
    "an id twice": lines(ONE, ONE),
    "an id above the last": lines({"id": "9-1", "value": "b"}),
    "an offset with a number": lines({"id": "1-1", "value": "b"}, ids="offset"),
    "a key too long": lines({"id": "1-0", "key": "x" * 65_512, "value": "b"}),
    "two descriptions": lines(ONE) + lines(last_id="8-0"),
    "its name is a table's": lines(ONE) + b'{"table": "s", "codec": null}\n',
    "an entry in a table": b'{"table": "t", "codec": null}\n{"id": "1-0", "key": "a", "value": "b"}\n',
}


def arrow(streams: object = None, **changed: Any) -> bytes:
    """An export with one entry, or with something else in a column or in the metadata."""
    names = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array(["s"]))
    parts = {
        "table": pa.DictionaryArray.from_arrays(pa.array([None], pa.int32()), pa.array([], pa.string())),
        "stream": names,
        "id_ms": pa.array([1], pa.uint64()),
        "id_seq": pa.array([0], pa.uint64()),
        "key": pa.array([None], pa.binary()),
        "value": pa.array([b"v"], pa.large_binary()),
        "expires": pa.array([None], pa.timestamp("ms", "UTC")),
        **changed,
    }
    known = {"s": {"codec": None, "ids": "time", "last_id": "9-0", "groups": []}} if streams is None else streams
    metadata = {"striate.export": "2", "striate.tables": "{}", "striate.streams": json.dumps(known)}
    schema = pa.schema([pa.field(name, column.type) for name, column in parts.items()], metadata)
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(pa.record_batch(list(parts.values()), schema=schema))
    return sink.getvalue()


WRONG |= {
    "no id in Arrow": arrow(id_ms=pa.array([None], pa.uint64())),
    "an entry that expires": arrow(expires=pa.array([5], pa.int64()).cast(pa.timestamp("ms", "UTC"))),
    "no value in Arrow": arrow(value=pa.array([None], pa.large_binary())),
    "an unknown stream": arrow(streams={}),
    "no streams": arrow(streams=[]),
    "two names": arrow(table=pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), pa.array(["t"]))),
    "a column of another type": arrow(id_ms=pa.array([1], pa.int64())),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_changes_nothing(name: str, run: Run, tmp_path: Path) -> None:
    result = run("db", "import", tmp_path / "new", "--json", stdin=WRONG[name])
    assert result.code == 2 and result.error["error"] == "ImportFormatError"
    assert not (tmp_path / "new").exists()


def test_the_good_parts_are_good(run: Run, tmp_path: Path) -> None:
    for number, data in enumerate((lines(ONE), lines(ONE) + lines({"id": "2-0", "value": "b"}), arrow())):
        assert run("db", "import", tmp_path / str(number), stdin=data).code == 0


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (lines(ONE, stream="t"), "OptionMismatchError"),
        (lines(ONE, stream="there", ids="offset"), "OptionMismatchError"),
        (lines(ONE, stream="there", codec="json"), "OptionMismatchError"),
        (lines(ONE, stream="there"), "StreamIdError"),
        (lines(stream="there", last_id="1-0"), "StreamIdError"),
        (
            lines({"id": "2-0", "value": ""}, stream="there", groups=[{"group": "g", "last_id": "1-0"}]),
            "GroupExistsError",
        ),
    ],
)
def test_what_does_not_fit_the_database_changes_nothing(data: bytes, error: str, run: Run, tmp_path: Path) -> None:
    with striate.open(tmp_path / "db") as db:
        db.table("t")["a"] = b"1"
        there = db.stream("there")
        there.append(b"x", id="1-0")
        there.group("g")
    before = contents(tmp_path / "db")
    first = b'{"table": "new", "codec": null}\n{"key": "a", "value": "b"}\n'
    assert run("db", "import", tmp_path / "db", "--json", stdin=first + data).error["error"] == error
    assert contents(tmp_path / "db") == before


def test_what_does_not_fit_a_segment_changes_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (1 << 16) - 96 - 8 - 24 - 1
    real = striate.open
    monkeypatch.setattr(striate, "open", lambda path, **options: real(path, segment_bytes=1 << 16, **options))
    for more in (1, 0):
        data = lines(ONE, {"id": "2-0", "key": "k", "value": "x" * (size + more)})
        result = run("db", "import", tmp_path / "db", "--json", stdin=data)
        if more:
            assert result.error["error"] == "RecordTooLargeError" and contents(tmp_path / "db") == {}
        else:
            assert result.json["imported"] == 2
