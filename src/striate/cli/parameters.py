"""Options and parameter types that several commands share."""

from __future__ import annotations

import datetime
import os
import re
from typing import TYPE_CHECKING, Any

import click

from striate.errors import LogNotFoundError

__all__ = ["DURATION", "OFFSET", "TIME", "json_option", "path_argument", "require_log", "separator_option"]

if TYPE_CHECKING:
    FloatType = click.ParamType[float]
    IntType = click.ParamType[int]
else:  # no generic class in older versions of click
    FloatType = IntType = click.ParamType

SEPARATORS = {"newline": b"\n", "null": b"\0", "none": b""}

OFFSET = click.IntRange(0, 2**63 - 1)

path_argument = click.argument("path", type=click.Path())
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help='Print JSON. Bytes are a string if valid UTF-8, else {"base64": "..."}.',
)
separator_option = click.option(
    "--separator",
    type=click.Choice(list(SEPARATORS)),
    default="newline",
    show_default=True,
    help="What stands behind each value with --raw.",
)


class Duration(FloatType):
    """Seconds, or a number with a unit: 90, 90s, 15m, 24h, 7d."""

    name = "duration"
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}  # noqa: RUF012 - never changed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The duration in seconds."""
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", value.strip())
        if not match:
            self.fail(f"{value!r} is not a duration such as 90, 90s, 15m, 24h or 7d", param, ctx)
        return float(match[1]) * self.units[match[2]]


class Time(IntType):
    """Microseconds since the epoch, or ISO 8601 (UTC unless it says otherwise)."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The time in microseconds since the epoch."""
        if isinstance(value, int):
            return value
        if re.fullmatch(r"\d+", value):
            return int(value)
        try:
            moment = datetime.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither ISO 8601 nor microseconds since the epoch", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        return (moment - datetime.datetime.fromtimestamp(0, datetime.UTC)) // datetime.timedelta(microseconds=1)


DURATION = Duration()
TIME = Time()


def require_log(path: str) -> None:
    """Refuse a path where a writer would create a log: commands that change a log never make one.

    Raises:
        LogNotFoundError: nothing, or an empty directory, stands at the path.
    """
    if not os.path.exists(path) or (os.path.isdir(path) and not os.listdir(path)):
        raise LogNotFoundError(path)
