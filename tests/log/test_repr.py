"""repr never raises, waits or reads the disk: debuggers, loggers and tracebacks ask for it in any state."""

from __future__ import annotations

import asyncio
import errno
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from support.child import run_child

from striate import AsyncLog, InvalidArgumentError, InvalidTypeError, Log, Record, RecordBatch, RecordBatches
from striate._native.simulation import SimulatedDisk
from striate.errors import SyncFailedError


def test_states(log_path: Path) -> None:
    log = Log(log_path, durability="process")
    log.append_many([b"a", b"b"])
    assert repr(log) == f"<striate.Log {str(log_path)!r} offsets 0 to 2>"
    log.close()
    assert repr(log) == f"<striate.Log {str(log_path)!r} closed>"


def test_asyncio(log_path: Path) -> None:
    async def main() -> None:
        log = AsyncLog(log_path)
        assert repr(log) == "<striate.AsyncLog not open>"
        async with log:
            assert repr(log) == f"<striate.AsyncLog {str(log_path)!r} offsets 0 to 0>"
        assert repr(log) == f"<striate.AsyncLog {str(log_path)!r} closed>"

    asyncio.run(main())


def test_failed(log_path: Path) -> None:
    disk = SimulatedDisk()
    log = Log(log_path, _disk=disk)
    log.append(b"value")
    disk.fail("sync", errno=errno.EIO)
    with pytest.raises(SyncFailedError):
        log.append(b"lost")
    assert repr(log).startswith("<striate.Log ")
    log.close()
    assert repr(log).endswith(" closed>")


def test_damaged(log_path: Path) -> None:
    with Log(log_path, durability="process") as log:
        log.append(b"value")
    store = next(log_path.glob("*.store"))
    store.write_bytes(b"")
    with Log(log_path) as log:
        assert log.recovery.problems
        assert repr(log).startswith("<striate.Log ")


@pytest.mark.parametrize("mode", ["a", "r"])
def test_when_the_directory_is_gone(log_path: Path, mode: str) -> None:
    with Log(log_path, durability="process") as log:
        log.append(b"value")
        shown = Log(log_path, mode="r") if mode == "r" else log
        log.truncate_after(-1)  # a reader would have to load the manifest anew
        shutil.rmtree(log_path)
        assert repr(shown).startswith("<striate.Log ")
        log_path.mkdir()  # for what close() writes
        if mode == "r":
            shown.close()


def test_while_another_thread_changes_the_log(log_path: Path) -> None:
    with Log(log_path, durability="process") as log, Log(log_path, mode="r") as reader:
        log.append(b"value")
        log.truncate_after(-1)
        with reader._admin, log._admin:
            shown: list[str] = []
            thread = threading.Thread(target=lambda: shown.extend((repr(log), repr(reader))), daemon=True)
            thread.start()
            thread.join(10)
            assert len(shown) == 2


FORKED = """
from striate import AsyncLog, Log
import asyncio
log = Log(path, durability="process")
log.append(b"value")
async def opened(): return await AsyncLog.open(path + "2")
runner = asyncio.Runner()
alog = runner.run(opened())
objects = [log, alog, log.read_batch(), log.batches(), log.read(0), log.scan(), log.follow(), log.recovery]
pid = os.fork()
if pid == 0:
    for each in objects: say(repr(each))
    os._exit(0)
os.waitpid(pid, 0)
runner.run(alog.close())
log.close()
runner.close()
"""


def test_in_a_forked_child(log_path: Path) -> None:
    said = run_child(FORKED, log_path)
    assert said[:2] == [
        f"<striate.Log {str(log_path)!r} of the parent process>",
        f"<striate.AsyncLog {str(log_path) + '2'!r} of the parent process>",
    ]
    assert len(said) == 8


@pytest.mark.parametrize("kind", [Log, AsyncLog, Record, RecordBatch, RecordBatches])
def test_half_made(kind: type) -> None:
    """What a debugger sees in the frame of an __init__ that raised."""
    try:
        made = kind.__new__(kind)
    except TypeError:
        return
    assert kind.__name__ in repr(made)


@pytest.mark.parametrize("options", [{"durability": "x"}, {"mode": "r"}])
def test_a_log_whose_making_failed(log_path: Path, options: dict[str, Any]) -> None:
    made: list[Log] = []

    class Kept(Log):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            made.append(self)
            super().__init__(*arguments, **options)

    with pytest.raises(Exception, match=r"durability|no log"):
        Kept(log_path, **options)
    assert repr(made[0]).endswith(" closed>")


def test_errors_show_any_value() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise KeyError("no")

    for value in (10**5000, Rude(), "long" * 1000):
        error = InvalidArgumentError("offset", "an offset", value)
        assert len(str(error)) < 200
        assert error.got is value
    assert str(InvalidTypeError("value", "bytes", type(Rude())))
