"""``striate log stat``, ``verify`` and ``dump``: what is in a log and whether it is sound."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import click

from striate import Log
from striate.cli.output import (
    console,
    plain,
    print_json,
    print_line,
    print_table,
    problem_text,
    progress,
    recovery_lines,
    safe_text,
    size_text,
    time_text,
)
from striate.cli.parameters import OFFSET, json_option, path_argument
from striate.errors import CorruptError

__all__ = ["dump", "stat", "verify"]

_HEX = {"checksum", "log_id", "segment_id", "chain_checksum", "index_checksum"}


@click.command()
@path_argument
@json_option
def stat(path: str, as_json: bool) -> None:
    """Show the segments of the log at PATH, its figures, and what opening it found.

    The log is opened for reading only; a writer may be at work.
    """
    with Log(path, mode="r") as log:
        document = {
            "path": os.path.abspath(path),
            "record_size": log.record_size,
            "segment_bytes": log.segment_bytes,
        }
        document |= {"stats": plain(log.stats()), "recovery": plain(log.recovery)}
        document["segments"] = plain(log.segments())
    if as_json:
        print_json(document)
    else:
        _print_stat(document)


def _print_stat(document: Mapping[str, Any]) -> None:
    stats = document["stats"]
    sizes = f"{size_text(stats['size_bytes'])} ({size_text(stats['allocated_bytes'])} on disk)"
    print_line(document["path"])
    print_line(f"{stats['records']:,} records in {stats['segments']:,} segments, {sizes}")
    offsets = f"lowest {stats['lowest_offset']}, next {stats['next_offset']}"
    print_line(f"offsets: {offsets}, durable below {stats['durable_offset']}")
    print_line(f"times: {time_text(stats['first_timestamp'])} to {time_text(stats['last_timestamp'])}")
    for line in recovery_lines(document["recovery"]):
        print_line(line)
    print_table(_SEGMENT_COLUMNS, map(_segment_row, document["segments"]))


_SEGMENT_COLUMNS = "base offset,next offset,records,size,state,gaps,revision,first record,file".split(",")


def _segment_row(segment: Mapping[str, Any]) -> list[object]:
    return [
        str(segment["base_offset"]),
        str(segment["next_offset"]),
        segment["record_count"],
        size_text(segment["size_bytes"]),
        "sealed" if segment["sealed"] else "active",
        "yes" if segment["has_gaps"] else "no",
        segment["revision"],
        time_text(segment["first_timestamp"] if segment["record_count"] else None),
        os.path.basename(segment["store_path"]),
    ]


@click.command()
@path_argument
@json_option
@click.pass_context
def verify(context: click.Context, path: str, as_json: bool) -> None:
    """Read and check every byte of the log at PATH; exit code 1 when there is a problem.

    Checksums, order, indexes, footers and the manifest are checked. Nothing is changed. A writer may be at
    work.
    """
    try:
        with Log(path, mode="r") as log, progress("verifying", unit="bytes") as advance:
            report = plain(log.verify(progress=advance))
    except CorruptError as error:  # too damaged to open
        problem = {name: plain(getattr(error, name)) for name in ("path", "position", "offset", "reason")}
        report = {"records": 0, "size_bytes": 0, "problems": [problem]}
    report |= {"path": path, "ok": not report["problems"]}
    if as_json:
        print_json(report)
    else:
        _print_verify(report)
    context.exit(0 if report["ok"] else 1)


def _print_verify(report: Mapping[str, Any]) -> None:
    read = f"{report['records']:,} records, {size_text(report['size_bytes'])} read"
    if report["ok"]:
        print_line(f"ok: {read}, no problems")
        return
    problems: Sequence[Mapping[str, Any]] = report["problems"]
    print_line(f"{len(problems):,} problem{'s' if len(problems) > 1 else ''}; {read}")
    for problem in problems:
        print_line(f"  {problem_text(problem)}")


@click.command()
@path_argument
@click.option("--start", type=OFFSET, default=0, help="First offset whose frame is shown.")
@click.option("--stop", type=OFFSET, help="Offset of the first frame not to show.")
@click.option("--frames/--no-frames", default=True, help="Show the frames, or only what is around them.")
@click.option("--index", is_flag=True, help="Show the entries of the index files, too.")
@json_option
@click.pass_context
def dump(
    context: click.Context, path: str, start: int, stop: int | None, frames: bool, index: bool, as_json: bool
) -> None:
    """Show the files of the log at PATH field by field, with the names of docs/format.md.

    PATH may also be one file of a log. The files are read as they are, also when they are too damaged to be
    opened; what is wrong is said beside it, and the exit code is then 1. `at` is the place in the file, in
    bytes; --json gives one object a line, with the list `problems` where there are any.
    """
    from striate.storage.dump import dump_log

    damaged = False
    styled = console()
    for item in dump_log(path, index=index):
        damaged |= "problems" in item
        hidden = item["type"] == "frame" and not (
            frames and start <= item["offset"] and (stop is None or item["offset"] < stop)
        )
        if hidden and "problems" not in item:
            continue
        if as_json:
            print_json(item)
        else:
            print_line(_item_text(item))
            for problem in item.get("problems", ()):
                styled.print(f"  problem: {safe_text(problem)}", style="red", soft_wrap=True)
    context.exit(1 if damaged else 0)


def _item_text(item: Mapping[str, Any]) -> str:
    shown = {
        name: value
        for name, value in item.items()
        if name not in {"type", "path", "problems", "flag_names", "kind_name"}
    }
    fields = " ".join(f"{name}={_field_text(name, value, item)}" for name, value in shown.items())
    return f"{item['type']} {safe_text(item['path'])} {fields}"


def _field_text(name: str, value: object, item: Mapping[str, Any]) -> str:
    if isinstance(value, bytes):
        return f'"{safe_text(value, 60)}"'
    if name in _HEX and isinstance(value, int):
        return f"{value:#x}"
    if name == "flags" and item.get("flag_names"):
        return f"{value}({'|'.join(item['flag_names'])})"
    return f"{value}({item['kind_name']})" if name == "kind" else str(value)
