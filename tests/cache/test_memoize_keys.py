"""Keys and names of memoized functions: different arguments and different functions never meet."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import itertools
import types
import uuid
import zoneinfo
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

from striate import Cache, MemoryStorage, PickleCodec, arguments_key, errors


class Red(enum.Enum):
    A = 1


class Blue(enum.Enum):
    A = 1


class Number(enum.IntEnum):
    A = 1


class Bits(enum.Flag):
    A = 1
    B = 2


@dataclasses.dataclass
class P:
    x: Any


@dataclasses.dataclass
class Q:
    x: Any


class Pair(NamedTuple):
    x: Any
    y: Any


class Other(NamedTuple):
    x: Any
    y: Any


DAY = datetime.datetime(2020, 1, 1)
DIFFERENT = [
    None, True, 1, 1.0, "1", b"1", 2**64, -(2**64), -0.0, 0.0, decimal.Decimal(1), decimal.Decimal("1.0"), 1 + 0j,
    bytearray(b"1"), memoryview(b"1"), Red.A, Blue.A, Number.A, Bits.A, Bits.B, Bits.A | Bits.B, P(1), P("1"), Q(1),
    {"x": 1}, {"x": "1"}, {1: "x"}, {"1": "x"}, Pair(1, 2), Other(1, 2), (1, 2), [1, 2], {1, 2}, frozenset((1, 2)),
    (1, (2,)), ((1, 2),), ["builtins.list", 1], [[1]], ["builtins.tuple", 1, 2], (), [], {}, set(), P, Q, int,
    DAY, DAY.date(), DAY.isoformat(), DAY.replace(tzinfo=datetime.UTC), DAY.replace(fold=1), DAY.time(),
    DAY.replace(tzinfo=zoneinfo.ZoneInfo("UTC")), datetime.timedelta(1), uuid.UUID(int=1), str(uuid.UUID(int=1)),
    np.str_("1"), np.float64(1), "builtins.int", ["int", "0x1"],
]  # fmt: skip


def test_different_arguments_have_different_keys() -> None:
    for one, other in itertools.combinations(DIFFERENT, 2):
        assert arguments_key(one) != arguments_key(other), (one, other)
        assert arguments_key([one]) != arguments_key([other]), (one, other)
        assert arguments_key(x=one) != arguments_key(one)


def test_equal_arguments_have_equal_keys() -> None:
    for one, other in ((P([1]), P([1])), ({1: 2, "a": 3}, {"a": 3, 1: 2}), ({1, "a", None}, {None, "a", 1}),
                       (Pair(1, 2), Pair(1, 2)), (bytearray(b"x" * 999), bytearray(b"x" * 999))):  # fmt: skip
        assert arguments_key(one) == arguments_key(other)


class Text(str):
    __slots__ = ("more",)


class Plain:
    pass


def local_class() -> type:
    @dataclasses.dataclass
    class P:
        x: int = 1

    return P


SELF: list[Any] = []
SELF.append(SELF)
REFUSED = [
    Plain(),
    Text("a"),
    OrderedDict(a=1),
    local_class()(),
    local_class(),
    object(),
    lambda: 1,
    np.int64(1),
    range(3),
]


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
def test_what_cannot_be_told_apart_is_refused(value: Any) -> None:
    for argument in (value, [value], {"a": (value,)}):
        with pytest.raises(errors.InvalidTypeError, match=r"got (?!tuple|list|dict).*key=") as caught:
            arguments_key(argument)
        assert caught.value.got in (type(value), value)


def test_arguments_that_have_no_end_or_no_utf8() -> None:
    for argument in (SELF, "\ud800"):
        with pytest.raises(errors.InvalidArgumentError):
            arguments_key(argument)


# ---------------------------------------------------------------- key functions


class HashedTuple(tuple[Any, ...]):
    """As of cachetools.keys: it remembers its hash."""

    kept = None

    def __hash__(self) -> int:
        self.kept = self.kept or super().__hash__()
        return self.kept


MARK = (HashedTuple,)


def hashkey(*args: Any, **kwargs: Any) -> HashedTuple:
    return HashedTuple(args + sum(sorted(kwargs.items()), MARK) if kwargs else args)


def test_key_functions_may_give_any_plain_data() -> None:
    cache: Cache[Any] = Cache(codec="json")
    runs = itertools.count()
    for key in (hashkey, lambda *args, **kwargs: (args, tuple(kwargs)), lambda *args, **kwargs: len(args)):
        function = cache.memoize(lambda *args, **kwargs: next(runs), key=key)
        assert function(1) == function(1)
    by_value = cache.memoize(lambda value: next(runs), key=lambda value: value)
    values = [1, "1", 1.0, (1,), ((1,),), Red.A, "", True]
    assert len({by_value(value) for value in values}) == len(values)
    for key, refused in ((lambda: None, errors.InvalidTypeError), (lambda: "\ud800", errors.InvalidArgumentError),
                         (object, errors.InvalidTypeError)):  # fmt: skip
        with pytest.raises(refused):
            cache.memoize(lambda: 1, key=key)()


# ---------------------------------------------------------------- names


def test_functions_of_one_name_do_not_meet() -> None:
    cache: Cache[Any] = Cache(codec="json")
    one, other = cache.memoize(lambda x: "one"), cache.memoize(lambda x: "other")
    assert (one(1), other(1), one(1)) == ("one", "other", "one")

    def make(rate: int, *, plus: int = 0) -> Any:
        def price(x: int, more: int = plus) -> int:
            return x * rate + more

        return cache.memoize(price)

    assert [make(2)(10), make(3)(10), make(3, plus=1)(10)] == [20, 30, 31]

    def free(number: int) -> Any:
        def function(x: int, more: int = number) -> int:
            return x + more

        return cache.memoize(function)

    first, second, again = free(1), free(2), free(1)
    assert (first(1), second(1), again(1)) == (2, 3, 2)
    assert again.cache_info().executions == 0, "the same function again"
    assert first.cache_clear() == 1 and second.cache_info().entries == 1


MODULE = "def function(x):\n    return ['{version}', x]\nfunction = cache.memoize(function)\n"


def test_a_module_is_loaded_again() -> None:
    cache: Cache[Any] = Cache(codec="json")

    def load(version: str) -> Any:
        module = types.ModuleType("some_module")
        module.__dict__["cache"] = cache
        exec(compile(MODULE.format(version=version), "some_module.py", "exec"), module.__dict__)
        return module.function

    first = load("one")
    assert first(1) == ["one", 1]
    again = load("one")
    assert again(1) == ["one", 1] and again.cache_info().executions == 0
    assert load("two")(1) == ["two", 1] and first(1) == ["one", 1]


def test_names_over_a_storage_and_of_what_has_none() -> None:
    cache: Cache[Any] = Cache(codec=PickleCodec(), storage=MemoryStorage())
    assert cache.memoize(lambda: 1)() == 1
    cache.memoize(lambda: 2, name="two")
    with pytest.raises(errors.InvalidArgumentError, match="name="):
        cache.memoize(lambda: 3)
    with pytest.raises(errors.InvalidArgumentError, match="name"):
        cache.memoize(Plain.__new__(type("Callable", (), {"__call__": lambda self: 1})))
