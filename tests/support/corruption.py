"""Damaged logs: which bits and lengths to try, and what a damaged log may and may not do.

Run as a program it tries a share of the cases, so that a crash of the process is seen and named by the
test: `python -m support.corruption BASES NAME WORK SHARE SHARES LIMIT SEED`; problems come as lines on
stdout, the case in hand stands in WORK.case.
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from striate import (
    CorruptError,
    CorruptManifestError,
    CorruptSegmentError,
    DamagedLogError,
    Log,
    NotALogError,
    OffsetOutOfRangeError,
    StriateError,
    UnknownVersionError,
)
from striate.storage.check import repair
from support import format as fmt
from support.model import Entry, held

OPTIONS: dict[str, Any] = {"segment_bytes": 4096, "durability": "process"}
HELPERS = ("live", "lock", "reserve")  # carry nothing of the log


@dataclass
class Base:
    """An undamaged directory and what it holds."""

    files: dict[str, bytes]
    records: dict[int, Entry]
    low: int
    next: int
    last_group: int  # the first offset of the last append, which alone may pass for torn
    synced: bool  # every record was synced when it was acknowledged
    unsealed: int = 0  # base offset of the last segment, or `next` when it is sealed or was closed in order
    frames: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)  # store → offset, start, end
    steps: dict[str, int] = field(default_factory=dict)  # of which files only every so many bytes are damaged


class Case(NamedTuple):
    """Flip a bit of a file, or cut the file to a length."""

    file: str
    bit: int = -1
    length: int = -1

    def damaged(self, data: bytes) -> bytes:
        if self.length >= 0:
            return data[: self.length]
        changed = bytearray(data)
        changed[self.bit >> 3] ^= 1 << (self.bit & 7)
        return bytes(changed)


# ---------------------------------------------------------------- the undamaged logs


def make_base(path: Path, kind: str) -> Base:
    """Small logs of a few segments: closed, left by a kill in either mode, compacted, of fixed length."""
    shape: dict[str, Any] = {"record_size": 40} if kind == "fixed" else {}
    durability = "power" if kind in ("power", "fixed") else "process"
    log = Log(path, segment_bytes=4096, durability=durability, sync_interval_ms=3_600_000, initial_offset=3, **shape)
    keys = 4 if kind == "compacted" else 50
    count = 0
    while len(log.segments()) < (6 if kind == "compacted" else 3):
        count += 1
        value = b"%d." % count * 60
        log.append(*([value[:40]] if shape else [value[: 100 + count], b"key-%d" % (count % keys)]))
    if kind == "compacted":
        log.append_tombstone(b"key-1")
        log.compact()
    for count in range(4):
        log.append(*([b"%040d" % count] if shape else [b"last %d " % count * 9]))
    if kind == "process":
        log.sync()
        log.append(b"not synced " * 5)
    last = log.append_many([b"%040d" % part for part in range(3)]).start
    base = Base({}, held(log), log.lowest_offset, log.next_offset, last, durability == "power")
    base.unsealed = log.segments()[-1].base_offset
    kept = path
    if kind in ("power", "process", "fixed"):
        kept = path.with_name(f"{path.name}-killed")
        shutil.copytree(path, kept)
    log.close()
    if kept == path:
        base.unsealed = base.next
    base.files = {file.name: file.read_bytes() for file in kept.iterdir()}
    for name, data in base.files.items():
        if name.endswith(".store"):
            store = fmt.decode_store(data)
            base.frames[name] = [
                (store.header.base_offset + f.relative_offset, f.position, f.position + f.size_bytes)
                for f in store.frames
            ]
    stores = sorted(base.frames)
    if kind != "closed":
        base.steps = dict.fromkeys(stores[0 if kind == "power" else 1 : -1], 5)
    else:
        base.steps = {stores[1]: 5}
    return base


KINDS = ["closed", "power", "process", "compacted", "fixed"]


def cases(base: Base) -> Iterator[Case]:
    """Every bit and every length; of long runs of zeros one bit in 16 bytes, and one length in 16.

    Where another kind has a segment of the same state and shape, a part of its bytes.
    """
    for name, data in sorted(base.files.items()):
        step = 512 if name == "reserve" else base.steps.get(name, 1)
        for position in range(0, len(data), step):
            around = data[max(0, position - 16) : position + 17]
            if any(around):
                yield Case(name, length=position)
                for bit in range(8):
                    yield Case(name, bit=position * 8 + bit)
            elif position // step % 16 == 0:
                yield Case(name, length=position)
                yield Case(name, bit=position * 8 + position // 16 % 8)


# ---------------------------------------------------------------- judging


class FindingError(AssertionError):
    """What a damaged log got wrong."""


def claim(condition: object, words: str) -> None:
    if not condition:
        raise FindingError(words)


def opening_may_fail(base: Base, case: Case, error: StriateError) -> bool:
    """Whether this damage may keep a log from being opened: never damage of a frame or of derived data."""
    if case.file == "manifest":
        return isinstance(error, CorruptManifestError | UnknownVersionError | NotALogError)
    if case.file.endswith(".store"):
        if not isinstance(error, CorruptSegmentError | UnknownVersionError):
            return False
        in_frame = any(start <= case.bit >> 3 < end for _, start, end in base.frames[case.file])
        return case.length >= 0 or not in_frame
    return False


def touched(base: Base, case: Case) -> set[int]:
    """Offsets of the records whose bytes are damaged; all of a segment when its header is."""
    if not case.file.endswith(".store"):
        return set()
    frames = base.frames[case.file]
    place = case.length if case.length >= 0 else case.bit >> 3
    if place < fmt.HEADER_BYTES:
        return {offset for offset, _, _ in frames}
    if case.length >= 0:
        return {offset for offset, _, end in frames if end > case.length}
    return {offset for offset, start, end in frames if start <= place < end}


def read_all(log: Any, base: Base) -> tuple[dict[int, CorruptError], list[int]]:
    """Offsets that raise CorruptError and offsets that are absent; any wrong byte is a finding."""
    corrupt: dict[int, CorruptError] = {}
    absent = []
    for offset in range(base.low, base.next):
        try:
            record = log.read(offset)
        except CorruptError as error:
            corrupt[offset] = error
        except OffsetOutOfRangeError:
            if offset in base.records:
                absent.append(offset)
        else:
            got = Entry(record.key, record.value, record.is_tombstone)
            claim(got == base.records.get(offset), f"offset {offset} reads {got!r:.80}")
            claim(record.offset == offset, f"offset {offset} reads as {record.offset}")
    claim(log.next_offset <= base.next, f"the log grew to {log.next_offset}")
    claim(log.lowest_offset == base.low, f"the lowest offset is {log.lowest_offset}")
    try:
        scanned = held(log)
    except CorruptError:
        claim(corrupt, "a scan meets damage that reads do not")
    else:
        wanted = {o: entry for o, entry in base.records.items() if o not in corrupt and o not in absent}
        claim(scanned == wanted, "a scan differs from reads")
        claim(not corrupt, "a scan passes over damage")
    return corrupt, absent


def judge(path: Path, base: Base, case: Case) -> bool:
    """Open, read and verify a damaged log; True when something of it cannot be used."""
    try:
        log = Log(path, **OPTIONS)
    except StriateError as error:
        claim(opening_may_fail(base, case, error), f"cannot be opened: {error!r:.200}")
        return True
    with log:
        corrupt, absent = read_all(log, base)
        damaged = touched(base, case)
        claim(set(corrupt) - gaps(base) <= damaged, f"undamaged records are corrupt: {sorted(corrupt)[:5]}")
        check_absent(log, base, case, absent)
        report = log.verify()
        claim(not (corrupt and report.ok), "verify finds nothing although reads raise")
        try:
            end = log.append(*([b"x" * 40] if log.record_size else [b"appended", b"key"]))
        except DamagedLogError:
            claim(corrupt or not report.ok, "appends are refused without damage")
        else:
            in_tail = [offset for offset in corrupt if offset >= base.unsealed]
            claim(not in_tail, f"appends go on behind damage in the unsealed tail: {in_tail}")
            claim(log.read(end).value in (b"appended", b"x" * 40), "the appended record")
        claim({o: log.read(o).value for o in base.records if o not in corrupt and o not in absent}, "all gone")
    return bool(corrupt or not report.ok)


def gaps(base: Base) -> set[int]:
    return set(range(base.low, base.next)) - set(base.records)


def check_absent(log: Any, base: Base, case: Case, absent: list[int]) -> None:
    """Records may be missing from the end of the unsealed tail alone, damaged ones first, and reported."""
    if not absent:
        return
    claim(absent == list(range(absent[0], base.next)), f"missing in the middle: {absent[:5]}")
    claim(absent[0] >= base.unsealed, f"missing from a sealed segment: {absent[:5]}")
    claim(touched(base, case) & set(absent), f"undamaged but gone: {absent[:5]}")
    if case.bit >= 0 and base.synced:
        claim(absent[0] >= base.last_group, f"synced records are gone: {absent[:5]}")
    on_boundary = case.length in [start for _, start, _ in base.frames.get(case.file, [])]
    if not on_boundary:  # a cut between frames cannot be told from a log that ends there
        claim(reported(log), f"gone without a word: {absent[:5]}")


def reported(log: Any) -> bool:
    """Whether opening told of anything."""
    recovery = log.recovery
    verdicts = {segment.verdict for segment in recovery.segments}
    return bool(recovery.problems or recovery.set_aside_bytes or verdicts - {"clean", "sealed"})


def judge_reader(path: Path, base: Base, case: Case) -> None:
    """A reader never sees wrong bytes either, and changes nothing."""
    try:
        log = Log(path, mode="r")
    except StriateError as error:
        claim(opening_may_fail(base, case, error), f"a reader cannot open it: {error!r:.200}")
        return
    with log:
        corrupt, absent = read_all(log, base)
        claim(set(corrupt) - gaps(base) <= touched(base, case), "a reader meets undamaged records as corrupt")
        claim(all(offset >= base.unsealed for offset in absent), f"a reader misses {absent[:5]}")
        log.verify()


def judge_repair(path: Path, base: Base, case: Case) -> None:
    """After repair everything that could be read can still be read, nothing is wrong, and appends work."""
    readable: set[int] = set()
    try:
        with Log(path, mode="r") as log:
            corrupt, absent = read_all(log, base)
            readable = set(base.records) - set(corrupt) - set(absent)
    except StriateError:
        pass
    try:
        report = repair(path)
    except UnknownVersionError:
        claim(32 <= case.bit < 48, "repair takes it for another version")  # the field, flipped: who can tell
        return
    except StriateError as error:
        claim(case.file == "manifest", f"repair gives up: {error!r:.200}")
        return
    with Log(path, **OPTIONS) as log:
        after = held(log)
        claim(after.items() <= base.records.items(), "repair changed records")
        claim(readable <= set(after), f"repair lost {sorted(readable - set(after))[:5]}")
        claim(report.records_kept == len(after), f"{report.records_kept} kept, {len(after)} there")
        end = log.append(*([b"x" * 40] if log.record_size else [b"appended", b"key"]))
        claim(end >= max(after, default=0), "the next offset went back")
        claim(log.verify().ok, "verify after repair")
    with Log(path, **OPTIONS) as log:
        claim(len(held(log)) == len(after) + 1, "reopening after repair")


# ---------------------------------------------------------------- the program


def put(path: Path, base: Base, case: Case) -> None:
    """Write the damaged directory."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for name, data in base.files.items():
        if name == case.file:
            (path / name).write_bytes(case.damaged(data))
        elif name == "reserve":  # large, never written to, and made anew when it is not there
            kept = path.with_suffix(".reserve")
            if not kept.exists():
                kept.write_bytes(data)
            os.link(kept, path / name)
        else:
            (path / name).write_bytes(data)


def main(bases: str, kind: str, work: str, share: str, shares: str, limit: str, seed: str) -> None:
    base: Base = pickle.loads(Path(bases, f"{kind}.pickle").read_bytes())
    chosen = list(cases(base))
    if int(limit) < len(chosen):
        chosen = random.Random(int(seed)).sample(chosen, int(limit))
    chosen = chosen[int(share) :: int(shares)]
    path = Path(work)
    progress = os.open(f"{work}.case", os.O_CREAT | os.O_WRONLY)
    for number, case in enumerate(chosen):
        os.pwrite(progress, f"{kind} {case!r}".ljust(120).encode(), 0)
        try:
            put(path, base, case)
            damaged = judge(path, base, case)
            if number % 5 == 0:
                put(path, base, case)
                judge_reader(path, base, case)
            if damaged and number % 3 == 0:
                put(path, base, case)
                judge_repair(path, base, case)
        except Exception as error:
            place = " < ".join(f"{f.name}:{f.lineno}" for f in reversed(traceback.extract_tb(error.__traceback__)[-3:]))
            print(f"{kind} {case!r}: {type(error).__name__}: {error} [{place}]", flush=True)
    print(f"tried {len(chosen)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
