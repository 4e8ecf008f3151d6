"""What a damaged log may and may not do.

Run as a program it tries a share of the cases, so that a crash of the process is seen and named by the
test: `python -m support.corruption BASES NAME WORK SHARE SHARES LIMIT SEED`; problems come as lines on
stdout, the case in hand stands in WORK.case.
"""

from __future__ import annotations

import gc
import os
import pickle
import random
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
from striate._native.simulation import ThreadlessDisk
from striate.storage.check import repair
from support import format as fmt
from support.damage import Base, Case, cases, payload_bits
from support.model import Entry, held

DISK = ThreadlessDisk()
OPTIONS: dict[str, Any] = {"segment_bytes": 4096, "durability": "process", "_disk": DISK}
HELPERS = ("live", "lock", "reserve")  # carry nothing of the log


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
            if got != base.records.get(offset) or record.offset != offset:
                raise FindingError(f"offset {offset} reads as {record.offset}, {got!r:.80}")
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
        log = Log(path, mode="r", _disk=DISK)
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
        with Log(path, mode="r", _disk=DISK) as log:
            corrupt, absent = read_all(log, base)
            readable = set(base.records) - set(corrupt) - set(absent)
    except StriateError:
        pass
    try:
        report = repair(path, DISK)
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


def judge_payloads(path: Path, base: Base) -> Iterator[str]:
    """Flip every bit of every payload under an open reader: the record raises, and reads again when it is mended."""
    put(path, base, Case(""))
    files = {name: os.open(path / name, os.O_RDWR) for name in base.payloads}
    with Log(path, mode="r", _disk=DISK) as log:
        for offset, case in payload_bits(base):
            place, mask = case.bit >> 3, 1 << (case.bit & 7)
            byte = base.files[case.file][place]
            os.pwrite(files[case.file], bytes((byte ^ mask,)), place)
            try:
                yield f"{case!r}: read {log.read(offset).value!r:.80}"
            except CorruptError:
                pass
            os.pwrite(files[case.file], bytes((byte,)), place)
        claim(read_all(log, base) == ({}, []), "what was mended is not whole")
    for file in files.values():
        os.close(file)


# ---------------------------------------------------------------- the program


def put(path: Path, base: Base, case: Case) -> None:
    """Write the damaged directory."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for name, data in base.files.items():
        if name == "reserve" != case.file:  # large, never written to, and made anew when it is not there
            kept = path.with_suffix(".reserve")
            if not kept.exists():
                kept.write_bytes(data)
            os.link(kept, path / name)
            continue
        file = os.open(f"{path}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(file, case.damaged(data) if name == case.file else data)
        os.close(file)


def try_case(path: Path, base: Base, case: Case, number: int) -> None:
    """Judge a case; some of them also as a reader, which changes nothing, and after repair, which changes a lot."""
    put(path, base, case)
    if number % 5 == 0:
        judge_reader(path, base, case)
    if judge(path, base, case) and number % 3 == 0:
        put(path, base, case)
        judge_repair(path, base, case)


def main(bases: str, kind: str, work: str, share: str, shares: str, limit: str, seed: str) -> None:
    base: Base = pickle.loads(Path(bases, f"{kind}.pickle").read_bytes())
    chosen = list(cases(base))
    path = Path(work)
    if int(limit) < len(chosen):
        chosen = random.Random(int(seed)).sample(chosen, int(limit))
    elif share == "0":
        for problem in judge_payloads(path, base):
            print(f"{kind} {problem}", flush=True)
    chosen = chosen[int(share) :: int(shares)]
    progress = os.open(f"{work}.case", os.O_CREAT | os.O_WRONLY)
    gc.freeze()  # thousands of collections look at what a case has made and at nothing else
    for number, case in enumerate(chosen):
        os.pwrite(progress, f"{kind} {case!r}".ljust(120).encode(), 0)
        try:
            try_case(path, base, case, number)
        except Exception as error:
            place = " < ".join(f"{f.name}:{f.lineno}" for f in reversed(traceback.extract_tb(error.__traceback__)[-3:]))
            print(f"{kind} {case!r}: {type(error).__name__}: {error} [{place}]", flush=True)
    print(f"tried {len(chosen)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
