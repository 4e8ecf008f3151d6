"""``striate db`` on streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

import striate

Run = Callable[..., Any]


@pytest.fixture
def shop(tmp_path: Path) -> str:
    with striate.open(tmp_path / "shop") as db:
        events = db.stream("events", "json")
        for number in range(1, 5):
            events.append({"n": number}, b"" if number == 2 else None, id=f"{number}-0")
        billing = events.group("billing", "0")
        billing.acknowledge(billing.read("ann", count=3)[:1])
        db.stream("raw", ids="offset").append(b"\xff\x00", b"bin\xfe")
        db.table("stock")["tea"] = b"5"
    return str(tmp_path / "shop")


def test_stat_and_names(run: Run, shop: str) -> None:
    events, raw = run("db", "stat", shop, "--json").json["streams"]
    assert events == {
        "stream": "events",
        "length": 4,
        "added": 4,
        "last_id": "4-0",
        "codec": "json",
        "ids": "time",
        "groups": [{"group": "billing", "lag": 1, "pending": 2}],
    }
    assert (raw["stream"], raw["last_id"], raw["ids"], raw["groups"]) == ("raw", "1-0", "offset", [])
    assert "billing: lag 1, pending 2" in run("db", "stat", shop).text
    with striate.open(shop) as db:
        striate.Group(db.stored_stream("raw"), cast("str", b"\xff\x1b"))._set_nowait("0", 1)
    assert "\\xff\\x1b: lag 1, pending 0" in run("db", "stat", shop).text
    assert "\\xff\\x1b: at 0-0, lag 1" in run("db", "groups", shop, "raw").text
    assert run("db", "streams", shop).text == "events\nraw\n"
    assert run("db", "streams", shop, "--json").json_lines[1] == {"stream": "raw", "codec": None, "ids": "offset"}


def test_range(run: Run, shop: str) -> None:
    assert run("db", "range", shop, "events", "--json", "--count", 2).json_lines == [
        {"id": "1-0", "key": None, "value": '{"n":1}'},
        {"id": "2-0", "key": "", "value": '{"n":2}'},
    ]

    def ids(*options: object) -> list[str]:
        return [row["id"] for row in run("db", "range", shop, "events", "--json", *options).json_lines]

    assert ids("--start", 2, "--stop", 3) == ["2-0", "3-0"]
    assert ids("--reverse", "--start", 3, "--stop", "2-0") == ["3-0", "2-0"]
    assert ids("--reverse", "--count", 1) == ["4-0"]
    assert run("db", "range", shop, "raw").text == "1-0  bin\\xfe  \\xff\\x00\n"
    binary = run("db", "range", shop, "raw", "--json").json_lines[0]
    assert (binary["key"], binary["value"]) == ({"base64": "Ymlu/g=="}, {"base64": "/wA="})
    assert run("db", "range", shop, "events", "--start", "x").code == 2


def test_append(run: Run, shop: str, tmp_path: Path) -> None:
    assert run("db", "append", shop, "events", "five", "--id", "5-0", "--key", "k").text == "5-0\n"
    assert run("db", "append", shop, "events", "--id", "5-*", "--json", stdin=b"\xff").json["id"] == "5-1"
    assert run("db", "append", shop, "events", "low", "--id", "5-0", "--json").error["error"] == "StreamIdError"
    assert run("db", "append", tmp_path / "new", "made", "1").code == 0
    with striate.open(shop) as db, striate.open(tmp_path / "new") as new:
        found = list(db.stored_stream("events").range("5"))
        assert [(entry.key, entry.value) for entry in found] == [(b"k", b"five"), (None, b"\xff")]
        assert [entry.value for entry in new.stream("made")] == [b"1"]


@pytest.mark.parametrize("option", [("--max-length", 2), ("--before", "3-0")])
def test_trim(option: tuple[object, ...], run: Run, shop: str) -> None:
    assert run("db", "trim", shop, "events").code == 2
    assert run("db", "trim", shop, "events", "--max-length", 1, "--before", 1).code == 2
    assert run("db", "trim", shop, "events", *option, "--json").json == {"stream": "events", "removed": 2}
    assert run("db", "trim", shop, "events", "--max-age", "1h").text == "removed 2 entries\n"


def test_groups(run: Run, shop: str) -> None:
    (group,) = run("db", "groups", shop, "events", "--json").json_lines
    assert (group["group"], group["last_id"], group["lag"], group["pending"]) == ("billing", "3-0", 1, 2)
    assert [(one["name"], one["pending"]) for one in group["consumers"]] == [("ann", 2)]
    text = run("db", "groups", shop, "events").text
    assert "billing: at 3-0, lag 1, pending 2" in text and "ann" in text
    assert run("db", "groups", shop, "raw", "--json").json_lines == []


@pytest.mark.parametrize("line", [["range"], ["trim", "--max-length", "1"], ["groups"]])
def test_streams_that_are_not_there(line: list[str], run: Run, shop: str) -> None:
    for name in ("nothing", "stock"):
        result = run("db", line[0], shop, name, *line[1:], "--json")
        assert result.code == 1 and result.error["error"] == "StreamNotFoundError"
    assert run("db", "append", shop, "stock", "1", "--json").error["error"] == "OptionMismatchError"
    assert run("db", "streams", shop).text == "events\nraw\n"


def test_in_the_shell(run: Run, shop: str) -> None:
    commands = ["append raw three --key k", "range raw --start 2", "trim raw --max-length 1", "groups events --json"]
    result = run("db", "shell", shop, *(part for each in commands for part in ("-c", each)))
    assert result.code == 0 and result.text.splitlines()[:3] == ["2-0", "2-0  k  three", "removed 1 entries"]
    assert run("db", "shell", shop, "-c", "append raw").code == 2  # stdin has the commands


def test_stored_stream_gives_bytes_and_makes_nothing(shop: str) -> None:
    with striate.open(shop) as db:
        assert [entry.value for entry in db.stored_stream("events").range(count=1)] == [b'{"n":1}']
        for name in ("nothing", "stock"):
            with pytest.raises(striate.StreamNotFoundError) as error:
                db.stored_stream(name)
            assert (error.value.path, error.value.name) == (shop, name)
        assert sorted(db.streams()) == ["events", "raw"]
