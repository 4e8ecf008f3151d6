"""Measure the bars of the database and print one table: ``python -m bench.database``.

A missed bar is reported, not an error: the exit code is 0 unless something breaks (1).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench import command, streams
from bench.databases import SMOKE_DATABASE_SIZES, DatabaseSizes, cases, missing


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    # A server is not something that pip installs, so its absence is no failure.
    return command.run(
        "bench.database",
        __doc__,
        lambda small: cases(SMOKE_DATABASE_SIZES if small else DatabaseSizes()),
        missing(),
        streams.missing(),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
