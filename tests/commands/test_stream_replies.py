"""What streams answer, as Redis does: each row is a command and the reply that Redis gave to it."""

from __future__ import annotations

import shlex

import pytest
from support.clients import Run

from striate.protocol.replies import NULL_ARRAY, Reply

ADDING: list[tuple[str, Reply]] = [
    ("XADD s 0-0 a b", "-ERR The ID specified in XADD must be greater than 0-0"),
    ("XADD s 1-1 a b", b"1-1"),
    ("XADD s 1-1 a b", ("-ERR The ID specified in XADD is equal or smaller than the target stream top item")),
    ("XADD s x a b", "-ERR Invalid stream ID specified as stream command argument"),
    ("XADD s 5", "-ERR wrong number of arguments for 'xadd' command"),
    ("XADD s 5 a", "-ERR wrong number of arguments for 'xadd' command"),
    ("XADD s maxlen 3 limit 4 * a b", "-ERR syntax error, LIMIT cannot be used without the special ~ option"),
    ("XADD s limit 4 * a b", ("-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")),
    ("XADD s maxlen -1 * a b", "-ERR The MAXLEN argument must be >= 0."),
    ("XADD s maxlen x * a b", "-ERR value is not an integer or out of range"),
    (
        "XADD s maxlen 4 minid 4 * a b",
        ("-ERR syntax error, MAXLEN and MINID options at the same time are not compatible"),
    ),
    ("XADD s maxlen ~ 4 limit -1 * a b", "-ERR The LIMIT argument must be >= 0."),
    ("XADD nos nomkstream * a b", None),
    ("XADD s 0-* a b", ("-ERR The ID specified in XADD is equal or smaller than the target stream top item")),
    ("XADD s *-1 a b", "-ERR Invalid stream ID specified as stream command argument"),
    ("XADD s 1-* a b", b"1-2"),
    ("XADD s 3 a b", b"3-0"),
    ("XADD s maxlen = 2 4-0 a b c d", b"4-0"),
]
TRIMMING: list[tuple[str, Reply]] = [
    ("XADD s 1-1 a b", b"1-1"),
    ("XADD s 2-1 a b", b"2-1"),
    ("XADD s 3-1 a b", b"3-1"),
    ("XADD s 4-1 a b", b"4-1"),
    ("XTRIM s maxlen", "-ERR wrong number of arguments for 'xtrim' command"),
    ("XTRIM s foo 3", "-ERR syntax error"),
    ("XTRIM s maxlen 3", 1),
    ("XTRIM s maxlen 1 foo", "-ERR syntax error"),
    ("XTRIM s limit 5", ("-ERR syntax error, LIMIT cannot be used without specifying a trimming strategy")),
    ("XTRIM s minid = 3", 1),
    ("XTRIM s maxlen ~ 0", 2),
    ("XTRIM nos maxlen 0", 0),
    ("XADD s maxlen = 2 5-1 a b", b"5-1"),
    ("XADD s minid 5-0 6-1 a b", b"6-1"),
    ("XRANGE s - +", [[b"5-1", [b"a", b"b"]], [b"6-1", [b"a", b"b"]]]),
    (
        "XINFO STREAM s",
        {
            b"length": 2,
            b"radix-tree-keys": 1,
            b"radix-tree-nodes": 2,
            b"last-generated-id": b"6-1",
            b"max-deleted-entry-id": b"0-0",
            b"entries-added": 6,
            b"recorded-first-entry-id": b"5-1",
            b"groups": 0,
            b"first-entry": [b"5-1", [b"a", b"b"]],
            b"last-entry": [b"6-1", [b"a", b"b"]],
        },
    ),
]
HIGHEST: list[tuple[str, Reply]] = [
    ("XADD s 18446744073709551615-18446744073709551614 a b", b"18446744073709551615-18446744073709551614"),
    ("XADD s 18446744073709551615-* a b", b"18446744073709551615-18446744073709551615"),
    (
        "XADD s 18446744073709551615-* a b",
        ("-ERR The stream has exhausted the last possible ID, unable to add more items"),
    ),
    ("XADD s * a b", ("-ERR The stream has exhausted the last possible ID, unable to add more items")),
    ("XADD s 1-1 a b", ("-ERR The stream has exhausted the last possible ID, unable to add more items")),
]
RANGES: list[tuple[str, Reply]] = [
    ("XADD s 1-1 a b", b"1-1"),
    ("XADD s 2-0 a b", b"2-0"),
    ("XADD s 2-5 a b", b"2-5"),
    ("XADD s 3-0 c d", b"3-0"),
    ("XRANGE s - +", [[b"1-1", [b"a", b"b"]], [b"2-0", [b"a", b"b"]], [b"2-5", [b"a", b"b"]], [b"3-0", [b"c", b"d"]]]),
    ("XRANGE s 2 2", [[b"2-0", [b"a", b"b"]], [b"2-5", [b"a", b"b"]]]),
    ("XRANGE s (2 3", [[b"2-5", [b"a", b"b"]], [b"3-0", [b"c", b"d"]]]),
    ("XRANGE s 2 (3", [[b"2-0", [b"a", b"b"]], [b"2-5", [b"a", b"b"]], [b"3-0", [b"c", b"d"]]]),
    ("XRANGE s 3 2", []),
    ("XRANGE s - + COUNT 2", [[b"1-1", [b"a", b"b"]], [b"2-0", [b"a", b"b"]]]),
    (
        "XREVRANGE s + -",
        [[b"3-0", [b"c", b"d"]], [b"2-5", [b"a", b"b"]], [b"2-0", [b"a", b"b"]], [b"1-1", [b"a", b"b"]]],
    ),
    ("XREVRANGE s (3 2 COUNT 1", [[b"3-0", [b"c", b"d"]]]),
    ("XRANGE s (- +", "-ERR Invalid stream ID specified as stream command argument"),
    ("XRANGE s - + COUNT x", "-ERR value is not an integer or out of range"),
    ("XRANGE s - + COUNT -1", NULL_ARRAY),
    ("XRANGE s - + COUNT", "-ERR syntax error"),
    ("XRANGE s - + FOO 1", "-ERR syntax error"),
    ("XRANGE s a b", "-ERR Invalid stream ID specified as stream command argument"),
    ("XRANGE nos - +", []),
    ("XRANGE s (18446744073709551615-18446744073709551615 +", "-ERR invalid start ID for the interval"),
    ("XRANGE s - (0-0", "-ERR invalid end ID for the interval"),
    ("XDEL s 2-0 2-0 7-7", 1),
    ("XDEL s x", "-ERR Invalid stream ID specified as stream command argument"),
    ("XDEL nos 1-1", 0),
    ("XLEN s", 3),
    ("XLEN nos", 0),
    ("XRANGE s - +", [[b"1-1", [b"a", b"b"]], [b"2-5", [b"a", b"b"]], [b"3-0", [b"c", b"d"]]]),
    ("XDEL s 3-0", 1),
    (
        "XINFO STREAM s",
        {
            b"length": 2,
            b"radix-tree-keys": 1,
            b"radix-tree-nodes": 2,
            b"last-generated-id": b"3-0",
            b"max-deleted-entry-id": b"3-0",
            b"entries-added": 4,
            b"recorded-first-entry-id": b"1-1",
            b"groups": 0,
            b"first-entry": [b"1-1", [b"a", b"b"]],
            b"last-entry": [b"2-5", [b"a", b"b"]],
        },
    ),
]
READING: list[tuple[str, Reply]] = [
    ("XADD s 1-1 a b", b"1-1"),
    ("XADD s 2-1 c d", b"2-1"),
    ("XADD t 1-1 e f", b"1-1"),
    ("XREAD STREAMS s 0", [[b"s", [[b"1-1", [b"a", b"b"]], [b"2-1", [b"c", b"d"]]]]]),
    ("XREAD COUNT 1 STREAMS s t 0 0", [[b"s", [[b"1-1", [b"a", b"b"]]]], [b"t", [[b"1-1", [b"e", b"f"]]]]]),
    ("XREAD COUNT 0 STREAMS s t 1-1 1-1", [[b"s", [[b"2-1", [b"c", b"d"]]]]]),
    ("XREAD STREAMS s 2", [[b"s", [[b"2-1", [b"c", b"d"]]]]]),
    ("XREAD STREAMS s $", NULL_ARRAY),
    ("XREAD STREAMS nos 0", NULL_ARRAY),
    ("XREAD COUNT 1 STREAMS", "-ERR syntax error"),
    ("XREAD BLOCK x STREAMS s 0", "-ERR timeout is not an integer or out of range"),
    ("XREAD BLOCK -1 STREAMS s 0", "-ERR timeout is negative"),
    ("XREAD COUNT x STREAMS s 0", "-ERR value is not an integer or out of range"),
    (
        "XREAD STREAMS s >",
        ("-ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."),
    ),
    (
        "XREAD GROUP g c STREAMS s 0",
        ("-ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."),
    ),
    ("XREAD NOACK STREAMS s 0", ("-ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.")),
    ("XREAD FOO STREAMS s 0", "-ERR syntax error"),
    (
        "XREADGROUP GROUP g c STREAMS s $",
        ("-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option"),
    ),
]
GROUPS: list[tuple[str, Reply]] = [
    ("XADD s 1-1 a b", b"1-1"),
    ("XADD s 2-1 c d", b"2-1"),
    (
        "XGROUP CREATE nos g 0",
        (
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you "
            "may want to use the MKSTREAM option to create an empty stream automatically."
        ),
    ),
    (
        "XGROUP CREATE s g 0 FOO",
        ("-ERR unknown subcommand or wrong number of arguments for 'CREATE'. Try XGROUP HELP."),
    ),
    ("XGROUP CREATE s g 0 ENTRIESREAD x", "-ERR value is not an integer or out of range"),
    ("XGROUP CREATE s g 0 ENTRIESREAD -5", "-ERR value for ENTRIESREAD must be positive or -1"),
    ("XGROUP CREATE s g x", "-ERR Invalid stream ID specified as stream command argument"),
    ("XGROUP CREATE s g 0", b"OK"),
    ("XGROUP CREATE s g 0", "-BUSYGROUP Consumer Group name already exists"),
    ("XGROUP CREATE made g $ MKSTREAM", b"OK"),
    ("XLEN made", 0),
    (
        "XINFO GROUPS s",
        [
            {
                b"name": b"g",
                b"consumers": 0,
                b"pending": 0,
                b"last-delivered-id": b"0-0",
                b"entries-read": None,
                b"lag": 2,
            }
        ],
    ),
    (
        "XREADGROUP GROUP g c STREAMS s $",
        (
            "-ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the "
            "history of this consumer by specifying a proper ID, or use the > ID to get new "
            "messages. The $ ID would just return an empty result set."
        ),
    ),
    ("XREADGROUP GROUP g c STREAMS s x", "-ERR Invalid stream ID specified as stream command argument"),
    (
        "XREADGROUP GROUP g c STREAMS nos >",
        ("-NOGROUP No such key 'nos' or consumer group 'g' in XREADGROUP with GROUP option"),
    ),
    (
        "XREADGROUP GROUP nog c STREAMS s >",
        ("-NOGROUP No such key 's' or consumer group 'nog' in XREADGROUP with GROUP option"),
    ),
    ("XREADGROUP GROUP g c COUNT 1 STREAMS s >", [[b"s", [[b"1-1", [b"a", b"b"]]]]]),
    ("XREADGROUP GROUP g c NOACK STREAMS s >", [[b"s", [[b"2-1", [b"c", b"d"]]]]]),
    ("XREADGROUP GROUP g c STREAMS s >", NULL_ARRAY),
    ("XREADGROUP GROUP g c STREAMS s 0", [[b"s", [[b"1-1", [b"a", b"b"]]]]]),
    ("XREADGROUP GROUP g other STREAMS s 0", [[b"s", []]]),
    (
        "XINFO GROUPS s",
        [{b"name": b"g", b"consumers": 2, b"pending": 1, b"last-delivered-id": b"2-1", b"entries-read": 2, b"lag": 0}],
    ),
    ("XACK s g 1-1 1-1 9-9", 1),
    ("XACK s g x", "-ERR Invalid stream ID specified as stream command argument"),
    ("XACK nos g 1-1", 0),
    ("XACK s nog 1-1", 0),
    ("XGROUP SETID s h 0", "-NOGROUP No such consumer group 'h' for key name 's'"),
    ("XGROUP SETID s g 0", b"OK"),
    ("XGROUP SETID s g 0 foo", ("-ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.")),
    ("XREADGROUP GROUP g c STREAMS s >", [[b"s", [[b"1-1", [b"a", b"b"]], [b"2-1", [b"c", b"d"]]]]]),
    ("XDEL s 1-1", 1),
    ("XREADGROUP GROUP g c STREAMS s 0", [[b"s", [[b"1-1", NULL_ARRAY], [b"2-1", [b"c", b"d"]]]]]),
    ("XGROUP DELCONSUMER s h c", "-NOGROUP No such consumer group 'h' for key name 's'"),
    ("XGROUP DELCONSUMER s g nobody", 0),
    ("XGROUP DELCONSUMER s g c", 2),
    ("XGROUP CREATECONSUMER s g c", 1),
    ("XGROUP CREATECONSUMER s g c", 0),
    ("XGROUP DESTROY s h", 0),
    ("XGROUP DESTROY s g", 1),
    (
        "XGROUP DESTROY nos h",
        (
            "-ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you "
            "may want to use the MKSTREAM option to create an empty stream automatically."
        ),
    ),
    ("XGROUP FOO", "-ERR unknown subcommand 'FOO'. Try XGROUP HELP."),
    ("XGROUP CREATE", "-ERR wrong number of arguments for 'xgroup|create' command"),
    ("XINFO STREAM nos", "-ERR no such key"),
    ("XINFO GROUPS nos", "-ERR no such key"),
    ("XINFO CONSUMERS s h", "-NOGROUP No such consumer group 'h' for key name 's'"),
    ("XINFO STREAM s FULL COUNT x", "-ERR value is not an integer or out of range"),
    ("XINFO STREAM s FOO", ("-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP.")),
]
PENDING: list[tuple[str, Reply]] = [
    ("XADD s 1-1 a b", b"1-1"),
    ("XADD s 2-1 c d", b"2-1"),
    ("XADD s 3-1 e f", b"3-1"),
    ("XGROUP CREATE s g 0", b"OK"),
    ("XPENDING s g", [0, None, None, NULL_ARRAY]),
    ("XREADGROUP GROUP g c COUNT 2 STREAMS s >", [[b"s", [[b"1-1", [b"a", b"b"]], [b"2-1", [b"c", b"d"]]]]]),
    ("XREADGROUP GROUP g d STREAMS s >", [[b"s", [[b"3-1", [b"e", b"f"]]]]]),
    ("XPENDING s g", [3, b"1-1", b"3-1", [[b"c", b"2"], [b"d", b"1"]]]),
    ("XPENDING s g IDLE 60000 - + 10", []),
    ("XPENDING s g - + 10 nobody", []),
    ("XPENDING s g - + -1", []),
    ("XPENDING s h", "-NOGROUP No such key 's' or consumer group 'h'"),
    ("XPENDING nos h", "-NOGROUP No such key 'nos' or consumer group 'h'"),
    ("XPENDING s g - +", "-ERR syntax error"),
    ("XPENDING s g IDLE x - + 1", "-ERR value is not an integer or out of range"),
    ("XPENDING s g IDLE 1 - +", "-ERR syntax error"),
    ("XPENDING s g - + x", "-ERR value is not an integer or out of range"),
    ("XCLAIM s g d 0 3-1 1-1 9-9", [[b"3-1", [b"e", b"f"]], [b"1-1", [b"a", b"b"]]]),
    ("XCLAIM s g d 60000 2-1", []),
    ("XCLAIM s g d 0 2-1 JUSTID", [b"2-1"]),
    ("XCLAIM nos g c 0 1-1", "-NOGROUP No such key 'nos' or consumer group 'g'"),
    ("XCLAIM s g c x 1-1", "-ERR Invalid min-idle-time argument for XCLAIM"),
    ("XCLAIM s g c 0 9-1", []),
    ("XCLAIM s g c 0 1-1 FOO", "-ERR Unrecognized XCLAIM option 'FOO'"),
    ("XCLAIM s g c2 0 1-1 IDLE x", "-ERR Invalid IDLE option argument for XCLAIM"),
    ("XCLAIM s g c2 0 1-1 TIME x", "-ERR Invalid TIME option argument for XCLAIM"),
    ("XCLAIM s g c2 0 1-1 RETRYCOUNT x", "-ERR Invalid RETRYCOUNT option argument for XCLAIM"),
    ("XCLAIM s g c2 0 1-1 LASTID x", "-ERR Invalid stream ID specified as stream command argument"),
    ("XPENDING s g", [3, b"1-1", b"3-1", [[b"d", b"3"]]]),
    ("XDEL s 1-1", 1),
    ("XAUTOCLAIM s g e 0 0 COUNT 2", [b"3-1", [[b"2-1", [b"c", b"d"]]], [b"1-1"]]),
    ("XAUTOCLAIM s g e 0 (2-1 JUSTID", [b"0-0", [b"3-1"], []]),
    ("XPENDING s g", [2, b"2-1", b"3-1", [[b"e", b"2"]]]),
    ("XAUTOCLAIM s g c 0", "-ERR wrong number of arguments for 'xautoclaim' command"),
    ("XAUTOCLAIM s g c x 0", "-ERR Invalid min-idle-time argument for XAUTOCLAIM"),
    ("XAUTOCLAIM s g c 0 x", "-ERR Invalid stream ID specified as stream command argument"),
    ("XAUTOCLAIM s g c 0 0 COUNT 0", "-ERR COUNT must be > 0"),
    ("XAUTOCLAIM s g c 0 0 COUNT x", "-ERR COUNT must be > 0"),
    ("XAUTOCLAIM s g c 0 0 FOO", "-ERR syntax error"),
    ("XAUTOCLAIM nos g c 0 0", "-NOGROUP No such key 'nos' or consumer group 'g'"),
]
KINDS: list[tuple[str, Reply]] = [
    ("SET str x", b"OK"),
    ("XADD str * a b", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("XLEN str", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("XREAD STREAMS str 0", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("XADD s 1-1 a b", b"1-1"),
    ("GET s", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ("XSETID nos 1-1", "-ERR no such key"),
    ("XSETID s x", "-ERR Invalid stream ID specified as stream command argument"),
    (
        "XSETID s 5-5 ENTRIESADDED 5 MAXDELETEDID 6-6",
        ("-ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"),
    ),
    ("XSETID s 5-5 ENTRIESADDED -5 MAXDELETEDID 4-4", "-ERR entries_added must be positive"),
    ("XSETID s 0-5", ("-ERR The ID specified in XSETID is smaller than the target stream top item")),
    ("XSETID s 5-5 FOO 1", "-ERR syntax error"),
    ("XSETID s 1-1", b"OK"),
]
FIELDS: list[tuple[str, Reply]] = [
    ("XADD t 1-1 data v", b"1-1"),
    ("XADD t 1-2 data v key k", b"1-2"),
    ("XADD t 1-3 key k data v", b"1-3"),
    ('XADD t 1-4 data v key ""', b"1-4"),
    ('XADD t 1-5 "" ""', b"1-5"),
    ("XADD t 1-6 data v key k data v", b"1-6"),
    (
        "XREAD STREAMS t 0",
        [
            [
                b"t",
                [
                    [b"1-1", [b"data", b"v"]],
                    [b"1-2", [b"data", b"v", b"key", b"k"]],
                    [b"1-3", [b"key", b"k", b"data", b"v"]],
                    [b"1-4", [b"data", b"v", b"key", b""]],
                    [b"1-5", [b"", b""]],
                    [b"1-6", [b"data", b"v", b"key", b"k", b"data", b"v"]],
                ],
            ]
        ],
    ),
]


@pytest.mark.parametrize(
    "rows",
    [ADDING, TRIMMING, HIGHEST, RANGES, READING, GROUPS, PENDING, KINDS, FIELDS],
    ids=["adding", "trimming", "highest", "ranges", "reading", "groups", "pending", "kinds", "fields"],
)
def test_replies_are_those_of_redis(run: Run, rows: list[tuple[str, Reply]]) -> None:
    for line, reply in rows:
        assert (line, run(*shlex.split(line))) == (line, reply)
