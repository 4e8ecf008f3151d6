"""Frames one behind another: their checksums, several at a time."""

from __future__ import annotations

import itertools
import random

import pytest
from support.format import Frame, encode_frame

from striate._native.frame import FRAMES_AHEAD, crc32c, frame_checksum, seal_frames, verified_until

SEGMENT_ID = 0x1122334455667788
SIZES = [0, 1, 3, 4, 5, 7, 8, 9, 64, 104, 128, 300]

both = pytest.mark.parametrize("portable", [False, True], ids=["chosen", "portable"])


def frames_of(sizes: list[int], seed: int = 0) -> list[bytes]:
    source = random.Random(seed)
    return [
        encode_frame(Frame(relative_offset=i, timestamp_us=i, value=source.randbytes(size)), SEGMENT_ID)
        for i, size in enumerate(sizes)
    ]


def ends_of(frames: list[bytes]) -> list[int]:
    return list(itertools.accumulate(map(len, frames)))


def walk(data: bytes | bytearray, limit: int, portable: bool) -> int:
    """Position at which no further frame is found right."""
    position, ahead = 0, verified_until(data, 0, limit, SEGMENT_ID, portable)
    while ahead > position:
        position, ahead = ahead, verified_until(data, ahead, limit, SEGMENT_ID, portable)
    return position


@both
def test_three_of_any_sizes(portable: bool) -> None:
    for sizes in itertools.product(SIZES, repeat=3):
        frames = frames_of(list(sizes))
        data = b"".join(frames)
        assert walk(data, len(data), portable) == len(data), sizes
        for number, end in enumerate(ends_of(frames)):
            begin = end - len(frames[number])
            broken = bytearray(data)
            broken[begin + 24 + sizes[number] - 1] ^= 1  # the last byte that is covered
            assert walk(broken, len(data), portable) == begin, (sizes, number)


@both
def test_every_byte_counts(portable: bool) -> None:
    sizes = [128, 131, 0, 1, 128, 77]
    frames = frames_of(sizes)
    data = b"".join(frames)
    begin = 0
    for frame, size in zip(frames, sizes, strict=True):
        for place in range(24 + size):
            broken = bytearray(data)
            broken[begin + place] ^= 0x80
            assert walk(broken, len(data), portable) == begin, place
        begin += len(frame)


@both
def test_nothing_behind_the_limit_is_believed(portable: bool) -> None:
    frames = frames_of([40, 40, 3, 200, 9])
    data = b"".join(frames)
    for limit in range(len(data) + 1):
        whole = max((end for end in ends_of(frames) if end <= limit), default=0)
        # What ends at the limit ends the buffer too, so that a sanitizer sees a byte too much being read.
        assert walk(data[:limit], limit, portable) == walk(data, limit, portable) == whole


@both
def test_a_size_that_reaches_past_the_end_is_not_followed(portable: bool) -> None:
    frames = frames_of([50] * 6)
    data = bytearray(b"".join(frames))
    for number in range(6):
        broken = bytearray(data)
        at = number * len(frames[0]) + 4
        for size in (0xFFFFFFFF, 0x7FFFFFFF, len(data), 0x80000000):
            broken[at : at + 4] = size.to_bytes(4, "little")
            assert walk(broken, len(data), portable) == number * len(frames[0])


@both
def test_it_stops_after_a_while(portable: bool) -> None:
    frames = frames_of([100] * 100)
    data = b"".join(frames)
    reached = verified_until(data, 0, len(data), SEGMENT_ID, portable)
    assert FRAMES_AHEAD <= reached < FRAMES_AHEAD + 3 * len(frames[0])


@both
def test_large_and_small_together(portable: bool) -> None:
    for seed, sizes in enumerate(itertools.permutations([5000, 17, 100_003, 0])):
        data = b"".join(frames_of(list(sizes), seed))
        assert walk(data, len(data), portable) == len(data)


@both
def test_another_segments_frames_and_zeros_are_not_right(portable: bool) -> None:
    data = b"".join(frames_of([128] * 4))
    assert verified_until(data, 0, len(data), SEGMENT_ID + 1, portable) == 0
    assert verified_until(bytes(4096), 0, 4096, SEGMENT_ID, portable) == 0
    assert verified_until(b"", 0, 0, SEGMENT_ID, portable) == 0


@both
def test_sealing_writes_the_checksums_and_extends_the_chain(portable: bool) -> None:
    for sizes in [*itertools.product(SIZES, repeat=3), [], [128], [1, 2], [64] * 40, [5000, 1, 3000, 70_000]]:
        frames = frames_of(list(sizes))
        unsealed = bytearray(b"".join(b"\xff\xff\xff\xff" + frame[4:] for frame in frames))
        chain = seal_frames(unsealed, SEGMENT_ID, 77, portable)
        assert unsealed == b"".join(frames), sizes
        expected = 77
        for frame in frames:
            expected = crc32c(frame[:4], expected)
        assert chain == expected, sizes


@both
def test_the_checksum_of_one_frame(portable: bool) -> None:
    for size in [*range(300), 1024, 70_001]:
        (frame,) = frames_of([size], size)
        assert frame_checksum(frame[:24], frame[24 : 24 + size], SEGMENT_ID, portable) == int.from_bytes(
            frame[:4], "little"
        ), size
