"""Real power cuts and full disks on a loop-mounted ext4, in a mount namespace (support.power does the work).

FS_IOC_SHUTDOWN without a flush of the journal throws away what was not synced; it makes no torn sectors,
for which the simulated disk is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.child import TESTS
from support.power import SCENARIOS


def why_not() -> str:
    """What is missing for mounting a file system here, or an empty string."""
    if os.geteuid() != 0:
        return "needs root"
    for tool in ("mkfs.ext4", "e2fsck", "unshare", "mount"):
        if shutil.which(tool) is None:
            return f"needs {tool}"
    if not Path("/dev/loop-control").exists():
        return "needs loop devices"
    probe = subprocess.run(["unshare", "-m", "losetup", "-f"], capture_output=True, text=True, check=False)
    return "" if probe.returncode == 0 else f"needs a free loop device: {probe.stderr.strip()}"


@pytest.mark.power
@pytest.mark.timeout(280)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(tmp_path: Path, seed: int, scenario: str) -> None:
    if reason := why_not():
        pytest.skip(reason)
    result = subprocess.run(
        ["unshare", "-m", sys.executable, "-m", "support.power", scenario, str(tmp_path), str(seed)],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(TESTS), PYTHONFAULTHANDLER="1"),
        check=False,
    )
    print(result.stdout)
    assert result.returncode == 0, result.stderr[-6000:]
