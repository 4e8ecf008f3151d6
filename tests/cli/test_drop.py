"""``striate db drop``, and names that are no text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import striate

Run = Callable[..., Any]


@pytest.fixture
def shop(tmp_path: Path) -> str:
    with striate.open(tmp_path / "shop") as db:
        db.table(b"\xfft")["k"] = b"v"
        db.stream("s").append(b"x")
        db.cache("c", max_items=5)
    return str(tmp_path / "shop")


def names(path: str) -> dict[bytes, str]:
    with striate.open(path) as db:
        return db.names()


def test_dropping(run: Run, shop: str) -> None:
    asked = run("db", "drop", shop, "s", stdin=b"y\n")
    assert asked.code == 0 and asked.text == "dropped the stream s\n"
    assert f"Drop the stream s of {shop} with all that is in it? [y/N] " in asked.err
    assert run("db", "drop", shop, "\udcfft", "--yes", "--json").json == {
        "name": {"base64": "/3Q="},
        "kind": "table",
        "dropped": True,
    }
    assert run("db", "drop", shop, "c", "--yes").text == "dropped the cache c\n" and names(shop) == {}
    gone = run("db", "drop", shop, "c", "--yes")
    assert gone.code == 1 and "nothing of that name: c" in gone.err
    assert run("db", "shell", shop, "-c", "append s again", "-c", "drop s --yes").code == 0 and names(shop) == {}


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b""])
def test_not_without_a_yes(run: Run, shop: str, answer: bytes) -> None:
    before = names(shop)
    assert run("db", "drop", shop, "s", stdin=answer).code == 2
    assert run("db", "drop", shop, "s", "--json").code == 2 and names(shop) == before


def test_names_are_shown(run: Run, shop: str) -> None:
    assert run("db", "tables", shop).text == "\\xfft\n"
    assert run("db", "tables", shop, "--json").json["table"] == {"base64": "/3Q="}
    assert "\\xfft" in run("db", "stat", shop).text
    assert run("db", "stat", shop, "--json").json["tables"][0]["table"] == {"base64": "/3Q="}
    assert run("db", "get", shop, "\udcfft", "k").out == b"v\n"
    assert run("db", "scan", shop, "\udcfft").text == "k  v\n"
