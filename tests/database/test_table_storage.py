"""A cache whose values are in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import striate
from striate import Cache, TableStorage


def test_a_table_as_storage(tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", "process") as db:
        storage = TableStorage(db.table("kept"))
        cache: Cache[Any] = Cache(max_items=10, storage=storage, codec="msgpack")
        cache.set_many({b"%d" % number: {"n": number} for number in range(50)})
        cache.set("soon", 1, ttl=1000)
        assert cache.delete("3") and not cache.delete("3") and cache.incr("count") == 1
        assert 990 < (db.table("kept").ttl("soon") or 0) <= 1001
        for wrong in (db.table("coded", "json"), {}, None):
            with pytest.raises((striate.InvalidArgumentError, striate.InvalidTypeError)):
                TableStorage(wrong)  # type: ignore[arg-type]
    with striate.open(tmp_path / "db") as db:
        cache = Cache(storage=TableStorage(db.table("kept")), codec="msgpack")
        assert cache.load() == 51 and cache["7"] == {"n": 7} and cache.get("3") is None and cache["soon"] == 1
        assert 990 < (cache.expires_in("soon") or 0) <= 1001
        assert len(db.table("kept")) == 51
