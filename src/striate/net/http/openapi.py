"""/openapi.json, made of the table of operations and of the types of their bodies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from aiohttp import web

from striate.net.http.call import JSON, Call
from striate.net.http.errors import MEANINGS, ErrorBody
from striate.net.http.models import RULES
from striate.net.http.operations import Answer, Operation

_EVERYWHERE: Final = (400, 401, 403, 408, 421, 431, 500, 503)
_BINARY: Final = {"type": "string", "format": "binary"}
_ABOUT: Final = (
    "Keys, streams and transactions of a striate database. Every error has the one form of `ErrorBody`. A write is "
    "answered when it is on disk."
)


async def openapi(call: Call) -> web.Response:
    """This description."""
    return web.Response(body=_document(), content_type=JSON)


@cache
def _document() -> bytes:
    from striate.net.http.table import OPERATIONS

    return msgspec.json.encode(description(OPERATIONS))


def description(operations: Sequence[Operation]) -> dict[str, Any]:
    """The OpenAPI document of some operations."""
    types = [ErrorBody, *(type for operation in operations for type in _types(operation))]
    shown, named = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    for name, rule in RULES.items():
        named.get(name, {}).update(rule)
    schemas = {id(type): schema for type, schema in zip(types, shown, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "striate", "version": "1", "description": _ABOUT},
        "paths": paths,
        "components": {"schemas": named, "securitySchemes": {"basic": {"type": "http", "scheme": "basic"}}},
        "security": [{}, {"basic": []}],
    }


def _types(operation: Operation) -> Iterator[Any]:
    yield from (type for type in (operation.bodies or {}).values() if type is not None)
    yield from (answer.type for answer in operation.answers.values() if answer.type is not None)


def _operation(operation: Operation, schemas: dict[int, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": operation.id,
        "summary": operation.summary,
        "responses": {str(status): _answer(answer, schemas) for status, answer in operation.answers.items()},
    }
    if operation.open:
        made["security"] = []
    if operation.parameters:
        made["parameters"] = [
            {
                "name": one.name,
                "in": one.place,
                "required": one.place == "path",
                "schema": one.schema,
                "description": one.description,
            }
            for one in operation.parameters
        ]
    if operation.bodies is not None:
        content = {
            media: {"schema": _BINARY if type is None else schemas[id(type)]}
            for media, type in operation.bodies.items()
        }
        # Where plain bytes are taken, no body is an empty one.
        made["requestBody"] = {"required": None not in operation.bodies.values(), "content": content}
    error = {"content": {JSON: {"schema": schemas[id(ErrorBody)]}}}
    for status in sorted({*_EVERYWHERE, *operation.errors}):
        made["responses"][str(status)] = {"description": MEANINGS[status].replace("_", " "), **error}
    return made


def _answer(answer: Answer, schemas: dict[int, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        made["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    content: dict[str, Any] = {}
    if answer.type is not None:
        content[JSON] = {"schema": schemas[id(answer.type)]}
    if answer.media is not None:
        content[answer.media] = {"schema": _BINARY if answer.media.endswith("octet-stream") else {"type": "string"}}
    return made | ({"content": content} if content else {})
