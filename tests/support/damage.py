"""Logs to be damaged, and the damage: which bits are flipped and to which lengths files are cut.

Every bit of a header, an index, a footer or a small file, and every length, is a case, for which the damaged log is
opened. Not so each bit of a payload, of which there are the most. Payload is looked at in two ways alone: by the
frame's checksum, whose verdict is the same for every single flipped bit (a CRC notices all of them), and by searches
for the next frame, which take words of eight bytes for zero or not (none is, before or after) and then for the start
of a frame, by its checksum again. So one bit of each word of payload is a case, and that the checksum does notice
every single one is tried on all of them (`payload_bits`), in the mapping of a log that stays open.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from striate import Log
from support import format as fmt
from support.model import Entry, held


@dataclass
class Base:
    """An undamaged directory and what it holds."""

    files: dict[str, bytes]
    records: dict[int, Entry]
    low: int
    next: int
    last_group: int  # the first offset of the last append, which alone may pass for torn
    synced: bool  # every record was synced when it was acknowledged
    unsealed: int = 0  # base offset of the last segment, or `next` when it is sealed or was closed in order
    frames: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)  # store → offset, start, end
    payloads: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)  # likewise, of their payloads
    steps: dict[str, int] = field(default_factory=dict)  # of which files only every so many bytes are damaged


class Case(NamedTuple):
    """Flip a bit of a file, or cut the file to a length."""

    file: str
    bit: int = -1
    length: int = -1

    def damaged(self, data: bytes) -> bytes:
        if self.length >= 0:
            return data[: self.length]
        changed = bytearray(data)
        changed[self.bit >> 3] ^= 1 << (self.bit & 7)
        return bytes(changed)


def make_base(path: Path, kind: str) -> Base:
    """Small logs of a few segments: closed, left by a kill in either mode, compacted, of fixed length."""
    shape: dict[str, Any] = {"record_size": 40} if kind == "fixed" else {}
    durability = "power" if kind in ("power", "fixed") else "process"
    log = Log(path, segment_bytes=4096, durability=durability, sync_interval_ms=3_600_000, initial_offset=3, **shape)
    keys = 4 if kind == "compacted" else 50
    count = 0
    while len(log.segments()) < (6 if kind == "compacted" else 3):
        count += 1
        value = b"%d." % count * 60
        log.append(*([value[:40]] if shape else [value[: 100 + count], b"key-%d" % (count % keys)]))
    if kind == "compacted":
        log.append_tombstone(b"key-1")
        log.compact()
    for count in range(4):
        log.append(*([b"%040d" % count] if shape else [b"last %d " % count * 9]))
    if kind == "process":
        log.sync()
        log.append(b"not synced " * 5)
    last = log.append_many([b"%040d" % part for part in range(3)]).start
    base = Base({}, held(log), log.lowest_offset, log.next_offset, last, durability == "power")
    base.unsealed = log.segments()[-1].base_offset
    kept = path
    if kind in ("power", "process", "fixed"):
        kept = path.with_name(f"{path.name}-killed")
        shutil.copytree(path, kept)
    log.close()
    if kept == path:
        base.unsealed = base.next
    base.files = {file.name: file.read_bytes() for file in kept.iterdir()}
    for name, data in base.files.items():
        if name.endswith(".store"):
            store = fmt.decode_store(data)
            base.frames[name] = [
                (store.header.base_offset + f.relative_offset, f.position, f.position + f.size_bytes)
                for f in store.frames
            ]
            base.payloads[name] = [
                (store.header.base_offset + f.relative_offset, *whole_words(f)) for f in store.frames
            ]
    stores = sorted(base.frames)
    if kind != "closed":
        base.steps = dict.fromkeys(stores[0 if kind == "power" else 1 : -1], 5)
    else:
        base.steps = {stores[1]: 5}
    return base


def whole_words(frame: fmt.Frame) -> tuple[int, int]:
    """Start and end of the words of key and value; the words that they share with other fields are not among them."""
    start = frame.position + fmt.FRAME_BYTES + (8 if frame.flags & fmt.HAS_SYNC else 0)
    end = start + len(frame.key or b"") + len(frame.value)
    return start, end - end % 8


KINDS = ["closed", "power", "process", "compacted", "fixed"]


def cases(base: Base) -> Iterator[Case]:
    """Every length, and every bit but those of payloads; of long runs of zeros one bit in 16 bytes, and one length.

    Of each word of a payload a bit, another one from word to word. Where another kind has a segment of the same
    state and shape, a part of its bytes.
    """
    for name, data in sorted(base.files.items()):
        step = 512 if name == "reserve" else base.steps.get(name, 1)
        payload = {place for _, start, end in base.payloads.get(name, []) for place in range(start, end)}
        assert not any(data[word : word + 8] == bytes(8) for word in range(0, len(data), 8) if word in payload)
        for position in range(0, len(data), step):
            word = position // 8
            if position in payload:
                yield Case(name, length=position)
                if step > 1 or position % 8 == word % 8:
                    yield Case(name, bit=position * 8 + word // 8 % 8)
            elif any(data[max(0, position - 16) : position + 17]):
                yield Case(name, length=position)
                for bit in range(8):
                    yield Case(name, bit=position * 8 + bit)
            elif position // step % 16 == 0:
                yield Case(name, length=position)
                yield Case(name, bit=position * 8 + position // 16 % 8)


def payload_bits(base: Base) -> Iterator[tuple[int, Case]]:
    """Every bit of every payload, and the offset of its record."""
    for name, frames in base.payloads.items():
        for offset, start, end in frames:
            for bit in range(start * 8, end * 8):
                yield offset, Case(name, bit=bit)
