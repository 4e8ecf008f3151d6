"""Work for a writer that is to be killed, and the oracle that knows what must be there afterwards.

The writer says what it is about to do *before* it does it and what came of it *after*. So at a kill the
oracle knows: everything acknowledged must be there; of each thread at most one operation is open, and that
one either happened whole or not at all; anything else in the log was never written and is an error.

A writer is this module run as a program:
`python -m support.workload PATH SEED FIRST_OPERATION DURABILITY THREADS`.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
from typing import Any

from support.model import Entry, LogModel, difference, held
from support.values import TAG_BYTES, make_value, read_tag

Plan = list[Any]  # operation number, name, arguments

MOST_RECORDS = 2500  # the log is cut when it holds more, so that checking stays quick
KEYS = 23

CHANCES = {
    "append": 50,
    "many": 25,
    "tombstone": 5,
    "after": 4,
    "before": 4,
    "compact": 4,
    "retain": 2,
    "sync": 4,
    "reopen": 2,
    "reset": 0.4,
}


def entries_of(plan: Plan) -> list[Entry]:
    """The records that a plan appends, from the plan alone."""
    operation, name, *arguments = plan
    if name == "tombstone":
        return [Entry(key_of(arguments[0]), b"", True)]
    if name not in ("append", "many"):
        return []
    count, largest, keyed = arguments
    sizes = random.Random(operation)
    return [
        Entry(
            key_of(sizes.randrange(KEYS)) if keyed else None,
            make_value(operation, index, count, sizes.randrange(TAG_BYTES, largest)),
        )
        for index in range(count)
    ]


def key_of(number: int) -> bytes:
    return b"key-%d" % number


# ---------------------------------------------------------------- the writer


def planned(operation: int, chance: random.Random, low: int, high: int, appends_only: bool) -> Plan:
    """The next thing to do to a log that holds low to high."""
    if appends_only:
        name = chance.choices(["append", "many", "sync"], [70, 25, 5])[0]
    elif high - low > MOST_RECORDS:
        return [operation, "before", high - MOST_RECORDS // 2]
    else:
        name = chance.choices(list(CHANCES), list(CHANCES.values()))[0]
    if name == "append":
        return [operation, name, 1, chance.choice([30, 100, 1500]), chance.random() < 0.7]
    if name == "many":
        return [
            operation,
            name,
            chance.choice([2, 3, 10, 60]),
            chance.choice([30, 200]),
            chance.random() < 0.7,
        ]
    if name == "tombstone":
        return [operation, name, chance.randrange(KEYS)]
    if name == "after":
        return [operation, name, max(low - 1, high - 1 - chance.choice([0, 1, 5, 60, 300]))]
    if name in ("before", "retain"):
        return [operation, name, min(high, low + chance.choice([0, 1, 20, 200]))]
    if name == "reset":
        return [operation, name, chance.randrange(10**6)]
    return [operation, name]


def carry_out(log: Any, plan: Plan) -> Any:
    """Do it; return what the oracle needs to know of it."""
    name, *arguments = plan[1:]
    if name in ("append", "many"):
        entries = entries_of(plan)
        if name == "append":
            return log.append(entries[0].value, entries[0].key)
        return log.append_many([entry.value for entry in entries], [entry.key for entry in entries]).start
    if name == "tombstone":
        return log.append_tombstone(key_of(arguments[0]))
    if name == "compact":
        log.compact(tombstone_grace=0)
        return [log.lowest_offset, [record.offset for record in log]]
    calls = {
        "after": log.truncate_after,
        "before": log.truncate_before,
        "reset": log.reset,
        "sync": log.sync,
        "retain": lambda offset: (log.retain(min_offset=offset), log.lowest_offset)[1],
    }
    return calls[name](*arguments)


def say(what: str, *rest: Any) -> None:
    """One line in one write: threads and kills never mix or halve a line that fits a pipe's buffer."""
    os.write(1, f"{what} {json.dumps(rest)}\n".encode())


def write_alone(log: Any, reopened: Any, seed: str, operation: int) -> None:
    chance = random.Random(seed)
    while True:
        plan = planned(operation, chance, log.lowest_offset, log.next_offset, False)
        say("before", plan)
        if plan[1] == "reopen":
            log.close()
            log = reopened()
            say("after", operation, log.next_offset)
        else:
            say("after", operation, carry_out(log, plan))
        operation += 1


def write_together(log: Any, seed: str, operation: int, threads: int) -> None:
    def work(thread: int) -> None:
        chance = random.Random(f"{seed}/{thread}")
        number = operation + thread
        while True:
            plan = planned(number, chance, log.lowest_offset, log.next_offset, True)
            say("before", plan)
            say("after", number, carry_out(log, plan))
            number += threads

    for thread in range(threads):
        threading.Thread(target=work, args=(thread,)).start()


