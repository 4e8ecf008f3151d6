"""The one form of an error: a status and ``{"error": ..., "message": ...}``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from striate.errors import (
    ConflictError,
    DiskError,
    DiskFullError,
    KeyTooLargeError,
    LogClosedError,
    RecordTooLargeError,
    StreamIdError,
    StreamNotFoundError,
    StriateError,
    UsageError,
)
from striate.protocol.replies import Failure

MEANINGS: Final = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    412: "precondition_failed",
    413: "too_large",
    415: "unsupported_media_type",
    421: "misdirected",
    431: "header_too_large",
    500: "internal",
    503: "unavailable",
    507: "disk_full",
}
"""What ``error`` is for each status."""


class ErrorBody(msgspec.Struct, frozen=True, rename={"code": "error"}):
    """What every error's body is. ``error`` is for programs, ``message`` for people."""

    code: str
    message: str


class HttpError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None, close: bool = False):
        super().__init__(message)
        self.status, self.message, self.headers, self.close = status, message, headers, close

    def response(self) -> web.Response:
        """As it is sent."""
        body = msgspec.json.encode(ErrorBody(MEANINGS[self.status], self.message))
        made = web.Response(status=self.status, body=body, content_type="application/json", headers=self.headers)
        made.headers["Cache-Control"] = "no-store"
        if self.close:
            made.force_close()
        return made


_STATUSES: Final[tuple[tuple[type[StriateError], int], ...]] = (
    (ConflictError, 409),
    (StreamIdError, 409),
    (StreamNotFoundError, 404),
    (RecordTooLargeError, 413),
    (KeyTooLargeError, 413),
    (LogClosedError, 503),
    (UsageError, 400),
    (DiskFullError, 507),
    (DiskError, 503),
)
_CODES: Final = {"WRONGTYPE": 409, "NOAUTH": 401, "NOPERM": 403}


def as_http_error(error: StriateError | Failure) -> HttpError:
    """What the engine or a command's rules say, for a client of HTTP."""
    if isinstance(error, Failure):
        code, _, text = error.line.decode("utf-8", "replace").partition(" ")
        return HttpError(_CODES.get(code, 400), text)
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    return HttpError(status, str(error))
