"""The real disk: io_table filled with system calls, and the Python face used by storage/ for names and small files.

What may not live here: anything that knows what a segment or a frame is.
"""

import errno as _errno
import os

from libc.errno cimport EINTR, ENOSPC, EDQUOT, EROFS, errno
from libc.string cimport memcpy
from posix.fcntl cimport O_CLOEXEC, O_NONBLOCK
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.stat cimport fstat, struct_stat
from posix.unistd cimport close, fdatasync, fsync, ftruncate, pread, pwrite, rmdir, unlink

from striate.errors import DiskError, DiskFullError, SyncFailedError

cdef extern from "<fcntl.h>" nogil:
    int c_open "open"(const char *path, int flags, ...)
    int O_DIRECTORY, O_RDONLY
cdef extern from "<stdio.h>" nogil:
    int c_rename "rename"(const char *source, const char *destination)
cdef extern from "<sys/mman.h>" nogil:
    int madvise(void *address, size_t size, int advice)
    int MADV_DONTNEED
cdef extern from "<sys/stat.h>" nogil:
    int c_mkdir "mkdir"(const char *path, unsigned int mode)
cdef extern from "<pthread.h>" nogil:
    int pthread_atfork(void (*prepare)() noexcept nogil, void (*parent)() noexcept nogil,
                       void (*child)() noexcept nogil)
cdef extern from "platform.h" nogil:
    int striate_fallocate(int descriptor, int64_t position, int64_t size)
    int striate_populate_write(char *address, size_t size)
    void striate_populate_read(char *address, size_t size)


cdef int _open(void *context, const char *path, int flags, int mode) noexcept nogil:
    # O_NONBLOCK means nothing to regular files; a pipe that lies where one should be is not waited for.
    cdef int descriptor
    while True:
        descriptor = c_open(path, flags | O_CLOEXEC | O_NONBLOCK, mode)
        if descriptor >= 0:
            return descriptor
        if errno != EINTR:
            return -errno


cdef int _close(void *context, int descriptor) noexcept nogil:
    # Linux releases the descriptor even when close reports EINTR, so it is never repeated.
    return -errno if close(descriptor) != 0 and errno != EINTR else 0


cdef int64_t _size(void *context, int descriptor) noexcept nogil:
    cdef struct_stat status
    if fstat(descriptor, &status) != 0:
        return -errno
    return status.st_size


cdef int _allocate(void *context, int descriptor, int64_t position, int64_t size) noexcept nogil:
    return striate_fallocate(descriptor, position, size)


cdef int _truncate(void *context, int descriptor, int64_t size) noexcept nogil:
    while ftruncate(descriptor, size) != 0:
        if errno != EINTR:
            return -errno
    return 0


cdef int _map(void *context, int descriptor, int64_t size, int writable, char **address) noexcept nogil:
    cdef void *mapped = mmap(NULL, <size_t>size, PROT_READ | (PROT_WRITE if writable else 0), MAP_SHARED, descriptor, 0)
    if mapped == MAP_FAILED:
        return -errno
    address[0] = <char *>mapped
    return 0


cdef int _unmap(void *context, char *address, int64_t size) noexcept nogil:
    return -errno if munmap(address, <size_t>size) != 0 else 0


cdef void _store(void *context, char *destination, const void *source, size_t size) noexcept nogil:
    memcpy(destination, source, size)


cdef int64_t _read(void *context, int descriptor, void *buffer, size_t size, int64_t position) noexcept nogil:
    cdef size_t done = 0
    cdef ssize_t moved
    while done < size:
        moved = pread(descriptor, <char *>buffer + done, size - done, position + <int64_t>done)
        if moved == 0:
            break
        if moved < 0:
            if errno == EINTR:
                continue
            return -errno
        done += <size_t>moved
    return <int64_t>done


cdef int64_t _write(void *context, int descriptor, const void *buffer, size_t size, int64_t position) noexcept nogil:
    cdef size_t done = 0
    cdef ssize_t moved
    while done < size:
        moved = pwrite(descriptor, <const char *>buffer + done, size - done, position + <int64_t>done)
        if moved < 0:
            if errno == EINTR:
                continue
            return -errno
        if moved == 0:
            return -ENOSPC
        done += <size_t>moved
    return <int64_t>done


