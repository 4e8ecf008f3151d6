"""The settings that CONFIG knows: their types, what they are at first and whether they can be changed.

Each is one that the server keeps to, or whose value is a fact about it that clients ask for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from striate.commands.session import Settings

_UNITS: Final = {"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting; ``parse`` gives the text to keep, or raises ValueError with what is wrong."""

    default: str
    parse: Callable[[str], str]
    mutable: bool = True


def _boolean(text: str) -> str:
    if text.lower() not in ("yes", "no"):
        raise ValueError("argument must be 'yes' or 'no'")
    return text.lower()


def _integer(low: int, high: int) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(r"-?[0-9]{1,19}", text):
            raise ValueError("argument couldn't be parsed into an integer")
        if not low <= int(text) <= high:
            raise ValueError(f"argument must be between {low} and {high} inclusive")
        return str(int(text))

    return parse


def _memory(text: str) -> str:
    found = re.fullmatch(r"([0-9]{1,19})([a-z]*)", text.lower())
    if found is None or found[2] not in _UNITS:
        raise ValueError("argument must be a memory value")
    return str(int(found[1]) * _UNITS[found[2]])


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError("argument(s) must be one of the following: " + ", ".join(choices))
        return text.lower()

    return parse


def _keyspace_events(text: str) -> str:
    if set(text) - set("AKE$glshzxetdmn"):
        raise ValueError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
    return text


_MAX: Final = (1 << 63) - 1

SETTINGS: Final[dict[str, Setting]] = {
    "acllog-max-len": Setting("128", _integer(0, _MAX)),
    "appendfsync": Setting("always", _choice("always", "everysec", "no"), mutable=False),
    "appendonly": Setting("yes", _boolean, mutable=False),
    "bind": Setting("127.0.0.1", str, mutable=False),
    "client-output-buffer-limit": Setting("normal 0 0 0 slave 0 0 0 pubsub 0 0 0", str, mutable=False),
    "cluster-enabled": Setting("no", _boolean, mutable=False),
    "cluster-require-full-coverage": Setting("yes", _boolean, mutable=False),
    "databases": Setting("16", _integer(1, 16), mutable=False),
    "dir": Setting("", str, mutable=False),
    "latency-monitor-threshold": Setting("0", _integer(0, _MAX)),
    "maxclients": Setting("10000", _integer(1, 1 << 20)),
    "maxmemory": Setting("0", _memory, mutable=False),
    "maxmemory-policy": Setting("noeviction", _choice("noeviction", "allkeys-lfu"), mutable=False),
    "notify-keyspace-events": Setting("", _keyspace_events),
    "port": Setting("7379", _integer(0, 65535), mutable=False),
    "proto-max-bulk-len": Setting(str(512 << 20), _memory, mutable=False),
    "requirepass": Setting("", str, mutable=False),
    "save": Setting("", str, mutable=False),
    "slowlog-log-slower-than": Setting("10000", _integer(-1, _MAX)),
    "slowlog-max-len": Setting("128", _integer(0, 100_000)),
    "strict-transactions": Setting("no", _boolean),
    "stream-node-max-bytes": Setting("4096", _memory, mutable=False),
    "stream-node-max-entries": Setting("100", _integer(0, _MAX), mutable=False),
    "timeout": Setting("0", _integer(0, 1 << 31)),
    "tcp-keepalive": Setting("300", _integer(0, 1 << 31), mutable=False),
    "tls-port": Setting("0", _integer(0, 65535), mutable=False),
    "tracking-table-max-keys": Setting("1000000", _integer(0, _MAX)),
    "unixsocket": Setting("", str, mutable=False),
}


def setting(settings: Settings, name: str) -> str:
    """What a setting is."""
    value = settings.values.get(name)
    return SETTINGS[name].default if value is None else value
