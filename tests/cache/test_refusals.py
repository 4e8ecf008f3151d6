"""What a cache or a table cannot take is refused with an error of striate's, and nothing is stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striate
from striate import Cache, MemoryStorage, errors

REFUSALS = (errors.InvalidTypeError, errors.InvalidArgumentError)


class Returning:
    """A codec whose ``encode`` gives what it was made with."""

    def __init__(self, encoded: Any) -> None:
        self.encoded = encoded

    def encode(self, value: Any) -> Any:
        return self.encoded

    def decode(self, stored: bytes) -> Any:
        return stored


WRITES: dict[str, Callable[[Cache[Any]], Any]] = {
    "set": lambda cache: cache.set("k", 1),
    "setitem": lambda cache: cache.__setitem__("k", 1),
    "set_ttl": lambda cache: cache.set("k", 1, ttl=5),
    "add": lambda cache: cache.add("k", 1),
    "set_many": lambda cache: cache.set_many({"k": 1}),
    "setdefault": lambda cache: cache.setdefault("k", 1),
    "memoize": lambda cache: cache.memoize(lambda: 1, name="f")(),
}
NO_BYTES = [
    "text",
    "x" * 100_000,
    None,
    5,
    -5,
    2**200,
    [1, 2, 3],
    (1,),
    {1: 2},
    object(),
    np.str_("ab"),
    np.array([None]),
]


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("encoded", NO_BYTES, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("options", [{}, {"compress_from": 0}, {"storage": True}], ids=str)
def test_a_codec_that_gives_no_bytes(write: Callable[..., Any], encoded: Any, options: dict[str, Any]) -> None:
    if options.get("storage"):
        options = {"storage": MemoryStorage()}
    cache: Cache[Any] = Cache(codec=Returning(encoded), **options)
    caches = [cache] if options.get("storage") else [cache, cache.namespace("n", codec=Returning(encoded))]
    for each in caches:
        with pytest.raises(errors.InvalidTypeError, match="value must be"):
            write(each)
        assert len(each) == 0


@pytest.mark.parametrize("encoded", [b"ab", bytearray(b"ab"), memoryview(b"ab"), np.frombuffer(b"ab", "u1")])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_codec_may_give_any_buffer(write: Callable[..., Any], encoded: Any) -> None:
    cache: Cache[Any] = Cache(codec=Returning(encoded))
    write(cache)
    assert list(cache.values()) == [b"ab"]


def released() -> memoryview:
    view = memoryview(b"x")
    view.release()
    return view


@pytest.mark.parametrize("value", [np.str_("ab"), np.array([None]), released(), np.array(["2020"], "M8[D]")], ids=repr)
def test_buffers_that_hold_no_bytes(value: Any, tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", durability="process") as db:
        for mapping in (Cache(), Cache(storage=MemoryStorage()), db.table("t")):
            with pytest.raises(errors.InvalidTypeError, match="value must be"):
                mapping["k"] = value
            assert len(mapping) == 0


CACHE_CALLS: dict[str, Callable[[Any], Any]] = {
    "incr_fraction": lambda cache: cache.incr("n", 1.9),
    "incr_text": lambda cache: cache.incr("n", "1"),
    "incr_none": lambda cache: cache.incr("n", None),
    "incr_nan": lambda cache: cache.incr("n", float("nan")),
    "incr_bool": lambda cache: cache.incr("n", True),
    "incr_too_large": lambda cache: cache.incr("n", 2**63),
    "incr_initial": lambda cache: cache.incr("n", initial=1.5),
    "incr_initial_too_large": lambda cache: cache.incr("n", initial=2**63),
    "cas_fraction": lambda cache: cache.cas("n", b"9", 1.9),
    "cas_negative": lambda cache: cache.cas("n", b"9", -1),
    "cas_too_large": lambda cache: cache.cas("n", b"9", 2**64),
    "ttl_too_large": lambda cache: cache.set("n", b"9", ttl=10**400),
    "tags_number": lambda cache: cache.set("n", b"9", tags=5),
    "get_many_number": lambda cache: cache.get_many(5),
    "get_many_times": lambda cache: cache.get_many(np.array(["2020-01-01"], "M8[D]")),
    "delete_many_number": lambda cache: cache.delete_many(5),
    "set_many_number": lambda cache: cache.set_many(5),
    "set_many_text": lambda cache: cache.set_many("ab"),
    "set_many_letters": lambda cache: cache.set_many(["ab", "cd"]),
    "set_many_triple": lambda cache: cache.set_many([(b"k", b"v", b"w")]),
    "set_many_numbers": lambda cache: cache.set_many([1, 2]),
    "key_surrogate": lambda cache: cache.get("\ud800"),
    "key_number": lambda cache: cache.get(5),
    "memoize_name": lambda cache: cache.memoize(len, name=5),
    "memoize_key": lambda cache: cache.memoize(len, key=5),
    "scan_surrogate": lambda cache: list(cache.scan("\ud800")),
    "delete_prefix_surrogate": lambda cache: cache.delete_prefix("\ud800"),
}


@pytest.mark.parametrize("call", CACHE_CALLS.values(), ids=CACHE_CALLS)
@pytest.mark.parametrize("options", [{}, {"codec": "json"}, {"storage": True}], ids=str)
def test_calls_that_cannot_be(call: Callable[..., Any], options: dict[str, Any]) -> None:
    cache: Cache[Any] = Cache(**({"storage": MemoryStorage()} if options.get("storage") else options))
    with pytest.raises(REFUSALS):
        call(cache)
    assert len(cache) == 0


def test_tags_and_types_that_cannot_be() -> None:
    with pytest.raises(errors.InvalidArgumentError, match="tag"):
        Cache().delete_tag("\ud800")
    for codec in ("json", "msgpack"):
        with pytest.raises(errors.InvalidTypeError, match="type"):
            Cache(codec=codec, type=5)


def test_a_sum_that_cannot_be() -> None:
    cache = Cache()
    with pytest.raises(errors.NotANumberError):
        cache.incr("n", 2**63 - 1, initial=1)
    assert len(cache) == 0 and cache.incr("n", np.int64(3)) == 3


TABLE_CALLS: dict[str, Callable[[Any], Any]] = {
    **{f"increment_{delta}": lambda table, delta=delta: table.increment("n", delta)
       for delta in (1.9, float("nan"), float("inf"), "1", None, True)},
    "increment_initial": lambda table: table.increment("n", initial=0.5),
    "cas_fraction": lambda table: table.cas("n", b"9", 0.5),
    "cas_negative": lambda table: table.cas("n", b"9", -1),
    "ttl_too_large": lambda table: table.set("n", b"9", ttl=10**400),
    "set_many_letters": lambda table: table.set_many(["ab", "cd"]),
    "set_many_number": lambda table: table.set_many(5),
    "scan_surrogate": lambda table: list(table.scan("\ud800")),
}  # fmt: skip


@pytest.mark.parametrize("call", TABLE_CALLS.values(), ids=TABLE_CALLS)
def test_calls_of_a_table_that_cannot_be(call: Callable[..., Any], tmp_path: Path) -> None:
    with striate.open(tmp_path / "db", durability="process") as db:
        table = db.table("t")
        with pytest.raises(REFUSALS):
            call(table)
        with pytest.raises(REFUSALS), db.transaction() as tx:
            tx[table].increment("n", 1.9)  # type: ignore[arg-type]
        assert len(table) == 0


def test_text_of_other_classes_is_a_key() -> None:
    cache = Cache()
    cache[np.str_("a")] = b"1"
    assert cache["a"] == b"1"
