"""The simulated disk: real files below, and above them a record of every mutation and faults on demand.

It is the io_table of the crash-state enumeration (``tests/crash``) and of the fault tests
(``tests/durability``), so both run the very code that ships. What a disk may hold after a power cut is
decided in Python from the record.

What may not live here: any idea of what survives a crash; anything that knows what a segment or a frame is.
"""

import errno as _errno
import os

cimport cython
from libc.errno cimport EBADF, EIO
from libc.stdint cimport int64_t
from libc.string cimport memcmp
from posix.fcntl cimport O_CREAT, O_TRUNC
from posix.unistd cimport F_OK, access

from striate._native.io cimport Disk

from striate.errors import InvalidArgumentError

OPERATIONS = (
    "open", "close", "size", "allocate", "truncate", "map", "unmap", "read", "write", "sync",
    "sync_directory", "rename", "unlink", "make_directory", "remove_directory",
)


cdef int _open(void *context, const char *path, int flags, int mode) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef str name = os.fsdecode(path)
    cdef int number = disk.fault("open", name, NULL)
    cdef bint existed
    cdef int descriptor
    if number:
        return -number
    existed = access(path, F_OK) == 0
    descriptor = disk.real.open(disk.real.context, path, flags, mode)
    if descriptor < 0:
        return descriptor
    file = disk.next_file
    disk.next_file += 1
    disk.descriptors[descriptor] = (file, name)
    disk.add(("open", name, flags, file, not existed and flags & O_CREAT != 0))
    if existed and flags & O_TRUNC:
        disk.add(("truncate", file, 0))
    return descriptor


cdef int _close(void *context, int descriptor) noexcept with gil:
    # An injected failure closes all the same, as Linux does when it reports an error here.
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef int number = disk.fault("close", disk.path_of(descriptor), NULL)
    cdef int result = disk.real.close(disk.real.context, descriptor)
    disk.descriptors.pop(descriptor, None)
    return -number if number else result


cdef int64_t _size(void *context, int descriptor) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef int number = disk.fault("size", disk.path_of(descriptor), NULL)
    return -number if number else disk.real.size(disk.real.context, descriptor)


cdef int _allocate(void *context, int descriptor, int64_t position, int64_t size) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef int number = disk.fault("allocate", disk.path_of(descriptor), NULL)
    cdef int result
    if number:
        return -number
    result = disk.real.allocate(disk.real.context, descriptor, position, size)
    if result >= 0:
        disk.add(("allocate", disk.file_of(descriptor), position, size))
    return result


cdef int _truncate(void *context, int descriptor, int64_t size) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef int number = disk.fault("truncate", disk.path_of(descriptor), NULL)
    cdef int result
    if number:
        return -number
    result = disk.real.truncate(disk.real.context, descriptor, size)
    if result >= 0:
        disk.add(("truncate", disk.file_of(descriptor), size))
    return result


cdef int _map(void *context, int descriptor, int64_t size, int writable, char **address) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef str path = disk.path_of(descriptor)
    cdef int number = disk.fault("map", path, NULL)
    cdef int result
    if number:
        return -number
    result = disk.real.map(disk.real.context, descriptor, size, writable, address)
    if result >= 0:
        disk.mappings[<size_t>address[0]] = (size, disk.file_of(descriptor), path)
        if writable and os.path.basename(path) in disk.volatile_names:
            disk.volatile_states[<size_t>address[0]] = b""
    return result


cdef int _unmap(void *context, char *address, int64_t size) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef tuple mapping = disk.mappings.get(<size_t>address)
    cdef int number = disk.fault("unmap", mapping[2] if mapping is not None else "", NULL)
    cdef int result
    if number:
        return -number
    disk.see_volatile()
    result = disk.real.unmap(disk.real.context, address, size)
    if result >= 0:
        assert mapping is not None and mapping[0] == size, "unmapped what was not mapped"
        del disk.mappings[<size_t>address]
        disk.volatile_states.pop(<size_t>address, None)
        disk.recent_start = disk.recent_end = 0
    return result


cdef void _store(void *context, char *destination, const void *source, size_t size) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef int64_t file = disk.find_mapping(<size_t>destination)
    disk.real.store(disk.real.context, destination, source, size)
    if <size_t>disk.recent_start not in disk.volatile_states and size:
        disk.add(("store", file, <size_t>destination - disk.recent_start, (<const char *>source)[:size]))


cdef int64_t _read(void *context, int descriptor, void *buffer, size_t size,
                   int64_t position) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef int number = disk.fault("read", disk.path_of(descriptor), NULL)
    return -number if number else disk.real.read(disk.real.context, descriptor, buffer, size, position)


