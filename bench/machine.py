"""What the figures were measured on: they mean nothing without it."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("striate", "lmdb", "rocksdict", "numpy", "uvloop")
_IN_MEMORY = {"tmpfs", "ramfs"}


def machine(directory: Path) -> dict[str, str]:
    """Processor, memory, kernel, disk under ``directory``, versions and the load of the moment."""
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": f"{_cpu_model()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory_gib:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "disk": " on ".join(reversed(_mount(directory))),
        "python": f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})",
        "packages": ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
        "load": f"{os.getloadavg()[0]:.2f} over the last minute",
    }


def in_memory(directory: Path) -> bool:
    """Whether ``directory`` lies on a file system without a disk, where nothing here would mean anything."""
    return _mount(directory)[1] in _IN_MEMORY


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


def _mount(directory: Path) -> tuple[str, str]:
    """Device and type of the file system that holds ``directory``."""
    path = directory.resolve()
    best = ("unknown", "unknown")
    best_length = -1
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, mount_point, kind = line.split()[:3]
        if path.is_relative_to(mount_point) and len(mount_point) >= best_length:
            best, best_length = (device, kind), len(mount_point)
    return best


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
