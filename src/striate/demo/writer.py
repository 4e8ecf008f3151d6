"""The writer process of the demo, which gets killed: ``python -m striate.demo.writer PATH STOP EVERY BYTES``.

It appends the first STOP lines one by one and, every EVERY lines, tells stdout (eight bytes, little-endian)
how many appends have returned by then. After the last it waits for its end: killed, or stdin closed because
the parent is gone.
"""

from __future__ import annotations

import os
import struct
import sys
from itertools import islice

from striate import Log
from striate.demo.source import list_modules, read_lines

REPORT = struct.Struct("<Q")


def write(path: str, stop: int, every: int, segment_bytes: int) -> None:
    """Append the lines and report; returns only when stdin is closed."""
    with Log(path, durability="process", segment_bytes=segment_bytes) as log:
        acknowledged = 0
        for key, line in islice(read_lines(list_modules()), stop):
            acknowledged = log.append(line, key) + 1
            if acknowledged % every == 0:
                os.write(1, REPORT.pack(acknowledged))
        os.write(1, REPORT.pack(acknowledged))
        sys.stdin.buffer.read()


def main() -> int:
    """Run with the arguments of this process; an error becomes one line on stderr."""
    try:
        write(sys.argv[1], *map(int, sys.argv[2:5]))
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
