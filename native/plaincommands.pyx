"""Commands that a server answers without asking Python (declared in plaincommands.pxd).

Only where nobody else need be told, and only in their plain forms: everything else is left to striate/commands, which
says the same of these.
"""

from striate._native.durable cimport TableCore
from striate._native.plainkeys cimport TOO_LARGE, read_plain, write_plain
from striate._native.plainstreams cimport append_plain
from striate._native.resp cimport striate_buffer_put, write_reply
from striate._native.streams cimport StreamCore

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char *one, const char *other, size_t size)

cdef enum:
    FIRST_FIELD = 3                   # of XADD key * field value

cdef uint64_t ALL_SO_FAR = 0xFFFFFFFFFFFFFFFF


cdef class PlainCommands:
    """GET, SET and XADD in their plain forms.

    Args:
        partition: of the database. tables: for each database, the table of its strings. names: of the catalog, with
            what they stand for. appended: for each database, the keys of streams that XADD may append to here, each
            with its stream, the stream's name and what stands under that in ``names``.
    """

    def __cinit__(self, Partition partition not None, *, list tables not None, dict names not None,
                  list appended not None):
        self.partition, self.tables, self.names, self.appended = partition, tables, names, appended

    cdef bint answer(self, int database, int protocol, const striate_request *request, const char *bytes,
                     striate_buffer *reply, uint64_t *version) except -1:
        cdef const striate_argument *arguments = request.arguments
        cdef const char *name = bytes + arguments[0].start
        if arguments[0].size == 3:
            if request.count == 2 and strncasecmp(name, b"GET", 3) == 0:
                return self.get(database, protocol, bytes + arguments[1].start, arguments[1].size, reply, version)
            if request.count == 3 and strncasecmp(name, b"SET", 3) == 0:
                version[0] = ALL_SO_FAR
                return self.set(database, bytes, &arguments[1], &arguments[2], reply)
        elif arguments[0].size == 4 and request.count > FIRST_FIELD and strncasecmp(name, b"XADD", 4) == 0:
            version[0] = ALL_SO_FAR
            return self.append(database, request, bytes, reply)
        return False

    cdef bint may_be_stream(self, int database, const char *key, uint64_t size) except -1:
        cdef bytes name
        if self.partition.highest != self.highest_seen:
            self.highest_seen = self.partition.highest
            self.has_streams = any(entry["kind"] != "table" for entry in list(self.names.values()))
        if not self.has_streams:
            return False
        if database == 0:
            if size and b"0" <= key[0] <= b"9":
                return True           # it may look like a key of another database
            name = key[:size]
        else:
            name = b"%d:%s" % (database, key[:size])
        return name in self.names

    cdef bint get(self, int database, int protocol, const char *key, uint64_t size, striate_buffer *reply,
                  uint64_t *version) except -1:
        cdef int found = read_plain(<TableCore>self.tables[database], key, size, reply, version)
        if found < 0:
            if found == TOO_LARGE or self.may_be_stream(database, key, size):
                return False
            write_reply(reply, None, protocol)
            version[0] = ALL_SO_FAR   # its removal may be on its way to the disk
        self.gets += 1
        self.hits += found > 0
        return True

    cdef bint set(self, int database, const char *bytes, const striate_argument *key, const striate_argument *value,
                  striate_buffer *reply) except -1:
        if self.may_be_stream(database, bytes + key.start, key.size):
            return False
        if write_plain(<TableCore>self.tables[database], bytes + key.start, key.size, bytes + value.start,
                       value.size) == TOO_LARGE:
            return False
        if striate_buffer_put(reply, b"+OK\r\n", 5) != 0:
            raise MemoryError
        self.sets += 1
        return True

    cdef bint append(self, int database, const striate_request *request, const char *bytes,
                     striate_buffer *reply) except -1:
        cdef const striate_argument *arguments = request.arguments
        cdef dict known = self.appended[database]
        cdef object place
        if not known or request.count < FIRST_FIELD + 2 or request.count % 2 == 0 or arguments[2].size != 1 \
                or bytes[arguments[2].start] != b"*":
            return False
        place = known.get(bytes[arguments[1].start:arguments[1].start + arguments[1].size])
        # The name may have been given away since.
        if place is None or self.names.get(place[1]) is not place[2]:
            return False
        if not append_plain(<StreamCore>place[0], bytes, &arguments[FIRST_FIELD], request.count - FIRST_FIELD, reply):
            return False
        self.appends += 1
        return True
