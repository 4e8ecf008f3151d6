"""CRC32C against published values, an independent implementation and its own algebra."""

from __future__ import annotations

import random
from collections.abc import Callable

import crc32c as oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate._native.frame import crc32c, crc32c_portable

Checksum = Callable[..., int]

IMPLEMENTATIONS = [pytest.param(crc32c, id="chosen"), pytest.param(crc32c_portable, id="portable")]

ISCSI_READ_10 = bytes.fromhex(
    "01c00000 00000000 00000000 00000000 14000000 0000040000000014 00000018 28000000 00000000 02000000 00000000"
)
VECTORS = [
    (b"", 0),
    (b"a", 0xC1D04330),
    (b"123456789", 0xE3069283),  # the check value of the CRC catalogues
    (bytes(32), 0x8A9136AA),  # RFC 3720, appendix B.4, from here on
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(reversed(range(32))), 0x113FDB5C),
    (ISCSI_READ_10, 0xD9963A56),
]


@pytest.mark.parametrize("checksum", IMPLEMENTATIONS)
@pytest.mark.parametrize(("data", "expected"), VECTORS)
def test_published_values(checksum: Checksum, data: bytes, expected: int) -> None:
    assert checksum(data) == expected


@pytest.mark.parametrize("checksum", IMPLEMENTATIONS)
@pytest.mark.parametrize("alignment", range(8))
def test_every_length_at_every_alignment(checksum: Checksum, alignment: int) -> None:
    # bytes objects begin at a multiple of 8, so the slice begins at the alignment.
    data = memoryview(random.Random(alignment).randbytes(alignment + 2048))[alignment:]
    for size in range(2049):
        part = data[:size]
        assert checksum(part) == oracle.crc32c(part), size


@pytest.mark.parametrize("checksum", IMPLEMENTATIONS)
@pytest.mark.parametrize("size", [3071, 3072, 3087, 3088, 3089, 4096, 6175, 6176, 6177, 9999, 65536, 1_000_003])
def test_around_the_ends_of_a_round(checksum: Checksum, size: int) -> None:
    data = random.Random(size).randbytes(size)
    assert checksum(data) == oracle.crc32c(data)


@pytest.mark.parametrize("checksum", IMPLEMENTATIONS)
@given(first=st.binary(max_size=400), second=st.binary(max_size=400), seed=st.integers(0, 2**32 - 1))
def test_extending_is_concatenating(checksum: Checksum, first: bytes, second: bytes, seed: int) -> None:
    assert checksum(second, checksum(first, seed)) == checksum(first + second, seed)


@given(data=st.binary(max_size=700), seed=st.integers(0, 2**32 - 1))
def test_both_implementations_agree_from_any_seed(data: bytes, seed: int) -> None:
    assert crc32c(data, seed) == crc32c_portable(data, seed) == oracle.crc32c(data, seed)


def test_a_word_extends_like_its_four_bytes() -> None:
    # The chain checksum is built word by word; sizes of exactly 4 take the inline instruction in native code.
    words = [0, 1, 0x80000000, 0xFFFFFFFF, 0x12345678]
    chain = 0
    for word in words:
        chain = crc32c(word.to_bytes(4, "little"), chain)
    assert chain == oracle.crc32c(b"".join(word.to_bytes(4, "little") for word in words))


@pytest.mark.parametrize("checksum", IMPLEMENTATIONS)
@pytest.mark.parametrize("size", [1, 24, 152, 3088])
def test_every_flipped_bit_changes_it(checksum: Checksum, size: int) -> None:
    data = bytearray(random.Random(size).randbytes(size))
    sound = checksum(data)
    for place in range(size):
        data[place] ^= 1 << place % 8
        assert checksum(data) != sound
        data[place] ^= 1 << place % 8
