"""The server itself: requests and the replies that a redis-server gives to them."""

from __future__ import annotations

import pytest
from support.clients import Run, Steps, converse

from striate.protocol.replies import NULL_ARRAY

ADMINISTRATION: dict[str, Steps] = {
    "CONFIG": [
        ("CONFIG SET foo bar", "-ERR Unknown option or number of arguments for CONFIG SET - 'foo'"),
        ("CONFIG SET maxmemory", "-ERR wrong number of arguments for 'config|set' command"),
        (
            "CONFIG SET databases 3",
            "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config",
        ),
        (
            "CONFIG SET slowlog-max-len x",
            (
                "-ERR CONFIG SET failed (possibly related to argument 'slowlog-max-len') - argument couldn'"
                "t be parsed into an integer"
            ),
        ),
        (
            "CONFIG SET slowlog-max-len 5 slowlog-max-len 6",
            "-ERR CONFIG SET failed (possibly related to argument 'slowlog-max-len') - duplicate parameter",
        ),
        ("CONFIG SET slowlog-max-len 5 timeout", "-ERR syntax error"),
        ("CONFIG SET slowlog-max-len 5 timeout 10", b"OK"),
        ("CONFIG GET slowlog-max-len timeout", {b"slowlog-max-len": b"5", b"timeout": b"10"}),
        ("CONFIG GET SLOWLOG-MAX*", {b"slowlog-max-len": b"5"}),
        ("CONFIG GET nosuch", {}),
        ("CONFIG GET", "-ERR wrong number of arguments for 'config|get' command"),
        ("CONFIG REWRITE", "-ERR The server is running without a config file"),
        ("CONFIG RESETSTAT", b"OK"),
        (
            "CONFIG SET notify-keyspace-events Q",
            (
                "-ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid e"
                "vent class character. Use 'Ag$lshzxeKEtmdn'."
            ),
        ),
    ],
    "SLOWLOG and LATENCY": [
        ("SLOWLOG GET x", "-ERR count should be greater than or equal to -1"),
        ("SLOWLOG GET -2", "-ERR count should be greater than or equal to -1"),
        ("SLOWLOG GET 1 2", "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP."),
        ("SLOWLOG LEN", 0),
        ("SLOWLOG GET", []),
        ("SLOWLOG RESET", b"OK"),
        ("LATENCY LATEST", []),
        ("LATENCY HISTORY x", []),
        ("LATENCY RESET", 0),
        ("LATENCY GRAPH x", "-ERR No samples available for event 'x'"),
    ],
    "WAIT, MEMORY, ROLE": [
        ("WAIT x 1", "-ERR value is not an integer or out of range"),
        ("WAIT 0 -1", "-ERR timeout is negative"),
        ("WAIT 0 0", 0),
        ("MEMORY USAGE k SAMPLES", "-ERR syntax error"),
        ("MEMORY USAGE k SAMPLES -1", "-ERR syntax error"),
        ("MEMORY USAGE nosuch", None),
        ("MEMORY PURGE", b"OK"),
        ("MEMORY FOO", "-ERR unknown subcommand 'FOO'. Try MEMORY HELP."),
        ("ROLE", [b"master", 0, []]),
    ],
    "the end": [
        ("SHUTDOWN FOO", "-ERR syntax error"),
        ("SHUTDOWN ABORT", "-ERR No shutdown in progress."),
        ("SHUTDOWN ABORT NOW", "-ERR syntax error"),
        ("BGSAVE FOO", "-ERR syntax error"),
    ],
    "COMMAND": [
        ("COMMAND COUNT FOO", "-ERR wrong number of arguments for 'command|count' command"),
        ("COMMAND LIST FOO", "-ERR syntax error"),
        ("COMMAND LIST FILTERBY FOO x", "-ERR syntax error"),
        ("COMMAND LIST FILTERBY PATTERN getde*", [b"getdel"]),
        ("COMMAND LIST FILTERBY ACLCAT nosuch", []),
        ("COMMAND LIST FILTERBY MODULE x", []),
        ("COMMAND GETKEYS", "-ERR wrong number of arguments for 'command|getkeys' command"),
        ("COMMAND GETKEYS get", "-ERR Invalid number of arguments specified for command"),
        ("COMMAND GETKEYS foo x", "-ERR Invalid command specified"),
        ("COMMAND GETKEYS get a", [b"a"]),
        ("COMMAND GETKEYS ping a", "-ERR The command has no key arguments"),
        ("COMMAND GETKEYS get a b", "-ERR Invalid number of arguments specified for command"),
        ("COMMAND GETKEYS mset a b c d", [b"a", b"c"]),
        ("COMMAND GETKEYS object encoding a", [b"a"]),
        ("COMMAND GETKEYS del a b c", [b"a", b"b", b"c"]),
        ("COMMAND GETKEYSANDFLAGS set a b", [[b"a", [b"OW", b"update"]]]),
        ("COMMAND GETKEYSANDFLAGS mget a b", [[b"a", [b"RO", b"access"]], [b"b", [b"RO", b"access"]]]),
        ("COMMAND GETKEYSANDFLAGS del a b", [[b"a", [b"RM", b"delete"]], [b"b", [b"RM", b"delete"]]]),
        ("COMMAND GETKEYSANDFLAGS incr a", [[b"a", [b"RW", b"access", b"update"]]]),
        ("COMMAND FOO", "-ERR unknown subcommand 'FOO'. Try COMMAND HELP."),
        ("COMMAND DOCS nosuch", {}),
        ("COMMAND INFO nosuch", [NULL_ARRAY]),
        (
            "COMMAND INFO get",
            [
                [
                    b"get",
                    2,
                    [b"fast", b"readonly"],
                    1,
                    1,
                    1,
                    [b"@fast", b"@read", b"@string"],
                    [],
                    [
                        {
                            b"flags": [b"RO", b"access"],
                            b"begin_search": {b"type": b"index", b"spec": {b"index": 1}},
                            b"find_keys": {b"type": b"range", b"spec": {b"lastkey": 0, b"keystep": 1, b"limit": 0}},
                        }
                    ],
                    [],
                ]
            ],
        ),
        (
            'COMMAND INFO "object|encoding"',
            [
                [
                    b"object|encoding",
                    3,
                    [b"readonly"],
                    2,
                    2,
                    1,
                    [b"@keyspace", b"@read", b"@slow"],
                    [],
                    [
                        {
                            b"flags": [b"RO", b"access"],
                            b"begin_search": {b"type": b"index", b"spec": {b"index": 2}},
                            b"find_keys": {b"type": b"range", b"spec": {b"lastkey": 0, b"keystep": 1, b"limit": 0}},
                        }
                    ],
                    [],
                ]
            ],
        ),
        ("LASTSAVE x", "-ERR wrong number of arguments for 'lastsave' command"),
        ("TIME x", "-ERR wrong number of arguments for 'time' command"),
        ("INFO nosuch", b""),
        ("DBSIZE x", "-ERR wrong number of arguments for 'dbsize' command"),
    ],
}


@pytest.mark.parametrize("steps", ADMINISTRATION.values(), ids=ADMINISTRATION.keys())
def test_administration(run: Run, steps: Steps) -> None:
    converse(run, steps)
