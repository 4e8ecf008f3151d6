"""What all commands have in common: who may call them when, what is queued, what is not answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.clients import Run

from striate.commands.dispatch import dispatch, execute, find
from striate.commands.registry import COMMANDS, LATER, RETRY, SILENCE, Arguments, Command, keys_of
from striate.commands.session import Server, Session
from striate.errors import DiskFullError
from striate.protocol.replies import OK, Failure, Reply


class Queue:
    """A transaction as dispatch sees it."""

    def __init__(self) -> None:
        self.open = True
        self.queued: list[tuple[Command, Arguments]] = []
        self.poisoned = False

    def queue(self, command: Command, arguments: Arguments, names: Arguments) -> None:
        self.queued.append((command, arguments))

    def poison(self) -> None:
        self.poisoned = True


class Members:
    """Users of which one has a password."""

    def is_open(self) -> bool:
        return False

    def admits(self, name: bytes, password: bytes) -> bool:
        return (name, password) == (b"default", b"secret")


@pytest.fixture
def probe() -> Iterator[list[Reply]]:
    """A command PROBE that answers, one behind the other, what the list has."""
    replies: list[Reply] = []

    def handler(session: Session, arguments: Arguments) -> Reply:
        reply = replies.pop(0)
        if isinstance(reply, Exception) and not isinstance(reply, Failure):
            raise reply
        return reply

    COMMANDS["probe"] = Command("probe", -1, frozenset({"readonly"}), (0, 0, 0), handler)
    yield replies
    del COMMANDS["probe"]


def test_names_may_be_of_any_case(run: Run) -> None:
    assert run("sEt", "k", "v") == OK
    assert run("cLiEnT", "iD") == 1


def test_unknown_commands_are_shown_shortened(run: Run) -> None:
    reply = run("F" * 200, "x" * 200, "y")
    assert reply == f"-ERR unknown command '{'F' * 128}', with args beginning with: '{'x' * 128}' "
    assert run("FOO\r\nbar") == "-ERR unknown command 'FOO  bar', with args beginning with: "


def test_errors_of_any_bytes_can_be_written(session: Session) -> None:
    reply = dispatch(session, [b"\xff\r\n"])
    assert reply.line == b"ERR unknown command '\xff  ', with args beginning with: "


# ---------------------------------------------------------------- who may call


def test_nothing_but_the_door_is_open_without_a_password(
    server: Server, connect: Callable[[], Session], run: Run
) -> None:
    server.users = Members()
    guest = connect()
    assert run(guest, "GET", "k") == run(guest, "CLIENT", "ID") == "-NOAUTH Authentication required."
    assert run(guest, "FOO").startswith("-ERR unknown command")
    assert run(guest, "HELLO", 3).startswith("-NOAUTH HELLO must be called")
    assert guest.protocol == 2
    assert run(guest, "AUTH", "wrong") == "-WRONGPASS invalid username-password pair or user is disabled."
    assert guest.line.plain == (False, 0)
    assert run(guest, "HELLO", 3, "AUTH", "default", "secret", "SETNAME", "guest")[b"proto"] == 3
    assert guest.line.plain == (True, 0)
    assert (guest.name, guest.line.protocol) == (b"guest", 3)
    assert run(guest, "GET", "k") is None
    assert run(guest, "RESET") == b"RESET"
    assert run(guest, "GET", "k") == "-NOAUTH Authentication required."
    assert run(guest, "AUTH", "secret") == OK


def test_a_subscriber_of_resp2_may_do_little(run: Run, session: Session) -> None:
    session.subscriptions = {b"channel"}
    assert run("GET", "k") == (
        "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET "
        "are allowed in this context"
    )
    assert run("CLIENT", "ID").startswith("-ERR Can't execute 'client|id'")
    assert run("PING") == [b"pong", b""]
    assert run("PING", "x") == [b"pong", b"x"]
    session.protocol = 3
    assert run("GET", "k") is None
    assert run("PING") == b"PONG"


def test_checks_of_others_may_refuse(run: Run, server: Server) -> None:
    def check(session: Session, command: Command, arguments: Arguments) -> None:
        if command.name == "get":
            raise Failure("NOPERM no")

    server.may_run.append(check)
    assert run("GET", "k") == "-NOPERM no"
    assert run("STRLEN", "k") == 0


# ---------------------------------------------------------------- queueing


def test_commands_are_queued_for_exec(run: Run, session: Session) -> None:
    session.transaction = queue = Queue()
    assert run("SET", "k", "v") == b"QUEUED"
    assert run("CLIENT", "ID") == b"QUEUED"
    assert [(command.name, arguments) for command, arguments in queue.queued] == [
        ("set", [b"k", b"v"]),
        ("client id", []),
    ]
    queue.open = False
    assert run("GET", "k") is None


@pytest.mark.parametrize("request_", ["GET", "FOO", "SAVE", "SHUTDOWN"])
def test_what_cannot_be_queued_poisons(run: Run, session: Session, request_: str) -> None:
    session.transaction = queue = Queue()
    assert run(request_).startswith("-ERR")
    assert queue.poisoned
    assert not queue.queued


def test_what_is_queued_is_executed_by_the_same_handlers(session: Session) -> None:
    assert execute(session, *find([b"SET", b"k", b"v"])) == OK
    failure = execute(session, *find([b"INCR", b"k"]))
    assert failure.line == b"ERR value is not an integer or out of range"


# ---------------------------------------------------------------- replies that do not come


def test_a_client_may_want_no_replies(run: Run, session: Session) -> None:
    assert run("CLIENT", "REPLY", "SKIP") is SILENCE
    assert session.line.plain == (False, 0)
    assert run("SET", "k", "v") is SILENCE
    assert session.line.plain == (True, 0)
    assert run("GET", "k") == b"v"
    assert run("CLIENT", "REPLY", "OFF") is SILENCE
    assert run("GET", "k") is SILENCE
    assert run("GET") is SILENCE
    assert run("CLIENT", "REPLY", "SKIP") is SILENCE
    assert run("CLIENT", "REPLY", "ON") == OK
    assert run("GET", "k") == b"v"


def test_retries_and_late_replies_go_through(run: Run, session: Session, probe: list[Reply]) -> None:
    probe += [RETRY, LATER]
    session.skips_reply = True
    assert run("PROBE") is RETRY
    assert session.skips_reply
    assert run("PROBE") is LATER


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            DiskFullError("/data", "write", 28, "No space left on device"),
            b"MISCONF the disk is full, and nothing was written:",
        ),
        (Failure("NOPERM no"), b"NOPERM no"),
    ],
)
def test_errors_become_replies(session: Session, probe: list[Reply], error: Exception, line: bytes) -> None:
    probe.append(error)
    assert dispatch(session, [b"PROBE"]).line.startswith(line)


# ---------------------------------------------------------------- the table


def every_command() -> Iterator[Command]:
    for entry in COMMANDS.values():
        yield entry
        yield from entry.subcommands.values()


def test_the_table_is_complete(server: Server) -> None:
    assert len(COMMANDS) > 60
    for entry in every_command():
        assert entry.summary, entry.name
        assert entry.handler is not None or entry.subcommands, entry.name
        first, last, step = entry.keys
        assert (first, last, step) == (0, 0, 0) or (first > 0 and step > 0 and (last < 0 or last >= first)), entry.name
        assert not {"write", "readonly"} <= entry.flags, entry.name


@pytest.mark.parametrize(
    ("request_", "keys"),
    [
        ("GET a", [b"a"]),
        ("MSET a 1 b 2", [b"a", b"b"]),
        ("DEL a b c", [b"a", b"b", b"c"]),
        ("RENAME a b", [b"a", b"b"]),
        ("OBJECT ENCODING a", [b"a"]),
        ("MEMORY USAGE a", [b"a"]),
        ("PING a", []),
    ],
)
def test_keys_are_found(server: Server, request_: str, keys: list[bytes]) -> None:
    assert keys_of(*find(request_.encode().split())) == keys


def test_a_session_ends_once(server: Server, session: Session) -> None:
    ended: list[Any] = []
    server.on_end.append(ended.append)
    session.end()
    session.end()
    assert ended == [session]
    assert not server.sessions
