"""Caches of a database: what is remembered of them, what is not, and whose they are."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import striate


@dataclass
class User:
    name: str


def test_options_are_remembered_and_contents_are_not(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db") as db:
        pages = db.cache("pages", max_items=10, ttl=timedelta(minutes=1))
        pages.set("a", b"1")
        assert pages["a"] == b"1" and pages.stats().entries == 1
    for _ in range(2):  # from the log and from the hints
        with striate.open(tmp_path / "db") as db:
            assert db.caches() == {
                "pages": {
                    "max_bytes": None,
                    "max_items": 10,
                    "ttl": 60.0,
                    "idle": None,
                    "policy": "adaptive",
                    "compress_from": None,
                    "codec": None,
                }
            }
            assert db.tables() == {}
            assert len(db.cache("pages", max_items=10, ttl=60)) == 0
        (tmp_path / "db" / "hints").unlink()


OTHERS: dict[str, Callable[[striate.Database], Any]] = {
    "max_items": lambda db: db.cache("c", max_items=11, ttl=5),
    "max_bytes": lambda db: db.cache("c", 1000, 10, 5),
    "ttl": lambda db: db.cache("c", max_items=10),
    "idle": lambda db: db.cache("c", max_items=10, ttl=5, idle=1),
    "policy": lambda db: db.cache("c", max_items=10, ttl=5, policy="recency"),
    "codec": lambda db: db.cache("c", max_items=10, ttl=5, codec=striate.PickleCodec()),
    "compress_from": lambda db: db.cache("c", max_items=10, ttl=5, compress_from=0),
    "kind": lambda db: db.table("c"),
}


@pytest.mark.parametrize("option", OTHERS)
@pytest.mark.parametrize("reopened", [False, True])
def test_other_options_are_refused(option: str, reopened: bool, tmp_path: Path) -> None:
    db = striate.open(tmp_path / "db")
    made = db.cache("c", max_items=10, ttl=5)
    made.set("a", b"1")
    if reopened:
        db.close()
        db = striate.open(tmp_path / "db")
    with db:
        with pytest.raises(striate.OptionMismatchError) as caught:
            OTHERS[option](db)
        assert caught.value.option.startswith(option)
        assert len(db.cache("c", max_items=10, ttl=5)) == (0 if reopened else 1)


def test_what_is_wrong_is_not_remembered(db: striate.Database) -> None:
    with pytest.raises(striate.InvalidArgumentError):
        db.cache("c", max_items=0)
    with pytest.raises(striate.InvalidArgumentError):
        db.cache("c", ttl=-1)
    with pytest.raises(striate.InvalidArgumentError):
        db.cache("")
    assert db.caches() == {}
    db.table("t")
    with pytest.raises(striate.OptionMismatchError):
        db.cache("t")


def test_one_object_a_name(db: striate.Database) -> None:
    users = db.cache("users", codec="msgpack", type=User)
    users.set("1", User("ann"))
    assert db.cache("users", codec="msgpack", type=User) is users and users["1"] == User("ann")
    with pytest.raises(striate.OptionMismatchError):
        db.cache("users", codec="msgpack", type=dict)
    pickled = db.cache("pickled", codec=striate.PickleCodec(), ttl=math.inf)
    assert db.cache("pickled", codec=striate.PickleCodec()) is pickled
    assert db.caches()["pickled"]["codec"] == "PickleCodec" and db.caches()["pickled"]["ttl"] is None
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(db.cache("raced"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(map(id, found))) == 1


def test_dropping_makes_the_name_free(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db") as db:
        old = db.cache("c", max_items=10)
        old.set("a", b"1")
        assert db.drop_cache("c") and not db.drop_cache("c") and not db.drop_cache("never")
        assert len(old) == 0 and db.caches() == {}
        db.cache("c", max_items=20).set("a", b"2")
        db.cache("gone")
        db.drop_cache("gone")
        db.table("t")["k"] = b"v"
        with pytest.raises(striate.OptionMismatchError):
            db.drop_cache("t")
    with striate.open(tmp_path / "db") as db:
        assert list(db.caches()) == ["c"] and db.caches()["c"]["max_items"] == 20
        assert db.table("gone", "json") is not None and db.table("t")["k"] == b"v"


def test_closing_empties_them(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db") as db:
        cache = db.cache("c")
        cache.set("a", b"1")
    assert len(cache) == 0
    with pytest.raises(striate.LogClosedError):
        db.cache("c")
    with pytest.raises(striate.LogClosedError):
        db.drop_cache("c")


def test_they_are_no_part_of_transactions_or_compaction(db: striate.Database) -> None:
    cache = db.cache("c", max_items=10)
    with pytest.raises(striate.InvalidTypeError), db.transaction() as tx:
        tx[cache]  # type: ignore[index]
    db.table("t").set_many({b"%d" % number: b"v" for number in range(100)})
    db.compact()
    assert db.cache("c", max_items=10) is cache and len(db.table("t")) == 100


@pytest.mark.asyncio
async def test_the_async_twin(tmp_path: Path) -> None:
    async with striate.aopen(tmp_path / "db") as db:
        cache = db.cache("c", max_items=10)
        cache.set("a", b"1")
        assert db.cache("c", max_items=10) is cache and list(db.caches()) == ["c"] and db.drop_cache("c")
    with pytest.raises(striate.LogClosedError):
        db.cache("c")
