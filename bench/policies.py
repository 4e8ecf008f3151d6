"""Eviction policies as plain Python, for their hit ratios only: one list of key numbers in, one ratio out.

They are written for comparison with the papers and not for speed. Each is a function of the requests and the capacity.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable


def lru(requests: Iterable[int], capacity: int) -> int:
    """Least recently used."""
    entries: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for key in requests:
        if key in entries:
            hits += 1
            entries.move_to_end(key)
            continue
        if len(entries) >= capacity:
            entries.popitem(last=False)
        entries[key] = None
    return hits


def sieve(requests: Iterable[int], capacity: int) -> int:
    """SIEVE (Zhang et al., NSDI 2024): a queue that never moves, and a hand that spares what was visited."""
    after: dict[int, int] = {}  # towards the newer
    before: dict[int, int] = {}
    visited: dict[int, bool] = {}
    oldest = newest = hand = -1
    hits = 0
    for key in requests:
        if key in visited:
            hits += 1
            visited[key] = True
            continue
        if len(visited) >= capacity:
            victim = hand if hand >= 0 else oldest
            while visited[victim]:
                visited[victim] = False
                victim = after.get(victim, oldest)
            older, newer = before.pop(victim, -1), after.pop(victim, -1)
            if older >= 0:
                after.pop(older) if newer < 0 else after.__setitem__(older, newer)
            if newer >= 0:
                before.pop(newer) if older < 0 else before.__setitem__(newer, older)
            oldest = newer if victim == oldest else oldest
            newest = older if victim == newest else newest
            hand = newer
            del visited[victim]
        if newest >= 0:
            after[newest], before[key] = key, newest
        else:
            oldest = key
        newest = key
        visited[key] = False
    return hits


def s3_fifo(requests: Iterable[int], capacity: int) -> int:
    """S3-FIFO (Yang et al., SOSP 2023): a small queue of a tenth, a main queue, and a queue of ghosts."""
    small_capacity = max(capacity // 10, 1)
    small: deque[int] = deque()
    main: deque[int] = deque()
    ghosts: OrderedDict[int, None] = OrderedDict()
    frequency: dict[int, int] = {}
    hits = 0

    def evict_main() -> None:
        while True:
            key = main.popleft()
            if frequency[key] == 0:
                del frequency[key]
                return
            frequency[key] -= 1
            main.append(key)

    def evict_small() -> None:
        while small:
            key = small.popleft()
            if frequency[key] > 1:
                frequency[key] = 0
                main.append(key)
                if len(main) > capacity - small_capacity:
                    evict_main()
                    return
                continue
            del frequency[key]
            ghosts[key] = None
            if len(ghosts) > capacity:
                ghosts.popitem(last=False)
            return

    for key in requests:
        if key in frequency:
            hits += 1
            frequency[key] = min(frequency[key] + 1, 3)
            continue
        while len(frequency) >= capacity:
            evict_small() if len(small) >= small_capacity or not main else evict_main()
        frequency[key] = 0
        if key in ghosts:
            del ghosts[key]
            main.append(key)
        else:
            small.append(key)
    return hits


def w_tinylfu(requests: Iterable[int], capacity: int) -> int:
    """W-TinyLFU (Einziger et al., 2017) with exact counts instead of a sketch and a window of one hundredth."""
    window_capacity = max(capacity // 100, 1)
    protected_capacity = (capacity - window_capacity) * 8 // 10
    window: OrderedDict[int, None] = OrderedDict()
    probation: OrderedDict[int, None] = OrderedDict()
    protected: OrderedDict[int, None] = OrderedDict()
    counts: dict[int, int] = {}
    hits = seen = 0
    for key in requests:
        counts[key] = min(counts.get(key, 0) + 1, 15)
        seen += 1
        if seen >= 10 * capacity:
            counts = {each: count // 2 for each, count in counts.items() if count > 1}
            seen //= 2
        if key in window:
            window.move_to_end(key)
        elif key in protected:
            protected.move_to_end(key)
        elif key in probation:
            del probation[key]
            protected[key] = None
            if len(protected) > protected_capacity:
                probation[protected.popitem(last=False)[0]] = None
        else:
            window[key] = None
            if len(window) > window_capacity:
                candidate = window.popitem(last=False)[0]
                if len(probation) + len(protected) < capacity - window_capacity:
                    probation[candidate] = None
                else:
                    victim = next(iter(probation))
                    if counts.get(candidate, 0) > counts.get(victim, 0):
                        del probation[victim]
                        probation[candidate] = None
            continue
        hits += 1
    return hits


POLICIES: dict[str, Callable[[Iterable[int], int], int]] = {
    "LRU": lru,
    "SIEVE": sieve,
    "S3-FIFO": s3_fifo,
    "W-TinyLFU": w_tinylfu,
}
