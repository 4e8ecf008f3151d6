"""What a type checker is told of the public interface."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def test_public_types(tmp_path: Path) -> None:
    config = tmp_path / "mypy.ini"  # not the repository's: a user has none
    config.write_text("[mypy]\nstrict = true\nwarn_unused_ignores = true\n")
    command = [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", tmp_path / "cache"]
    result = subprocess.run(
        [*command, HERE / "public_api.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
