"""Keys made of the arguments of a call: equal keys mean arguments of the same values and types.

Scalars stand for themselves; everything else becomes a list that begins with the name of its class. What this cannot
tell apart surely is refused.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import hashlib
import sys
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any

from striate.errors import InvalidArgumentError, InvalidTypeError

_LONGEST_KEY_BYTES = 200
_SCALARS = frozenset((str, bytes, float, bool, type(None)))


def arguments_key(*args: Any, **kwargs: Any) -> bytes:
    """A key made of the arguments' values and types: ``1``, ``1.0``, ``True`` and ``"1"`` are different.

    Arguments may be text, bytes, numbers, dates, UUIDs, members of enums, classes, and dataclasses, named tuples,
    msgspec structs, tuples, lists, sets and dicts of these. Classes are known by their module and name.

    Raises:
        InvalidTypeError: an argument is of another class; give ``memoize`` a ``key`` function.
    """
    encoded = _encoded(([_plain(each) for each in args], {name: _plain(value) for name, value in kwargs.items()}))
    return encoded if len(encoded) <= _LONGEST_KEY_BYTES else hashlib.blake2b(encoded, digest_size=32).digest()


def method_key(self: object, *args: Any, **kwargs: Any) -> bytes:
    """As :func:`arguments_key` for a method whose object does not matter."""
    return arguments_key(*args, **kwargs)


def key_bytes(made: Any) -> bytes:
    """The bytes for what a user's key function has made: bytes, str, or else what :func:`arguments_key` takes."""
    if isinstance(made, str):
        try:
            return made.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError("key", "a function that gives text that UTF-8 can express", made) from None
    if isinstance(made, bytes):
        return made
    if made is None:
        raise InvalidTypeError("key", "a function that gives a key", type(made))
    # Of another class than tuple are those that remember their hash, as cachetools'. A digest, so that no bytes or str
    # of the same function come out the same.
    encoded = _encoded(_plain(tuple(made) if isinstance(made, tuple) else made))
    return hashlib.blake2b(encoded, digest_size=32, person=b"striate key").digest()


def _encoded(plain: Any) -> bytes:
    import msgspec

    try:
        return msgspec.msgpack.encode(plain, order="deterministic")
    except UnicodeEncodeError as error:
        raise InvalidArgumentError("an argument", "text that UTF-8 can express", error.object) from None


def _plain(value: Any) -> Any:
    """The value as scalars and lists that msgpack takes."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 63 else ["int", hex(value)]
    try:
        make = _MAKERS.get(kind) or _maker_of(kind, value)
        if make is None:
            raise _refusal(kind)
        return [_name_of(kind), *make(value)]
    except RecursionError:
        raise InvalidArgumentError("an argument", "not nested so deeply", kind) from None


def _refusal(kind: type) -> InvalidTypeError:
    return InvalidTypeError("an argument", "plain data", kind, hint="give memoize(key=...) a function")


def _name_of(kind: type) -> str:
    """The name under which a class is found: two classes never have the same."""
    found: Any = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    if found is not kind:
        raise _refusal(kind)
    return f"{kind.__module__}.{kind.__qualname__}"


_Maker = Callable[[Any], list[Any]]


def _items(values: Any) -> list[Any]:
    return [_plain(each) for each in values]


def _unordered(values: Any) -> list[Any]:
    return sorted(map(_encoded, _items(values)))


def _moment(value: datetime.datetime | datetime.time) -> list[Any]:
    zone = value.tzinfo
    if type(zone) is zoneinfo.ZoneInfo and zone.key:
        return [value.isoformat(), value.fold, zone.key]
    if zone is not None and type(zone) is not datetime.timezone:
        raise _refusal(type(zone))
    return [value.isoformat(), value.fold, repr(zone)]


def _member(value: enum.Enum) -> list[Any]:
    return [_plain(value.value)] if isinstance(value, enum.Flag) else [value._name_]


def _fields(names: tuple[str, ...]) -> _Maker:
    return lambda value: [[name, _plain(getattr(value, name))] for name in names]


_MAKERS: dict[type, _Maker] = {
    list: _items,
    tuple: _items,
    set: _unordered,
    frozenset: _unordered,
    dict: lambda value: sorted(_encoded([_plain(key), _plain(each)]) for key, each in value.items()),
    bytearray: lambda value: [bytes(value)],
    memoryview: lambda value: [value.format, list(value.shape), value.tobytes()],
    complex: lambda value: [value.real, value.imag],
    decimal.Decimal: lambda value: [str(value)],
    datetime.datetime: _moment,
    datetime.time: _moment,
    datetime.date: lambda value: [value.isoformat()],
    datetime.timedelta: lambda value: [value.days, value.seconds, value.microseconds],
    uuid.UUID: lambda value: [value.bytes],
}


def _maker_of(kind: type, value: Any) -> _Maker | None:
    """How to take a value of a user's class apart."""
    if isinstance(value, type):
        return lambda value: [_name_of(value)]
    if isinstance(value, enum.Enum):
        return _member
    if isinstance(value, tuple) and kind.__bases__ == (tuple,) and hasattr(kind, "_fields"):
        return _items
    if isinstance(value, (str, bytes, int, float)):
        return _as_base if type(value).__module__ == "numpy" else None
    if isinstance(value, (list, tuple, dict, set, frozenset, bytearray)):
        return None  # it may hold more than its items
    if dataclasses.is_dataclass(value):
        return _fields(tuple(field.name for field in dataclasses.fields(value)))
    if hasattr(kind, "__struct_fields__"):  # msgspec
        return _fields(kind.__struct_fields__)
    if hasattr(kind, "__attrs_attrs__"):
        return _fields(tuple(attribute.name for attribute in kind.__attrs_attrs__))
    return None


def _as_base(value: Any) -> list[Any]:
    bases: tuple[Any, ...] = (str, bytes, int, float)
    return [next(base(value) for base in bases if isinstance(value, base))]
