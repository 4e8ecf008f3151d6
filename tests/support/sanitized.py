"""The C sources with a program of threads around them, built with sanitizers and run."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[2] / "native"
TABLE_SOURCES = "arena slab hashindex table eviction bounds wheel lifetime changes access bulk fork".split()


def check_sanitized(program: Path, sources: list[str], sanitizers: str, work: Path) -> None:
    """Build a program of tests/stress and run it with threads and steps: no data race, no byte out of place."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    built_program = work / "stress"
    files = [str(NATIVE / f"{name}.c") for name in sources]
    flags = ["-g", "-O1", "-std=gnu11", "-D_GNU_SOURCE", "-fno-strict-aliasing", f"-fsanitize={sanitizers}"]
    built = subprocess.run(
        [compiler, *flags, f"-I{NATIVE}", str(program), *files, "-lpthread", "-o", str(built_program)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "cannot find" in built.stderr:
        pytest.skip(f"the compiler has no {sanitizers} sanitizer")
    assert built.returncode == 0, built.stderr
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    ran = subprocess.run(
        [str(built_program), "8", "10000"], env=environment, capture_output=True, text=True, timeout=500, check=False
    )
    if "unexpected memory mapping" in ran.stderr:
        pytest.skip("this kernel's address space is too random for the sanitizer")
    assert (ran.returncode, ran.stdout) == (0, "done\n"), ran.stderr[-5000:]
