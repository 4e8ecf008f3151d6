"""Measure every bar of the cache and print one table: ``python -m bench.cache``. Hit ratios: ``python -m bench.hits``.

A missed bar is reported, not an error: the exit code is 0 unless something breaks (1).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from bench import command
from bench.caches import SMOKE_CACHE_SIZES, CacheSizes, cases, missing_cachebox


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    problems = [reason] if (reason := missing_cachebox()) else []
    return command.run(
        "bench.cache",
        __doc__,
        lambda small: cases(SMOKE_CACHE_SIZES if small else CacheSizes()),
        problems,
        (),
        arguments,
    )


if __name__ == "__main__":
    sys.exit(main())
