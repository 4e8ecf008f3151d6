"""What recovery judges of one segment, of bytes made by hand."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from support.format import (
    CONTINUES,
    HAS_SYNC,
    HEADER_BYTES,
    SYNCED_BEFORE,
    encode_frame,
)
from support.layers import (
    BASE,
    HEADER,
    SEGMENT_ID,
    Body,
    flip,
    four,
    frame,
    fresh,
    joined,
    write_store,
)

from striate._native.segment import Segment, file_names
from striate.storage.manifest import SegmentEntry

MISSING = bytes(24)


# ---------------------------------------------------------------- recovery


@dataclass
class Tail:
    """What stands in an unsealed segment, and what recovery must say of it."""

    name: str
    data: bytes
    verdict: str
    records: int  # that are kept
    end: int  # behind the last record that is kept
    synced: int = 0
    stop: int = 0xFFFFFFF0
    damage: tuple[tuple[int, int], ...] = ()  # relative offsets

    @property
    def start_of_doubt(self) -> int:
        return HEADER_BYTES if self.verdict == "corrupt" else self.end


def tails() -> list[Tail]:
    body = four()
    whole, start, end = joined(body), body.position, body.end
    first_two = whole[: start(2) - HEADER_BYTES]
    third, fourth = body.parts[2:]
    rotten = flip(third, 30)
    marked = encode_frame(frame(3, flags=SYNCED_BEFORE), SEGMENT_ID)

    def noted(position: int) -> bytes:
        return encode_frame(frame(3, flags=HAS_SYNC, synced_position=position), SEGMENT_ID)

    def third_as(**fields: object) -> bytes:
        return encode_frame(frame(2, **fields), SEGMENT_ID)  # type: ignore[arg-type]

    batch = Body.of([frame(0), frame(1, flags=CONTINUES), frame(2, flags=CONTINUES), frame(3)])
    begun = b"".join(batch.parts[:3])
    giant = third[:4] + struct.pack("<I", 0xFFFFFFF0) + third[8:]
    two = start(2)
    return [
        Tail("nothing", b"", "clean", 0, HEADER_BYTES),
        Tail("whole frames", whole, "clean", 4, end),
        Tail("whole frames, all of it synced", whole, "clean", 4, end, synced=end),
        Tail("footer", whole + body.footer(), "sealed", 4, end),
        Tail("footer of nothing", Body().footer(), "sealed", 0, HEADER_BYTES),
        # Never acknowledged: set aside.
        Tail("damaged footer", whole + flip(body.footer(), 40), "torn", 4, end),
        Tail("another segment's footer", whole + flip(body.footer(), 8), "torn", 4, end),
        Tail("header missing", first_two + MISSING + third[24:], "torn", 2, two),
        Tail("a few bytes", first_two + b"\1" * 8, "torn", 2, two),
        Tail("one bit", first_two + bytes(200) + b"\1", "torn", 2, two),
        Tail("a later frame without the one before", first_two + bytes(len(third)) + fourth, "torn", 2, two),
        Tail("rotten frame before a good one", first_two + rotten + fourth, "torn", 2, two),
        Tail("a mark that proves less", first_two + rotten + noted(two), "torn", 2, two),
        Tail("number left out", first_two + fourth, "torn", 2, two),
        Tail("number repeated", first_two + body.parts[1], "torn", 2, two),
        Tail("reserved flag", first_two + third_as(flags=0x80), "torn", 2, two),
        Tail("unknown kind", first_two + third_as(kind=5), "torn", 2, two),
        Tail("batch without its end", begun, "torn", 1, batch.position(1)),
        # One that looks complete: torn or rotten, nobody can tell.
        Tail("one bit of the last value", first_two + rotten, "suspect", 2, two),
        Tail("last checksum", first_two + flip(third, 0), "suspect", 2, two),
        Tail("half of the last value", first_two + third[:48] + bytes(40), "suspect", 2, two),
        Tail("only the last header", first_two + third[:24], "suspect", 2, two),
        Tail("length beyond the file", first_two + giant, "suspect", 2, two),
        Tail("another segment's frame", first_two + encode_frame(frame(2), 99), "suspect", 2, two),
        Tail("rotten end of a batch", begun + flip(batch.parts[3], 30), "suspect", 1, batch.position(1)),
        # Records from a failed sync on.
        Tail("distrusted", whole, "distrusted", 2, two, stop=2),
        Tail("all distrusted", whole, "distrusted", 0, HEADER_BYTES, stop=0),
        Tail("distrust from the end on", whole, "clean", 4, end, stop=4),
        # Durable once: kept, and named.
        Tail("rot before a sync mark", first_two + rotten + marked, "corrupt", 3, end, damage=((2, 3),)),
        Tail("rot before a noted sync", first_two + rotten + noted(start(3)), "corrupt", 3, end + 8, damage=((2, 3),)),
        Tail("rot below the checkpoint", first_two + rotten, "corrupt", 2, two, synced=end, damage=((2, 3),)),
        Tail("gone below the checkpoint", first_two, "corrupt", 2, two, synced=end, damage=((2, 3),)),
        Tail("rot before a footer", first_two + rotten + fourth + body.footer(), "corrupt", 3, end, damage=((2, 3),)),
        Tail("rot in the first frame", flip(whole, 30), "corrupt", 3, end, synced=end, damage=((0, 1),)),
        Tail(
            "rot twice",
            flip(body.parts[0], 0) + body.parts[1] + rotten + marked,
            "corrupt",
            2,
            end,
            damage=((0, 1), (2, 3)),
        ),
    ]


@pytest.mark.parametrize("tail", tails(), ids=lambda tail: tail.name)
def test_verdicts(tmp_path: Path, tail: Tail) -> None:
    entry = write_store(tmp_path, tail.data)
    path = tmp_path / file_names("", BASE, 0)[0]
    before = path.read_bytes()
    segment = Segment.open_unsealed(str(tmp_path), entry)
    verdict, end, dirty = segment.recover(tail.synced, tail.stop)
    assert verdict == tail.verdict
    assert segment.record_count == tail.records
    holes = [(first - BASE, after - BASE) for first, after, _, _ in segment.damage]
    assert holes == list(tail.damage)
    if verdict != "corrupt":
        assert end == segment.end_position == tail.end
        assert segment.next_offset == BASE + tail.records
    last = HEADER_BYTES + len(tail.data.rstrip(b"\0"))
    assert dirty == (end if verdict in ("clean", "sealed") else max(-(-last // 8) * 8, tail.start_of_doubt))
    assert segment.checked
    assert not segment.sealed
    assert path.read_bytes() == before, "judging changes nothing"


@pytest.mark.parametrize("tail", tails(), ids=lambda tail: tail.name)
def test_what_is_kept_can_be_read(tmp_path: Path, tail: Tail) -> None:
    segment = Segment.open_unsealed(str(tmp_path), write_store(tmp_path, tail.data))
    verdict, end, _ = segment.recover(tail.synced, tail.stop)
    kept = [offset for offset in range(BASE, segment.next_offset) if not hit(segment, offset)]
    assert segment.offsets() == kept
    records, size, problems = segment.check()
    if verdict != "corrupt":
        assert (records, size, problems) == (tail.records, end, [])
    else:
        assert problems
        assert {offset for _, offset, _ in problems} >= {first for first, _, _, _ in segment.damage}
    (tmp_path / "copy").mkdir()
    copy = fresh(tmp_path / "copy")
    copy.copy_from(segment, kept)
    assert copy.record_count == tail.records


def hit(segment: Segment, offset: int) -> bool:
    return any(first <= offset < after for first, after, _, _ in segment.damage)


def test_the_highest_mark_is_reported(tmp_path: Path) -> None:
    body = Body.of([frame(0), frame(1, flags=SYNCED_BEFORE), frame(2, flags=HAS_SYNC, synced_position=72)])
    segment = Segment.open_unsealed(str(tmp_path), write_store(tmp_path, joined(body)))
    segment.recover()
    assert segment.mark == body.position(1)


@pytest.mark.parametrize("cut", range(1, 10))
def test_every_cut_of_the_last_frame(tmp_path: Path, cut: int) -> None:
    """Zeros from each unit of the last frame on: never kept, never called durable."""
    body = four()
    data = joined(body)[: body.position(3) - HEADER_BYTES + 8 * cut]
    complete = len(data) == body.end - HEADER_BYTES
    segment = Segment.open_unsealed(str(tmp_path), write_store(tmp_path, data))
    verdict = segment.recover()[0]
    assert (verdict, segment.record_count) == ("clean", 4) if complete else verdict in ("torn", "suspect")
    if not complete and 8 * cut < len(body.parts[3]):
        assert segment.record_count == 3


# ---------------------------------------------------------------- recovery of fixed-length logs

FIXED = replace(HEADER, record_size=16)
STRIDE = 48


def fixed(relative: int, size: int = 16) -> bytes:
    made = frame(relative, size=size, key=None, flags=HAS_SYNC, synced_position=HEADER_BYTES)
    return encode_frame(made, SEGMENT_ID)


@pytest.mark.parametrize(
    ("data", "verdict", "records"),
    [
        pytest.param(fixed(0) + fixed(1) + fixed(2), "clean", 3, id="whole"),
        pytest.param(b"", "clean", 0, id="nothing"),
        pytest.param(fixed(0) + flip(fixed(1), 30), "suspect", 1, id="rotten end"),
        pytest.param(fixed(0) + MISSING + fixed(1)[24:], "torn", 1, id="torn end"),
        pytest.param(fixed(0) + fixed(1, 24), "suspect", 1, id="another length"),
        pytest.param(fixed(0) + flip(fixed(1), 30) + fixed(2), "torn", 1, id="rotten, another behind"),
    ],
)
def test_fixed_length(tmp_path: Path, data: bytes, verdict: str, records: int) -> None:
    entry = write_store(tmp_path, data, header=FIXED)
    segment = Segment.open_unsealed(str(tmp_path), entry)
    assert segment.index is None
    assert segment.recover()[0] == verdict
    assert segment.record_count == records
    assert segment.end_position == HEADER_BYTES + records * STRIDE
    assert segment.offsets() == list(range(BASE, BASE + records))
    assert segment.check()[2] == []
    assert segment.rebuild_index() is None


def test_a_fixed_length_segment_has_no_index_file(tmp_path: Path) -> None:
    source = Segment.open_unsealed(str(tmp_path), write_store(tmp_path, fixed(0) + fixed(1), header=FIXED))
    source.recover()
    (tmp_path / "copy").mkdir()
    copy = fresh(tmp_path / "copy", record_size=16)
    copy.copy_from(source, [BASE, BASE + 1])
    copy.seal_now()
    assert os.listdir(tmp_path / "copy") == [file_names("", BASE, 0)[0]]
    opened = Segment.open_sealed(str(tmp_path / "copy"), SegmentEntry.of(copy))
    assert opened.check() == (2, HEADER_BYTES + 2 * STRIDE, [])
