"""How a cache turns values into bytes and back. A codec is anything with ``encode`` and ``decode``.

The package of a codec is imported when a cache asks for it.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from striate.errors import InvalidArgumentError, InvalidTypeError

V = TypeVar("V")


class Codec(Protocol[V]):
    """Turns values into bytes and back; must give an equal value, never the same object."""

    def encode(self, value: V, /) -> bytes:
        """Bytes that stand for the value."""
        ...

    def decode(self, stored: bytes, /) -> V:
        """The value that the bytes stand for."""
        ...


class PickleCodec:
    """Values of any class, by :mod:`pickle`.

    Unpickling runs code that the bytes name: only for a cache that nobody else can fill.

    Args:
        protocol: of pickle; by default the highest.
    """

    def __init__(self, protocol: int = -1) -> None:
        self.protocol = protocol

    def encode(self, value: Any, /) -> bytes:
        """The value, pickled."""
        import pickle

        return pickle.dumps(value, self.protocol)

    def decode(self, stored: bytes, /) -> Any:
        """The value, unpickled."""
        import pickle

        return pickle.loads(stored)


class _MsgspecCodec:
    def __init__(self, encoder: Any, decoder: Any) -> None:
        self.encode = encoder.encode
        self.decode = decoder.decode


def make_codec(codec: object, value_type: object) -> Codec[Any] | None:
    """What ``codec=`` and ``type=`` of a cache stand for; ``None``: values are bytes."""
    if codec is None:
        if value_type is not None:
            raise InvalidArgumentError("type", "given together with codec='json' or 'msgpack'", value_type)
        return None
    if isinstance(codec, str):
        return _msgspec_codec(codec, value_type)
    if value_type is not None:
        raise InvalidArgumentError("type", "given together with codec='json' or 'msgpack'", value_type)
    if isinstance(codec, type) or not callable(getattr(codec, "encode", None)):
        raise InvalidTypeError("codec", "'json', 'msgpack', or an object with encode and decode", type(codec))
    return codec  # type: ignore[return-value]


def codec_name(codec: object) -> str | None:
    """What a database keeps of a ``codec=``: its name, or that of its class."""
    return codec if codec is None or isinstance(codec, str) else codec.__class__.__name__


def _msgspec_codec(name: str, value_type: object) -> Codec[Any]:
    import msgspec

    if name not in ("json", "msgpack"):
        raise InvalidArgumentError("codec", "'json', 'msgpack', or an object with encode and decode", name)
    module: Any = msgspec.json if name == "json" else msgspec.msgpack
    try:
        decoder = module.Decoder(Any if value_type is None else value_type)
    except TypeError as error:
        raise InvalidTypeError("type", "one that msgspec can decode to", type(value_type), hint=str(error)) from None
    return _MsgspecCodec(module.Encoder(), decoder)
