"""The error classes by themselves: every one survives copying and pickling with all it says."""

from __future__ import annotations

import copy
import errno
import inspect
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from striate import Log, errors

FIELDS: dict[str, Any] = {"offset": 7, "lowest_offset": 1, "next_offset": 5, "size_bytes": 9, "limit_bytes": 8}
FIELDS |= {"errno": errno.ENOSPC, "strerror": "No space left on device", "supported": 1, "pid": 12, "position": 64}


def example(kind: type[errors.StriateError]) -> errors.StriateError:
    names = [name for name in inspect.signature(kind).parameters if name != "message" or kind.__init__ is base]
    fields = {name: FIELDS.get(name, f"the {name}") for name in names}
    if kind is errors.InvalidTypeError:
        fields["got"] = bytes
    return kind(**fields)


base = errors.StriateError.__init__
KINDS: list[type[errors.StriateError]] = [getattr(errors, name) for name in errors.__all__]
COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {p}": lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)},
}


def said(error: Any) -> tuple[Any, ...]:
    system = (error.errno, error.strerror, error.filename) if isinstance(error, OSError) else ()
    return type(error), str(error), repr(error), error.args, error.__dict__, system


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_errors_survive(kind: type[errors.StriateError], duplicate: Callable[[Any], Any]) -> None:
    error = example(kind)
    error.add_note("a note")
    again = duplicate(error)
    assert again is not error
    assert said(again) == said(error)


@pytest.mark.parametrize("got", [threading.Lock(), lambda: None, object], ids=repr)
def test_an_argument_that_cannot_be_pickled_is_shown(got: object) -> None:
    error = errors.InvalidArgumentError("offset", "an int", got)
    assert copy.copy(error).got is got
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.got in (got, repr(got)[:100])


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES.keys())
def test_a_log_is_not_copied(log_path: Path, duplicate: Callable[[Any], Any]) -> None:
    with Log(log_path) as log:
        log.append(b"value", b"key")
        with pytest.raises(errors.InvalidTypeError, match="path can be opened"):
            duplicate(log)
        assert duplicate(log.read(0)) == log.read(0), "its records are"
