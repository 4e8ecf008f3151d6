"""The connections of a server in one epoll set (declared in reactor.pxd).

How it goes: the set's own descriptor is readable in the event loop, which then calls :meth:`Reactor.run`. Each ready
connection is read once, its requests are carried out one by one, and what they answered is sent in one piece. Plain
commands touch no Python object (plaincommands.pyx); everything else goes to ``dispatch``.

What may not live here: what a command means (striate/commands), other protocols than RESP (a connection that speaks
another one is handed over).
"""

from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, errno
from libc.stdlib cimport free, malloc
from libc.string cimport memmove
from posix.unistd cimport close as c_close

from striate._native.plaincommands cimport PlainCommands
from striate._native.platform cimport striate_load_u64, striate_monotonic_ns
from striate._native.resp cimport (
    STRIATE_INLINE_PING,
    STRIATE_REQUEST_MORE,
    argument_list,
    protocol_error,
    striate_buffer_free,
    striate_buffer_put,
    striate_buffer_reserve,
    striate_put_line,
    striate_request_free,
    striate_request_parse,
    striate_request_reset,
    write_reply,
)
from striate._native.sockets cimport (
    EPOLL_CLOEXEC,
    EPOLL_CTL_ADD,
    EPOLL_CTL_DEL,
    EPOLL_CTL_MOD,
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLRDHUP,
    IPPROTO_TCP,
    MSG_NOSIGNAL,
    MSG_PEEK,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    TCP_NODELAY,
    accept4,
    epoll_create1,
    epoll_ctl,
    epoll_event,
    epoll_wait,
    recv,
    send,
    setsockopt,
)

import os

from striate.errors import DiskError, StriateError

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char *one, const char *other, size_t size)

cdef enum:
    SCRATCH_BYTES = 256 << 10
    SPARE_BYTES = 1 << 20             # larger buffers are not kept
    MOST_EVENTS = 128
    MOST_ACCEPTS = 64
    TURNS = 8
    HEAD_BYTES = 4                    # that tell the protocols apart
    TLS_HANDSHAKE = 0x16


