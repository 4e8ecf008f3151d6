"""What each operation does to a key that is there, that is not, and that has expired."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from striate import Cache, errors
from tests.cache.conftest import Clock

# operation → (result and value where the key holds b"old"; the same where it is missing)
OPERATIONS: dict[str, tuple[Callable[[Cache[bytes]], Any], Any, Any, Any, Any]] = {
    "get": (lambda c: c.get(b"k"), b"old", b"old", None, None),
    "get default": (lambda c: c.get(b"k", b"d"), b"old", b"old", b"d", None),
    "peek": (lambda c: c.peek(b"k"), b"old", b"old", None, None),
    "[]": (lambda c: c[b"k"], b"old", b"old", KeyError, None),
    "in": (lambda c: b"k" in c, True, b"old", False, None),
    "set": (lambda c: c.set(b"k", b"new"), None, b"new", None, b"new"),
    "[] =": (lambda c: c.__setitem__(b"k", b"new"), None, b"new", None, b"new"),
    "set empty": (lambda c: c.set(b"k", b""), None, b"", None, b""),
    "add": (lambda c: c.add(b"k", b"new"), False, b"old", True, b"new"),
    "replace": (lambda c: c.replace(b"k", b"new"), True, b"new", False, None),
    "cas, another version": (lambda c: c.cas(b"k", b"new", 2**40), False, b"old", False, None),
    "touch": (lambda c: c.touch(b"k"), True, b"old", False, None),
    "delete": (lambda c: c.delete(b"k"), True, None, False, None),
    "del": (lambda c: c.__delitem__(b"k"), None, None, KeyError, None),
    "pop": (lambda c: c.pop(b"k"), b"old", None, KeyError, None),
    "pop default": (lambda c: c.pop(b"k", 7), b"old", None, 7, None),
    "popitem": (lambda c: c.popitem(), (b"k", b"old"), None, KeyError, None),
    "setdefault": (lambda c: c.setdefault(b"k", b"new"), b"old", b"old", b"new", b"new"),
    "incr": (lambda c: c.incr(b"k", 5), errors.NotANumberError, b"old", 5, b"5"),
    "incr, no initial": (lambda c: c.incr(b"k", initial=None), errors.NotANumberError, b"old", KeyError, None),
    "get_many": (lambda c: c.get_many([b"k", b"other"]), [b"old", None], b"old", [None, None], None),
    "set_many": (lambda c: c.set_many({b"k": b"new"}), None, b"new", None, b"new"),
    "delete_many": (lambda c: c.delete_many([b"k", b"other", b"k"]), 1, None, 0, None),
    "delete_prefix": (lambda c: c.delete_prefix(b"k"), 1, None, 0, None),
    "delete_tag": (lambda c: c.delete_tag("t"), 1, None, 0, None),
    "scan": (lambda c: list(c.scan(b"k")), [b"k"], b"old", [], None),
    "iter": (list, [b"k"], b"old", [], None),
    "items": (lambda c: list(c.items()), [(b"k", b"old")], b"old", [], None),
    "values": (lambda c: list(c.values()), [b"old"], b"old", [], None),
    "len": (len, 1, b"old", 0, None),
    "clear": (lambda c: c.clear(), None, None, None, None),
    "expires_in": (lambda c: c.expires_in(b"k"), 10, b"old", None, None),
    "update": (lambda c: c.update(k=b"new"), None, b"new", None, b"new"),
    "get_versioned, missing": (lambda c: c.get_versioned(b"k") and None, None, b"old", None, None),
}


def outcome(cache: Cache[bytes], operation: Callable[[Cache[bytes]], Any]) -> Any:
    try:
        return operation(cache)
    except (KeyError, errors.NotANumberError) as error:
        return type(error)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_key_that_is_there(name: str, make: Callable[..., Cache[bytes]]) -> None:
    operation, result, left, _, _ = OPERATIONS[name]
    cache = make(ttl=10)
    cache.set(b"k", b"old", tags=["t"])
    assert outcome(cache, operation) == result
    assert cache.peek(b"k") == left


@pytest.mark.parametrize("expired", [False, True], ids=["missing", "expired"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_key_that_is_not(name: str, expired: bool, make: Callable[..., Cache[bytes]], clock: Clock) -> None:
    operation, _, _, result, left = OPERATIONS[name]
    cache = make(ttl=10)
    if expired:
        cache.set(b"k", b"old", tags=["t"])
        clock.move(10)
    assert outcome(cache, operation) == result
    assert cache.peek(b"k") == left


def test_every_public_method_is_in_the_table_or_tested_elsewhere() -> None:
    named = {name.split()[0].rstrip(",") for name in OPERATIONS}
    elsewhere = {
        "changes",
        "from_source",
        "add_counter",
        "remove_counter",
        "memoize",
        "begin_sweeping",
        "namespace",
        "stats",
        "expire",
        "load",
        "forget",
        "keys",
        "time_ns",
        "decode_stored",
    }
    public = {name for name in dir(Cache) if not name.startswith("_") and callable(getattr(Cache, name))}
    assert public <= named | elsewhere, public - named - elsewhere


# ---------------------------------------------------------------- keys and values

KEYS = [b"", b"\0", b"a" * 65535, "schlüssel", "", b"\xff\xfe"]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: repr(key)[:12])
def test_keys(key: bytes | str, cache: Cache[bytes]) -> None:
    cache.set(key, b"value")
    as_bytes = key.encode() if isinstance(key, str) else key
    assert cache.get(as_bytes) == b"value" and list(cache) == [as_bytes]
    assert cache.get_many([key]) == [b"value"]


@pytest.mark.parametrize("key", [1, None, 1.5, (b"a",), bytearray(b"a")])
def test_keys_of_other_types(key: Any, cache: Cache[bytes]) -> None:
    for call in (
        lambda: cache.get(key),
        lambda: cache.set(key, b""),
        lambda: cache.delete(key),
        lambda: key in cache,
        lambda: cache.get_many([key]),
        lambda: cache.set_many([(key, b"")]),
    ):
        with pytest.raises(errors.InvalidTypeError, match="key must be bytes or str"):
            call()
    assert len(cache) == 0


def test_keys_that_cannot_be(cache: Cache[bytes]) -> None:
    with pytest.raises(errors.KeyTooLargeError) as caught:
        cache.set(b"a" * 65536, b"")
    assert (caught.value.size_bytes, caught.value.limit_bytes) == (65536, 65535)
    with pytest.raises(errors.InvalidArgumentError):
        cache.set("\ud800", b"")


@pytest.mark.parametrize("size", [0, 1, 100, 1023, 1024, 1025, 8_100, 8_192, 70_000, 5_000_000])
def test_values_of_all_sizes(size: int, cache: Cache[bytes]) -> None:
    value = (bytes(range(256)) * (size // 256 + 1))[:size]
    cache.set(b"k", b"before")
    for made in (value, bytearray(value), memoryview(value)):
        cache.set(b"k", made)  # type: ignore[arg-type]
        assert cache.get(b"k") == value and cache.get_many([b"k"]) == [value]


@pytest.mark.parametrize("value", ["text", 1, None, [1]])
def test_values_that_need_a_codec(value: Any, cache: Cache[bytes]) -> None:
    with pytest.raises(errors.InvalidTypeError, match="value must be bytes-like"):
        cache.set(b"k", value)
    with pytest.raises(errors.InvalidTypeError, match="value must be bytes-like"):
        cache.set_many({b"k": value})
    assert b"k" not in cache


def test_a_changed_buffer_changes_nothing_stored(cache: Cache[bytes]) -> None:
    value = bytearray(b"abc")
    cache.set(b"k", value)  # type: ignore[arg-type]
    value[0] = 0
    assert cache.get(b"k") == b"abc"


# ---------------------------------------------------------------- versions and numbers


def test_compare_and_set(cache: Cache[bytes]) -> None:
    cache.set(b"k", b"1")
    found = cache.get_versioned(b"k")
    assert found is not None and found[0] == b"1"
    assert cache.cas(b"k", b"2", found[1])
    assert not cache.cas(b"k", b"3", found[1])
    assert cache.get(b"k") == b"2"


def test_a_version_never_comes_again(cache: Cache[bytes]) -> None:
    """Not after the key was deleted either: else a compare-and-set would take one life of a key for another."""
    seen = set()
    for _ in range(20):
        cache.set(b"k", b"same")
        found = cache.get_versioned(b"k")
        assert found is not None
        seen.add(found[1])
        cache.delete(b"k")
    cache.clear()
    cache.set(b"k", b"same")
    found = cache.get_versioned(b"k")
    assert found is not None
    assert len(seen) == 20 and found[1] not in seen


NUMBERS = [(b"0", 1, 1), (b"-1", 1, 0), (b"9", 1, 10), (b"-9", -1, -10), (b"9223372036854775806", 1, 2**63 - 1)]
NO_NUMBERS = [b"", b"-", b"a", b"1a", b"01", b"-0x", b"+1", b" 1", b"9223372036854775807", b"1" * 30]


@pytest.mark.parametrize(("stored", "delta", "result"), NUMBERS)
def test_numbers(stored: bytes, delta: int, result: int, cache: Cache[bytes]) -> None:
    cache.set(b"n", stored)
    assert cache.incr(b"n", delta) == result
    assert cache.get(b"n") == b"%d" % result


@pytest.mark.parametrize("stored", NO_NUMBERS)
def test_what_is_no_number(stored: bytes, cache: Cache[bytes]) -> None:
    cache.set(b"n", stored)
    with pytest.raises(errors.NotANumberError) as caught:
        cache.incr(b"n")
    assert caught.value.key == b"n" and cache.get(b"n") == stored


def test_the_least_number(cache: Cache[bytes]) -> None:
    cache.set(b"n", b"-9223372036854775807")
    assert cache.incr(b"n", -1) == -(2**63)
    assert cache.incr(b"n", 1) == -(2**63) + 1


def test_incr_keeps_time_and_tags(make: Callable[..., Cache[bytes]], clock: Clock) -> None:
    cache = make()
    cache.set(b"n", b"9", ttl=10, tags=["t"])
    clock.move(4)
    assert cache.incr(b"n") == 10
    assert cache.expires_in(b"n") == 6
    assert cache.delete_tag("t") == 1


# ---------------------------------------------------------------- time


@pytest.mark.parametrize("ttl", [0.001, 1, 2.5, 3600, timedelta(days=400), 1e9])
def test_an_entry_lives_as_long_as_said(ttl: Any, cache: Cache[bytes], clock: Clock) -> None:
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    cache.set(b"k", b"v", ttl=ttl)
    clock.move(seconds)
    clock.now -= 1
    assert cache.get(b"k") == b"v" and len(cache) == 1
    clock.now += 1
    assert len(cache) == 0 and cache.get(b"k") is None


def test_the_default_and_its_exceptions(make: Callable[..., Cache[bytes]], clock: Clock) -> None:
    cache = make(ttl=10)
    cache.set(b"default", b"")
    cache.set(b"longer", b"", ttl=20)
    cache.set(b"always", b"", ttl=math.inf)
    clock.move(10)
    assert sorted(cache) == [b"always", b"longer"]
    clock.move(10)
    assert sorted(cache) == [b"always"] and cache.expires_in(b"always") == math.inf


def test_an_access_begins_idle_time_anew(make: Callable[..., Cache[bytes]], clock: Clock) -> None:
    cache = make(idle=10, ttl=25)
    for key in (b"read", b"peeked", b"left"):
        cache.set(key, b"v")
    for _ in range(2):
        clock.move(9)
        cache.get(b"read")
        cache.peek(b"peeked")
        assert b"left" in cache or clock.now > 1010 * 10**9
    assert sorted(cache) == [b"read"]
    clock.move(7)  # its ttl is over, however often it is read
    assert len(cache) == 0


def test_touch_gives_and_takes_time(make: Callable[..., Cache[bytes]], clock: Clock) -> None:
    cache = make()
    value = bytes(3000)
    cache.set(b"k", value, tags=["t"])
    assert cache.touch(b"k", ttl=10) and cache.expires_in(b"k") == 10
    clock.move(5)
    assert cache.touch(b"k", ttl=7) and cache.expires_in(b"k") == 7
    assert cache.touch(b"k", ttl=3, idle=2) and cache.expires_in(b"k") == 2
    assert cache.touch(b"k") and cache.expires_in(b"k") == math.inf
    assert cache.get(b"k") == value and cache.delete_tag("t") == 1


def test_set_replaces_time_and_tags(cache: Cache[bytes], clock: Clock) -> None:
    cache.set(b"k", b"v", ttl=1, tags=["t"])
    cache.set(b"k", b"v")
    clock.move(2)
    assert cache.get(b"k") == b"v" and cache.delete_tag("t") == 0


@pytest.mark.parametrize("ttl", [0, -1, math.nan, "1", True, b"1"])
def test_durations_that_cannot_be(ttl: Any, cache: Cache[bytes]) -> None:
    for call in (lambda: cache.set(b"k", b"", ttl=ttl), lambda: cache.touch(b"k", idle=ttl), lambda: Cache(ttl=ttl)):
        with pytest.raises((errors.InvalidArgumentError, errors.InvalidTypeError)):
            call()


@pytest.mark.parametrize(
    "options",
    [
        {"max_bytes": 0},
        {"max_items": -1},
        {"max_items": 1.5},
        {"stripes": 3},
        {"stripes": 2048},
        {"hash_key": b"short"},
        {"hash_key": 1},
        {"clock": 5},
        {"codec": "xml"},
        {"codec": object()},
        {"type": int},
    ],
    ids=str,
)
def test_options_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises((errors.InvalidArgumentError, errors.InvalidTypeError)) as caught:
        Cache(**options)
    assert caught.value.argument in options


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_many_keys_and_values_of_mixed_kinds(place: int) -> None:
    """Wherever the first stands that cannot be read as it is: text beyond ASCII, a value that is no bytes."""
    cache = Cache(compress_from=50)
    keys: list[bytes | str] = [b"bytes", "ascii", b"", "x" * 40]
    keys.insert(place, "größe")
    values: list[Any] = [b"1", b"22", b"", b"z" * 100]
    values.insert(3 - place, bytearray(b"buffer"))
    pairs = dict(zip(keys, values, strict=True))
    cache.set_many(pairs)
    assert cache.get_many(keys) == [cache.get(key) for key in keys] == values
    assert cache.get_many(tuple(reversed(keys))) == values[::-1]
    for bad in (1, b"k" * 65_536, "k" * 65_536):
        for keys_with_bad in ([bad, b"new"], [b"new", bad], ["größe", bad]):
            with pytest.raises((TypeError, ValueError)):
                cache.set_many([(key, b"other") for key in keys_with_bad])
            with pytest.raises((TypeError, ValueError)):
                cache.get_many(keys_with_bad)
    assert dict(cache.items()) == {key.encode() if isinstance(key, str) else key: pairs[key] for key in keys}
    assert cache.delete_many(keys) == len(keys)
