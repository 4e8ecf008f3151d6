"""Several processes: live readers through all that a writer does, one writer, forks refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.child import Child, run_child

from striate import Log, LogLockedError, LogNotFoundError, OffsetOutOfRangeError, ReadOnlyError

# Answers questions about the log it has open for reading: range, one record, the sum of all.
READER = """
import zlib
from striate import Log, StriateError
log = Log(path, mode="r")
say("open")
for line in iter(heard, ""):
    words = line.split()
    try:
        if words[0] == "range": say(log.lowest_offset, log.next_offset)
        elif words[0] == "read": say(log.read(int(words[1])).value.hex())
        elif words[0] == "all":
            records = list(log)
            say(len(records), zlib.crc32(repr([(r.offset, r.key, r.value) for r in records]).encode()))
        elif words[0] == "batches": say(sum(len(batch) for batch in log.batches(max_bytes=700)))
        elif words[0] == "segments": say(len(log.segments()))
        elif words[0] == "wait": say(log.wait(int(words[1]), 20))
    except StriateError as error: say(type(error).__name__)
"""


def digest(log: Any) -> str:
    import zlib

    records = list(log)
    return f"{len(records)} {zlib.crc32(repr([(r.offset, r.key, r.value) for r in records]).encode())}"


def agree(log: Any, *readers: Child) -> None:
    """Every reader sees at once just what the writer sees."""
    for reader in readers:
        assert reader.ask("range") == f"{log.lowest_offset} {log.next_offset}"
        assert reader.ask("all") == digest(log)
        assert reader.ask("batches") == str(sum(1 for _ in log))


def fill(log: Any, count: int) -> None:
    for _ in range(count):
        log.append(b"%d." % log.next_offset * 15, b"key-%d" % (log.next_offset % 9))


@pytest.mark.parametrize("durability", ["process", "power"])
def test_readers_see_everything_at_once(log_path: Path, durability: str) -> None:
    with (
        Log(log_path, durability=durability, segment_bytes=4096, initial_offset=100) as log,
        Child(READER, log_path) as first,
        Child(READER, log_path) as second,
    ):
        first.expect("open")
        second.expect("open")
        agree(log, first, second)
        for number in range(60):
            offset = log.append(b"%d." % number * 30)
            assert first.ask(f"read {offset}") == (b"%d." % number * 30).hex()
        fill(log, 100)
        agree(log, first, second)
        log.append_many([b"batch"] * 200)
        agree(log, first, second)
        log.append_tombstone(b"key-1")
        agree(log, first, second)
        with Child(READER, log_path) as late:
            late.expect("open")
            agree(log, late)


def test_readers_across_truncation_reset_retention_and_compaction(log_path: Path) -> None:
    with (
        Log(log_path, durability="process", segment_bytes=4096) as log,
        Child(READER, log_path) as reader,
    ):
        reader.expect("open")
        steps = [
            lambda: fill(log, 150),
            lambda: log.truncate_before(20),
            lambda: log.truncate_after(120),
            lambda: fill(log, 80),
            log.compact,
            lambda: fill(log, 60),
            lambda: log.retain(max_bytes=8000),
            lambda: log.truncate_after(log.lowest_offset + 5),
            lambda: fill(log, 30),
            log.compact,
            log.reset,
            lambda: fill(log, 45),
            lambda: log.reset(10_000),
            lambda: fill(log, 120),
            lambda: log.truncate_before(log.next_offset),
            lambda: fill(log, 12),
        ]
        for step in steps:
            step()
            agree(log, reader)
        assert reader.ask("read 5") == "OffsetOutOfRangeError"
        assert reader.ask(f"read {log.next_offset}") == "OffsetOutOfRangeError"


def test_a_reader_is_told_of_gaps(log_path: Path) -> None:
    with (
        Log(log_path, durability="process", segment_bytes=4096) as log,
        Child(READER, log_path) as reader,
    ):
        reader.expect("open")
        fill(log, 150)
        agree(log, reader)
        log.compact()
        agree(log, reader)
        held = {record.offset for record in log}
        gaps = [offset for offset in range(log.lowest_offset, log.next_offset) if offset not in held]
        assert gaps
        assert {reader.ask(f"read {offset}") for offset in gaps} == {"RecordCompactedError"}


def test_a_reader_outlives_writers(log_path: Path) -> None:
    """Writers end, are killed, and come again; the reader that was there all along sees each of them."""
    writer = """
    from striate import Log
    with Log(path, durability="process", segment_bytes=4096) as log:
        for _ in range(50): log.append(b"%d." % log.next_offset * 15)
        say(log.next_offset)
        if sys.argv[2] == "killed": os.kill(os.getpid(), signal.SIGKILL)
    """
    Log(log_path, segment_bytes=4096).close()
    with Child(READER, log_path) as reader, Log(log_path, mode="r") as here:
        reader.expect("open")
        for session, ending in enumerate(["clean", "killed", "killed", "clean", "killed", "clean"]):
            with Child(writer, log_path, ending) as child:
                assert child.line() == str(50 * (session + 1))
                assert child.process.wait(20) == (-signal.SIGKILL if ending == "killed" else 0)
            assert here.next_offset == 50 * (session + 1)
            assert [record.value for record in here] == [b"%d." % n * 15 for n in range(50 * (session + 1))]
            agree(here, reader)


def test_a_reader_of_a_killed_log_sees_what_recovery_keeps(log_path: Path) -> None:
    """With no writer about, a reader that opens the left-over directory sees every acknowledged record."""
    source = """
    from striate import Log
    log = Log(path, durability="process", segment_bytes=4096)
    for number in range(75): log.append(b"%d." % number * 15)
    say("written")
    os.kill(os.getpid(), signal.SIGKILL)
    """
    with Child(source, log_path) as child:
        child.expect("written")
        child.process.wait(20)
    with Log(log_path, mode="r") as reader:
        assert [record.value for record in reader] == [b"%d." % number * 15 for number in range(75)]
    with Log(log_path, segment_bytes=4096) as log:
        assert log.next_offset == 75
        assert log.append(b"on") == 75


def test_a_reader_changes_no_file(log_path: Path) -> None:
    with Log(log_path, segment_bytes=4096) as log:
        fill(log, 100)
    before = {file.name: file.read_bytes() for file in log_path.iterdir()}
    with Log(log_path, mode="r") as reader:
        assert sum(1 for _ in reader) == 100
        assert reader.verify().ok
    after = {file.name: file.read_bytes() for file in log_path.iterdir() if file.name != "live"}
    assert {name: data for name, data in before.items() if name != "live"} == after


def test_reading_a_directory_without_write_permission(log_path: Path) -> None:
    """As a user who may only read: a child gives up root first; the directory tree is opened to it."""
    if os.geteuid() != 0:
        pytest.skip("changes the user, which root alone may")
    with Log(log_path, segment_bytes=4096) as log:
        fill(log, 100)
    for folder in (log_path, *log_path.parents):
        if folder == Path("/tmp") or folder == Path("/"):
            break
        folder.chmod(0o755)
    for file in log_path.iterdir():
        file.chmod(0o644)
    source = """
    import striate.storage.log, striate.storage.recovery, tempfile
    from striate import Log
    with tempfile.TemporaryDirectory() as other, Log(other) as warm: warm.append(b"x"), list(warm)
    os.setgid(65534); os.setuid(65534)
    with Log(path, mode="r") as log: say(sum(1 for _ in log), log.wait(log.next_offset, 0))
    """
    assert run_child(source, log_path) == ["100 False"]


# ---------------------------------------------------------------- one writer


SECOND_WRITER = """
from striate import Log, LogLockedError
try:
    Log(path)
    say("opened")