cdef int _sync(void *context, int descriptor) noexcept nogil:
    # Never retried: after a failure the kernel marks the pages clean, and a second call would lie (RULES §4.9).
    return -errno if fdatasync(descriptor) != 0 else 0


cdef int _sync_directory(void *context, const char *path) noexcept nogil:
    cdef int descriptor = _open(context, path, O_RDONLY | O_DIRECTORY, 0)
    cdef int result
    if descriptor < 0:
        return descriptor
    result = -errno if fsync(descriptor) != 0 else 0
    close(descriptor)
    return result


cdef int _rename(void *context, const char *source, const char *destination) noexcept nogil:
    return -errno if c_rename(source, destination) != 0 else 0


cdef int _unlink(void *context, const char *path) noexcept nogil:
    return -errno if unlink(path) != 0 else 0


cdef int _make_directory(void *context, const char *path, int mode) noexcept nogil:
    return -errno if c_mkdir(path, <unsigned int>mode) != 0 else 0


cdef int _remove_directory(void *context, const char *path) noexcept nogil:
    return -errno if rmdir(path) != 0 else 0


cdef char _zeros[262144]              # static storage: zero


cdef int _prepare(void *context, int descriptor, char *address, int64_t position, int64_t size,
                  int fill) noexcept nogil:
    cdef int64_t done = 0
    cdef int64_t piece
    if fill:
        while done < size:
            piece = min(size - done, <int64_t>sizeof(_zeros))
            if pwrite(descriptor, _zeros, <size_t>piece, position + done) != piece:
                return 0
            done += piece
        # Without this the extents stay "unwritten" and the first durable append into them pays for the conversion.
        return -errno if fdatasync(descriptor) != 0 else 0
    striate_populate_write(address + position, <size_t>size)
    return 0


cdef void _fetch(void *context, char *address, int64_t size) noexcept nogil:
    striate_populate_read(address, <size_t>size)


cdef void _release(void *context, char *address, int64_t size) noexcept nogil:
    # Shared file mappings lose nothing by it (madvise(2)); what it cannot do it leaves.
    madvise(address, <size_t>size, MADV_DONTNEED)


cdef uint32_t _forks = 0


cdef void _count_fork() noexcept nogil:
    global _forks
    _forks += 1


pthread_atfork(NULL, NULL, _count_fork)


cdef uint32_t fork_count() noexcept nogil:
    return _forks


cdef int raise_disk_error(int result, str path, str operation) except -1:
    cdef int number = -result
    text = os.strerror(number)
    # A sync comes first: whatever its reason, the pages are marked clean now and the disk may lack them.
    if operation == "sync":
        raise SyncFailedError(path, operation, number, text)
    if number in (ENOSPC, EDQUOT, EROFS, _errno.EFBIG):
        raise DiskFullError(path, operation, number, text)
    raise DiskError(path, operation, number, text)


def check_result(int result, str path, str operation):
    """Raise what a negative result of the table means; pass anything else."""
    if result < 0:
        raise_disk_error(result, path, operation)


