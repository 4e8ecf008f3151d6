"""Requests and replies of RESP for Python: the writer of replies, and a parser for those who have no sockets.

What may not live here: sockets (reactor.pyx), commands.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_AS_DOUBLE
from cpython.unicode cimport PyUnicode_Check
from libc.math cimport INFINITY, isnan
from libc.string cimport memmove, memset

from striate.errors import InvalidArgumentError, InvalidTypeError, ProtocolError

cdef enum:
    DEPTH_LIMIT = 32


# ---------------------------------------------------------------- what commands answer

class Simple(bytes):
    """A status without CR and LF, such as ``OK``."""

    __slots__ = ()


class Verbatim(bytes):
    """Text to show as it is, such as that of INFO."""

    __slots__ = ()


class Push(tuple):
    """What no request asked for: a message of a channel, an invalidation."""

    __slots__ = ()


class Failure(Exception):
    """An error: a code in capitals and a sentence, as Redis words it. Raised by commands, or an element of a reply."""

    def __init__(self, text):
        super().__init__(text)
        self.line = text.replace("\r", " ").replace("\n", " ").encode("utf-8", "surrogateescape")


class NullArray:
    """The type of :data:`striate.protocol.replies.NULL_ARRAY`."""

    def __repr__(self):
        return "NULL_ARRAY"


NULL_ARRAY = NullArray()

cdef object _NULL_ARRAY = NULL_ARRAY
cdef object _Failure = Failure
cdef object _Simple = Simple
cdef object _Verbatim = Verbatim
cdef object _Push = Push


cdef bytes protocol_error(int status, const char *bytes, const striate_request *request):
    if status == STRIATE_BAD_COUNT:
        return b"ERR Protocol error: invalid multibulk length"
    if status == STRIATE_TOO_MANY_ARGUMENTS:
        return b"ERR Protocol error: too many arguments"
    if status == STRIATE_NO_DOLLAR:
        return b"ERR Protocol error: expected '$', got '%s'" % (bytes[request.position:request.position + 1],)
    if status == STRIATE_BAD_SIZE:
        return b"ERR Protocol error: invalid bulk length"
    if status == STRIATE_TOO_LARGE:
        return b"ERR Protocol error: too large an argument"
    if status == STRIATE_NO_LINE_END:
        return b"ERR Protocol error: no line end behind an argument"
    if status == STRIATE_LONG_LINE:
        return b"ERR Protocol error: too big inline request"
    if status == STRIATE_BAD_QUOTES:
        return b"ERR Protocol error: unbalanced quotes in request"
    if status == STRIATE_NO_INLINE:
        return b"ERR Protocol error: inline commands are switched off"
    raise MemoryError


cdef list argument_list(const striate_request *request, const char *bytes):
    cdef uint32_t number
    return [PyBytes_FromStringAndSize(bytes + request.arguments[number].start,
                                      <Py_ssize_t>request.arguments[number].size)
            for number in range(request.count)]


# ---------------------------------------------------------------- replies

cdef inline int check(int status) except -1:
    if status != 0:
        raise MemoryError
    return 0


cdef int write_null(striate_buffer *buffer, int protocol, bint array) except -1:
    if protocol >= 3:
        return check(striate_buffer_put(buffer, b"_\r\n", 3))
    return check(striate_buffer_put(buffer, b"*-1\r\n" if array else b"$-1\r\n", 5))


cdef int write_double(striate_buffer *buffer, double number, int protocol) except -1:
    cdef bytes text
    if isnan(number):
        text = b"nan"
    elif number == INFINITY or number == -INFINITY:
        text = b"inf" if number > 0 else b"-inf"
    else:
        text = repr(number).removesuffix(".0").encode()
    if protocol >= 3:
        return check(striate_put_line(buffer, b",", PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)))
    return check(striate_put_bulk(buffer, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)))


cdef int write_integer(striate_buffer *buffer, object number) except -1:
    cdef bytes text
    if -0x8000000000000000 <= number <= 0x7FFFFFFFFFFFFFFF:
        return check(striate_put_number(buffer, b":", number))
    text = b"%d" % number
    return check(striate_put_line(buffer, b":", PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)))


cdef int write_bytes(striate_buffer *buffer, object text, int protocol) except -1:
    cdef object kind = type(text)
    if kind is bytes:
        return check(striate_put_bulk(buffer, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)))
    if kind is _Simple:
        return check(striate_put_line(buffer, b"+", PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)))
    if kind is _Verbatim and protocol >= 3:
        check(striate_put_number(buffer, b"=", PyBytes_GET_SIZE(text) + 4))
        check(striate_buffer_put(buffer, b"txt:", 4))
        check(striate_buffer_put(buffer, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)))
        return check(striate_buffer_put(buffer, b"\r\n", 2))
    return check(striate_put_bulk(buffer, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text)))


cdef int write_elements(striate_buffer *buffer, object elements, char kind, int protocol, int depth) except -1:
    check(striate_put_number(buffer, kind, len(elements)))
    for element in elements:
        write_reply(buffer, element, protocol, depth + 1)
    return 0


cdef int write_reply(striate_buffer *buffer, object reply, int protocol, int depth=0) except -1:
    if depth > DEPTH_LIMIT:
        raise InvalidArgumentError("reply", f"at most {DEPTH_LIMIT} levels", depth)
    if reply is None:
        return write_null(buffer, protocol, False)
    if isinstance(reply, bytes):
        return write_bytes(buffer, reply, protocol)
    if isinstance(reply, bool):
        if protocol >= 3:
            return check(striate_buffer_put(buffer, b"#t\r\n" if reply else b"#f\r\n", 4))
        return check(striate_put_number(buffer, b":", 1 if reply else 0))
    if isinstance(reply, int):
        return write_integer(buffer, reply)
    if isinstance(reply, (list, tuple)):
        return write_elements(buffer, reply, b">" if protocol >= 3 and isinstance(reply, _Push) else b"*", protocol,
                              depth)
    if PyUnicode_Check(reply):
        return write_bytes(buffer, reply.encode("utf-8", "surrogateescape"), protocol)
    if isinstance(reply, float):
        return write_double(buffer, PyFloat_AS_DOUBLE(reply), protocol)
    if isinstance(reply, dict):
        check(striate_put_number(buffer, b"%" if protocol >= 3 else b"*", len(reply) * (1 if protocol >= 3 else 2)))
        for key, value in reply.items():
            write_reply(buffer, key, protocol, depth + 1)
            write_reply(buffer, value, protocol, depth + 1)
        return 0
    if isinstance(reply, (set, frozenset)):
        return write_elements(buffer, reply, b"~" if protocol >= 3 else b"*", protocol, depth)
    if isinstance(reply, _Failure):
        return check(striate_put_line(buffer, b"-", PyBytes_AS_STRING(reply.line), PyBytes_GET_SIZE(reply.line)))
    if reply is _NULL_ARRAY:
        return write_null(buffer, protocol, True)
    raise InvalidTypeError("reply", "one of striate.protocol.replies", type(reply))


def encode(reply, int protocol=2):
    """The bytes of a reply (an object of :mod:`striate.protocol.replies`) in RESP2 or RESP3."""
    cdef striate_buffer buffer
    memset(&buffer, 0, sizeof(buffer))
    try:
        write_reply(&buffer, reply, protocol)
        return PyBytes_FromStringAndSize(buffer.bytes, <Py_ssize_t>buffer.size)
    finally:
        striate_buffer_free(&buffer)


# ---------------------------------------------------------------- a parser without a socket

cdef class RequestParser:
    """Requests out of bytes that come in pieces of any size.

    Args:
        arguments: the most that one request may have. argument_bytes, request_bytes: the most that one argument, and
            one request, may have. inline: also take lines of words.
    """

    cdef striate_request request
    cdef striate_request_limits limits
    cdef striate_buffer buffer

    def __cinit__(self, *, uint32_t arguments=1 << 20, uint64_t argument_bytes=512 << 20,
                  uint64_t request_bytes=1 << 30, bint inline=False):
        memset(&self.request, 0, sizeof(self.request))
        memset(&self.buffer, 0, sizeof(self.buffer))
        self.limits.arguments, self.limits.argument_bytes = arguments, argument_bytes
        self.limits.request_bytes = request_bytes
        self.limits.inline_names = STRIATE_INLINE_ALL if inline else STRIATE_INLINE_NONE

    def __dealloc__(self):
        striate_request_free(&self.request)
        striate_buffer_free(&self.buffer)

    def feed(self, const unsigned char[::1] data not None):
        """Take in bytes; the requests that are complete now, each a list of ``bytes``.

        Raises:
            ProtocolError: these are not requests; nothing can follow.
        """
        cdef list found = []
        cdef uint64_t taken = 0
        cdef int status
        if data.shape[0] and striate_buffer_put(&self.buffer, <const char *>&data[0], <uint64_t>data.shape[0]) != 0:
            raise MemoryError
        while True:
            status = striate_request_parse(&self.request, self.buffer.bytes + taken, self.buffer.size - taken,
                                           &self.limits)
            if status == STRIATE_REQUEST_MORE:
                break
            if status < 0:
                raise ProtocolError(protocol_error(status, self.buffer.bytes + taken, &self.request).decode("latin-1"))
            if self.request.count:
                found.append(argument_list(&self.request, self.buffer.bytes + taken))
            taken += self.request.position
            striate_request_reset(&self.request)
        self.buffer.size -= taken
        if taken and self.buffer.size:
            memmove(self.buffer.bytes, self.buffer.bytes + taken, self.buffer.size)
        return found

    @property
    def pending_bytes(self):
        """Bytes of a request that is not complete."""
        return self.buffer.size
