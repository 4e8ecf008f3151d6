"""A server without a network: commands are called through dispatch, its clock and its disk are the test's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.clients import FakeEffects, FakeLine, Run, shown

import striate
from striate.commands.dispatch import dispatch, load_commands
from striate.commands.keyspace import Keyspace
from striate.commands.session import DATABASES, Server, Session, Settings
from striate.protocol.replies import Reply


@pytest.fixture
def effects() -> FakeEffects:
    return FakeEffects()


@pytest.fixture
def database(fast_path: Path, effects: FakeEffects) -> Iterator[striate.Database]:
    with striate.open(
        fast_path / "db", "process", clock=lambda: effects.time_ms * 1000, compaction_interval_s=None
    ) as made:
        yield made


@pytest.fixture
def server(database: striate.Database, effects: FakeEffects) -> Server:
    load_commands()
    keyspaces = [Keyspace(database, number, effects.now_ms) for number in range(DATABASES)]
    return Server(database, effects, Settings(), keyspaces)


@pytest.fixture
def connect(server: Server) -> Callable[[], Session]:
    """More clients."""
    return lambda: Session(server, FakeLine())


@pytest.fixture
def session(connect: Callable[[], Session]) -> Session:
    return connect()


@pytest.fixture
def run(session: Session) -> Run:
    """The reply to a command: ``run("SET", "k", 1)`` or ``run(another, b"GET", b"k")``. An error is ``"ERR ..."`` text
    after a minus sign."""

    def run(*words: Any) -> Reply:
        client = session
        if isinstance(words[0], Session):
            client, *rest = words
            words = tuple(rest)
        return shown(dispatch(client, [word if isinstance(word, bytes) else str(word).encode() for word in words]))

    return run
