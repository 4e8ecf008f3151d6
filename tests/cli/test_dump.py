"""`striate log dump` against files made by the tests' own codec: names, values, damage."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import format as codec

from striate import Log

Run = Callable[..., Any]

LOG_ID, SEGMENT_ID = 0x1122334455667788, 0xFEDCBA9876543210
BASE, TIME_US = 42, 1_700_000_000_000_000

FRAMES = [
    codec.Frame(0, TIME_US, b"plain"),
    codec.Frame(1, TIME_US + 1, b"with key", b"k"),
    codec.Frame(2, TIME_US + 2, b"", b"", codec.TOMBSTONE),
    codec.Frame(3, TIME_US + 3, b"of a batch", None, codec.VALUE, codec.CONTINUES),
    codec.Frame(
        4,
        TIME_US + 4,
        b"\xff all extensions",
        b"key",
        codec.VALUE,
        codec.HAS_SYNC | codec.HAS_VIEW | codec.HAS_BATCH,
        synced_position=64,
        view_id=7,
        batch=(2**40, 5, 6, 7, 8),
    ),
]


def store_bytes(sealed: bool = True, frames: list[codec.Frame] = FRAMES) -> bytes:
    encoded = [codec.encode_frame(frame, SEGMENT_ID) for frame in frames]
    header = codec.StoreHeader(LOG_ID, SEGMENT_ID, BASE, TIME_US, leader_epoch=3, capacity=4096)
    body = codec.encode_store_header(header) + b"".join(encoded)
    if not sealed:
        return body.ljust(4096, b"\0")
    chain = codec.chain_checksum(encoded)
    footer = codec.Footer(
        SEGMENT_ID, len(body), TIME_US, TIME_US + 4, len(frames), frames[-1].relative_offset, chain, 99
    )
    return body + codec.encode_footer(footer)


def make(path: Path, *, sealed: bool = True) -> Path:
    """A log of one segment; it need not be one the engine would open."""
    path.mkdir()
    store, index = codec.segment_names(BASE)
    pairs = codec.encode_index((number, 64 + 32 * number) for number in range(5))
    entry = codec.Entry(
        *(BASE, SEGMENT_ID, BASE + 5, 64, TIME_US, TIME_US + 4, 5, 0),
        *(1, codec.checksum(pairs), codec.ENTRY_SEALED if sealed else 0),
    )
    manifest = codec.Manifest(LOG_ID, 9, BASE, 0, 0, 0, 0, (entry,))
    (path / "manifest").write_bytes(codec.encode_manifest(manifest))
    (path / store).write_bytes(store_bytes(sealed))
    (path / index).write_bytes(pairs + bytes(64))
    slots = [codec.encode_slot(codec.Slot(LOG_ID, n, SEGMENT_ID, BASE, 64, 47)) for n in (1, 2)]
    (path / "checkpoint").write_bytes(slots[0].ljust(4096, b"\0") + slots[1])
    return path


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return make(tmp_path / "made")


def items(result: Any, kind: str) -> list[dict[str, Any]]:
    return [item for item in result.json_lines if item["type"] == kind]


def problems(result: Any) -> list[str]:
    return [problem for item in result.json_lines for problem in item.get("problems", [])]


# ---------------------------------------------------------------- sound files


def names_in_format_md() -> set[str]:
    text = (Path(__file__).parents[2] / "docs" / "format.md").read_text()
    drawn = "\n".join(re.findall(r"```\n(.*?)```", text, re.DOTALL))
    return set(re.findall(r"[a-z][a-z_]+[a-z]", drawn + " ".join(re.findall(r"`([a-z_]+)`", text))))


def test_names_are_those_of_the_format(run: Run, made: Path) -> None:
    known = names_in_format_md() | {"type", "path", "at", "offset", "value", "key", "flag_names", "kind_name"}
    for item in run("log", "dump", made, "--index", "--json").json_lines:
        assert set(item) <= known | {"size_bytes"}, item


def test_fields(run: Run, made: Path) -> None:
    result = run("log", "dump", made, "--index", "--json")
    assert (result.code, result.err, problems(result)) == (0, "", [])
    order = [item["type"] for item in result.json_lines]
    assert order == [
        *["file"] * 4, "manifest", "entry", "checkpoint", "checkpoint",
        *["index_entry"] * 5, "index", "store_header", *["frame"] * 5, "footer",
    ]  # fmt: skip
    (manifest,) = items(result, "manifest")
    assert (manifest["magic"], manifest["log_id"], manifest["sequence"]) == ("SMAN", LOG_ID, 9)
    assert (manifest["flags"], manifest["segment_count"]) == (0, 1)
    (entry,) = items(result, "entry")
    assert (entry["base_offset"], entry["next_offset"], entry["flag_names"]) == (BASE, BASE + 5, ["SEALED"])
    assert [slot["sequence"] for slot in items(result, "checkpoint")] == [1, 2]
    assert [slot["at"] for slot in items(result, "checkpoint")] == [0, 4096]
    (header,) = items(result, "store_header")
    assert (header["segment_id"], header["capacity"], header["leader_epoch"]) == (SEGMENT_ID, 512, 3)
    (footer,) = items(result, "footer")
    assert (footer["record_count"], footer["last_relative"], footer["index_checksum"]) == (5, 4, 99)
    pairs = [(entry["relative_offset"], entry["position"]) for entry in items(result, "index_entry")]
    assert pairs == [(0, 8), (1, 12), (2, 16), (3, 20), (4, 24)]
    assert items(result, "index")[0]["record_count"] == 5


def test_frames(run: Run, made: Path) -> None:
    frames = items(run("log", "dump", made, "--json"), "frame")
    assert [frame["offset"] for frame in frames] == [42, 43, 44, 45, 46]
    assert [frame["kind_name"] for frame in frames] == ["value", "value", "tombstone", "value", "value"]
    assert [frame["key"] for frame in frames] == [None, "k", "", None, "key"]
    assert frames[1]["value"] == "with key"
    assert frames[3]["flag_names"] == ["CONTINUES"]
    full = frames[4]
    assert full["flag_names"] == ["HAS_KEY", "HAS_SYNC", "HAS_VIEW", "HAS_BATCH"]
    assert (full["synced_position"], full["view_id"]) == (8, 7)
    batch = [full[name] for name in ("producer_id", "leader_epoch", "first_sequence", "producer_epoch", "batch_count")]
    assert batch == [2**40, 5, 6, 7, 8]
    assert set(full["value"]) == {"base64"}


def test_selection(run: Run, made: Path) -> None:
    assert [f["offset"] for f in items(run("log", "dump", made, "--start", 45, "--json"), "frame")] == [
        45,
        46,
    ]
    assert [f["offset"] for f in items(run("log", "dump", made, "--stop", 43, "--json"), "frame")] == [42]
    assert items(run("log", "dump", made, "--no-frames", "--json"), "frame") == []
    assert items(run("log", "dump", made, "--json"), "index_entry") == []


def test_one_file(run: Run, made: Path) -> None:
    store, index = codec.segment_names(BASE)
    assert len(items(run("log", "dump", made / store, "--json"), "frame")) == 5
    assert len(items(run("log", "dump", made / index, "--json"), "index_entry")) == 5
    assert len(items(run("log", "dump", made / "manifest", "--json"), "entry")) == 1


def test_text(run: Run, made: Path) -> None:
    lines = run("log", "dump", made).text.splitlines()
    frame = next(line for line in lines if line.startswith("frame") and "with key" in line)
    assert re.fullmatch(
        r"frame 00000000000000000042\.store at=\d+ offset=43 checksum=0x[0-9a-f]+ payload_size=9 "
        r"timestamp_us=1700000000000001 relative_offset=1 key_size=1 kind=1\(value\) flags=1\(HAS_KEY\) "
        r'key="k" value="with key"',
        frame,
    )


def test_an_unsealed_tail_is_no_damage(run: Run, tmp_path: Path) -> None:
    path = make(tmp_path / "open", sealed=False)
    result = run("log", "dump", path, "--json")
    assert (result.code, problems(result)) == (0, [])
    (zeros,) = items(result, "zeros")
    assert zeros["at"] + zeros["size_bytes"] == 4096
    store = path / codec.segment_names(BASE)[0]
    torn = bytearray(store.read_bytes())
    torn[zeros["at"] + 24 : zeros["at"] + 40] = b"half an append.."
    store.write_bytes(torn)
    result = run("log", "dump", path, "--json")
    assert result.code == 0
    (tail,) = items(result, "tail")
    assert (tail["at"], tail["size_bytes"]) == (zeros["at"], 40)


def test_the_engine_s_own_files(run: Run, log_path: Path) -> None:
    with Log(log_path, durability="process", segment_bytes=4096) as log:
        log.append_many([b"%0100d" % number for number in range(100)], [b"k"] * 100)
        for number in range(100):
            log.append(b"one by one %d" % number)
        log.append_tombstone(b"k")
        live = run("log", "dump", log_path, "--index", "--json")
    closed = run("log", "dump", log_path, "--index", "--json")
    for result in (live, closed):
        assert (result.code, problems(result)) == (0, [])
        assert [frame["offset"] for frame in items(result, "frame")] == list(range(201))
    assert all("SEALED" in entry["flag_names"] for entry in items(closed, "entry"))
    assert len(items(closed, "footer")) == len(items(closed, "entry"))


# ---------------------------------------------------------------- damaged files


Damage = Callable[[Path], None]


def change(name: str, position: int, data: bytes) -> Damage:
    def damage(path: Path) -> None:
        file = path / name
        content = bytearray(file.read_bytes())
        content[position : position + len(data)] = data
        file.write_bytes(content)

    return damage


def cut(name: str, size: int) -> Damage:
    return lambda path: (path / name).write_bytes((path / name).read_bytes()[:size])


STORE, INDEX = codec.segment_names(BASE)
SECOND = 64 + 32  # where the second frame stands

# name: (what happens, words of a problem, offsets of the frames that are still shown without one)
DAMAGE: dict[str, tuple[Damage, str, list[int]]] = {
    "manifest magic": (change("manifest", 0, b"NOPE"), "magic is b'NOPE'", [42, 43, 44, 45, 46]),
    "manifest version": (change("manifest", 4, b"\x09"), "version is 9, expected 1", [42, 43, 44, 45, 46]),
    "manifest checksum": (change("manifest", 70, b"\x01"), "checksum is", [42, 43, 44, 45, 46]),
    "manifest cut": (cut("manifest", 100), "segment_count is 1", [42, 43, 44, 45, 46]),
    "manifest empty": (cut("manifest", 0), "0 bytes are too few", [42, 43, 44, 45, 46]),
    "checkpoint": (change("checkpoint", 4096, b"NOPE"), "magic is", [42, 43, 44, 45, 46]),
    "store header": (change(STORE, 12, b"\xff"), "checksum is", [42, 43, 44, 45, 46]),
    "store cut in the header": (cut(STORE, 10), "10 bytes are too few", []),
    "store gone": (lambda path: (path / STORE).unlink(), "missing", []),
    "a value": (change(STORE, SECOND + 26, b"X"), "checksum is", [42, 44, 45, 46]),
    "a length": (
        change(STORE, SECOND + 4, b"\xff\xff\xff\x7f"),
        "no frame can be made out",
        [42, 44, 45, 46],
    ),
    "a kind": (change(STORE, SECOND + 22, b"\0"), "no frame can be made out", [42, 44, 45, 46]),
    "the first frame": (change(STORE, 64, bytes(32)), "no frame can be made out", [43, 44, 45, 46]),
    "the footer's magic": (
        change(STORE, len(store_bytes()) - 64, b"NOPE"),
        "no sound frame",
        [42, 43, 44, 45, 46],
    ),
    "the footer": (change(STORE, len(store_bytes()) - 30, b"X"), "checksum is", [42, 43, 44, 45, 46]),
    "the footer gone": (cut(STORE, len(store_bytes()) - 64), "footer of this sealed", [42, 43, 44, 45, 46]),
    "cut in a frame": (cut(STORE, SECOND + 16), "no sound frame", [42]),
    "another segment's": (
        lambda path: (path / STORE).write_bytes(store_bytes(frames=FRAMES[:1])),
        "",
        [42],
    ),
    "the index cut": (cut(INDEX, 16), "record_count is 5 in the manifest", [42, 43, 44, 45, 46]),
    "the index": (change(INDEX, 8, b"\0\0\0\0\x08"), "does not follow", [42, 43, 44, 45, 46]),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage(name: str, run: Run, made: Path) -> None:
    damage, words, sound = DAMAGE[name]
    damage(made)
    result = run("log", "dump", made, "--index", "--json")
    found = problems(result)
    assert result.code == bool(words)
    assert any(words in problem for problem in found) == bool(words), found
    assert [frame["offset"] for frame in items(result, "frame") if "problems" not in frame] == sound
    text = run("log", "dump", made, "--index")
    assert text.code == result.code
    assert text.text.count("  problem: ") == len(found)


def test_every_bit_and_every_length(run: Run, made: Path) -> None:
    """No damage of a byte makes it fail, and every one in a store, manifest or slot is seen."""
    from striate.storage.dump import dump_log

    for name in (STORE, "manifest", "checkpoint"):
        original = (made / name).read_bytes()
        interesting = [at for at, byte in enumerate(original) if byte or name != "checkpoint"]
        for position in interesting:
            changed = bytearray(original)
            changed[position] ^= 1 << position % 8
            (made / name).write_bytes(changed)
            assert any("problems" in item for item in dump_log(str(made))), (name, position)
        for size in range(0, len(original), 7):
            (made / name).write_bytes(original[:size])
            list(dump_log(str(made)))
        (made / name).write_bytes(original)


def test_a_log_that_cannot_be_opened(run: Run, made: Path) -> None:
    (made / "manifest").write_bytes(b"rubbish")
    result = run("log", "dump", made)
    assert result.code == 1
    assert "with key" in result.text
