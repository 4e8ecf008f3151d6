# The one table of functions through which native code touches the disk.
#
# Everything that can lose data goes through here: files, mappings and stores into mappings, syncs and names. So the
# simulated disk and the fault injector (simulation.pyx) run the very code that ships; they are other tables.
#
# Convention: a result >= 0 is success, < 0 is -errno. No function raises, takes the GIL for the real disk, or retries
# a failed sync. Paths are NUL-terminated file-system bytes. Positions and sizes are bytes.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t


cdef struct io_table:
    void *context                     # handed to every function; owned by the Disk that made the table
    # descriptor or -errno; flags and mode as open(2), O_CLOEXEC is added
    int (*open)(void *context, const char *path, int flags, int mode) noexcept nogil
    int (*close)(void *context, int descriptor) noexcept nogil
    # file size in bytes or -errno
    int64_t (*size)(void *context, int descriptor) noexcept nogil
    # reserve real blocks for [position, position + size): stores there can no longer fail for want of space
    int (*allocate)(void *context, int descriptor, int64_t position, int64_t size) noexcept nogil
    int (*truncate)(void *context, int descriptor, int64_t size) noexcept nogil
    # map [0, size) shared; the mapping may reach past the end of the file (only allocated bytes may be touched)
    int (*map)(void *context, int descriptor, int64_t size, int writable, char **address) noexcept nogil
    int (*unmap)(void *context, char *address, int64_t size) noexcept nogil
    # copy into a writable mapping
    void (*store)(void *context, char *destination, const void *source, size_t size) noexcept nogil
    # bytes moved or -errno; short only at the end of the file
    int64_t (*read)(void *context, int descriptor, void *buffer, size_t size, int64_t position) noexcept nogil
    int64_t (*write)(void *context, int descriptor, const void *buffer, size_t size, int64_t position) noexcept nogil
    # fdatasync of a file, stores into its mappings included
    int (*sync)(void *context, int descriptor) noexcept nogil
    # fsync of a directory: makes creations, renames and removals in it durable
    int (*sync_directory)(void *context, const char *path) noexcept nogil
    int (*rename)(void *context, const char *source, const char *destination) noexcept nogil
    int (*unlink)(void *context, const char *path) noexcept nogil
    int (*make_directory)(void *context, const char *path, int mode) noexcept nogil
    int (*remove_directory)(void *context, const char *path) noexcept nogil
    # make allocated pages of a mapping cheap to store into (populate); fill=1 writes zeros to the blocks instead,
    # which halves the price of each later sync. 0, or -errno of the sync after the zeros: a
    # failed sync is told once per descriptor, so whoever gets it must stop the log
    int (*prepare)(void *context, int descriptor, char *address, int64_t position, int64_t size,
                   int fill) noexcept nogil
    # map whole pages of a mapping for reading, bringing in what is not in memory; a hint
    void (*fetch)(void *context, char *address, int64_t size) noexcept nogil
    # drop the page table's entries of whole pages of a shared mapping: the bytes stay in the page cache. A sync of
    # pages that are still mapped for writing interrupts every processor once for each of them
    void (*release)(void *context, char *address, int64_t size) noexcept nogil


cdef class Disk:
    """Owner of an io_table. Base class: the real disk."""
    cdef io_table table
    cdef readonly bint background     # may background threads use the table? False for simulated disks

    cdef readonly bint deferred       # leave sealing to the next sync even without threads; for simulated disks

    cpdef int open_file(self, str path, int flags, int mode=*) except -1


cdef Disk real_disk


# How many times this process has forked since it was loaded: a log opened at another count belongs to the parent.
cdef uint32_t fork_count() noexcept nogil


# Turn -errno into DiskFullError, DiskError …; operation as in the table. Always raises.
cdef int raise_disk_error(int result, str path, str operation) except -1
