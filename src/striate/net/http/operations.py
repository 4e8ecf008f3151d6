"""What an operation of the HTTP interface is: :class:`Operation`, its parameters, how they are read."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from aiohttp import web

from striate.net.http.call import Call
from striate.net.http.errors import HttpError

Schema = Mapping[str, Any]
Handler = Callable[[Call], Awaitable[web.StreamResponse]]
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_NUMBER: Final = re.compile(r"[0-9]{1,10}(\.[0-9]{1,20})?(e-?[0-9]{1,2})?")


@dataclass(frozen=True)
class Parameter:
    """A part of the path (``place`` "path"), of what stands behind ``?`` ("query"), or a header.

    ``schema`` is what ``/openapi.json`` shows and what values are checked against.
    """

    name: str
    place: str
    schema: Schema
    description: str

    def read(self, raw: bytes) -> Any:
        """The value, checked."""
        kind = self.schema["type"]
        text = raw.decode("utf-8", "surrogateescape")
        if kind == "string":
            low, high = self.schema.get("minLength", 0), self.schema.get("maxLength", len(text))
            pattern = self.schema.get("pattern")
            if not low <= len(text) <= high:
                raise HttpError(400, f"`{self.name}` must have {low} to {high} characters")
            if pattern is not None and re.fullmatch(pattern.strip("^$"), text) is None:
                raise HttpError(400, f"`{self.name}` must be {self.description}")
            return raw
        if (_INTEGER if kind == "integer" else _NUMBER).fullmatch(text) is None:
            raise HttpError(400, f"`{self.name}` must be {_A_NUMBER[kind]}")
        value = int(text) if kind == "integer" else float(text)
        if not self.schema["minimum"] <= value <= self.schema["maximum"]:
            raise HttpError(400, f"`{self.name}` must be {self.schema['minimum']} to {self.schema['maximum']}")
        return value


_A_NUMBER: Final = {"integer": "an integer", "number": "a number"}


@dataclass(frozen=True)
class Answer:
    """What is answered with a status: a type for JSON, or a media type."""

    description: str
    type: Any = None
    media: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Operation:
    """A method of a path.

    Attributes:
        bodies: for each media type the type of its JSON, ``None`` for plain bytes. errors: statuses besides 400, 401,
            403, 408, 421, 431, 500 and 503. open: asked for by those who watch the process, and so by anybody.
    """

    method: str
    path: str
    id: str
    summary: str
    handler: Handler
    answers: Mapping[int, Answer]
    parameters: tuple[Parameter, ...] = ()
    bodies: Mapping[str, Any] | None = None
    errors: tuple[int, ...] = ()
    open: bool = False

    def read_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Those of its headers that are there, checked."""
        names = [parameter for parameter in self.parameters if parameter.place == "header"]
        found = {one.name: (one, headers[one.name].strip(" \t")) for one in names if one.name in headers}
        return {name: one.read(text.encode("utf-8", "surrogateescape")).decode() for name, (one, text) in found.items()}

    def read_query(self, text: str) -> dict[str, Any]:
        """The parameters behind ``?``."""
        known = {parameter.name: parameter for parameter in self.parameters if parameter.place == "query"}
        found: dict[str, Any] = {}
        for part in text.split("&") if text else ():
            raw_name, _, raw_value = part.replace("+", " ").partition("=")
            name = unquote_to_bytes(raw_name).decode("utf-8", "replace")
            if name not in known:
                raise HttpError(400, f"there is no parameter `{name[:100]}`")
            if name in found:
                raise HttpError(400, f"`{name}` is given twice")
            found[name] = known[name].read(unquote_to_bytes(raw_value))
        return found

    def read_path(self, parts: Mapping[str, bytes]) -> dict[str, bytes]:
        """The parts of the path, checked."""
        return {one.name: one.read(parts[one.name]) for one in self.parameters if one.place == "path"}


class Routes:
    """Finds the operation of a request. The part of a path that varies is its last one."""

    def __init__(self, operations: tuple[Operation, ...]) -> None:
        self._fixed: dict[str, dict[str, Operation]] = {}
        # By what stands before the last part: the name of that and the operations.
        self._varying: dict[str, tuple[str, dict[str, Operation]]] = {}
        for operation in operations:
            before, _, last = operation.path.rpartition("/")
            if last.startswith("{"):
                self._varying.setdefault(before, (last[1:-1], {}))[1][operation.method] = operation
            else:
                self._fixed.setdefault(operation.path, {})[operation.method] = operation

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, bytes]]:
        """The operation, and the part of the path that varies by its name."""
        operations, parts = self._fixed.get(path), {}
        if operations is None:
            before, _, last = path.rpartition("/")
            if before not in self._varying:
                raise HttpError(404, "there is no such path; /openapi.json lists those there are")
            name, operations = self._varying[before]
            parts = {name: unquote_to_bytes(last.encode("utf-8", "surrogateescape"))}
        operation = operations.get("GET" if method == "HEAD" else method)
        if operation is None:
            allowed = [*operations, "HEAD"] if "GET" in operations else list(operations)
            raise HttpError(405, "not a method of this path", {"Allow": ", ".join(allowed)})
        return operation, parts