cdef class Connection:
    """A client, or a socket that is waited on for clients. The network side of a session."""

    def __init__(self):
        raise TypeError("connections are made by a Reactor")

    def __dealloc__(self):
        if self.descriptor > 0 and not self.listening:
            c_close(self.descriptor)
        striate_request_free(&self.request)
        striate_buffer_free(&self.input)
        striate_buffer_free(&self.output)

    # ------------------------------------------------------------ what is wanted of the socket

    cdef bint blocked(self) noexcept:
        # Whether the next request must not be carried out.
        return (self.later or self.again or self.ending or self.descriptor < 0
                or self.output.size - self.sent > self.reactor.output_limit)

    cdef bint paused(self) noexcept:
        # Whether none is read. What had been read when replies came to be held back is carried out, so that one sync
        # serves all of it.
        return self.hold != 0 or self.blocked()

    cdef int set_interest(self) except -1:
        cdef uint32_t wanted = 0
        cdef epoll_event event
        if self.descriptor < 0:
            return 0
        if not self.paused():
            wanted |= EPOLLIN
        elif self.later:
            wanted |= EPOLLRDHUP      # who waits for a reply may go away
        if self.output.size > self.sent and not self.hold:
            wanted |= EPOLLOUT
        if wanted != self.interest:
            event.events, event.data.ptr = wanted, <void *>self
            if epoll_ctl(self.reactor.epoll, EPOLL_CTL_MOD, self.descriptor, &event) != 0:
                return self.shut()
            self.interest = wanted
        return 0

    # ------------------------------------------------------------ requests

    cdef int receive(self) except -1:
        cdef char *place = self.reactor.scratch
        cdef uint64_t room = SCRATCH_BYTES
        cdef bint own = self.input.size > 0
        cdef ssize_t size
        if self.fresh and not own:
            size = recv(self.descriptor, place, 1, MSG_PEEK)
            if size == 1 and place[0] == TLS_HANDSHAKE:
                return self.reactor._hand_over(self, True)
        if own:
            # At least as much again as there is: each byte is moved twice at most.
            place = striate_buffer_reserve(&self.input, max(<uint64_t>4096, min(self.input.size, room)))
            if place == NULL:
                return self.shut()
            room = self.input.capacity - self.input.size
        size = recv(self.descriptor, place, room, 0)
        if size < 0:
            return 0 if errno == EAGAIN or errno == EINTR else self.shut()
        if size == 0:
            self.ending = True
            return self.flush()
        self.reactor.received_bytes += <uint64_t>size
        self.active = <double>striate_monotonic_ns() * 1e-9
        if own:
            self.input.size += <uint64_t>size
            self.take(self.input.bytes, self.input.size, True)
        else:
            self.take(place, <uint64_t>size, False)
        return self.flush()

    cdef bint knows(self, char *bytes, uint64_t size) except -1:
        # Whether the first bytes tell that this is RESP; handed over where it is HTTP.
        if bytes[0] < b"A" or bytes[0] > b"Z" or size >= HEAD_BYTES and strncasecmp(bytes, b"PING", HEAD_BYTES) == 0:
            self.fresh = False
            return True
        if size < HEAD_BYTES:
            return False
        if bytes[:HEAD_BYTES] in (b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"PRI "):
            self.reactor._hand_over(self, False, bytes[:size])
            return False
        self.fresh = False
        return True

    cdef int take(self, char *bytes, uint64_t size, bint own) except -1:
        # Requests that are complete, as far as they may be taken; what is left becomes the input.
        cdef uint64_t taken = 0
        cdef int status
        cdef bint known = not self.fresh or self.knows(bytes, size)
        if self.output.bytes == NULL:
            self.output, self.reactor.spare = self.reactor.spare, self.output
        while known and not self.blocked():
            status = striate_request_parse(&self.request, bytes + taken, size - taken,
                                           &self.reactor.limits if self.trusted else &self.reactor.strange_limits)
            if status == STRIATE_REQUEST_MORE:
                break
            if status < 0:
                self.refuse(protocol_error(status, bytes + taken, &self.request))
                taken = size
                break
            if self.request.count:
                self.execute(bytes + taken)
            taken += self.request.position
            striate_request_reset(&self.request)
        if self.descriptor < 0:
            return 0
        self.stopped = taken < size and self.blocked()
        if not own:
            if size > taken and striate_buffer_put(&self.input, bytes + taken, size - taken) != 0:
                return self.shut()
            return 0
        self.input.size = size - taken
        if self.input.size == 0:
            striate_buffer_free(&self.input)
        elif taken:
            memmove(self.input.bytes, self.input.bytes + taken, self.input.size)
        return 0

    cdef int execute(self, char *bytes) except -1:
        cdef uint64_t version = 0
        cdef bint answered
        self.reactor.requests += 1
        if self.plain:
            try:
                answered = self.reactor.commands.answer(self.database, self.protocol, &self.request, bytes,
                                                        &self.output, &version)
            except (StriateError, MemoryError) as error:
                return self.answer(self.reactor.dispatch(self.session, error))
            if answered:
                if self.reactor.partition.power and version > self.reactor.partition.durable() \
                        and not self.reactor.durable(self.reactor.partition.log.appends):
                    self.hold = self.reactor.partition.log.appends
                return 0
        return self.ask(argument_list(&self.request, bytes))

    cdef int ask(self, list request) except -1:
        cdef object reply = self.reactor.dispatch(self.session, request)
        if reply is self.reactor.silence:
            return 0
        if reply is self.reactor.later:
            self.later = True
        elif reply is self.reactor.retry:
            self.again = True
            self.session.retried = request
            self.hold = self.reactor.partition.log.appends
            self.reactor.hold_back(self)
        else:
            self.answer(reply)
        return 0

    cdef int answer(self, object reply) except -1:
        cdef uint64_t before = self.output.size
        if self.descriptor < 0:
            return 0
        try:
            write_reply(&self.output, reply, self.protocol)
        except (StriateError, MemoryError) as error:
            self.output.size = before
            write_reply(&self.output, self.reactor.dispatch(self.session, error), self.protocol)
        if self.reactor.partition.power and not self.reactor.durable(self.reactor.partition.log.appends):
            self.hold = self.reactor.partition.log.appends
        return 0

    cdef int refuse(self, bytes line) except -1:
        # The last reply.
        self.ending = True
        if striate_put_line(&self.output, b"-", line, <uint64_t>len(line)) != 0:
            raise MemoryError
        return 0

    # ------------------------------------------------------------ replies

    cdef int flush(self) except -1:
        cdef ssize_t size
        if self.descriptor < 0:
            return 0
        if self.hold:
            if self.reactor.durable(self.hold):
                self.hold = 0
            else:
                self.reactor.hold_back(self)
                return self.set_interest()
        while self.output.size > self.sent:
            size = send(self.descriptor, self.output.bytes + self.sent, self.output.size - self.sent, MSG_NOSIGNAL)
            if size < 0:
                if errno == EINTR:
                    continue
                if errno == EAGAIN:
                    break
                return self.shut()
            self.sent += <uint64_t>size
            self.reactor.sent_bytes += <uint64_t>size
        if self.output.size == self.sent:
            self.output.size = self.sent = 0
            if self.reactor.spare.bytes == NULL and self.output.capacity <= SPARE_BYTES:
                self.output, self.reactor.spare = self.reactor.spare, self.output
            else:
                striate_buffer_free(&self.output)
            if self.ending:
                return self.shut()
        if self.stopped and not self.paused():
            # Nothing more need come for them to be carried out, so nothing else would tell of them.
            self.touch()
        return self.set_interest()

    cdef int touch(self) except -1:
        # Have it flushed, and its input looked at again, at the end of the turn.
        if not self.dirty and self.descriptor >= 0:
            self.dirty = True
            self.reactor.dirty.append(self)
            if not self.reactor.running and len(self.reactor.dirty) == 1:
                self.reactor.wake()
        return 0

    cdef int shut(self) except -1:
        cdef object session = self.session
        if self.descriptor < 0:
            return 0
        self.reactor.connections.pop(self.descriptor, None)
        self.reactor.closed.append(self)  # events that name it may be on their way
        c_close(self.descriptor)
        self.descriptor = -1
        self.session = None
        striate_buffer_free(&self.input)
        striate_buffer_free(&self.output)
        self.sent = self.hold = 0
        if session is not None:
            self.reactor.close_session(session)
        return self.reactor._listen_again()

    # ------------------------------------------------------------ for commands

    def push(self, reply):
        """Send what no request asked for."""
        if self.descriptor < 0 or self.ending:
            return
        write_reply(&self.output, reply, self.protocol)
        if self.output.size - self.sent > 2 * self.reactor.output_limit:
            self.reactor.dropped += 1
            self.shut()
        else:
            self.touch()

    def reply(self, reply):
        """Answer the request whose reply was to come later."""
        if self.descriptor < 0 or not self.later:
            return
        self.later = False
        if reply is not self.reactor.silence:
            self.answer(reply)
        self.touch()

    def close(self, bint after_reply=False):
        """End the connection, perhaps after the reply under way."""
        self.ending = True
        if after_reply:
            self.touch()
        else:
            self.shut()

    def set_protocol(self, int version):
        """Write replies in RESP2 or RESP3 from now on."""
        self.protocol = version

    def set_plain(self, bint plain, int database):
        """Whether GET and SET may be answered without asking Python, and in which database."""
        self.plain, self.database = plain, database

    def set_trusted(self, bint trusted):
        """Whether the client has shown who it is: the wider limits."""
        self.trusted = trusted

    @property
    def peer(self):
        """Address and port of the client, or the path of a socket."""
        return self.reactor._address(self.descriptor, True)

    @property
    def local(self):
        """Our address and port, or the path of a socket."""
        return self.reactor._address(self.descriptor, False)

    @property
    def figures(self):
        """Bytes waiting, the descriptor, ages in seconds."""
        cdef double now = <double>striate_monotonic_ns() * 1e-9
        return {
            "fd": self.descriptor, "input": self.input.size, "output": self.output.size - self.sent,
            "age_s": now - self.since, "idle_s": now - self.active,
            "memory": sizeof(Connection) + self.input.capacity + self.output.capacity,
        }


