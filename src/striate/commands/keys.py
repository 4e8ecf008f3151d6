"""Keys of any kind: whether they are there, which there are, removing, renaming and copying them."""

from __future__ import annotations

from typing import Final

from striate._native.frame import crc32c
from striate.commands.keyspace import LATEST_END, Keyspace, Kind
from striate.commands.numbers import SYNTAX, integer, integer_or_none, natural, option
from striate.commands.registry import Arguments, command, help_of
from striate.commands.session import DATABASES, Session
from striate.protocol.replies import OK, Failure, Reply, Simple

NO_SUCH_KEY: Final = "ERR no such key"
SAME_OBJECTS: Final = "ERR source and destination objects are the same"


def database_number(text: bytes, failure: str | None = None) -> int:
    """The number of a database; Failure: there is none."""
    number = integer(text) if failure is None else integer(text, failure)
    if not 0 <= number < DATABASES:
        raise Failure("ERR DB index is out of range")
    return number


# ---------------------------------------------------------------- there or not


def _delete(session: Session, keys: Arguments) -> int:
    deleted = 0
    for key in keys:
        if session.keyspace.delete(key):
            deleted += 1
            session.changed("del", key)
    return deleted


@command("del", -2, "write", (1, -1, 1), summary="Deletes one or more keys.", group="generic")
def del_(session: Session, arguments: Arguments) -> Reply:
    """DEL key [key ...]."""
    return _delete(session, arguments)


@command(
    "unlink",
    -2,
    "write fast",
    (1, -1, 1),
    summary="Asynchronously deletes one or more keys.",
    group="generic",
    since="4.0.0",
)
def unlink(session: Session, arguments: Arguments) -> Reply:
    """UNLINK key [key ...]."""
    return _delete(session, arguments)


@command(
    "exists", -2, "readonly fast", (1, -1, 1), summary="Determines whether one or more keys exist.", group="generic"
)
def exists(session: Session, arguments: Arguments) -> Reply:
    """EXISTS key [key ...]."""
    return sum(session.keyspace.kind(key) is not None for key in arguments)


@command(
    "touch",
    -2,
    "readonly fast",
    (1, -1, 1),
    summary="Returns the number of existing keys after updating the time they were last accessed.",
    group="generic",
    since="3.2.1",
)
def touch(session: Session, arguments: Arguments) -> Reply:
    """TOUCH key [key ...]. No time of access is kept."""
    return exists(session, arguments)


@command(
    "type", 2, "readonly fast", (1, 1, 1), summary="Determines the type of value stored at a key.", group="generic"
)
def type_(session: Session, arguments: Arguments) -> Reply:
    """TYPE key."""
    return Simple((session.keyspace.kind(arguments[0]) or "none").encode())


# ---------------------------------------------------------------- which there are


@command("keys", 2, "readonly", summary="Returns all key names that match a pattern.", group="generic")
def keys(session: Session, arguments: Arguments) -> Reply:
    """KEYS pattern."""
    return list(session.keyspace.keys(arguments[0]))


def scan_cursor(text: bytes) -> int:
    """The cursor of SCAN and its kin."""
    if not text.isdigit() or len(text) > 20 or int(text) >= 1 << 64:
        raise Failure("ERR invalid cursor")
    return int(text)


@command("scan", -2, "readonly", summary="Iterates over the key names in the database.", group="generic", since="2.8.0")
def scan(session: Session, arguments: Arguments) -> Reply:
    """SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]."""
    cursor = scan_cursor(arguments[0])
    pattern, count = b"*", 10
    kind: Kind | None = None
    nothing = False
    options = arguments[1:]
    if len(options) % 2:
        raise Failure(SYNTAX)
    for word, value in zip(options[::2], options[1::2], strict=True):
        match option(word):
            case "match":
                pattern = value
            case "count":
                count = integer(value)
                if count < 1:
                    raise Failure(SYNTAX)
            case "type":
                wanted = option(value)
                kind = "string" if wanted == "string" else "stream"
                nothing = wanted not in ("string", "stream")
            case _:
                raise Failure(SYNTAX)
    following, found = session.keyspace.scan(cursor, count, pattern, kind)
    return [b"%d" % following, [] if nothing else found]


