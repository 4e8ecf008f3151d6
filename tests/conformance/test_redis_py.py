"""redis-py's own tests, as they are in its source distribution, against a server of ours, over both protocols.

What fails on purpose stands in expected_failures.txt, a test and its reason a line. It is a ratchet: what passes must
go, and a new line needs a reason in the review. selecting.py says which tests are not run at all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from support.sdists import unpacked_sdist

from tests.net.conftest import Served

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

VERSION = "8.1.0"
SHA256 = "6e1a19beef9225c83efd689c7e6b7da2d5215b1f42cd13b7fc3714d0a09c7b25"
HERE = Path(__file__).parent
FILES = """
    test_cache test_commands test_connection_pool test_encoding test_keyspace_notifications test_monitor test_pipeline
    test_pubsub test_asyncio/test_keyspace_notifications test_asyncio/test_monitor test_asyncio/test_pipeline
    test_asyncio/test_pubsub
""".split()
SECONDS = 230
"""For all tests of one protocol; the protocols are tested side by side."""


class Run:
    """redis-py's tests in a process of their own, against a server of their own."""

    def __init__(self, source: Path, folder: Path, protocol: int) -> None:
        self._served = Served(folder / "db")
        self._report, self._output = folder / "report", folder / "output"
        self._file: IO[bytes] = self._output.open("wb")
        options = [
            *("-p", "selecting", "-p", "no:cacheprovider", "-q", "--tb=native"),
            *("-m", "not (onlycluster or redismod or replica or ssl or cp_integration)"),
            *("-o", "addopts=", "-o", "timeout=20", "-o", "timeout_func_only=true", "-o", "log_level=CRITICAL"),
            *(f"--redis-url=redis://127.0.0.1:{self._served.port}/0", f"--protocol={protocol}"),
        ]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options, *(f"tests/{name}.py" for name in FILES)],
            cwd=source,
            env=os.environ | {"PYTHONPATH": str(HERE), "CONFORMANCE_REPORT": str(self._report)},
            stdout=self._file,
            stderr=subprocess.STDOUT,
        )

    def outcomes(self) -> tuple[set[str], dict[str, str]]:
        """The tests that passed, and why the others failed."""
        try:
            self._process.wait(SECONDS)
            assert self._process.returncode in (0, 1), self._output.read_text(errors="replace")[-5000:]
            assert self._served.stop() == ""
        finally:
            self.end()
        passed: set[str] = set()
        failed: dict[str, str] = {}
        for line in self._report.read_text().splitlines():
            test = json.loads(line)
            if test["outcome"] == "failed":
                failed[test["id"]] = test["message"]
            elif test["outcome"] == "passed":
                passed.add(test["id"])
        return passed - failed.keys(), failed

    def end(self) -> None:
        """End what still runs."""
        for process in (self._process, self._served.process):
            if process.poll() is None:
                process.kill()
                process.communicate()
        self._file.close()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Run]]:
    folder = tmp_path_factory.mktemp("redis-py")
    source = unpacked_sdist("redis", VERSION, SHA256, folder)
    started: dict[int, Run] = {}
    try:
        for protocol in (2, 3):
            (folder / str(protocol)).mkdir()
            started[protocol] = Run(source, folder / str(protocol), protocol)
        yield started
    finally:
        for run in started.values():
            run.end()


def expected_failures(protocol: int) -> set[str]:
    """Those of the list that are of a protocol: of both, where the id does not end in it."""
    lines = (HERE / "expected_failures.txt").read_text().splitlines()
    ids = [line.partition("\t")[0] for line in lines if line and not line.startswith("#")]
    assert len(ids) == len(set(ids))
    return {test.partition(" RESP")[0] for test in ids if not test.endswith(f" RESP{5 - protocol}")}


@pytest.mark.parametrize("protocol", [2, 3])
def test_what_redis_py_tests(runs: dict[int, Run], protocol: int) -> None:
    passed, failed = runs[protocol].outcomes()
    expected = expected_failures(protocol)
    print(f"RESP{protocol}: {len(passed)} passed, {len(failed)} failed, {len(expected)} of them as expected")
    unexpected = [f"{test}\n    {message}" for test, message in failed.items() if test not in expected]
    assert not unexpected, "\n".join(unexpected)
    assert not expected - failed.keys(), "what passes, or is not run, is no exception any more"
    assert len(passed) > 700
