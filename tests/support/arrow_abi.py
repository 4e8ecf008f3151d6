"""The structures of the Arrow C data interface in ctypes, for a consumer that does what C code may do."""

from __future__ import annotations

import ctypes
from typing import Any


class ArrowSchema(ctypes.Structure):
    pass


class ArrowArray(ctypes.Structure):
    pass


class ArrowArrayStream(ctypes.Structure):
    pass


def fields(structure: type[ctypes.Structure], numbers: str, pointers: str) -> list[tuple[str, Any]]:
    release = ctypes.CFUNCTYPE(None, ctypes.POINTER(structure))
    return [
        *((name, ctypes.c_int64) for name in numbers.split()),
        *((name, ctypes.POINTER(ctypes.c_void_p)) for name in pointers.split()),
        ("children", ctypes.POINTER(ctypes.POINTER(structure))),
        ("dictionary", ctypes.c_void_p),
        ("release", release),
        ("private_data", ctypes.c_void_p),
    ]


ArrowSchema._fields_ = [
    ("format", ctypes.c_char_p),
    ("name", ctypes.c_char_p),
    ("metadata", ctypes.c_char_p),
    *fields(ArrowSchema, "flags n_children", ""),
]
ArrowArray._fields_ = fields(ArrowArray, "length null_count offset n_buffers n_children", "buffers")
ArrowArrayStream._fields_ = [
    (
        "get_schema",
        ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ArrowArrayStream), ctypes.POINTER(ArrowSchema)),
    ),
    (
        "get_next",
        ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ArrowArrayStream), ctypes.POINTER(ArrowArray)),
    ),
    ("get_last_error", ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.POINTER(ArrowArrayStream))),
    ("release", ctypes.CFUNCTYPE(None, ctypes.POINTER(ArrowArrayStream))),
    ("private_data", ctypes.c_void_p),
]

pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
pointer_of.restype = ctypes.c_void_p
pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]


def inside(capsule: object, name: bytes, structure: type[Any]) -> Any:
    return structure.from_address(pointer_of(capsule, name))


def move(source: Any) -> Any:
    """Take a structure over as the interface says: copy its bytes, then mark the original as released."""
    taken = type(source).from_buffer_copy(source)
    ctypes.memset(ctypes.addressof(source) + type(source).release.offset, 0, 8)
    return taken