cdef int64_t _write(void *context, int descriptor, const void *buffer, size_t size,
                    int64_t position) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef bint partial = False
    cdef int number = disk.fault("write", disk.path_of(descriptor), &partial)
    cdef int64_t done
    if number and not partial:
        return -number
    done = disk.real.write(disk.real.context, descriptor, buffer, size // 2 if number else size, position)
    if done > 0:
        disk.add(("write", disk.file_of(descriptor), position, (<const char *>buffer)[:done]))
    return -number if number else done


cdef int _sync(void *context, int descriptor) noexcept with gil:
    # Nothing is waited for: what is durable is decided from the record. An injected failure leaves the
    # bytes in the files but none of them durable, as the kernel does.
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef int number = disk.fault("sync", disk.path_of(descriptor), NULL)
    if descriptor not in disk.descriptors:
        return -EBADF
    if number:
        disk.add(("sync_failed", disk.file_of(descriptor)))
        return -number
    disk.add(("sync", disk.file_of(descriptor)))
    return 0


cdef int _sync_directory(void *context, const char *path) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef str name = os.fsdecode(path)
    cdef int number = disk.fault("sync_directory", name, NULL)
    if number:
        return -number
    if not os.path.isdir(name):
        return -<int>_errno.ENOENT
    disk.add(("sync_directory", name))
    return 0


cdef int _rename(void *context, const char *source, const char *destination) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef str before = os.fsdecode(source)
    cdef str after = os.fsdecode(destination)
    cdef int number = disk.fault("rename", before + "\0" + after, NULL)
    cdef int result
    if number:
        return -number
    result = disk.real.rename(disk.real.context, source, destination)
    if result >= 0:
        disk.add(("rename", before, after))
    return result


cdef int _unlink(void *context, const char *path) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef str name = os.fsdecode(path)
    cdef int number = disk.fault("unlink", name, NULL)
    cdef int result
    if number:
        return -number
    result = disk.real.unlink(disk.real.context, path)
    if result >= 0:
        disk.add(("unlink", name))
    return result


cdef int _make_directory(void *context, const char *path, int mode) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef str name = os.fsdecode(path)
    cdef int number = disk.fault("make_directory", name, NULL)
    cdef int result
    if number:
        return -number
    result = disk.real.make_directory(disk.real.context, path, mode)
    if result >= 0:
        disk.add(("make_directory", name))
    return result


cdef int _remove_directory(void *context, const char *path) noexcept with gil:
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef str name = os.fsdecode(path)
    cdef int number = disk.fault("remove_directory", name, NULL)
    cdef int result
    if number:
        return -number
    result = disk.real.remove_directory(disk.real.context, path)
    if result >= 0:
        disk.add(("remove_directory", name))
    return result


cdef int _prepare(void *context, int descriptor, char *address, int64_t position, int64_t size,
                  int fill) noexcept with gil:
    # A hint may do nothing, or what the real disk does: write zeros and sync. The zeros are written and recorded, so
    # that preparing a range that is in use is found out; a sync that succeeds is not, so that nothing can lean on it.
    cdef SimulatedDisk disk = <SimulatedDisk>context
    cdef bytes zeros
    cdef int number
    if not fill and disk.mapped_ahead is not None:
        disk.mapped_ahead.append((<size_t>address + position, position, size))
    if not fill or size <= 0:
        return 0
    if disk.before_fill is not None:
        disk.before_fill(disk.path_of(descriptor), position, size)
    zeros = bytes(size)
    if disk.real.write(disk.real.context, descriptor, <char *>zeros, <size_t>size, position) == size:
        disk.add(("write", disk.file_of(descriptor), position, zeros))
    number = disk.fault("sync", disk.path_of(descriptor), NULL)
    if number:
        disk.add(("sync_failed", disk.file_of(descriptor)))
    return -number


cdef void _nothing(void *context, char *address, int64_t size) noexcept nogil:
    pass


cdef class ThreadlessDisk(Disk):
    """The real disk, for logs without threads: a test that opens one for each damaged bit waits for little else."""

    def __cinit__(self, *args):
        self.background = False


# Mappings and files are released through the disk, so it and its tables must stay whole when a log dies
# together with it in a garbage cycle. It refers to nothing that could close a cycle.
@cython.no_gc
cdef class SimulatedDisk(Disk):
    """A disk that records every mutation and fails on demand.

    Calls go to the real file system (give it a directory in ``/dev/shm``); syncs are only recorded. Not
    thread-safe.

    Attributes:
        operations: the record. Each opened file has a number of its own, also if one path is opened twice:
            ``("open", path, flags, file, created)``, ``("allocate", file, position, size)``,
            ``("store", file, position, bytes)``, ``("write", file, position, bytes)``,
            ``("truncate", file, size)``, ``("sync", file)``, ``("sync_failed", file)``,
            ``("sync_directory", path)``, ``("rename", from, to)``, ``("unlink", path)``,
            ``("make_directory", path)``, ``("remove_directory", path)``,
            ``("volatile", file, bytes)``: what a mapping of shared memory holds by now,
            ``("note", ...)``: from :meth:`note`.
        calls: operation name to the number of calls, failed ones included.
        faults_hit: how many calls have failed on purpose.
        misuses: how many calls were made on files that are not open.
        recording: false to keep no operations.
        volatile_names: file names that are shared memory and not data.
        mapped_ahead: ``None``, or a list that gets ``(address, position, size)`` of pages that are to be mapped ahead.
        before_fill: ``None``, or called with ``(path, position, size)`` before blocks made ready get their zeros.
    """

    def __cinit__(self, *args):
        self.real = self.table
        self.background = False
        self.operations = []
        self.calls = dict.fromkeys(OPERATIONS, 0)
        self.descriptors = {}
        self.mappings = {}
        self.volatile_states = {}
        self.volatile_names = frozenset({"live"})
        self.faults = []
        self.recording = True
        self.table.context = <void *>self
        self.table.open = _open
        self.table.close = _close
        self.table.size = _size
        self.table.allocate = _allocate
        self.table.truncate = _truncate
        self.table.map = _map
        self.table.unmap = _unmap
        self.table.store = _store
        self.table.read = _read
        self.table.write = _write
        self.table.sync = _sync
        self.table.sync_directory = _sync_directory
        self.table.rename = _rename
        self.table.unlink = _unlink
        self.table.make_directory = _make_directory
        self.table.remove_directory = _remove_directory
        self.table.prepare = _prepare
        self.table.fetch = self.table.release = _nothing

    @property
    def open_files(self):
        """Paths of the files that are open; empty when the core has closed everything."""
        return [path for _, path in self.descriptors.values()]

    @property
    def mapped_files(self):
        """Paths of the files that are mapped; empty when the core has released everything."""
        return [path for _, _, path in self.mappings.values()]

    def note(self, *what):
        """Put a remark of the workload into the record, at this place."""
        self.see_volatile()
        self.operations.append(("note", *what))

    def defer_seals(self, bint deferred=True):
        """Let the core seal full segments with a later sync, where it would leave that to its sync thread."""
        self.deferred = deferred

    def fail(self, str operation, int nth=1, int errno=EIO, *, bint forever=False, str path_contains="",
             bint partial=False):
        """Make the nth call of an operation from now on fail, and with ``forever`` every one after it.

        Args:
            operation: one of :data:`OPERATIONS`.
            nth: 1 is the next call that matches.
            errno: what the call reports.
            forever: whether later calls fail as well.
            path_contains: count only calls on paths with this in them; a file keeps the path of its opening.
            partial: for "write": half of the bytes are written before the error.
        """
        if operation not in OPERATIONS:
            raise InvalidArgumentError("operation", f"one of {', '.join(OPERATIONS)}", operation)
        if nth < 1:
            raise InvalidArgumentError("nth", "at least 1", nth)
        self.faults.append([operation, nth - 1, errno, forever, path_contains, partial])

    def heal(self):
        """Forget all faults that were asked for."""
        self.faults.clear()

    cdef int fault(self, str operation, str path, bint *partial) except -1:
        cdef int number = 0
        self.calls[operation] += 1
        for fault in self.faults:
            if fault[0] != operation or fault[4] not in path:
                continue
            if fault[1] > 0:
                fault[1] -= 1
            elif fault[1] == 0 and number == 0:
                number = fault[2]
                fault[1] = 0 if fault[3] else -1
                if partial != NULL:
                    partial[0] = fault[5]
        if number:
            self.faults_hit += 1
        return number

    cdef int add(self, tuple operation) except -1:
        if self.recording:
            self.see_volatile()
            self.operations.append(operation)
        return 0

    cdef str path_of(self, int descriptor):
        entry = self.descriptors.get(descriptor)
        if entry is None:
            self.misuses += 1
            return ""
        return entry[1]

    cdef int64_t file_of(self, int descriptor) except -1:
        return self.descriptors[descriptor][0]

    cdef int64_t find_mapping(self, size_t address) except -1:
        if not self.recent_start <= address < self.recent_end:
            for start, (size, file, _) in self.mappings.items():
                if start <= address < start + size:
                    self.recent_start = start
                    self.recent_end = start + size
                    self.recent_file = file
                    break
            else:
                raise AssertionError("a store outside of every mapping")
        return self.recent_file

    cdef int see_volatile(self) except -1:
        # Shared memory is stored into without the table: look whether it has changed since the last
        # operation.
        cdef bytes state
        cdef size_t address
        for start in self.volatile_states:
            address = start
            size, file, _ = self.mappings[start]
            size = min(size, 1 << 16)
            state = self.volatile_states[start]
            if len(state) != size or memcmp(<const char *>state, <const char *>address, <size_t>size) != 0:
                state = (<const char *>address)[:size]
                self.volatile_states[start] = state
                if self.recording:
                    self.operations.append(("volatile", file, state))
        return 0
