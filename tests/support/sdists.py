"""Other projects' own tests: read from their source distributions, nothing of them is kept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest


def unpacked_sdist(name: str, version: str, sha256: str, folder: Path) -> Path:
    """A source distribution from PyPI, unpacked in a folder. Skips where there is no network; never in CI."""
    in_ci = bool(os.environ.get("CI"))
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name]
    retries = [] if in_ci else ["--retries", "0"]
    # What runs this test with sanitizers would run pip with them, too.
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "PYTHONMALLOC")}
    done = subprocess.run(
        [*command, *retries, "--dest", str(folder), f"{name}=={version}"],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )
    if done.returncode != 0:
        assert not in_ci, done.stderr
        pytest.skip(f"{name} cannot be downloaded: {done.stderr.strip().splitlines()[-1]}")
    archive = folder / f"{name}-{version}.tar.gz"
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == sha256
    with tarfile.open(archive) as packed:
        packed.extraction_filter = lambda member, _: member  # its bytes are known; early 3.11 has no filters
        packed.extractall(folder)
    return folder / f"{name}-{version}"
