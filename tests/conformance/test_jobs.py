"""Programs that are made for Redis: Django's own tests of its cache, taskiq's queue, redis-benchmark."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from support.sdists import unpacked_sdist

from tests.net.conftest import Served

pytestmark = pytest.mark.conformance

DJANGO = "5.2.19"
DJANGO_SHA256 = "ad03d8abc51dbff95ebf34b27123cf0c26a3b62db7ba0cd520783686362533d1"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    served = Served(tmp_path / "db")
    yield served.port
    assert served.stop() == ""


def test_what_django_tests_of_its_cache(port: int, tmp_path: Path) -> None:
    source = unpacked_sdist("django", DJANGO, DJANGO_SHA256, tmp_path)
    (tmp_path / "cache_settings.py").write_text(
        f"""
DATABASES = {{name: {{"ENGINE": "django.db.backends.sqlite3"}} for name in ("default", "other")}}
SECRET_KEY, USE_TZ = "none", False
LOCATION = "redis://127.0.0.1:{port}/5"
CACHES = {{"default": {{"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": LOCATION}}}}
"""
    )
    done = subprocess.run(
        [sys.executable, "runtests.py", "--settings=cache_settings", "--parallel=1", "cache.tests.RedisCacheTests"],
        check=False,
        cwd=source / "tests",
        env=os.environ | {"PYTHONPATH": f"{source}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    count = re.search(r"Ran (\d+) tests", done.stderr)
    assert count is not None and int(count[1]) > 50


def test_taskiq_runs_tasks_from_a_stream(port: int) -> None:
    program = Path(__file__).with_name("taskiq_job.py")
    command = [sys.executable, str(program), f"redis://127.0.0.1:{port}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    with redis.Redis(port=port) as client:
        (group,) = client.xinfo_groups("taskiq")
        assert group["entries-read"] == 20 and group["pending"] == group["lag"] == 0


@pytest.mark.parametrize("options", [[], ["-P", "16"], ["-3"]], ids=["plain", "pipelined", "RESP3"])
def test_redis_benchmark(port: int, options: list[str]) -> None:
    program = shutil.which("redis-benchmark")
    if program is None:
        assert not os.environ.get("CI")
        pytest.skip("Debian's redis-tools are not installed")
    command = [program, "-p", str(port), "-t", "ping,set,get,incr,mset", "-n", "10000", "--csv", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    measured = [line.split(",")[0].strip('"') for line in done.stdout.splitlines()]
    assert measured == ["test", "PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"]
