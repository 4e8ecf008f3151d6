"""Names of memoized functions: what the keys of their results begin with."""

from __future__ import annotations

import threading
import types
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from striate._native.table import StripedTable
from striate.errors import InvalidArgumentError, InvalidTypeError
from striate.storage.argument_keys import arguments_key

if TYPE_CHECKING:
    from striate.storage.cache import Cache


class _Taken:
    """Functions of one name in one cache: how many, and the numbers of those that can be known again."""

    def __init__(self) -> None:
        self.count = 0
        self.numbers: dict[Any, int] = {}


class _Names:
    """By the table, the number of the namespace and the function's own name."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.taken: weakref.WeakKeyDictionary[StripedTable, dict[tuple[int, str], _Taken]] = weakref.WeakKeyDictionary()


_names = _Names()


def name_for(cache: Cache[Any], function: Callable[..., Any]) -> str:
    """The function's module and name, and a number where another function of the cache has these.

    A function that comes again with the same code, as when its module is loaded again, gets the name it had; one that
    depends on variables around it is another each time. In a storage results outlive the numbers: so there a lambda or
    inner function must be given a name if another has its own, and what is defined anew at the top of a module goes on
    with the results of the old.
    """
    name = _own_name(function)
    with _names.lock:
        taken = _names.taken.setdefault(cache.striped, {}).setdefault((cache.space, name), _Taken())
        identity = _identity(function)
        number = taken.numbers.get(identity) if identity is not None else None
        if number is None:
            if taken.count and hasattr(cache, "_storage"):
                if "<" in name or not isinstance(function, types.FunctionType):
                    raise InvalidArgumentError("function", "one of another name", name, hint="give memoize(name=...)")
                return name
            taken.count += 1
            number = taken.count
            if identity is not None:
                taken.numbers[identity] = number
    return name if number == 1 else f"{name}#{number}"


def _own_name(function: Callable[..., Any]) -> str:
    try:
        return f"{function.__module__}.{function.__qualname__}"
    except AttributeError:
        raise InvalidArgumentError("name", "given for what has no name of its own", function) from None


def _identity(function: Callable[..., Any]) -> Any:
    """Equal for functions that do the same; ``None``: there is no telling."""
    if not isinstance(function, types.FunctionType) or function.__closure__:
        return None
    try:
        defaults = arguments_key(*(function.__defaults__ or ()), **(function.__kwdefaults__ or {}))
    except (InvalidArgumentError, InvalidTypeError):
        return None
    return function.__code__, defaults


def after_fork() -> None:
    """The lock may have been held by a thread that a child does not have."""
    _names.lock = threading.Lock()
