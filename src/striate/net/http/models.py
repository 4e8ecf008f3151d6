"""The JSON that is taken and given. The types are what bodies are checked against and what ``/openapi.json`` shows."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from striate._native.streamentry import StreamEntry
from striate.commands.stream_fields import DATA, KEY, as_entry, as_fields
from striate.commands.stream_ids import id_bytes

_BASE64: Final = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"


class Base64(Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes that are not UTF-8 text."""

    base64: Annotated[bytes, Meta(extra_json_schema={"pattern": _BASE64})]


Data: TypeAlias = str | Base64
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=255)]
# JSON knows no integers: 5.0 is 5.
Version: TypeAlias = Annotated[float, Meta(ge=0, le=(1 << 53) - 1, multiple_of=1)]
Seconds: TypeAlias = Annotated[float, Meta(ge=0.001, le=1e9)]
Fields: TypeAlias = (
    Annotated[dict[str, Data], Meta(min_length=1)] | Annotated[list[tuple[Data, Data]], Meta(min_length=1)]
)


def to_bytes(data: Data) -> bytes:
    """The bytes meant."""
    return data.encode() if isinstance(data, str) else data.base64


def to_data(value: bytes) -> Data:
    """Bytes as JSON shows them: text where they are UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return Base64(value)


def shown(value: bytes) -> str:
    """Bytes within a message."""
    return repr(value[:100].decode("utf-8", "backslashreplace"))


def to_fields(fields: list[bytes]) -> Fields:
    """Fields and values in turn as an object, or as a list of pairs where a name comes twice or is no text."""
    pairs = [(to_data(name), to_data(value)) for name, value in zip(fields[::2], fields[1::2], strict=True)]
    named = {name: value for name, value in pairs if isinstance(name, str)}
    return named if len(named) == len(pairs) else pairs


# ---------------------------------------------------------------- streams


class _EntryParts(Struct, forbid_unknown_fields=True):
    value: Data | UnsetType = UNSET
    key: Data | UnsetType = UNSET
    fields: Fields | UnsetType = UNSET

    def stored(self, default_key: bytes | None = None) -> tuple[bytes, bytes | None]:
        """Value and key of the stream's entry. ValueError: neither a value nor fields, or both."""
        if isinstance(self.fields, UnsetType):
            if isinstance(self.value, UnsetType):
                raise ValueError("an entry has either a `value` or `fields`")
            key = default_key if isinstance(self.key, UnsetType) else to_bytes(self.key)
            return as_entry([DATA, to_bytes(self.value)] if key is None else [DATA, to_bytes(self.value), KEY, key])
        if not isinstance(self.value, UnsetType) or not isinstance(self.key, UnsetType):
            raise ValueError("an entry with `fields` has neither a `value` nor a `key`")
        pairs = self.fields.items() if isinstance(self.fields, dict) else self.fields
        return as_entry([to_bytes(part) for pair in pairs for part in pair])


class NewEntry(_EntryParts):
    """An entry to append: a ``value`` with or without a ``key``, or ``fields``."""


class NewEntries(Struct, forbid_unknown_fields=True):
    """Entries to append together."""

    entries: Annotated[list[NewEntry], Meta(min_length=1, max_length=10_000)]


class Appended(Struct):
    """Ids of the entries that were appended."""

    ids: list[str]


class Entry(Struct, omit_defaults=True):
    """An entry as it was appended."""

    id: str
    value: Data | UnsetType = UNSET
    key: Data | UnsetType = UNSET
    fields: Fields | UnsetType = UNSET


class Entries(Struct):
    """Entries, and the id to ask behind next."""

    entries: list[Entry]
    last_id: str


def shown_entry(entry: StreamEntry) -> Entry:
    """As JSON shows it; the fields are those that Redis clients see."""
    shown = Entry(id_bytes(entry.id).decode())
    fields = as_fields(entry.value, entry.key)
    if fields[0] == DATA and (len(fields) == 2 or (len(fields) == 4 and fields[2] == KEY)):
        shown.value = to_data(fields[1])
        if len(fields) == 4:
            shown.key = to_data(fields[3])
    else:
        shown.fields = to_fields(fields)
    return shown


# ---------------------------------------------------------------- transactions


class Set(Struct, forbid_unknown_fields=True, tag_field="op", tag="set"):
    """Store a string; with ``version`` only if the key has it still, 0: is absent."""

    key: Data
    value: Data
    ttl: Seconds | None = None
    version: Version | None = None


class Delete(Struct, forbid_unknown_fields=True, tag_field="op", tag="delete"):
    """Remove a string; with ``version`` only if the key has it still."""

    key: Data
    version: Version | None = None


class Check(Struct, forbid_unknown_fields=True, tag_field="op", tag="check"):
    """Write nothing, but let the transaction fail unless the key has this version, 0: is absent."""

    key: Data
    version: Version


class Append(_EntryParts, forbid_unknown_fields=True, tag_field="op", tag="append", kw_only=True):
    """Append an entry to a stream, which is made if it is not there."""

    stream: Name


_VALUE_OR_FIELDS: Final = {
    "oneOf": [
        {"required": ["value"], "not": {"required": ["fields"]}},
        {"required": ["fields"], "not": {"anyOf": [{"required": ["value"]}, {"required": ["key"]}]}},
    ]
}
RULES: Final = {"NewEntry": _VALUE_OR_FIELDS, "Append": _VALUE_OR_FIELDS}
"""What the types cannot say, for their schemas; ``stored`` checks it."""

Operation: TypeAlias = Set | Delete | Check | Append
Operations: TypeAlias = Annotated[list[Operation], Meta(min_length=1, max_length=10_000)]


class Done(Struct, omit_defaults=True):
    """What one operation of a transaction did: ``version`` of what was stored, ``id`` of what was appended."""

    version: int | UnsetType = UNSET
    id: str | UnsetType = UNSET


class Committed(Struct):
    """One result for each operation, in their order."""

    results: list[Done]


def decode(body: bytes, type: Any) -> Any:
    """A body as ``type``. ValueError: it is no JSON, or not of that form."""
    try:
        return msgspec.json.decode(body, type=type)
    except RecursionError:
        raise ValueError("nested too deeply") from None
