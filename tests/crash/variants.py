"""What may be on the disk after a crash: one function from (model, variant number) to an image.

The first variants are the same everywhere: everything unsynced lost, everything kept, the process killed
(nothing lost, shared memory included), and crosses of those for names and bytes. All later ones are drawn:
for the names and for every file with unsynced bytes one of the policies below. Equal arguments give an
equal image.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from .model import SECTOR_BYTES, Content, DiskModel, Image, Inode, Piece, Rename, apply_names

KILLED, KILLED_TORN = 2, 3
_FIXED = 8
_PAGE_BYTES = 4096

Policy = Callable[[list[Piece], Random], list[Piece]]


def _drop(pieces: list[Piece], random: Random) -> list[Piece]:
    return []


def _keep(pieces: list[Piece], random: Random) -> list[Piece]:
    return pieces


def _sizes_only(pieces: list[Piece], random: Random) -> list[Piece]:
    """The file has grown, the data never came: zeros."""
    return [
        piece if piece.kind != "data" else Piece("grow", piece.position + len(piece.data), b"", piece.serial)
        for piece in pieces
    ]


def _some_sizes_only(pieces: list[Piece], random: Random) -> list[Piece]:
    """The file has grown, some of the data never came."""
    zeros = _sizes_only(pieces, random)
    return [random.choice(pair) for pair in zip(pieces, zeros, strict=True)]


def _prefix(pieces: list[Piece], random: Random) -> list[Piece]:
    """Written in order up to some moment."""
    return pieces[: random.randrange(len(pieces) + 1)]


def _tear(piece: Piece, random: Random) -> Piece:
    if piece.kind != "data":
        return piece
    cut = random.randrange(len(piece.data) + 1)
    if random.random() < 0.3:  # the end of it arrived and the start did not
        return piece._replace(position=piece.position + cut, data=piece.data[cut:])
    return piece._replace(data=piece.data[:cut])


def _torn_prefix(pieces: list[Piece], random: Random) -> list[Piece]:
    """Written in order up to the middle of a piece, at any byte."""
    kept = _prefix(pieces, random) or pieces[:1]
    return [*kept[:-1], _tear(kept[-1], random)]


def _torn(pieces: list[Piece], random: Random) -> list[Piece]:
    """Everything arrived but one piece, which is torn at any byte."""
    index = random.randrange(len(pieces)) if random.random() < 0.5 else len(pieces) - 1
    return [*pieces[:index], _tear(pieces[index], random), *pieces[index + 1 :]]


def _some(pieces: list[Piece], random: Random) -> list[Piece]:
    """Any pieces, in disregard of their order."""
    share = random.choice((0.1, 0.5, 0.9))
    return [piece for piece in pieces if random.random() < share]


def _reordered(pieces: list[Piece], random: Random) -> list[Piece]:
    """Each sector (or page) as it was at a moment of its own: what a cache writes back in any order."""
    unit = random.choice((SECTOR_BYTES, _PAGE_BYTES))
    moments: dict[int, int] = {}
    first, last = pieces[0].serial - 1, pieces[-1].serial
    kept = []
    for piece in pieces:
        place = piece.position // unit if piece.kind == "data" else -1
        if place not in moments:
            moments[place] = random.choice((first, last, random.randint(first, last)))
        if piece.serial <= moments[place]:
            kept.append(piece)
    return kept


def _garbage(pieces: list[Piece], random: Random) -> list[Piece]:
    """Some pieces hold anything: a sector that was being written, or blocks of another file."""
    share = random.choice((0.0, 0.1, 0.5))
    index = random.randrange(len(pieces))
    return [
        _spoil(piece, random) if place == index or random.random() < share else piece
        for place, piece in enumerate(pieces)
    ]


def _spoil(piece: Piece, random: Random) -> Piece:
    size = len(piece.data)
    if random.random() < 0.2:  # bytes of the same kind that were written elsewhere
        shift = random.randrange(size + 1)
        return piece._replace(data=piece.data[shift:] + piece.data[:shift])
    return piece._replace(data=random.randbytes(size))


_POLICIES: tuple[Policy, ...] = (
    _drop,
    _keep,
    _sizes_only,
    _some_sizes_only,
    _prefix,
    _torn_prefix,
    _torn,
    _some,
    _reordered,
    _garbage,
)


def _content(inode: Inode, policy: Policy, random: Random) -> Content:
    share = random.choice((0.0, 0.5, 1.0)) if inode.history else 0.0
    content = inode.settled(lambda: random.random() < share)
    if not inode.pending:
        return content
    pieces = policy(inode.pending, random)
    clipped = random.random() < 0.3  # bytes beyond what the file's size has become are out of reach
    for piece in pieces:
        if clipped and piece.kind == "data":
            piece = piece._replace(data=piece.data[: max(0, content.size - piece.position)])
            if not piece.data:
                continue
        content.apply(piece)
    return content


def _names(renames: list[Rename], random: Random) -> list[Rename]:
    choice = random.randrange(5)
    if choice == 0:
        return []
    if choice == 1:
        return renames
    if choice == 2:
        return renames[: random.randrange(len(renames) + 1)]
    return [rename for rename in renames if random.random() < 0.5]


def _image(model: DiskModel, renames: list[Rename], policy: Policy | None, random: Random) -> Image:
    """The disk with these unsynced names; `policy` None: another one for every file."""
    names = {number: dict(entries) for number, entries in model.durable_names.items()}
    for rename in renames:
        apply_names(names, rename.changes)
    contents = {}
    for _, number in model.walk(names):
        inode = model.inodes.get(number)
        if inode is None or (inode.volatile and not _stale(inode, random)):
            continue
        if inode.volatile:
            contents[number] = _stale_content(inode, random)
        else:
            contents[number] = _content(inode, policy or random.choice(_POLICIES), random)
    return model.image(names, contents)


def _stale(inode: Inode, random: Random) -> bool:
    """Whether the file of shared memory is found after the crash."""
    return random.random() < 0.2


def _stale_content(inode: Inode, random: Random) -> Content:
    """What it holds then: anything, or what it held, but of another boot (bytes 8 to 24 say which)."""
    size = len(inode.current.data)
    held = bytearray(inode.current.data)
    held[8:24] = random.randbytes(16)
    return Content(random.choice((bytes(held[:size]), random.randbytes(size), b"")), size)


def _killed(model: DiskModel, variant: int, random: Random) -> Image:
    """The process dies and the system lives: all that was done stays done, the last store perhaps by half."""
    contents = {number: inode.current for number, inode in model.inodes.items()}
    if variant == KILLED_TORN:
        for number, inode in model.inodes.items():
            last = inode.pending[-1] if inode.pending else None
            if last and last.serial == model.serial and last.kind == "data" and not inode.volatile:
                content = inode.settled(lambda: True)
                for piece in inode.pending:
                    content.apply(piece if piece.serial != last.serial else _tear(piece, random))
                contents[number] = content
    return model.image(model.names, contents)


def is_kill(variant: int) -> bool:
    """Whether only the process died in this variant."""
    return variant in (KILLED, KILLED_TORN)


def make_image(model: DiskModel, variant: int, seed: int) -> Image:
    """What the disk may hold if the crash comes now.

    Args:
        model: the disk, after the operations up to the crash.
        variant: which of the endlessly many states.
        seed: told apart crashes at different moments of different workloads.
    """
    random = Random(seed * 1_000_003 + variant)
    everything = model.pending_names
    if is_kill(variant):
        return _killed(model, variant, random)
    if variant >= _FIXED:
        return _image(model, _names(everything, random), None, random)
    renames, policy = {
        0: ([], _drop),
        1: (everything, _keep),
        4: (everything, _drop),
        5: ([], _keep),
        6: (everything, _sizes_only),
        7: (everything, _garbage),
    }[variant]
    return _image(model, renames, policy, random)
