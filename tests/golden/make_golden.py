"""Fixed inputs whose files are kept in tests/golden/v1; clock, ids and syncs leave nothing to chance.

`python tests/golden/make_golden.py` writes the files that are missing and changes none that is there: the
format is frozen, and bytes that differ need another version number, not another golden file.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

GOLDEN = Path(__file__).resolve().parent / "v1"
NOT_KEPT = {"live", "lock", "reserve", "checkpoint"}  # nothing of the log is in them after an orderly close
BEGIN_US = 1_700_000_000_000_000


class Clock:
    """Microseconds that move when they are told to."""

    def __init__(self) -> None:
        self.now = BEGIN_US

    def __call__(self) -> int:
        return self.now

    def pass_by(self, microseconds: int) -> None:
        self.now += microseconds


def ids() -> Iterator[int]:
    """What random numbers are here: 64 bits, all different, each byte in use."""
    number = 0x0123456789ABCDEF
    while True:
        yield number
        number = (number * 6364136223846793005 + 1442695040888963407) % 2**64


@contextmanager
def fixed_ids() -> Iterator[None]:
    numbers = ids()
    with mock.patch("secrets.randbits", side_effect=lambda _: next(numbers)):
        yield


# ---------------------------------------------------------------- the logs


def plain(path: Path, clock: Clock) -> None:
    """Every form of key and value, a batch, a tombstone, a sync in between, and a roll."""
    from striate import Log

    options: dict[str, Any] = {"durability": "process", "segment_bytes": 4096, "sync_interval_ms": 3_600_000}
    with Log(path, initial_offset=7, clock=clock, **options) as log:
        log.append(b"value without a key")
        clock.pass_by(1)
        log.append(b"value", b"key")
        log.append(b"", b"key of an empty value")
        log.append(b"value of an empty key", b"")
        log.append(b"")
        clock.pass_by(1_000_000)
        log.append_many([b"first", b"second", b"the third"], [None, b"key", b""])
        log.append_tombstone(b"key")
        log.sync()
        log.append(b"after a sync")
        clock.pass_by(-5_000_000)
        log.append(b"the clock went back")
        clock.pass_by(60_000_000)
        log.append_many([bytes([number]) * 500 for number in range(7)])
        log.append(b"last")


def durable(path: Path, clock: Clock) -> None:
    """Each append synced before the next: the marks of that, and high offsets."""
    from striate import Log

    with Log(path, initial_offset=2**40, segment_bytes=4096, clock=clock, sync_interval_ms=3_600_000) as log:
        for number in range(5):
            log.append(b"durable %d" % number, b"k%d" % number)
            clock.pass_by(1000)
        log.append_many([b"in", b"one", b"batch"])
        log.append(b"end")


def fixed(path: Path, clock: Clock) -> None:
    """Records of one length: a sync position in each frame, no index."""
    from striate import Log

    with Log(path, record_size=12, segment_bytes=4096, clock=clock, sync_interval_ms=3_600_000) as log:
        for number in range(4):
            log.append(b"record %05d" % number)
            clock.pass_by(10)
        log.append_many([b"record %05d" % number for number in range(4, 9)])


def compacted(path: Path, clock: Clock) -> None:
    """Gaps, a tombstone that is kept and one that is not, keyless records, merged segments."""
    from striate import Log

    options: dict[str, Any] = {"durability": "process", "segment_bytes": 4096, "sync_interval_ms": 3_600_000}
    with Log(path, clock=clock, **options) as log:
        log.append_tombstone(b"gone long ago")
        clock.pass_by(200_000_000)
        for number in range(90):
            log.append(b"%d " % number * 20, b"key-%d" % (number % 4) if number % 15 else None)
            clock.pass_by(100)
        log.append_tombstone(b"key-2")
        log.append(b"x" * 3900)
        log.append(b"z")
        log.truncate_after(log.next_offset - 3)
        log.append(b"behind the cut", b"key-1")
        log.compact(tombstone_grace=100)


def truncated(path: Path, clock: Clock) -> None:
    """Cut at both ends within a segment: the lowest offset in the manifest, and a revised file."""
    from striate import Log

    with Log(path, segment_bytes=4096, clock=clock, sync_interval_ms=3_600_000) as log:
        for number in range(12):
            log.append(b"record %d" % number)
            clock.pass_by(7)
        log.truncate_before(3)
        log.truncate_after(8)


LOGS: dict[str, Callable[[Path, Clock], None]] = {
    made.__name__: made for made in (plain, durable, fixed, compacted, truncated)
}


def build(name: str, path: Path) -> dict[str, bytes]:
    """Make a log at a path; give the bytes of the files that are kept."""
    with fixed_ids():
        LOGS[name](path, Clock())
    return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.name not in NOT_KEPT}


def rows_of(log: Any) -> list[list[Any]]:
    """Offset, time, key, value and kind of every record, as JSON takes them."""
    return [[r.offset, r.timestamp, None if r.key is None else r.key.hex(), r.value.hex(), int(r.kind)] for r in log]


def main() -> None:
    from striate import Log

    listing = GOLDEN.parent / "records.json"
    records = json.loads(listing.read_text()) if listing.exists() else {}
    for name in LOGS:
        target = GOLDEN / name
        if target.exists():
            print(f"{name}: there already, left alone")
            continue
        with tempfile.TemporaryDirectory() as directory:
            files = build(name, Path(directory) / "log")
            with Log(Path(directory) / "log", mode="r") as log:
                ends = {"lowest_offset": log.lowest_offset, "next_offset": log.next_offset}
                records[name] = {**ends, "records": rows_of(log)}
        listing.write_text(json.dumps(records, indent=0) + "\n")
        target.mkdir(parents=True)
        for file, data in files.items():
            (target / file).write_bytes(data)
        print(f"{name}: {len(files)} files, {sum(map(len, files.values()))} bytes")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    main()