def main(path: str, seed: str, operation: str, durability: str, threads: str) -> None:
    from striate import Log

    segment_bytes = random.Random(f"{seed}/segment").choice([4096, 4099, 9000, 20_000])

    def opened() -> Log:
        return Log(path, durability=durability, segment_bytes=segment_bytes, sync_interval_ms=3)

    say("opening")
    log = opened()
    say("open", log.lowest_offset, log.next_offset)
    if int(threads) == 1:
        write_alone(log, opened, seed, int(operation))
    else:
        write_together(log, seed, int(operation), int(threads))


# ---------------------------------------------------------------- the oracles


class SerialOracle:
    """Knows the exact state before and after the one open operation."""

    def __init__(self) -> None:
        self.model = LogModel()
        self.open: Plan | None = None
        self.operation = 0
        self.acknowledged = 0

    def before(self, plan: Plan) -> None:
        assert self.open is None
        self.open = plan
        self.operation = plan[0] + 1

    def after(self, operation: int, result: Any) -> None:
        assert self.open is not None
        assert self.open[0] == operation
        plan, self.open = self.open, None
        self.acknowledged += 1
        self.model = self.applied(plan, result)

    def applied(self, plan: Plan, result: Any) -> LogModel:
        """The state behind an operation that was acknowledged with `result`."""
        model, (name, *arguments) = self.model.copied(), plan[1:]
        if name in ("append", "many", "tombstone"):
            assert model.append(entries_of(plan)).start == result, f"{plan} was given offset {result}"
        elif name == "compact":
            kept = set(result[1])
            model.records = {offset: entry for offset, entry in model.records.items() if offset in kept}
            assert len(model.records) == len(kept), f"compaction made records up: {kept - set(model.records)}"
            problem = self.model.unsound(model.records)
            assert not problem, problem
            model.low = result[0]
        elif name == "retain":
            model.truncate_before(result)
        elif name in ("before", "after"):
            got = {"before": model.truncate_before, "after": model.truncate_after}[name](*arguments)
            assert got == result, f"{plan} returned {result}, wanted {got}"
        elif name == "reset":
            model.reset(*arguments)
        else:
            assert result == model.next, f"{plan} returned {result}, next is {model.next}"
        return model

    def check(self, log: Any) -> None:
        """The log is in the state before or behind the open operation; go on from the one it is in."""
        problem = self.model.difference(log)
        if problem and self.open is not None:
            behind = self.behind(log, self.open)
            problem = behind and f"{behind}; before it: {problem}"
        assert not problem, f"open operation {self.open}: {problem}"
        self.model.adopt(log)
        self.open = None

    def behind(self, log: Any, plan: Plan) -> str:
        """Why the log is not in a state behind the open operation, or an empty string."""
        low, after = log.lowest_offset, held(log)
        if plan[1] == "compact":
            if log.next_offset != self.model.next or low < self.model.low:
                return f"range is {low}, {log.next_offset}"
            return self.model.unsound(after)
        if plan[1] == "retain":
            wanted = self.model.copied()
            wanted.truncate_before(low)
            return wanted.difference(log) or ("retained too little" if low > max(plan[2], self.model.low) else "")
        model = self.model.copied()
        if plan[1] in ("append", "many", "tombstone"):
            model.append(entries_of(plan))
        elif plan[1] in ("sync", "reopen"):
            return "a state that no operation leads to"
        else:
            call = {"before": model.truncate_before, "after": model.truncate_after, "reset": model.reset}
            call[plan[1]](*plan[2:])
        return model.difference(log)


class ThreadedOracle:
    """Knows what was submitted, what was acknowledged where, and what earlier openings found."""

    def __init__(self) -> None:
        self.submitted: dict[int, Plan] = {}
        self.at: dict[int, int] = {}  # operation → offset of its first record
        self.present: dict[int, Entry] = {}
        self.operation = 0
        self.acknowledged = 0

    def before(self, plan: Plan) -> None:
        self.submitted[plan[0]] = plan
        self.operation = max(self.operation, plan[0] + 1)

    def after(self, operation: int, result: Any) -> None:
        self.acknowledged += 1
        if self.submitted[operation][1] != "sync":
            self.at[operation] = result

    def check(self, log: Any) -> None:
        records = held(log)
        assert list(records) == list(range(log.lowest_offset, log.next_offset)), "offsets are dense"
        found: dict[int, int] = {}
        for offset, entry in records.items():
            tag = read_tag(entry.value)
            first = found.setdefault(tag.operation, offset - tag.index)
            assert first == offset - tag.index, f"operation {tag.operation} stands twice or is torn apart"
        wanted: dict[int, Entry] = {}
        for operation, first in found.items():
            assert operation in self.submitted, f"operation {operation} was never submitted"
            for index, entry in enumerate(entries_of(self.submitted[operation])):
                wanted[first + index] = entry
        problem = difference(records, dict(sorted(wanted.items())))
        assert not problem, f"not whole: {problem}"
        for operation, offset in self.at.items():
            assert found.get(operation) == offset, f"operation {operation} was acknowledged at {offset}"
        now = {offset: records.get(offset) for offset in self.present}
        problem = difference(now, self.present)  # type: ignore[misc]
        assert not problem, f"not as it was found before: {problem}"
        self.present = records
        self.at.update(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
