"""Rot: a bit of what was durable turns over. It has to be reported; nothing may be dropped without a word."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from striate._native.simulation import SimulatedDisk
from striate.errors import CorruptError, OffsetOutOfRangeError, UnknownVersionError
from striate.storage.log import Log

from .contents import Row
from .driver import Trace
from .explore import moments
from .model import Image
from .recording import scratch
from .state import BrokenPromiseError, CrashState


def flip_bit(image: Image, random: Random) -> tuple[Image, str]:
    """The image with one bit of one file of the log turned over, and where that was."""
    files = [name for name, (_, data) in image.files.items() if name.startswith("log/") and data]
    name = random.choice([name for name in files if not name.endswith((".broken", "live"))])
    size, data = image.files[name]
    place = random.randrange(len(data))
    spoilt = bytearray(data)
    spoilt[place] ^= 1 << random.randrange(8)
    return Image(image.directories, {**image.files, name: (size, bytes(spoilt))}), f"{name} byte {place}"


def check_rot(state: CrashState) -> str:
    """Open a log with rot in it; how it was noticed: "refused", "reported", "set aside" or "harmless".

    Raises:
        BrokenPromiseError: records were lost without a report, or are wrong.
    """
    with scratch() as root:
        state.image.write(root)
        disk = SimulatedDisk()
        disk.recording = False
        try:
            log = state.trace.log_class(f"{root}/log", _disk=disk, **state.trace.options)
        except (CorruptError, UnknownVersionError):
            return "refused"
        with log:
            return _judge(log, state)


def _judge(log: Log, state: CrashState) -> str:
    wanted = state.expectation.settled[0]
    unreadable, missing = _read_all(log, wanted.rows)
    report = log.recovery
    set_aside = bool(report.set_aside_bytes)
    if missing and not (report.problems or (set_aside and missing <= _last_batch(wanted.rows, wanted.ends))):
        raise BrokenPromiseError(f"dropped without a word: {sorted(missing)}, {report}")
    reported = bool(report.problems) or not log.verify().ok
    if unreadable and not reported:
        raise BrokenPromiseError(f"verify() has not found the rot in {sorted(unreadable)}")
    _scan(log, wanted.rows, bool(unreadable or missing))
    if missing or unreadable:
        return "reported" if reported else "set aside"
    return "reported" if reported else "harmless"


def _read_all(log: Log, rows: dict[int, Row]) -> tuple[set[int], set[int]]:
    unreadable, missing = set(), set()
    for offset, row in rows.items():
        try:
            record = log.read(offset)
        except CorruptError:
            unreadable.add(offset)
        except OffsetOutOfRangeError:
            missing.add(offset)
        else:
            if (record.value, record.key, int(record.kind)) != (row.value, row.key, row.kind):
                raise BrokenPromiseError(f"offset {offset} reads as {record}, appended was {row}")
    return unreadable, missing


def _last_batch(rows: dict[int, Row], ends: frozenset[int]) -> set[int]:
    start = sorted(ends)[-2] if len(ends) > 1 else 0
    return {offset for offset in rows if offset >= start}


def _scan(log: Log, rows: dict[int, Row], damaged: bool) -> None:
    seen = set()
    try:
        for record in log.scan():
            if record.value != rows[record.offset].value:
                raise BrokenPromiseError(f"a scan gives offset {record.offset} another value")
            seen.add(record.offset)
    except CorruptError:
        if not damaged:
            raise BrokenPromiseError("a scan stumbles over what read() can read") from None
    else:
        if seen != rows.keys() and not damaged:
            raise BrokenPromiseError(f"a scan passes over {sorted(rows.keys() - seen)}")


def rot_states(trace: Trace, count: int) -> Iterator[CrashState]:
    """The disk between two operations, intact but for a bit: so many places drawn from the whole trace."""
    random = Random(count)
    quiet = [moment for moment, _, expectation in moments(trace) if expectation.begun is None]
    for _ in range(count):
        wanted = random.choice(quiet[len(quiet) // 4 :])
        for moment, model, expectation in moments(trace):
            if moment == wanted:
                image, _ = flip_bit(model.running(), random)
                yield CrashState(trace, image, model, expectation, False)
                break
