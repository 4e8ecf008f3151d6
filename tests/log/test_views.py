"""Views pin their segment: right through truncation, compaction and close, and let go afterwards."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from striate import Log

Opener = Callable[..., Any]

COUNT = 150
FIRST = 1000


def value_of(offset: int) -> bytes:
    return b"%d|" % offset * (offset % 17)


@pytest.fixture
def log(open_log: Opener) -> Any:
    """150 records from offset 1000 on, in several segments."""
    made = open_log(initial_offset=FIRST)
    for offset in range(FIRST, FIRST + COUNT):
        made.append(value_of(offset), b"key-%d" % (offset % 40))
    assert len(made.segments()) > 2
    return made


ENDINGS: dict[str, Callable[[Any], Any]] = {
    "truncate_before": lambda log: log.truncate_before(log.next_offset),
    "truncate_after": lambda log: log.truncate_after(log.lowest_offset - 1),
    "reset": lambda log: log.reset(),
    "retain": lambda log: log.retain(max_bytes=0),
    "compact": lambda log: log.compact(tombstone_grace=0),
    "close": lambda log: log.close(),
}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS.keys())
def test_views_pin_their_segment(log: Any, ending: Callable[[Any], Any]) -> None:
    views = {offset: log.view(offset) for offset in range(FIRST, FIRST + COUNT)}
    ending(log)
    if not log.closed:
        for number in range(200):
            log.append(b"overwrites?" * (number % 9))
        log.close()
    gc.collect()
    for offset, view in views.items():
        assert view == value_of(offset)
        assert bytes(view) == value_of(offset)


def test_views_are_read_only(log: Any) -> None:
    view = log.view(FIRST + 5)
    assert isinstance(view, memoryview)
    assert view.readonly
    assert (view.format, view.itemsize, view.ndim) == ("B", 1, 1)
    with pytest.raises(TypeError):
        view[0] = 0
    with pytest.raises(ValueError, match=r"read-only|writable|WRITEABLE"):
        np.frombuffer(view, np.uint8).flags.writeable = True


def test_views_of_views_and_released_views(log: Any) -> None:
    view = log.view(FIRST + 16)
    part = view[1:5]
    view.release()
    log.close()
    gc.collect()
    assert part == value_of(FIRST + 16)[1:5]
    array = np.frombuffer(part, np.uint8)
    del part
    gc.collect()
    assert array.tobytes() == value_of(FIRST + 16)[1:5]


def test_a_pinned_segment_is_let_go(tmp_path: Path) -> None:
    """The mapping of a dropped segment lives as long as its views, and no longer."""
    log = Log(tmp_path / "log", segment_bytes=4096, durability="process")
    for number in range(200):
        log.append(b"%d" % number * 30)
    views = [log.view(offset) for offset in range(0, 200, 10)]
    log.reset()
    assert deleted_mappings(tmp_path) > 0
    assert [bytes(view) for view in views] == [b"%d" % number * 30 for number in range(0, 200, 10)]
    views.clear()
    gc.collect()
    assert deleted_mappings(tmp_path) == 0
    log.close()
    del log
    gc.collect()
    assert not [line for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line]


def deleted_mappings(under: Path) -> int:
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sum(str(under) in line and line.endswith("(deleted)") and ".store" in line for line in lines)


def test_open_files_stay_few(tmp_path: Path) -> None:
    """A log of hundreds of segments does not hold hundreds of file descriptors for reading."""
    fds = Path("/proc/self/fd")
    before = len(list(fds.iterdir()))
    with Log(tmp_path / "log", segment_bytes=4096, durability="process") as log:
        for _ in range(60):
            log.append_many([b"x" * 900] * 5)
        assert len(log.segments()) > 50
        assert len(list(fds.iterdir())) - before < 250
    assert len(list(fds.iterdir())) <= before
