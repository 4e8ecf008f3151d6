"""Connections: requests and the replies that a redis-server gives to them."""

from __future__ import annotations

import pytest
from support.clients import Run, Steps, converse

CONNECTION: dict[str, Steps] = {
    "HELLO and CLIENT": [
        ("CLIENT KILL", "-ERR wrong number of arguments for 'client|kill' command"),
        ("CLIENT NO-EVICT x", "-ERR syntax error"),
        ("CLIENT NO-EVICT ON", b"OK"),
        ("HELLO 5", "-NOPROTO unsupported protocol version"),
        ("HELLO 2 AUTH", "-ERR Syntax error in HELLO option 'AUTH'"),
        ("HELLO 2 AUTH a", "-ERR Syntax error in HELLO option 'AUTH'"),
        ("HELLO 2 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'"),
        ('HELLO 2 SETNAME "a b"', "-ERR Client names cannot contain spaces, newlines or special characters."),
        ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
        ("HELLO 2 FOO", "-ERR Syntax error in HELLO option 'FOO'"),
        (
            "HELLO 2 AUTH default x SETNAME bob",
            {
                b"server": b"redis",
                b"version": b"7.2.4",
                b"proto": 2,
                b"id": 1,
                b"mode": b"standalone",
                b"role": b"master",
                b"modules": [],
            },
        ),
        ("CLIENT GETNAME", b"bob"),
        ("HELLO 2 AUTH foo x", "-WRONGPASS invalid username-password pair or user is disabled."),
        ("CLIENT REPLY FOO", "-ERR syntax error"),
        ("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range"),
        ("CLIENT PAUSE -1", "-ERR timeout is negative"),
        ("CLIENT PAUSE 1 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL"),
        ('CLIENT SETNAME "a b"', "-ERR Client names cannot contain spaces, newlines or special characters."),
        ("CLIENT SETNAME carl", b"OK"),
        ("CLIENT GETNAME", b"carl"),
        ('CLIENT SETNAME ""', b"OK"),
        ("CLIENT GETNAME", None),
        ("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range"),
        ("CLIENT UNBLOCK 1 FOO", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        ("CLIENT UNBLOCK 100000", 0),
        ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0"),
        ("CLIENT KILL ID x", "-ERR client-id should be greater than 0"),
        ("CLIENT KILL ID 99999", 0),
        ("CLIENT KILL FOO x", "-ERR syntax error"),
        ("CLIENT KILL 1.1.1.1:1", "-ERR No such client"),
        ("CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'"),
        ("CLIENT KILL TYPE pubsub", 0),
        ("CLIENT KILL SKIPME x", "-ERR syntax error"),
        ("CLIENT KILL ID 1 SKIPME", "-ERR syntax error"),
        ("CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'"),
        ("CLIENT LIST ID x", "-ERR Invalid client ID"),
        ("CLIENT LIST FOO", "-ERR syntax error"),
        ("CLIENT UNPAUSE", b"OK"),
        ("CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
        ("CLIENT", "-ERR wrong number of arguments for 'client' command"),
    ],
    "PING, ECHO, AUTH, RESET": [
        ("PING", b"PONG"),
        ("PING a", b"a"),
        ("PING a b", "-ERR wrong number of arguments for 'ping' command"),
        ("ECHO", "-ERR wrong number of arguments for 'echo' command"),
        ("ECHO x", b"x"),
        ("AUTH", "-ERR wrong number of arguments for 'auth' command"),
        ("AUTH a b c", "-ERR syntax error"),
        (
            "AUTH x",
            (
                "-ERR AUTH <password> called without any password configured for the default user. Are you "
                "sure your configuration is correct?"
            ),
        ),
        ("AUTH default x", b"OK"),
        ("AUTH foo x", "-WRONGPASS invalid username-password pair or user is disabled."),
        ("SELECT 3", b"OK"),
        ("RESET", b"RESET"),
        ("RESET x", "-ERR wrong number of arguments for 'reset' command"),
        ("CLIENT REPLY ON", b"OK"),
    ],
}


@pytest.mark.parametrize("steps", CONNECTION.values(), ids=CONNECTION.keys())
def test_connection(run: Run, steps: Steps) -> None:
    converse(run, steps)
