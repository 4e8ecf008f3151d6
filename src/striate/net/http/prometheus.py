"""Figures in the text form that Prometheus reads, version 0.0.4: :class:`Metrics`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Labels: TypeAlias = tuple[str, ...]


class Metrics:
    """Collects families of samples and writes them."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def _family(self, name: str, kind: str, help: str) -> None:
        text = help.replace("\\", r"\\").replace("\n", r"\n")
        self._lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]

    def counter(self, name: str, help: str, value: float) -> None:
        """Something that only grows."""
        self._family(name, "counter", help)
        self._lines.append(f"{name} {_number(value)}")

    def gauge(self, name: str, help: str, value: float) -> None:
        """Something that goes up and down."""
        self._family(name, "gauge", help)
        self._lines.append(f"{name} {_number(value)}")

    def many(self, name: str, kind: str, help: str, labels: tuple[str, ...], samples: Mapping[Labels, float]) -> None:
        """A value for each combination of labels."""
        self._family(name, kind, help)
        for values, value in samples.items():
            pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in zip(labels, values, strict=True))
            self._lines.append(f"{name}{{{pairs}}} {_number(value)}")

    def text(self) -> str:
        """All of it."""
        return "\n".join(self._lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) else repr(float(value))
