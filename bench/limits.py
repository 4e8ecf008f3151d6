"""The bars that are fixed limits: time to reopen, memory of a scan, time to import."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

from bench.rounds import Bench, LimitCase, Sample, seconds_of
from bench.workload import BATCH_COUNT, make_writes

_REPOSITORY = Path(__file__).resolve().parent.parent
_GIB = 1 << 30
_MIB = 1 << 20


def _child(*arguments: str | Path) -> subprocess.Popen[str]:
    """Starts one of the jobs of :mod:`bench.children`; its standard output is JSON lines."""
    command = [sys.executable, "-m", "bench.children", *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=_REPOSITORY, stdin=pipe, stdout=pipe, text=True)


def _answer(child: subprocess.Popen[str]) -> dict[str, int]:
    """The next line of a child's answers."""
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise RuntimeError(f"a child process failed, see above: {child.args!r}")
    answer: dict[str, int] = json.loads(line)
    return answer


def _big_log(bench: Bench) -> Path:
    """A cleanly closed log of ``reopen_count`` records of 128 B."""

    def build(directory: Path) -> None:
        import striate

        bench.progress(f"filling a log with {bench.sizes.reopen_count:,} records")
        batch = make_writes(BATCH_COUNT, 128).values
        with striate.Log(directory / "log", durability="process") as log:
            for _ in range(bench.sizes.reopen_count // BATCH_COUNT):
                log.append_many(batch)

    return bench.once("big", build) / "log"


def _measure_reopen(bench: Bench, round_index: int) -> Sample:
    import striate

    path = _big_log(bench)
    opened: list[striate.Log] = []
    milliseconds = 1e3 * seconds_of(lambda: opened.append(striate.Log(path)))
    with opened[0] as log:
        if log.next_offset != bench.sizes.reopen_count:
            raise RuntimeError(f"the reopened log ends at {log.next_offset}, not {bench.sizes.reopen_count}")
        return Sample(milliseconds, bench.sizes.reopen_count)


def _measure_killed(bench: Bench, round_index: int) -> Sample:
    import striate

    segment_bytes = bench.sizes.killed_segment_bytes
    with bench.workspace.fresh() as directory:
        path = directory / "log"
        with _child("fill", path, str(bench.sizes.killed_count), str(segment_bytes)) as child:
            try:
                acknowledged_count = _answer(child)["record_count"]
            finally:
                child.kill()
        opened: list[striate.Log] = []
        seconds = seconds_of(lambda: opened.append(striate.Log(path, segment_bytes=segment_bytes)))
        with opened[0] as log:
            if log.next_offset < acknowledged_count:
                raise RuntimeError(f"of {acknowledged_count} acknowledged records {log.next_offset} are left")
            unsealed_bytes = sum(segment.size_bytes for segment in log.segments())
        return Sample(seconds / (unsealed_bytes / _GIB), seconds, unsealed_bytes / _GIB)


def _measure_memory(job: str, bench: Bench, round_index: int) -> Sample:
    with _child(job, _big_log(bench)) as child:
        answer = _answer(child)
    if answer["record_count"] != bench.sizes.reopen_count:
        raise RuntimeError(f"the scan found {answer['record_count']} records, not {bench.sizes.reopen_count}")
    return Sample(answer["growth_bytes"] / _MIB, answer["before_bytes"] / _MIB)


def _start_ms(statement: str, cwd: Path) -> float:
    command = [sys.executable, "-c", statement]
    return 1e3 * seconds_of(lambda: subprocess.run(command, cwd=cwd, check=True))


def _measure_import(bench: Bench, round_index: int) -> Sample:
    starts = [
        (_start_ms("import striate", bench.workspace.path), _start_ms("pass", bench.workspace.path))
        for _ in range(bench.sizes.import_repeat_count)
    ]
    with_import_ms, bare_ms = (min(column) for column in zip(*starts, strict=True))
    return Sample(with_import_ms - bare_ms, with_import_ms, bare_ms)


LIMIT_CASES = (
    LimitCase(
        name="reopen",
        title="reopen 10 M records after a clean close",
        subject_label="striate",
        amount_unit="records",
        unit="ms",
        at_most=10,
        measure=_measure_reopen,
    ),
    LimitCase(
        name="reopen_killed",
        title="reopen after SIGKILL, per GiB unsealed",
        subject_label="took",
        amount_unit="s",
        unit="s/GiB",
        at_most=1,
        measure=_measure_killed,
        peer_label="unsealed",
        peer_unit="GiB",
    ),
    *(
        LimitCase(
            name=name,
            title=f"memory: RssAnon growth, 10 M records by {call}",
            subject_label="before",
            amount_unit="MiB",
            unit="MiB",
            at_most=50,
            measure=partial(_measure_memory, job),
            single=True,
        )
        for name, call, job in (("memory", "scan", "scan"), ("memory_batches", "read_batch", "scan_batches"))
    ),
    LimitCase(
        name="import",
        title="`import striate`, interpreter start subtracted",
        subject_label="with import",
        amount_unit="ms",
        unit="ms",
        at_most=100,
        measure=_measure_import,
        peer_label="bare",
        peer_unit="ms",
    ),
)
"""In the order of the table. The titles name the full sizes; ``--smoke`` runs them smaller."""
