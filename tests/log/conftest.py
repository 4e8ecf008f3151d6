"""Tests of the log run in memory where the machine has it: syncs are what they would wait for."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def tmp_path(fast_path: Path) -> Path:
    """As pytest's, but in memory; tests of durability use the disk."""
    return fast_path