except LogLockedError as error:
    say("locked", error.pid)
"""


def test_a_second_writer_is_refused(log_path: Path) -> None:
    with Log(log_path, segment_bytes=4096) as log:
        log.append(b"value")
        for _ in range(2):
            with pytest.raises(LogLockedError) as caught:
                Log(log_path)
            assert caught.value.pid in (os.getpid(), None)
        link = log_path.with_name("link")
        link.symlink_to(log_path)
        with pytest.raises(LogLockedError):
            Log(link)
        [line] = run_child(SECOND_WRITER, log_path)
        assert line in (f"locked {os.getpid()}", "locked None")
        assert log.append(b"on") == 1
    assert run_child(SECOND_WRITER, log_path) == ["opened"]


def test_the_lock_goes_with_a_killed_writer(log_path: Path) -> None:
    source = """
    from striate import Log
    log = Log(path, durability="process")
    log.append(b"value")
    say("open"); heard()
    """
    with Child(source, log_path) as child:
        child.expect("open")
        with pytest.raises(LogLockedError) as caught:
            Log(log_path)
        assert caught.value.pid in (child.pid, None)
        child.process.kill()
        child.process.wait()
    with Log(log_path) as log:
        assert log.next_offset == 1


def test_readers_never_write(log_path: Path) -> None:
    with Log(log_path, segment_bytes=4096) as log:
        log.append(b"value")
        with Log(log_path, mode="r") as reader:
            assert reader.mode == "r"
            with pytest.raises(ReadOnlyError):
                reader.append(b"value")
            log.append(b"on")
            assert reader.read(1).value == b"on"
            with pytest.raises(OffsetOutOfRangeError):
                reader.read(2)
    with pytest.raises(LogNotFoundError):
        Log(log_path.with_name("nowhere"), mode="r")
    assert not log_path.with_name("nowhere").exists()


# ---------------------------------------------------------------- forks

FORKED = """
from striate import ForkedError, Log, LogLockedError
import numpy
log = Log(path, durability=sys.argv[2], segment_bytes=4096)
for number in range(50): log.append(b"%d." % number * 15)
view = log.view(7)
pid = os.fork()
if pid == 0:
    calls = dict(
        append=lambda: log.append(b"child"), append_many=lambda: log.append_many([b"child"]),
        tombstone=lambda: log.append_tombstone(b"k"), read=lambda: log.read(0), scan=lambda: list(log.scan()),
        view=lambda: log.view(0), read_many=lambda: log.read_many([0]), batch=lambda: log.read_batch(0),
        sync=log.sync, wait=lambda: log.wait(50, 0), before=lambda: log.truncate_before(1),
        after=lambda: log.truncate_after(1), reset=log.reset, compact=log.compact,
        follow=lambda: list(log.follow(0, timeout=0)), retain=lambda: log.retain(max_bytes=0),
    )
    wrong = []
    for name, call in calls.items():
        try: call(); wrong.append(name)
        except ForkedError: pass
        except BaseException as error: wrong.append(f"{name}: {error!r}")
    try: Log(path); wrong.append("a second writer")
    except LogLockedError: pass
    with Log(path, mode="r") as reader:
        if reader.read(49).value != b"49." * 15: wrong.append("reading")
    if bytes(view) != b"7." * 15: wrong.append("a view from before")
    try: log.close()
    except ForkedError: pass
    say("child", wrong)
    sys.exit(0)   # with all finalizers
