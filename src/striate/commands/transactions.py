"""MULTI, EXEC, DISCARD, WATCH and UNWATCH.

EXEC runs the queue on the databases as one transaction sees them (transaction_keyspace.py) and commits it as one batch
of the log. Other threads of the process may change keys meanwhile; then it runs again. An error of a command leaves
what the others did, as in Redis; where the server's setting ``strict-transactions`` or the session asks for it, it
takes all back and is EXEC's reply.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from striate.commands.dispatch import execute
from striate.commands.keyspace import Keyspace
from striate.commands.registry import RETRY, Arguments, Command, command
from striate.commands.stream_keys import READERS
from striate.commands.transaction_keyspace import Views
from striate.errors import ConflictError
from striate.protocol.replies import NULL_ARRAY, OK, Failure, Reply

if TYPE_CHECKING:
    from striate.commands.session import Session

MOST_QUEUED: Final = 1_000_000
"""Commands of one transaction."""
MOST_TRIES: Final = 100


class Queue:
    """What a session keeps between WATCH or MULTI and EXEC."""

    def __init__(self) -> None:
        self.open = False
        self.poisoned = False
        self.queued: list[tuple[Command, Arguments, Arguments]] = []
        self.watched: dict[tuple[int, bytes], int] = {}

    def queue(self, command: Command, arguments: Arguments, names: Arguments) -> None:
        """Take a command to be executed at EXEC, with what its handler gets and its names as the client wrote them."""
        if len(self.queued) == MOST_QUEUED:
            raise Failure(f"ERR a transaction has at most {MOST_QUEUED} commands")
        if not self.poisoned:
            self.queued.append((command, arguments, names))

    def poison(self) -> None:
        """Let EXEC fail: a command could not be queued."""
        self.poisoned = True
        self.queued.clear()


def _queue_of(session: Session) -> Queue:
    if session.transaction is None:
        session.transaction = Queue()
    return cast("Queue", session.transaction)


def _forget(session: Session) -> None:
    session.transaction = None
    session.watch_all("multi", False)


@command(
    "multi", 1, "no_script loading stale fast", summary="Begin a transaction.", group="transactions", since="1.2.0"
)
def multi(session: Session, arguments: Arguments) -> Reply:
    """``MULTI``."""
    queue = _queue_of(session)
    if queue.open:
        raise Failure("ERR MULTI calls can not be nested")
    queue.open = True
    session.watch_all("multi", True)
    return OK


@command(
    "discard", 1, "no_script loading stale fast", summary="Give up a transaction.", group="transactions", since="2.0.0"
)
def discard(session: Session, arguments: Arguments) -> Reply:
    """``DISCARD``."""
    if not session.in_transaction:
        raise Failure("ERR DISCARD without MULTI")
    _forget(session)
    return OK


@command(
    "watch", -2, "no_script loading stale fast", (1, -1, 1),
    summary="Let EXEC do nothing if keys are changed before.", group="transactions", since="2.2.0",
)  # fmt: skip
def watch(session: Session, arguments: Arguments) -> Reply:
    """``WATCH key [key ...]``."""
    queue = _queue_of(session)
    if queue.open:
        raise Failure("ERR WATCH inside MULTI is not allowed")
    for key in arguments:
        queue.watched.setdefault((session.database, key), session.keyspace.version(key))
    return OK


@command(
    "unwatch", 1, "no_script loading stale fast",
    summary="Forget what was watched.", group="transactions", since="2.2.0",
)  # fmt: skip
def unwatch(session: Session, arguments: Arguments) -> Reply:
    """``UNWATCH``."""
    if session.transaction is not None and not session.executing:
        _queue_of(session).watched.clear()
    return OK


# ---------------------------------------------------------------- EXEC


@command(
    "exec", 1, "no_script loading stale skip_slowlog",
    summary="Execute the commands of a transaction.", group="transactions", since="1.2.0",
)  # fmt: skip
def exec_(session: Session, arguments: Arguments) -> Reply:
    """``EXEC``."""
    if not session.in_transaction:
        raise Failure("ERR EXEC without MULTI")
    queue = _queue_of(session)
    if queue.poisoned:
        _forget(session)
        raise Failure("EXECABORT Transaction discarded because of previous errors.")
    if not session.server.effects.is_durable() and any(each.handler in READERS for each, *_ in queue.queued):
        return RETRY
    _forget(session)
    for _ in range(MOST_TRIES):
        try:
            return _attempt(session, queue)
        except ConflictError:
            continue  # another thread was faster; where it changed what is watched, the next attempt finds it
    raise Failure("EXECABORT Transaction discarded: other threads of the process change its keys all the time")


def _attempt(session: Session, queue: Queue) -> Reply:
    server = session.server
    transaction = server.database.transaction()
    views = Views(server.keyspaces, transaction)
    for (number, key), version in queue.watched.items():
        # The transaction notes the versions of strings that it reads: its commit compares them once more.
        if views[number].version(key) != version:
            return NULL_ARRAY
    database = session.database
    server.held, session.views = [], cast("list[Keyspace]", views)
    try:
        replies: list[Reply] = []
        for each, arguments, session.names in queue.queued:
            replies.append(execute(session, each, arguments))
        session.names = [b"exec"]
        failure = next((reply for reply in replies if isinstance(reply, Failure)), None)
        if failure is not None and _is_strict(session):
            session.database = database
            raise Failure(f"EXECABORT Transaction rolled back because of: {failure}")
        transaction._commit_nowait()
        held: list[Callable[[], object]] = server.held
    except ConflictError:
        session.database = database
        raise
    finally:
        server.held, session.views = None, None
    for call in held:
        call()
    return replies


def _is_strict(session: Session) -> bool:
    if session.strict_transactions is not None:
        return session.strict_transactions
    return session.server.settings.values.get("strict-transactions") == "yes"
