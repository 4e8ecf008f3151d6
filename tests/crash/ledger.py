"""What a log was given and what it has acknowledged, for tests in which calls fail."""

from __future__ import annotations

from dataclasses import dataclass, field

from striate.storage.log import Log


@dataclass
class Ledger:
    """What was handed to the log and what it has acknowledged: offset to value, and what is under way."""

    kept: dict[int, bytes] = field(default_factory=dict)
    begun: dict[int, bytes] = field(default_factory=dict)
    lowest: int = 0
    lowest_begun: int = 0
    serial: int = 0
    durable: int = 0

    def value(self, size: int) -> bytes:
        self.serial += 1
        return b"%d-" % self.serial + b"x" * size

    def append(self, log: Log, *sizes: int) -> None:
        values = [self.value(size) for size in sizes]
        start = log.next_offset
        self.begun = dict(enumerate(values, start))
        first = log.append(values[0]) if len(values) == 1 else log.append_many(values).start
        assert first == start
        self.kept.update(self.begun)
        self.begun = {}
        self.durable = log.durable_offset

    def truncate_before(self, log: Log, offset: int) -> None:
        self.lowest_begun = offset
        assert log.truncate_before(offset) == offset
        self.lowest = offset

    def truncate_after(self, log: Log, offset: int) -> None:
        # Until it is done, the end is neither certain to be there nor to be gone.
        cut = {number: self.kept.pop(number) for number in list(self.kept) if number > offset}
        self.durable = min(self.durable, offset + 1)
        self.begun = cut
        assert log.truncate_after(offset) == offset + 1
        self.begun = {}

    def distrust(self) -> None:
        """A sync has failed: what was not durable before it may be gone, whatever the mode has promised."""
        self.begun = {**{o: v for o, v in self.kept.items() if o >= self.durable}, **self.begun}
        self.kept = {o: v for o, v in self.kept.items() if o < self.durable}

    def check(self, log: Log) -> None:
        """Everything acknowledged is there, and nothing that was never appended."""
        assert self.lowest <= log.lowest_offset <= max(self.lowest, self.lowest_begun)
        seen = {record.offset: record.value for record in log.scan()}
        for offset, value in self.kept.items():
            if offset >= log.lowest_offset:
                assert seen.pop(offset, None) == value, f"offset {offset} was acknowledged"
        for offset, value in seen.items():
            assert self.begun.get(offset) == value, f"offset {offset} was never appended"
        self.kept.update(seen)
        self.begun = {}
