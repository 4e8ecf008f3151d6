"""The server beside Redis, in pairs: ``python -m bench.server``.

Both run on the first processor, the load (load.c, which is compiled here) on the second; each round measures one after
the other, and the ratio is the median of the rounds' ratios. Redis keeps nothing on disk, striate has ``process``
durability. Needs a C compiler, and ``redis-server`` for the other side.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_CONNECTIONS = 50
_KEYS = 100_000
_CASES = [(mode, pipeline) for mode in ("set", "get", "xadd", "xrange") for pipeline in (1, 16, 100)]


@dataclass(frozen=True)
class Rate:
    """What one run of the load printed."""

    requests_per_s: float
    p50_us: int
    p99_us: int


def compiled_load(directory: Path) -> Path:
    """The program of load.c."""
    program = directory / "load"
    source = Path(__file__).with_name("load.c")
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-o", program, source], check=True)
    return program


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def served(command: Sequence[str | Path], says: str) -> Iterator[None]:
    """A server on the first processor, from the line on in which it says that it listens."""
    process = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        while says not in (line := process.stdout.readline()):
            assert line, f"{command[0]} ended before it listened"
        yield
    finally:
        process.terminate()
        process.communicate()


def measure(load: Path, port: int, pipeline: int, seconds: float, mode: str) -> Rate:
    """One run of the load, on the second processor."""
    words = ["127.0.0.1", port, _CONNECTIONS, pipeline, seconds, _KEYS, mode]
    line = subprocess.run(
        ["taskset", "-c", "1", load, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    requests, took, p50, p99, _ = line.split()
    return Rate(int(requests) / float(took), int(p50), int(p99))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser("python -m bench.server", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--smoke", action="store_true", help="one short round, to see that it works")
    options = parser.parse_args(arguments)
    rounds, seconds = (1, 0.2) if options.smoke else (options.rounds, options.seconds)
    redis = shutil.which("redis-server")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        load = compiled_load(Path(name))
        ports = {"striate": _free_port()}
        serve = [sys.executable, "-m", "striate", "serve", "--data", f"{name}/data", "--durability", "process"]
        stack.enter_context(served([*serve, "--port", str(ports["striate"])], "serving"))
        if redis is not None:
            ports["redis"] = _free_port()
            volatile = [redis, "--port", str(ports["redis"]), "--save", "", "--appendonly", "no", "--dir", name]
            stack.enter_context(served(volatile, "Ready to accept"))
        print(f"| {_CONNECTIONS} connections, pipeline | requests/s | p99 µs | Redis requests/s | p99 µs | ratio |")
        print("|---|---|---|---|---|---|")
        for mode, pipeline in _CASES:
            found = [{who: measure(load, port, pipeline, seconds, mode) for who, port in ports.items()}
                     for _ in range(rounds)]  # fmt: skip
            print(_row(f"{mode.upper()}, {pipeline}", found), flush=True)
    return 0


def _row(case: str, rounds: list[dict[str, Rate]]) -> str:
    cells = [case]
    for who in rounds[0]:
        cells.append(f"{statistics.median(each[who].requests_per_s for each in rounds):,.0f}")
        cells.append(f"{statistics.median(each[who].p99_us for each in rounds):,.0f}")
    if "redis" in rounds[0]:
        pairs = [(each["striate"].requests_per_s, each["redis"].requests_per_s) for each in rounds]
        ratios = [ours / theirs for ours, theirs in pairs if theirs]
        cells.append(f"{statistics.median(ratios):.2f}" if ratios else "none was answered in time")
    else:
        cells.append("not measured: no redis-server | | ")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
