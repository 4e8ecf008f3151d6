"""Jobs of the limit cases that need a process of their own: one dies, one has its memory measured."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.workload import BATCH_COUNT, make_writes

if TYPE_CHECKING:
    import striate

_SAMPLE_EVERY_COUNT = 1 << 17
"""Records between two looks at the memory."""


def _anonymous_bytes() -> int:
    """Resident memory of this process without mapped files."""
    found = re.search(r"^RssAnon:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None, "this kernel does not report RssAnon"
    return int(found[1]) << 10


def _say(**answer: int) -> None:
    print(json.dumps(answer), flush=True)


def fill(path: Path, record_count: int, segment_bytes: int) -> None:
    """Append, say so, and wait to be killed with the segment unsealed."""
    import striate

    log = striate.Log(path, durability="process", segment_bytes=segment_bytes)
    batch = make_writes(BATCH_COUNT, 128).values
    for _ in range(record_count // BATCH_COUNT):
        log.append_many(batch)
    _say(record_count=log.next_offset)
    sys.stdin.read()  # the parent kills us; should it die first, this ends as well


def _visit_records(log: striate.Log) -> Iterator[int]:
    """Touch each value; now and then yields how many records were seen."""
    record_count = 0
    for record in log.scan():
        record.value  # noqa: B018
        record_count += 1
        if record_count % _SAMPLE_EVERY_COUNT == 0:
            yield record_count
    yield record_count


def _visit_batches(log: striate.Log) -> Iterator[int]:
    """Walk in columnar batches; yields how many records were seen after each."""
    offset, end = log.lowest_offset, log.next_offset
    record_count = 0
    while offset < end:
        batch = log.read_batch(offset)
        batch.lengths.sum()
        record_count += len(batch)
        offset = batch.next_offset
        yield record_count


def scan(path: Path, *, in_batches: bool) -> None:
    """Read the whole log and say by how much the memory grew."""
    import numpy  # noqa: F401 - so that its memory counts as "before"

    import striate

    with striate.Log(path, mode="r") as log:
        before_bytes = peak_bytes = _anonymous_bytes()
        record_count = 0
        for seen_count in _visit_batches(log) if in_batches else _visit_records(log):
            record_count = seen_count
            peak_bytes = max(peak_bytes, _anonymous_bytes())
    _say(record_count=record_count, before_bytes=before_bytes, growth_bytes=peak_bytes - before_bytes)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.children", description=__doc__)
    jobs = parser.add_subparsers(dest="job", required=True)
    fill_parser = jobs.add_parser("fill")
    fill_parser.add_argument("path", type=Path)
    fill_parser.add_argument("record_count", type=int)
    fill_parser.add_argument("segment_bytes", type=int)
    for job in ("scan", "scan_batches"):
        jobs.add_parser(job).add_argument("path", type=Path)
    options = parser.parse_args()
    if options.job == "fill":
        fill(options.path, options.record_count, options.segment_bytes)
    else:
        scan(options.path, in_batches=options.job == "scan_batches")


if __name__ == "__main__":
    main()
