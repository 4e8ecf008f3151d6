"""A client of HTTP for tests: one connection, answers as they came."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.net.conftest import Served


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"].startswith("application/json"), self
        return json.loads(self.body)

    def failed(self, status: int, error: str) -> str:
        """That it is this error in the one form there is; its message."""
        assert self.status == status, self
        assert set(self.json) == {"error", "message"}
        assert self.json["error"] == error
        return str(self.json["message"])


class Client:
    def __init__(self, served: Served) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __call__(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            named.setdefault("Content-Type", "application/json")
        self._connection.request(method, target, body, named)
        response = self._connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
