"""``striate db``."""

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
        db.table("stock").set_many({b"tea": b"5", b"bin\xff": b"\xfe\x00"})
        db.table("prices", "json")[b"tea"] = {"eur": 3}
        db.table("stock").set(b"soon", b"1", ttl=1000)
    return str(tmp_path / "shop")


def test_looking(run: Run, shop: str) -> None:
    assert run("db", "get", shop, "stock", "tea").out == b"5\n"
    assert run("db", "get", shop, "prices", "tea", "--json").json["value"] == '{"eur":3}'
    assert run("db", "get", shop, "stock", "none").code == 1
    assert run("db", "get", shop, "nothing", "none").code == 1
    found = run("db", "stat", shop, "--json").json
    assert {row["table"]: row["keys"] for row in found["tables"]} == {"stock": 3, "prices": 1}
    assert "stock" in run("db", "stat", shop).text
    assert run("db", "scan", shop, "stock", "--prefix", "t", "--json").json_lines == [{"key": "tea", "value": "5"}]
    assert len(run("db", "scan", shop, "stock", "--count", "2").text.splitlines()) == 2
    assert run("db", "stat", shop + "?").code == 2


def test_stat_names_the_caches(run: Run, shop: str) -> None:
    with striate.open(shop) as db:
        db.cache("pages", max_items=5, codec="json")
        db.cache("all")
    found = run("db", "stat", shop, "--json").json["caches"]
    assert [(row["cache"], row["max_items"], row["codec"]) for row in found] == [
        ("all", None, None),
        ("pages", 5, "json"),
    ]
    assert "cache pages: max_items 5, policy adaptive, codec json; in memory only" in run("db", "stat", shop).text


def test_changing(run: Run, shop: str) -> None:
    assert run("db", "set", shop, "stock", "milk", "7").code == 0
    assert run("db", "set", shop, "new", "a", "1", "--ttl", "1h", "--json").json["version"] > 0
    assert run("db", "get", shop, "stock", "milk").out == b"7\n"
    assert run("db", "delete", shop, "stock", "milk").code == 0
    assert run("db", "delete", shop, "stock", "milk").code == 1
    assert run("db", "verify", shop).code == 0 and run("db", "verify", shop, "--json").json["problems"] == []
    assert run("db", "compact", shop, "--json").json["records_after"] == 8
    assert run("db", "compact", shop).code == 0


def test_export_and_import(run: Run, shop: str, tmp_path: Path) -> None:
    exported = run("db", "export", shop)
    (tmp_path / "lines").write_bytes(exported.out)
    assert run("db", "import", str(tmp_path / "copy"), str(tmp_path / "lines"), "--json").json["imported"] == 4
    with striate.open(shop) as db, striate.open(tmp_path / "copy") as copy:
        assert dict(db.table("stock")) == dict(copy.table("stock"))
        assert copy.table("prices", "json")[b"tea"] == {"eur": 3}
        assert 0 < (copy.table("stock").ttl(b"soon") or 0) <= 1000
    (tmp_path / "lines").write_bytes(b'{"key": "a", "value": "b"}\n')
    assert run("db", "import", str(tmp_path / "bad"), str(tmp_path / "lines")).code == 2


def test_snapshot(run: Run, shop: str, tmp_path: Path) -> None:
    assert run("db", "snapshot", shop, str(tmp_path / "copy")).code == 0
    assert run("db", "get", str(tmp_path / "copy"), "stock", "tea").out == b"5\n"
    assert run("db", "snapshot", shop, str(tmp_path / "copy")).code == 2
