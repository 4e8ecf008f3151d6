from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import striate
from striate.types import Durability


@pytest.fixture(params=["power", "process"])
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


@pytest.fixture
def db(tmp_path: Path, durability: Durability) -> Iterator[striate.Database]:
    with striate.open(tmp_path / "db", durability, segment_bytes=1 << 20, compaction_interval_s=None) as database:
        yield database


@pytest.fixture
def table(db: striate.Database) -> striate.Table[bytes]:
    return db.table("things")