@command("randomkey", 1, "readonly", summary="Returns a random key name from the database.", group="generic")
def randomkey(session: Session, arguments: Arguments) -> Reply:
    """RANDOMKEY."""
    return session.keyspace.random_key(session.server.effects.random_below)


# ---------------------------------------------------------------- other names


def _rename(session: Session, arguments: Arguments, must_be_new: bool) -> bool:
    key, name = arguments
    keyspace = session.keyspace
    if keyspace.kind(key) is None:
        raise Failure(NO_SUCH_KEY)
    if must_be_new and keyspace.kind(name) is not None:
        return False
    if key != name:
        keyspace.transfer(key, keyspace, name, keep=False)
        session.changed("rename_from", key)
        session.changed("rename_to", name)
    return True


@command("rename", 3, "write", (1, 2, 1), summary="Renames a key and overwrites the destination.", group="generic")
def rename(session: Session, arguments: Arguments) -> Reply:
    """RENAME key newkey."""
    _rename(session, arguments, False)
    return OK


@command(
    "renamenx",
    3,
    "write fast",
    (1, 2, 1),
    summary="Renames a key only when the target key name doesn't exist.",
    group="generic",
)
def renamenx(session: Session, arguments: Arguments) -> Reply:
    """RENAMENX key newkey."""
    return int(_rename(session, arguments, True))


def _give(session: Session, key: bytes, target: Keyspace, name: bytes, events: tuple[str, str]) -> int:
    """COPY and MOVE to a key that may be overwritten; the events are of the source, none for COPY, and the target."""
    of_source, of_target = events
    if not session.keyspace.transfer(key, target, name, keep=not of_source):
        return 0
    if of_source:
        session.changed(of_source, key)
    session.server.changed(target.number, of_target, name)
    return 1


@command(
    "copy",
    -3,
    "write denyoom",
    (1, 2, 1),
    summary="Copies the value of a key to a new key.",
    group="generic",
    since="6.2.0",
)
def copy(session: Session, arguments: Arguments) -> Reply:
    """COPY source destination [DB number] [REPLACE]."""
    source, destination, *words = arguments
    number, replaces = session.database, False
    waiting = iter(words)
    for word in waiting:
        name = option(word)
        if name == "replace":
            replaces = True
        elif name == "db" and (text := next(waiting, None)) is not None:
            number = database_number(text)
        else:
            raise Failure(SYNTAX)
    target = session.keyspace_of(number)
    if number == session.database and source == destination:
        raise Failure(SAME_OBJECTS)
    if session.keyspace.kind(source) is None or (target.kind(destination) is not None and not replaces):
        return 0
    return _give(session, source, target, destination, ("", "copy_to"))


@command("move", 3, "write fast", (1, 1, 1), summary="Moves a key to another database.", group="generic")
def move(session: Session, arguments: Arguments) -> Reply:
    """MOVE key number."""
    key = arguments[0]
    number = database_number(arguments[1])
    if number == session.database:
        raise Failure(SAME_OBJECTS)
    target = session.keyspace_of(number)
    if target.kind(key) is not None:
        return 0
    return _give(session, key, target, key, ("move_from", "move_to"))


# ---------------------------------------------------------------- values as bytes to keep

_DUMP_OF_A_STRING: Final = b"striate\x01s"


@command(
    "dump",
    2,
    "readonly",
    (1, 1, 1),
    summary="Returns a serialized representation of the value stored at a key.",
    group="generic",
    since="2.6.0",
)
def dump(session: Session, arguments: Arguments) -> Reply:
    """DUMP key: a form of striate's own, with a checksum, which RESTORE takes; not that of Redis."""
    if session.keyspace.kind(arguments[0]) == "stream":
        raise Failure("ERR a stream cannot be dumped")
    value = session.keyspace.get(arguments[0])
    if value is None:
        return None
    payload = _DUMP_OF_A_STRING + value
    return payload + crc32c(payload).to_bytes(4, "little")


