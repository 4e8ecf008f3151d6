"""A plugin for the run of redis-py's own tests: leaves out what is of other types of keys, and reports each test."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

# A test whose id matches tests what the server does not have on purpose.
LEFT_OUT = [
    (r"::test_(b?[lr](index|insert|len|move|mpop|pop|pos|push|range|rem|set|trim)|lists_|binary_lists)", "lists"),
    (r"::test_s(add|card|diff|inter|ismember|members|mismember|move|pop|randmember|rem|scan|union)", "sets"),
    (r"::test_b?z[a-z]", "sorted sets"),
    (r"::test_h(del|exists|get|incr|keys|len|mget|mset|randfield|scan|set|strlen|vals)", "hashes"),
    (r"::test_(old_)?geo[a-z]", "geography"),
    (r"::test_pf[a-z]", "HyperLogLog"),
    (r"::test_sort_", "SORT"),
    (r"::test_(bit|get_set_bit)", "single bits of a string"),
    (r"::test_(lcs|stralgo)", "longest common subsequence"),
    (r"::test_(\w+_)?(script|lua|eval)(_|$)|/test_lock\.py::", "scripts"),
    (r"::test_(busy_loading|read_only_error|oom_error|connect_(no_auth|invalid))", "DEBUG ERROR"),
    (r"::test_(cluster_|readonly|readwrite)|::Test\w*Cluster|cluster_client", "clusters"),
    (r"::test_replicaof", "replication of Redis's kind"),
    (r"::Test\w*Sentinel|::test_sentinel", "sentinels"),
    (r"::Test\w*SSL", "TLS"),
    (r"::test_reconnect_\w+\[listen", "a race of the test's two threads: on a slow machine it waits for ever"),
    (r"::test_client_setinfo", "the test has a client that connects to port 6379, whatever is there"),
]


def reason_for(name: str) -> str | None:
    """Why a test is left out, if it is."""
    return next((reason for pattern, reason in LEFT_OUT if re.search(pattern, name)), None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what :data:`LEFT_OUT` names."""
    out = [item for item in items if reason_for(item.nodeid)]
    items[:] = [item for item in items if not reason_for(item.nodeid)]
    config.hook.pytest_deselected(items=out)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_logreport(report: pytest.TestReport):  # type: ignore[no-untyped-def]
    """Write a line for each phase of a test: its id, the outcome, and where and why it failed."""
    if report.when == "call" or report.outcome != "passed":
        crash = getattr(report.longrepr, "reprcrash", None)
        message = str(crash.message if crash else report.longrepr or "")
        line = {"id": report.nodeid, "outcome": report.outcome, "took": report.duration, "message": message[:500]}
        with Path(os.environ["CONFORMANCE_REPORT"]).open("a") as file:
            print(json.dumps(line), file=file)
    return (yield)
