"""Programs that are made for Redis do a real job each: Django's cache, taskiq's queue, redis-benchmark."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.net.conftest import Served

pytestmark = pytest.mark.conformance


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    served = Served(tmp_path / "db")
    yield served.port
    assert served.stop() == ""


def test_django_caches(port: int) -> None:
    from django.conf import settings

    settings.configure(
        CACHES={
            "default": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": f"redis://127.0.0.1:{port}/3",
            }
        }
    )
    from django.core.cache import cache

    cache.set("rates", {"eur": 1.08}, timeout=60)
    assert cache.get("rates") == {"eur": 1.08}
    assert cache.add("rates", {}) is False
    assert cache.add("visits", 41)
    assert cache.incr("visits") == 42
    assert cache.decr("visits", 2) == 40
    with pytest.raises(ValueError, match="not found"):
        cache.incr("nothing")
    assert cache.touch("rates", 120)
    assert cache.touch("nothing", 120) is False
    cache.set("gone", "at once", timeout=0)
    assert "gone" not in cache
    assert cache.set_many({"a": 1, "b": [2]}, timeout=60) == []
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": [2]}
    assert cache.get_or_set("c", lambda: "made", timeout=60) == "made"
    assert cache.get("c", version=2) is None
    assert cache.incr_version("c") == 2
    assert cache.get("c", version=2) == "made"
    assert cache.delete("a")
    assert cache.delete("a") is False
    cache.delete_many(["b", "c"])
    assert cache.has_key("rates")
    cache.clear()
    assert cache.get_many(["rates", "visits"]) == {}
    cache.close()


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
