# The connections of a server, in one epoll set: bytes in, requests to commands, bytes out, for all that are ready in
# one call.
#
# Everything here belongs to the thread of the loop, with the GIL. Replies of a connection leave in the order of its
# requests. At durability "power" they are held back until the log is on disk as far as it was written when the last
# of them was made; until then the connection takes no further request.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from striate._native.partition cimport Partition
from striate._native.plaincommands cimport PlainCommands
from striate._native.resp cimport striate_buffer, striate_request, striate_request_limits


cdef class Connection:
    cdef Reactor reactor
    cdef readonly object session      # what commands know of the client; None once it is closed
    cdef int descriptor               # -1: closed
    cdef int protocol                 # 2 or 3
    cdef int database
    cdef bint listening               # a socket that is waited on for clients
    cdef bint fresh                   # nothing has come yet, so the protocol is unknown
    cdef bint trusted                 # authenticated: the wider limits
    cdef bint plain                   # GET and SET may be answered here
    cdef bint later                   # the reply to the request under way is to come
    cdef bint again                   # the request under way is to be asked again when the log is durable
    cdef bint ending                  # nothing more is read; closed once everything is sent
    cdef bint dirty                   # in the reactor's list
    cdef bint stopped                 # requests may be in the input that were not carried out because it was blocked
    cdef uint32_t interest            # of epoll
    cdef uint64_t hold                # appends of the log that must be durable before anything is sent
    cdef double since, active         # monotonic seconds: connected; the last request
    cdef striate_request request
    cdef striate_buffer input         # from its first byte on: requests not taken yet
    cdef striate_buffer output
    cdef uint64_t sent                # of output

    cdef bint blocked(self) noexcept
    cdef bint paused(self) noexcept
    cdef int set_interest(self) except -1
    cdef int receive(self) except -1
    cdef int take(self, char *bytes, uint64_t size, bint own) except -1
    cdef int execute(self, char *bytes) except -1
    cdef int ask(self, list request) except -1
    cdef int answer(self, object reply) except -1
    cdef int refuse(self, bytes line) except -1
    cdef int flush(self) except -1
    cdef int shut(self) except -1
    cdef int touch(self) except -1
    cdef bint knows(self, char *bytes, uint64_t size) except -1


cdef class Reactor:
    cdef readonly Partition partition
    cdef readonly PlainCommands commands
    cdef readonly dict connections    # by descriptor
    cdef int epoll
    cdef object dispatch, open_session, close_session, hand_over, want_durable, wake
    cdef object retry, later, silence  # what dispatch returns where it does not answer at once, or at all
    cdef list dirty, closed
    cdef list listeners               # those that are put aside while descriptors are short
    cdef char *scratch
    cdef striate_buffer spare
    cdef bint running
    cdef bint waiting                 # a call of `released` is on its way
    cdef public uint64_t requests, received_bytes, sent_bytes, accepted, refused, dropped
    cdef striate_request_limits limits, strange_limits
    cdef public uint64_t output_limit, most_connections

    cdef bint durable(self, uint64_t appends) noexcept
    cdef int hold_back(self, Connection connection) except -1
    cdef int accept(self, Connection listener) except -1
    cdef int add(self, Connection connection, int descriptor) except -1
    cdef int turn(self) except -1
    cdef int clean(self) except -1