cdef class Disk:
    """The real disk.

    Its methods are for names and small files; they raise :class:`~striate.errors.DiskError` and its subclasses and
    release the GIL. Thread-safe.
    """

    def __cinit__(self, *args):
        self.background = True
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
        self.table.fetch = _fetch
        self.table.release = _release

    def make_directory(self, str path):
        """Create a directory with mode 0700."""
        cdef bytes encoded = os.fsencode(path)
        cdef const char *name = encoded
        cdef int result
        with nogil:
            result = self.table.make_directory(self.table.context, name, 0o700)
        if result < 0:
            raise_disk_error(result, path, "create")

    def remove_directory(self, str path):
        """Remove an empty directory."""
        cdef bytes encoded = os.fsencode(path)
        cdef const char *name = encoded
        cdef int result
        with nogil:
            result = self.table.remove_directory(self.table.context, name)
        if result < 0:
            raise_disk_error(result, path, "remove")

    def sync_directory(self, str path):
        """Make names created, renamed and removed in a directory durable."""
        cdef bytes encoded = os.fsencode(path)
        cdef const char *name = encoded
        cdef int result
        with nogil:
            result = self.table.sync_directory(self.table.context, name)
        if result in (-_errno.EMFILE, -_errno.ENFILE):
            raise_disk_error(result, path, "open")  # it did not come to a sync, so none has failed
        if result < 0:
            raise_disk_error(result, path, "sync")

    def rename(self, str source, str destination):
        """Give a file another name, replacing what had it."""
        cdef bytes encoded_source = os.fsencode(source)
        cdef bytes encoded_destination = os.fsencode(destination)
        cdef const char *from_name = encoded_source
        cdef const char *to_name = encoded_destination
        cdef int result
        with nogil:
            result = self.table.rename(self.table.context, from_name, to_name)
        if result < 0:
            raise_disk_error(result, source, "rename")

    def unlink(self, str path):
        """Remove a name."""
        cdef bytes encoded = os.fsencode(path)
        cdef const char *name = encoded
        cdef int result
        with nogil:
            result = self.table.unlink(self.table.context, name)
        if result < 0:
            raise_disk_error(result, path, "remove")

    def read_file(self, str path, int64_t limit_bytes=-1):
        """The whole content of a file, or its first ``limit_bytes``."""
        cdef int descriptor = self.open_file(path, os.O_RDONLY | os.O_NOFOLLOW)
        cdef int64_t size = self.table.size(self.table.context, descriptor)
        cdef int64_t done = size
        cdef bytearray data
        cdef char *buffer
        if size >= 0:
            if 0 <= limit_bytes < size:
                size = limit_bytes
            data = bytearray(size)
            buffer = data
            with nogil:
                done = self.table.read(self.table.context, descriptor, buffer, <size_t>size, 0)
        self.table.close(self.table.context, descriptor)
        if done < 0:
            raise_disk_error(<int>done, path, "read")
        return bytes(data[:done])

    def write_file(self, str path, const uint8_t[::1] data, *, bint exclusive=False):
        """Write a file and make its content (not yet its name) durable."""
        cdef int flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_EXCL if exclusive else os.O_TRUNC)
        cdef int descriptor = self.open_file(path, flags)
        cdef int64_t done = 0
        cdef int result = 0
        cdef size_t size = <size_t>data.shape[0]
        cdef const uint8_t *buffer = &data[0] if size else NULL
        with nogil:
            if size:
                done = self.table.write(self.table.context, descriptor, buffer, size, 0)
            if done >= 0:
                result = self.table.sync(self.table.context, descriptor)
            self.table.close(self.table.context, descriptor)
        if done < 0:
            raise_disk_error(<int>done, path, "write")
        if result < 0:
            raise_disk_error(result, path, "sync")

    def replace_file(self, str path, const uint8_t[::1] data):
        """Replace a file's content at once and durably: temporary file, sync, rename, directory sync."""
        try:
            self.write_file(path + ".new", data)
        except DiskFullError:
            # What was written of it would only take space from the next attempt.
            self.unlink(path + ".new")
            raise
        self.rename(path + ".new", path)
        try:
            self.sync_directory(os.path.dirname(path))
        except DiskError as error:
            # Whatever the reason: nobody knows which of the two a power cut would leave.
            raise SyncFailedError(error.path, "sync", error.errno, error.strerror) from error

    cpdef int open_file(self, str path, int flags, int mode=0o600) except -1:
        """A descriptor; the caller closes it with :meth:`close_file`."""
        cdef bytes encoded = os.fsencode(path)
        cdef const char *name = encoded
        cdef int descriptor
        with nogil:
            descriptor = self.table.open(self.table.context, name, flags, mode)
        if descriptor < 0:
            raise_disk_error(descriptor, path, "open")
        return descriptor

    def close_file(self, int descriptor):
        """Close a descriptor of :meth:`open_file`."""
        self.table.close(self.table.context, descriptor)


cdef Disk real_disk = Disk()
REAL_DISK = real_disk
