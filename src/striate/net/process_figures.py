"""What the process knows of itself: memory, processor time."""

from __future__ import annotations

import os
import resource
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def process_figures() -> dict[str, int | float]:
    """``pid``, resident memory now and at most, the machine's, processor time of the process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    return {
        "pid": os.getpid(),
        "memory_bytes": resident,
        "peak_bytes": max(usage.ru_maxrss * 1024, resident),
        "machine_bytes": os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES,
        "user_s": usage.ru_utime,
        "system_s": usage.ru_stime,
    }
