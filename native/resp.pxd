# RESP: requests out of a buffer, replies into one (resp.h explains each function). Of Python's objects only the writer
# of replies knows; what they stand for is in striate/protocol/replies.py.

from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef extern from "resp.h" nogil:
    cdef enum:
        STRIATE_INLINE_NONE
        STRIATE_INLINE_PING
        STRIATE_INLINE_ALL
        STRIATE_REQUEST_MORE
        STRIATE_REQUEST_COMPLETE
        STRIATE_BAD_COUNT
        STRIATE_TOO_MANY_ARGUMENTS
        STRIATE_NO_DOLLAR
        STRIATE_BAD_SIZE
        STRIATE_TOO_LARGE
        STRIATE_NO_LINE_END
        STRIATE_LONG_LINE
        STRIATE_BAD_QUOTES
        STRIATE_NO_INLINE
        STRIATE_REQUEST_MEMORY

    ctypedef struct striate_argument:
        uint64_t start
        uint64_t size
    ctypedef struct striate_request:
        striate_argument *arguments
        uint32_t count
        uint32_t wanted
        uint64_t bulk
        uint64_t position
    ctypedef struct striate_request_limits:
        uint32_t arguments
        uint32_t inline_names
        uint64_t argument_bytes
        uint64_t request_bytes
    ctypedef struct striate_buffer:
        char *bytes
        uint64_t size
        uint64_t capacity

    int striate_request_parse(striate_request *request, char *bytes, uint64_t size,
                              const striate_request_limits *limits)
    void striate_request_reset(striate_request *request)
    void striate_request_free(striate_request *request)
    char *striate_buffer_reserve(striate_buffer *buffer, uint64_t more)
    void striate_buffer_free(striate_buffer *buffer)
    int striate_buffer_put(striate_buffer *buffer, const char *bytes, uint64_t size)
    int striate_put_number(striate_buffer *buffer, char type, int64_t number)
    int striate_put_bulk(striate_buffer *buffer, const char *bytes, uint64_t size)
    int striate_put_line(striate_buffer *buffer, char type, const char *text, uint64_t size)


# The line that tells a client what is wrong with its request, for a status of striate_request_parse below 0.
cdef bytes protocol_error(int status, const char *bytes, const striate_request *request)
# The arguments as bytes objects.
cdef list argument_list(const striate_request *request, const char *bytes)
# A reply as of striate/protocol/replies.py, in RESP2 or RESP3.
cdef int write_reply(striate_buffer *buffer, object reply, int protocol, int depth=*) except -1
