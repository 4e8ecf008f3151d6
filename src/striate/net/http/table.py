"""The operations of the HTTP interface. Requests are routed by this table, and ``/openapi.json`` is made of it."""

from __future__ import annotations

from typing import Final

from striate.commands.session import DATABASES
from striate.net.http import health, keys, metrics, openapi, streams, transactions
from striate.net.http.call import JSON
from striate.net.http.models import Appended, Committed, Entries, NewEntries, Operations
from striate.net.http.operations import Answer, Operation, Parameter
from striate.net.http.prometheus import CONTENT_TYPE

_TEXT: Final = "text/plain"
_BYTES: Final = "application/octet-stream"
_ID: Final = r"^(\$|[0-9]{1,20}(-[0-9]{1,20})?)$"

_KEY: Final = Parameter(
    "key", "path", {"type": "string", "minLength": 1, "maxLength": 2000}, "The key, any bytes, percent-encoded"
)
_NAME: Final = Parameter(
    "name",
    "path",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "The stream's name, any bytes, percent-encoded",
)
_DATABASE: Final = Parameter(
    "database", "query", {"type": "integer", "minimum": 0, "maximum": DATABASES - 1}, "One of the numbered databases"
)
_TTL: Final = Parameter(
    "ttl", "query", {"type": "number", "minimum": 0.001, "maximum": 1e9}, "Seconds after which the key is gone"
)
_ENTRY_KEY: Final = Parameter(
    "key",
    "query",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "The key of entries with a value and no key of their own",
)
_AFTER: Final = Parameter(
    "after",
    "query",
    {"type": "string", "pattern": _ID},
    "the id behind which to begin, such as 1700000000000-0; 0 (the default): all; $: those that come from now on",
)
_COUNT: Final = Parameter(
    "count", "query", {"type": "integer", "minimum": 1, "maximum": 10_000}, "The most entries; 100 by default"
)
_WAIT: Final = Parameter(
    "wait", "query", {"type": "number", "minimum": 0.001, "maximum": 60}, "Seconds to wait for the first entry"
)
_TAG: Final = r'(W/)?"[0-9]{1,19}"|[0-9]{1,19}'
_TAGS: Final = {"type": "string", "pattern": rf"^(\*|({_TAG})([ \t]*,[ \t]*({_TAG}))*)$"}
_MATCH: Final = 'one of these versions of the key, as in "17", "19", or *: any'
_NONE_MATCH: Final = 'none of these versions of the key, as in "17", "19", or *: none at all'
_IF_MATCH: Final = Parameter("If-Match", "header", _TAGS, _MATCH)
_IF_NONE_MATCH: Final = Parameter("If-None-Match", "header", _TAGS, _NONE_MATCH)
_LAST_EVENT_ID: Final = Parameter(
    "Last-Event-ID", "header", {"type": "string", "pattern": _ID}, "For server-sent events, in place of `after`"
)
_VERSION: Final = {"ETag": "The version of the key, in quotes"}
_TTL_HEADER: Final = {keys.TTL: "Seconds after which the key is gone; absent: never"}

OPERATIONS: Final = (
    Operation(
        "GET",
        "/livez",
        "live",
        "Whether the process answers",
        health.live,
        {200: Answer("It does.", media=_TEXT)},
        open=True,
    ),
    Operation(
        "GET",
        "/readyz",
        "ready",
        "Whether requests are taken: not while the server stops, nor after the disk failed",
        health.ready,
        {200: Answer("They are.", media=_TEXT)},
        open=True,
    ),
    Operation(
        "GET",
        "/startupz",
        "started",
        "Whether the server has started",
        health.started,
        {200: Answer("It has.", media=_TEXT)},
        open=True,
    ),
    Operation(
        "GET",
        "/metrics",
        "metrics",
        "Figures for Prometheus",
        metrics.metrics,
        {200: Answer("All figures.", media=CONTENT_TYPE)},
    ),
    Operation(
        "GET",
        "/openapi.json",
        "openapi",
        "This description",
        openapi.openapi,
        {200: Answer("It.", media="application/json")},
        open=True,
    ),
    Operation(
        "GET",
        "/v1/keys/{key}",
        "getKey",
        "The value of a key",
        keys.get_key,
        {
            200: Answer("The value.", media=_BYTES, headers=_VERSION | _TTL_HEADER),
            304: Answer("The client has this version.", headers=_VERSION | _TTL_HEADER),
        },
        (_KEY, _DATABASE, _IF_NONE_MATCH),
        errors=(404, 409),
    ),
    Operation(
        "PUT",
        "/v1/keys/{key}",
        "putKey",
        "Store the body as the value of a key",
        keys.put_key,
        {204: Answer("It is stored, and on disk.", headers=_VERSION)},
        (_KEY, _TTL, _DATABASE, _IF_MATCH, _IF_NONE_MATCH),
        bodies={_BYTES: None},
        errors=(409, 412, 413, 415, 507),
    ),
    Operation(
        "DELETE",
        "/v1/keys/{key}",
        "deleteKey",
        "Remove a key, also one that is a stream",
        keys.delete_key,
        {204: Answer("It is removed, also from disk.")},
        (_KEY, _DATABASE, _IF_MATCH),
        errors=(404, 409, 412, 507),
    ),
    Operation(
        "POST",
        "/v1/streams/{name}",
        "produce",
        "Append the body as one entry, or the entries that it lists",
        streams.produce,
        {201: Answer("They are appended, and on disk.", Appended)},
        (_NAME, _ENTRY_KEY, _DATABASE),
        bodies={JSON: NewEntries, _BYTES: None},
        errors=(409, 413, 415, 507),
    ),
    Operation(
        "GET",
        "/v1/streams/{name}",
        "consume",
        "Entries behind an id; with `Accept: text/event-stream` as they come, as server-sent events",
        streams.consume,
        {200: Answer("Some entries.", Entries, media="text/event-stream")},
        (_NAME, _AFTER, _COUNT, _WAIT, _DATABASE, _LAST_EVENT_ID),
        errors=(404, 409),
    ),
    Operation(
        "POST",
        "/v1/transactions",
        "transact",
        "Do some operations on keys and streams together, or none of them",
        transactions.transact,
        {200: Answer("All are done, and on disk.", Committed)},
        (_DATABASE,),
        bodies={JSON: Operations},
        errors=(409, 413, 415, 507),
    ),
)
