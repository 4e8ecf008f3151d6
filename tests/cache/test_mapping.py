"""A cache as a mapping: CPython's own tests, and what cachetools tests, with keys and values of bytes."""

from __future__ import annotations

import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
from support.anykeys import AnyKeyCache

import striate
from striate import Cache, MemoryStorage

mapping_tests = pytest.importorskip("test.mapping_tests", reason="this Python comes without its tests")


class TestWithCPythonsTests(mapping_tests.BasicTestMappingProtocol):  # type: ignore[misc, name-defined]
    type2test = AnyKeyCache


def with_bytes(self: Any) -> dict[bytes, bytes]:
    """Keys come out as bytes, so the tests use none but these."""
    return {b"1": b"2", b"key1": b"value1", b"key2": b""}


class TestCache(mapping_tests.BasicTestMappingProtocol):  # type: ignore[misc, name-defined]
    type2test = Cache
    _reference = with_bytes


class TestNamespace(mapping_tests.BasicTestMappingProtocol):  # type: ignore[misc, name-defined]
    _reference = with_bytes

    def type2test(self) -> Cache[Any]:
        cache = Cache()
        cache["elsewhere"] = b"1"
        return cache.namespace("n")


class TestCacheOverAStorage(mapping_tests.BasicTestMappingProtocol):  # type: ignore[misc, name-defined]
    _reference = with_bytes

    def type2test(self) -> Cache[Any]:
        return Cache(storage=MemoryStorage())


class TestTable(mapping_tests.BasicTestMappingProtocol):  # type: ignore[misc, name-defined]
    """The one exception: a table equals itself only, so two are compared here by what they hold."""

    _reference = with_bytes

    def setUp(self) -> None:
        def same(one: Any, other: Any, msg: object = None) -> None:
            assert dict(one) == dict(other), msg

        self.addTypeEqualityFunc(striate.Table, same)
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.db = striate.open(Path(self.folder.name) / "db", durability="process")
        self.addCleanup(self.db.close)

    def type2test(self) -> striate.Table[bytes]:
        return self.db.table(f"t{len(self.db.tables())}")


def test_is_a_mutable_mapping() -> None:
    assert issubclass(Cache, MutableMapping)


@pytest.mark.parametrize("options", [{}, {"max_items": 10}, {"max_bytes": 100_000, "ttl": 100}], ids=str)
class TestAsCachetools:
    """In spirit, the mixin that cachetools tests its classes with; that one itself is in test_cachetools.py."""

    def test_insert_update_delete(self, options: dict[str, Any]) -> None:
        cache = Cache(**options)
        cache.update({"1": b"1", "2": b"2"})
        assert len(cache) == 2 and cache["1"] == b"1" and cache["2"] == b"2"
        cache["1"] = b"3"
        assert len(cache) == 2 and cache["1"] == b"3"
        del cache["2"]
        assert "2" not in cache and len(cache) == 1
        with pytest.raises(KeyError):
            del cache["2"]
        del cache["1"]
        assert len(cache) == 0 and list(cache) == []

    def test_pop(self, options: dict[str, Any]) -> None:
        cache = Cache(**options)
        cache.update({"1": b"1", "2": b"2", "3": b"3"})
        assert cache.pop("2") == b"2" and len(cache) == 2
        assert cache.pop("4", b"4") == b"4" and cache.pop("4", None) is None
        with pytest.raises(KeyError):
            cache.pop("4")
        assert len(cache) == 2

    def test_popitem(self, options: dict[str, Any]) -> None:
        cache = Cache(**options)
        cache.update({"1": b"1", "2": b"2"})
        items = {cache.popitem(), cache.popitem()}
        assert items == {(b"1", b"1"), (b"2", b"2")}
        with pytest.raises(KeyError):
            cache.popitem()

    def test_views_and_equality(self, options: dict[str, Any]) -> None:
        cache = Cache(**options)
        cache.update([("1", b"1"), ("2", b"2")])
        assert set(cache.keys()) == {b"1", b"2"} and set(cache.values()) == {b"1", b"2"}
        assert set(cache.items()) == {(b"1", b"1"), (b"2", b"2")}
        assert cache == {b"1": b"1", b"2": b"2"} and cache != {}
        assert b"1" in cache.values() and ("1", b"1") in cache.items() and "1" in cache.keys()  # noqa: SIM118
        assert cache and repr(cache) == "<Cache of 2 entries>"

    def test_setdefault(self, options: dict[str, Any]) -> None:
        cache = Cache(**options)
        assert cache.setdefault("1", b"1") == b"1" and cache.setdefault("1", b"2") == b"1"
