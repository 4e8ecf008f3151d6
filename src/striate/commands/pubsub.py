"""Channels: subscribing to them, publishing, and what PUBSUB tells of them.

A message goes to whoever subscribes at that moment and is kept nowhere. Sharded channels are names of their own; there
is one shard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from striate.commands.patterns import matches
from striate.commands.registry import SILENCE, Arguments, command
from striate.protocol.replies import Push, Reply, Simple

if TYPE_CHECKING:
    from striate.commands.session import Server, Session

Subscribers = dict[bytes, dict["Session", None]]
_HELP: Final = """PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:
CHANNELS [<pattern>]
    Return the currently active channels matching a <pattern> (default: '*').
NUMPAT
    Return number of subscriptions to patterns.
NUMSUB [<channel> ...]
    Return the number of subscribers for the specified channels, excluding
    pattern subscriptions(default: no channels).
SHARDCHANNELS [<pattern>]
    Return the currently active shard level channels matching a <pattern> (default: '*').
SHARDNUMSUB [<shardchannel> ...]
    Return the number of subscribers for the specified shard level channel(s)
HELP
    Prints this help."""


class Subscriptions:
    """What one session subscribes to, in the order in which it did."""

    def __init__(self) -> None:
        self.channels: dict[bytes, None] = {}
        self.patterns: dict[bytes, None] = {}
        self.shards: dict[bytes, None] = {}

    def __len__(self) -> int:
        return len(self.channels) + len(self.patterns) + len(self.shards)


class PubSub:
    """Who subscribes to what."""

    def __init__(self, server: Server) -> None:
        self.channels: Subscribers = {}
        self.patterns: Subscribers = {}
        self.shards: Subscribers = {}
        server.when_left(self.forget)

    def publish(self, channel: bytes, message: bytes) -> int:
        """Send a message to the subscribers of a channel and of patterns that it fits; how many."""
        to = list(self.channels.get(channel, ()))
        for session in to:
            session.line.push(Push((b"message", channel, message)))
        count = len(to)
        for pattern, sessions in list(self.patterns.items()):
            if matches(pattern, channel):
                count += len(sessions)
                for session in list(sessions):
                    session.line.push(Push((b"pmessage", pattern, channel, message)))
        return count

    def count(self, channel: bytes) -> int:
        """How many a message would be sent to."""
        fitting = (len(sessions) for pattern, sessions in self.patterns.items() if matches(pattern, channel))
        return len(self.channels.get(channel, ())) + sum(fitting)

    def publish_to_shard(self, channel: bytes, message: bytes) -> None:
        """Send a message to the subscribers of a sharded channel."""
        for session in list(self.shards.get(channel, ())):
            session.line.push(Push((b"smessage", channel, message)))

    def forget(self, session: Session) -> None:
        """The session is gone, or as new."""
        own = session.subscriptions
        if own is not None:
            session.subscriptions = None
            for names, all_of_them in self._both(own):
                for name in names:
                    _remove(all_of_them, name, session)

    def _both(self, own: Subscriptions) -> list[tuple[dict[bytes, None], Subscribers]]:
        return [(own.channels, self.channels), (own.patterns, self.patterns), (own.shards, self.shards)]


def _remove(subscribers: Subscribers, name: bytes, session: Session) -> None:
    sessions = subscribers[name]
    del sessions[session]
    if not sessions:
        del subscribers[name]


def _of(session: Session) -> Subscriptions:
    if session.subscriptions is None:
        session.subscriptions = Subscriptions()
    own: Subscriptions = session.subscriptions
    return own


def _tell(session: Session, messages: list[Push]) -> Reply:
    """One reply for each name; inside EXEC the last one is the element of its reply."""
    session.watch_all("subscribed", bool(session.subscriptions))
    last = messages.pop() if session.executing else None
    for message in messages:
        session.line.push(message)
    return SILENCE if last is None else last


def _subscribe(
    session: Session, word: bytes, names: Arguments, all_of_them: Subscribers, own: dict[bytes, None],
    count: Callable[[], int],
) -> Reply:  # fmt: skip
    messages = []
    for name in names:
        own[name] = None
        all_of_them.setdefault(name, {})[session] = None
        messages.append(Push((word, name, count())))
    return _tell(session, messages)


def _unsubscribe(
    session: Session, word: bytes, names: Arguments, all_of_them: Subscribers, own: dict[bytes, None],
    count: Callable[[], int],
) -> Reply:  # fmt: skip
    messages = []
    for name in names or list(own):
        if name in own:
            del own[name]
            _remove(all_of_them, name, session)
        messages.append(Push((word, name, count())))
    return _tell(session, messages or [Push((word, None, count()))])


def _count(own: Subscriptions) -> Callable[[], int]:
    return lambda: len(own.channels) + len(own.patterns)


_FLAGS: Final = "pubsub noscript loading stale"


@command("subscribe", -2, _FLAGS, summary="Listens for messages published to channels.", group="pubsub", since="2.0.0")
def subscribe(session: Session, arguments: Arguments) -> Reply:
    """SUBSCRIBE channel [channel ...]."""
    own = _of(session)
    return _subscribe(session, b"subscribe", arguments, session.server.part(PubSub).channels, own.channels, _count(own))


@command("unsubscribe", -1, _FLAGS, summary="Stops listening to channels.", group="pubsub", since="2.0.0")
def unsubscribe(session: Session, arguments: Arguments) -> Reply:
    """UNSUBSCRIBE [channel ...]."""
    own = _of(session)
    return _unsubscribe(
        session, b"unsubscribe", arguments, session.server.part(PubSub).channels, own.channels, _count(own)
    )


@command(
    "psubscribe", -2, _FLAGS, summary="Listens for messages to channels that fit patterns.", group="pubsub",
    since="2.0.0",
)  # fmt: skip
def psubscribe(session: Session, arguments: Arguments) -> Reply:
    """PSUBSCRIBE pattern [pattern ...]."""
    own = _of(session)
    return _subscribe(
        session, b"psubscribe", arguments, session.server.part(PubSub).patterns, own.patterns, _count(own)
    )


@command("punsubscribe", -1, _FLAGS, summary="Stops listening to patterns.", group="pubsub", since="2.0.0")
def punsubscribe(session: Session, arguments: Arguments) -> Reply:
    """PUNSUBSCRIBE [pattern ...]."""
    own = _of(session)
    return _unsubscribe(
        session, b"punsubscribe", arguments, session.server.part(PubSub).patterns, own.patterns, _count(own)
    )


@command("ssubscribe", -2, _FLAGS, (1, -1, 1), summary="Listens to sharded channels.", group="pubsub", since="7.0.0")
def ssubscribe(session: Session, arguments: Arguments) -> Reply:
    """SSUBSCRIBE channel [channel ...]."""
    own = _of(session)
    return _subscribe(
        session, b"ssubscribe", arguments, session.server.part(PubSub).shards, own.shards, lambda: len(own.shards)
    )


@command(
    "sunsubscribe", -1, _FLAGS, (1, -1, 1), summary="Stops listening to sharded channels.", group="pubsub",
    since="7.0.0",
)  # fmt: skip
def sunsubscribe(session: Session, arguments: Arguments) -> Reply:
    """SUNSUBSCRIBE [channel ...]."""
    own = _of(session)
    return _unsubscribe(
        session, b"sunsubscribe", arguments, session.server.part(PubSub).shards, own.shards, lambda: len(own.shards)
    )


# ---------------------------------------------------------------- publishing


@command(
    "publish", 3, "pubsub loading stale fast", summary="Sends a message to a channel.", group="pubsub", since="2.0.0"
)
def publish(session: Session, arguments: Arguments) -> Reply:
    """PUBLISH channel message."""
    channel, message = arguments
    subscribers = session.server.part(PubSub)
    if not session.executing:
        return subscribers.publish(channel, message)
    session.server.when_committed(lambda: subscribers.publish(channel, message))
    return subscribers.count(channel)


@command(
    "spublish", 3, "pubsub loading stale fast", (1, 1, 1), summary="Sends a message to a sharded channel.",
    group="pubsub", since="7.0.0",
)  # fmt: skip
def spublish(session: Session, arguments: Arguments) -> Reply:
    """SPUBLISH channel message."""
    channel, message = arguments
    subscribers = session.server.part(PubSub)
    count = len(subscribers.shards.get(channel, ()))
    session.server.when_committed(lambda: subscribers.publish_to_shard(channel, message))
    return count


# ---------------------------------------------------------------- PUBSUB


def _fitting(channels: Subscribers, arguments: Arguments) -> list[bytes]:
    return [channel for channel in channels if not arguments or matches(arguments[0], channel)]


def _numbers(channels: Subscribers, arguments: Arguments) -> Reply:
    return [part for name in arguments for part in (name, len(channels.get(name, ())))]


@command(
    "pubsub channels", -2, "pubsub loading stale", summary="Names the channels in use.", group="pubsub", since="2.8.0"
)
def pubsub_channels(session: Session, arguments: Arguments) -> Reply:
    """PUBSUB CHANNELS [pattern]."""
    return _fitting(session.server.part(PubSub).channels, arguments)


@command(
    "pubsub numsub",
    -2,
    "pubsub loading stale",
    summary="Counts subscribers of channels.",
    group="pubsub",
    since="2.8.0",
)
def pubsub_numsub(session: Session, arguments: Arguments) -> Reply:
    """PUBSUB NUMSUB [channel ...]."""
    return _numbers(session.server.part(PubSub).channels, arguments)


@command(
    "pubsub numpat", 2, "pubsub loading stale", summary="Counts the patterns in use.", group="pubsub", since="2.8.0"
)
def pubsub_numpat(session: Session, arguments: Arguments) -> Reply:
    """PUBSUB NUMPAT."""
    return len(session.server.part(PubSub).patterns)


@command(
    "pubsub shardchannels", -2, "pubsub loading stale", summary="Names the sharded channels in use.", group="pubsub",
    since="7.0.0",
)  # fmt: skip
def pubsub_shardchannels(session: Session, arguments: Arguments) -> Reply:
    """PUBSUB SHARDCHANNELS [pattern]."""
    return _fitting(session.server.part(PubSub).shards, arguments)


@command(
    "pubsub shardnumsub", -2, "pubsub loading stale", summary="Counts subscribers of sharded channels.",
    group="pubsub", since="7.0.0",
)  # fmt: skip
def pubsub_shardnumsub(session: Session, arguments: Arguments) -> Reply:
    """PUBSUB SHARDNUMSUB [channel ...]."""
    return _numbers(session.server.part(PubSub).shards, arguments)


@command("pubsub help", 2, "loading stale", summary="Tells what PUBSUB can do.", group="pubsub", since="6.2.0")
def pubsub_help(session: Session, arguments: Arguments) -> Reply:
    """PUBSUB HELP."""
    return [Simple(line.encode()) for line in _HELP.split("\n")]