cdef class Reactor:
    """All connections of a server.

    Args:
        partition: of the database. commands: that are answered here where they are plain.
        dispatch: called with a session and a request, a list of bytes; the reply, ``retry`` or ``later``.
        open_session, close_session: called with a new connection, which gives its session; with that at the end.
        hand_over: called with a descriptor, whether it speaks TLS, and what was read from it.
        want_durable: have :meth:`released` called when what is written now is on disk.
        wake: have :meth:`run` called soon.
    """

    def __cinit__(self, Partition partition not None, *, PlainCommands commands not None, dispatch, open_session,
                  close_session, hand_over, want_durable, wake, retry, later, silence):
        self.partition, self.commands = partition, commands
        self.dispatch, self.open_session, self.close_session = dispatch, open_session, close_session
        self.hand_over, self.want_durable, self.wake = hand_over, want_durable, wake
        self.retry, self.later, self.silence = retry, later, silence
        self.connections, self.dirty, self.closed, self.listeners = {}, [], [], []
        self.limits.arguments, self.limits.inline_names = 1 << 20, STRIATE_INLINE_PING
        self.limits.argument_bytes, self.limits.request_bytes = 512 << 20, 1 << 30
        self.strange_limits.arguments, self.strange_limits.inline_names = 10, STRIATE_INLINE_PING
        self.strange_limits.argument_bytes, self.strange_limits.request_bytes = 16384, 11 * 16384
        self.output_limit, self.most_connections = 32 << 20, 10_000
        self.scratch = <char *>malloc(SCRATCH_BYTES)
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        if self.scratch == NULL or self.epoll < 0:
            raise MemoryError

    def __dealloc__(self):
        free(self.scratch)
        striate_buffer_free(&self.spare)
        if self.epoll > 0:
            c_close(self.epoll)

    def fileno(self):
        """The set's own descriptor: readable when :meth:`run` has something to do."""
        return self.epoll

    def drain(self):
        """Read no more requests; connections end when all that they were answered is sent. How many are left."""
        cdef Connection connection
        for each in list(self.connections.values()):
            connection = each
            if not connection.listening:
                connection.ending = True
                if connection.later:      # its reply will not come
                    connection.shut()
                connection.touch()
        self.run()
        return sum(not (<Connection>each).listening for each in self.connections.values())

    # ------------------------------------------------------------ sockets

    cdef int add(self, Connection connection, int descriptor) except -1:
        cdef epoll_event event
        connection.reactor, connection.descriptor = self, descriptor
        connection.interest = event.events = EPOLLIN
        event.data.ptr = <void *>connection
        if epoll_ctl(self.epoll, EPOLL_CTL_ADD, descriptor, &event) != 0:
            raise DiskError("a connection", "wait for", errno, os.strerror(errno))
        self.connections[descriptor] = connection
        return 0

    def listen(self, int descriptor):
        """Take clients of a listening socket, which must not block and stays its owner's."""
        cdef Connection listener = Connection.__new__(Connection)
        listener.listening = True
        self.add(listener, descriptor)

    def stop_listening(self, int descriptor):
        """Take no more clients of it."""
        cdef Connection listener = self.connections.pop(descriptor)
        epoll_ctl(self.epoll, EPOLL_CTL_DEL, descriptor, NULL)
        listener.descriptor = -1
        self.closed.append(listener)

    def adopt(self, int descriptor):
        """Serve a connected socket, which belongs to the reactor from now on and must not block; its connection."""
        cdef Connection connection = Connection.__new__(Connection)
        connection.protocol, connection.fresh = 2, True
        connection.since = connection.active = <double>striate_monotonic_ns() * 1e-9
        try:
            self.add(connection, descriptor)
        except DiskError:
            c_close(descriptor)
            raise
        connection.session = self.open_session(connection)
        return connection

    cdef int accept(self, Connection listener) except -1:
        cdef int one = 1
        cdef int descriptor, _turn
        for _turn in range(MOST_ACCEPTS):
            descriptor = accept4(listener.descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)
            if descriptor < 0:
                if errno == EINTR or errno == ECONNABORTED:
                    continue
                if errno in (EMFILE, ENFILE, ENOBUFS, ENOMEM):
                    # It would be ready at once again: until a connection ends, nobody is let in.
                    epoll_ctl(self.epoll, EPOLL_CTL_DEL, listener.descriptor, NULL)
                    self.listeners.append(listener)
                return 0
            setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))
            if <uint64_t>len(self.connections) >= self.most_connections:
                self.refused += 1
                send(descriptor, b"-ERR max number of clients reached\r\n", 36, MSG_NOSIGNAL)
                c_close(descriptor)
                continue
            self.accepted += 1
            self.adopt(descriptor)
        return 0

    def _listen_again(self):
        cdef Connection listener
        cdef epoll_event event
        while self.listeners:
            listener = self.listeners.pop()
            event.events, event.data.ptr = EPOLLIN, <void *>listener
            if listener.descriptor >= 0:
                epoll_ctl(self.epoll, EPOLL_CTL_ADD, listener.descriptor, &event)
        return 0

    def _hand_over(self, Connection connection, bint tls, bytes read=b""):
        cdef int descriptor = connection.descriptor
        cdef object session = connection.session
        epoll_ctl(self.epoll, EPOLL_CTL_DEL, descriptor, NULL)
        self.connections.pop(descriptor)
        self.closed.append(connection)
        connection.descriptor, connection.session = -1, None
        self.close_session(session)
        self.hand_over(descriptor, tls, read)
        return 0

    def _address(self, int descriptor, bint peer):
        import socket
        if descriptor < 0:
            return ""
        with socket.socket(fileno=os.dup(descriptor)) as own:
            try:
                address = own.getpeername() if peer else own.getsockname()
            except OSError:
                return ""
        if isinstance(address, tuple):
            return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
        return address if isinstance(address, str) else ""

    # ------------------------------------------------------------ turns

    def run(self):
        """Serve all connections that are ready."""
        cdef int _turn
        self.running = True
        try:
            # Some turns in a row: what came meanwhile need not go through the loop, and the loop gets its turn soon.
            for _turn in range(TURNS):
                if self.turn() == 0:
                    break
        finally:
            self.running = False
            self.closed.clear()

    cdef int turn(self) except -1:
        # How many were ready.
        cdef epoll_event events[MOST_EVENTS]
        cdef Connection connection
        cdef int number
        cdef int count = epoll_wait(self.epoll, events, MOST_EVENTS, 0)
        for number in range(count):
            connection = <Connection>events[number].data.ptr
            if connection.descriptor < 0:
                continue
            if connection.listening:
                self.accept(connection)
                continue
            if events[number].events & EPOLLOUT:
                connection.touch()
            if events[number].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) and connection.descriptor >= 0:
                if not connection.paused():
                    connection.receive()
                elif not events[number].events & EPOLLIN:
                    connection.shut()
        self.clean()
        return count

    cdef int clean(self) except -1:
        # What others wrote to; what may go on. Commands that run now may add to the list.
        cdef Connection connection
        cdef list dirty
        while self.dirty:
            dirty, self.dirty = self.dirty, []
            for each in dirty:
                connection = each
                connection.dirty = False
                if connection.descriptor < 0:
                    continue
                connection.flush()
                if connection.stopped and not connection.paused():
                    connection.take(connection.input.bytes, connection.input.size, True)
                    connection.flush()
        return 0

    # ------------------------------------------------------------ durability

    cdef bint durable(self, uint64_t appends) noexcept:
        return not self.partition.power or striate_load_u64(&self.partition.log.durable_appends) >= appends

    cdef int hold_back(self, Connection connection) except -1:
        if not self.waiting:
            self.waiting = True
            self.want_durable()
        return 0

    def released(self):
        """What was written when ``want_durable`` was called is on disk: send what waited for it."""
        cdef Connection connection
        cdef bint left = False
        self.waiting = False
        self.running = True
        try:
            for each in list(self.connections.values()):
                connection = each
                if not connection.hold:
                    continue
                if not self.durable(connection.hold):
                    left = True
                    continue
                connection.hold = 0
                if connection.again:
                    connection.again = False
                    connection.ask(connection.session.retried)
                connection.dirty = True
                self.dirty.append(connection)
            self.clean()
        finally:
            self.running = False
            self.closed.clear()
        if left and not self.waiting:
            self.waiting = True
            self.want_durable()