os.waitpid(pid, 0)
for number in range(50, 120): assert log.append(b"%d." % number * 15) == number
try: Log(path); say("the lock is gone")
except LogLockedError: pass
log.close()
with Log(path, segment_bytes=4096) as log:
    say([record.value for record in log] == [b"%d." % number * 15 for number in range(120)])
"""


@pytest.mark.parametrize("durability", ["process", "power"])
def test_a_forked_child_is_refused_and_the_parent_goes_on(log_path: Path, durability: str) -> None:
    assert run_child(FORKED, log_path, durability) == ["child []", "True"]


def test_closing_lets_the_next_writer_in_though_a_forked_child_lives(log_path: Path) -> None:
    source = """
    from striate import Log
    log = Log(path, durability="process")
    log.append(b"value")
    ready, release = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(release[1]); os.read(release[0], 1); os._exit(0)
    log.close()
    with Log(path) as again: say(again.append(b"on"))
    os.close(release[1])
    os.waitpid(pid, 0)
    """
    assert run_child(source, log_path) == ["1"]


def test_fork_while_threads_append(log_path: Path) -> None:
    """The child of a busy parent uses a fresh reader and ends; the parent loses nothing."""
    source = """
    from striate import ForkedError, Log
    log = Log(path, segment_bytes=4096)
    stop = threading.Event()
    counts = [0] * 3
    def write(slot):
        while not stop.is_set():
            log.append(b"%d" % slot * 50); counts[slot] += 1
    threads = [threading.Thread(target=write, args=(slot,)) for slot in range(3)]
    for thread in threads: thread.start()
    for _ in range(8):
        pid = os.fork()
        if pid == 0:
            try: log.append(b"child"); os._exit(1)
            except ForkedError: pass
            with Log(path, mode="r") as reader:
                ok = sum(1 for _ in reader) >= 0
            os._exit(0 if ok else 2)
        assert os.waitpid(pid, 0)[1] == 0
    stop.set()
    for thread in threads: thread.join()
    assert log.next_offset == sum(counts), (log.next_offset, counts)
    assert log.verify().ok
    log.close()
    say("done")
    """
    assert run_child(source, log_path) == ["done"]


def test_a_log_left_open_is_ended_with_the_process(log_path: Path) -> None:
    """No close, no with: the interpreter's end neither hangs nor crashes nor loses what was acknowledged."""
    source = """
    from striate import Log
    log = Log(path, durability=sys.argv[2])
    for number in range(10): log.append(b"%d" % number)
    view = log.view(3)
    thread = threading.Thread(target=lambda: log.wait(100), daemon=True)
    thread.start()
    say("ending")
    """
    for start, durability in ((10, "power"), (20, "process")):
        assert run_child(source, log_path, durability) == ["ending"]
        with Log(log_path, mode="r") as log:
            assert log.next_offset == start
