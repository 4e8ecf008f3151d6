"""`striate serve`: a database on the network."""

from __future__ import annotations

import asyncio
import signal
import sys

import click

import striate
from striate.cli.output import print_json, print_line
from striate.cli.parameters import json_option
from striate.commands.session import Settings
from striate.net.loops import new_event_loop
from striate.net.resp_server import RespServer
from striate.storage.async_database import AsyncDatabase

__all__ = ["serve"]


@click.command()
@click.option("--data", default="striate-data", show_default=True, metavar="DIR", help="The database's directory.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on: loopback only, so far.")
@click.option("--port", default=7379, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option(
    "--durability",
    type=click.Choice(["power", "process"]),
    default="power",
    show_default=True,
    help="What an answered write survives: a power cut, or the end of the process.",
)
@json_option
def serve(data: str, host: str, port: int, durability: str, as_json: bool) -> None:
    r"""Serve a database to Redis clients.

    Ctrl-C or SIGTERM ends it: what was answered is on disk (--durability power).

    \b
    striate serve --data DIR
    redis-cli -p 7379 set greeting hello
    """
    if host not in ("127.0.0.1", "::1", "localhost"):
        raise click.UsageError("--host must be a loopback address: there are no users and no TLS yet")
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(data, "127.0.0.1" if host == "localhost" else host, port, durability, as_json))


async def _serve(data: str, host: str, port: int, durability: str, as_json: bool) -> None:
    loop = asyncio.get_running_loop()
    async with AsyncDatabase(data, durability) as database:  # type: ignore[arg-type]  # click has checked it
        server = RespServer(database, Settings(version=striate.__version__))
        try:
            listening = server.start(host, port)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, server.shut_down)
            if as_json:
                print_json({"data": data, "host": host, "port": listening, "durability": durability})
            else:
                print_line(f"serving {data} at {f'[{host}]' if ':' in host else host}:{listening} ({durability})")
            sys.stdout.flush()
            await server.serve()
        finally:
            await server.stop()
