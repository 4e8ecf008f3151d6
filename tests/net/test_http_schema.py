"""/openapi.json: it is the table that routes, and schemathesis finds nothing to say against it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.net.conftest import Served
from tests.net.http_client import Client

_FOLDER = Path(__file__).parent


def test_every_operation_is_routed(shared: Served) -> None:
    with Client(shared) as call:
        document = call("GET", "/openapi.json").json
        for path, operations in document["paths"].items():
            target = re.sub(r"\{\w+\}", "routed", path)
            call("PATCH", target).failed(405, "method_not_allowed")
            allowed = call("PATCH", target).headers["Allow"].split(", ")
            assert {method.lower() for method in allowed} - {"head"} == set(operations)
            for operation in operations.values():
                assert {"400", "500"} < set(operation["responses"])


def test_schemathesis_passes(shared: Served, tmp_path: Path) -> None:
    options = "--max-examples 15 --phases examples,coverage,fuzzing --seed 4 --generation-database none --no-color"
    command = [sys.executable, "-m", "schemathesis.cli", f"--config-file={_FOLDER / 'schemathesis.toml'}", "run"]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{shared.port}/openapi.json", *options.split()],
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(_FOLDER)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
