"""Loaded by schemathesis: nobody waits for entries that do not come."""

from __future__ import annotations

from typing import Any

import schemathesis


@schemathesis.hook
def before_call(context: Any, case: Any, **_: Any) -> None:
    if case.query and "wait" in case.query and str(case.query["wait"])[:1] in "123456789":
        case.query["wait"] = 0.001
