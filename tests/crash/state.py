"""One thing to recover from, and how a failure to do so is told."""

from __future__ import annotations

from dataclasses import dataclass

from .contents import Expectation
from .driver import Trace
from .model import DiskModel, Image


class BrokenPromiseError(AssertionError):
    """The log broke a promise."""


@dataclass(frozen=True, slots=True)
class CrashState:
    """One thing to recover from."""

    trace: Trace
    image: Image
    model: DiskModel
    expectation: Expectation
    killed: bool
    peek: bool = False  # look at the log as a reader first