def _restored(payload: bytes) -> bytes:
    body = payload[:-4]
    if not body.startswith(_DUMP_OF_A_STRING) or payload[-4:] != crc32c(body).to_bytes(4, "little"):
        raise Failure("ERR DUMP payload version or checksum are wrong")
    return body[len(_DUMP_OF_A_STRING) :]


@command(
    "restore",
    -4,
    "write denyoom",
    (1, 1, 1),
    summary="Creates a key from the serialized representation of a value.",
    group="generic",
    since="2.6.0",
)
def restore(session: Session, arguments: Arguments) -> Reply:
    """RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]."""
    key, ttl, payload, *words = arguments
    replaces = absolute = False
    waiting = iter(words)
    for word in waiting:
        name = option(word)
        if name == "replace":
            replaces = True
        elif name == "absttl":
            absolute = True
        elif name == "idletime" and (text := next(waiting, None)) is not None:
            natural(text, "ERR Invalid IDLETIME value, must be >= 0")
        elif name == "freq" and (text := next(waiting, None)) is not None:
            if natural(text, "ERR Invalid FREQ value, must be >= 0 and <= 255") > 255:
                raise Failure("ERR Invalid FREQ value, must be >= 0 and <= 255")
        else:
            raise Failure(SYNTAX)
    if not replaces and session.keyspace.kind(key) is not None:
        raise Failure("BUSYKEY Target key name already exists.")
    end = integer(ttl)
    if end < 0:
        raise Failure("ERR Invalid TTL value, must be >= 0")
    if end and not absolute:
        end += session.server.effects.now_ms()
    session.keyspace.set(key, _restored(payload), min(end, LATEST_END))
    session.changed("restore", key)
    return OK


# ---------------------------------------------------------------- what OBJECT tells


def _encoding(session: Session, key: bytes) -> bytes:
    if session.keyspace.kind(key) == "stream":
        return b"stream"
    value = session.keyspace.get(key) or b""
    if integer_or_none(value) is not None:
        return b"int"
    return b"embstr" if len(value) <= 44 else b"raw"


@command(
    "object encoding",
    3,
    "readonly",
    (2, 2, 1),
    summary="Returns the internal encoding of a Redis object.",
    group="generic",
    since="2.2.3",
)
def object_encoding(session: Session, arguments: Arguments) -> Reply:
    """OBJECT ENCODING <key>."""
    return _encoding(session, arguments[0]) if session.keyspace.kind(arguments[0]) else None


@command(
    "object refcount",
    3,
    "readonly",
    (2, 2, 1),
    summary="Returns the reference count of a value of a key.",
    group="generic",
    since="2.2.3",
)
def object_refcount(session: Session, arguments: Arguments) -> Reply:
    """OBJECT REFCOUNT <key>."""
    return 1 if session.keyspace.kind(arguments[0]) else None


@command(
    "object idletime",
    3,
    "readonly",
    (2, 2, 1),
    summary="Returns the time since the last access to an object; 0, since no time of access is kept.",
    group="generic",
    since="2.2.3",
)
def object_idletime(session: Session, arguments: Arguments) -> Reply:
    """OBJECT IDLETIME <key>."""
    return 0 if session.keyspace.kind(arguments[0]) else None


@command(
    "object freq",
    3,
    "readonly",
    (2, 2, 1),
    summary="Returns the logarithmic access frequency counter of an object.",
    group="generic",
    since="4.0.0",
)
def object_freq(session: Session, arguments: Arguments) -> Reply:
    """OBJECT FREQ <key>."""
    if not session.keyspace.kind(arguments[0]):
        return None
    raise Failure(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching "
        "between policies at runtime LRU and LFU data will take some time to adjust."
    )


@command(
    "object help",
    2,
    "loading stale",
    summary="Returns helpful text about the different subcommands.",
    group="generic",
    since="6.2.0",
)
def object_help(session: Session, arguments: Arguments) -> Reply:
    """OBJECT HELP."""
    return help_of("object")
