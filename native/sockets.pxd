# Sockets and epoll, as Linux has them.

from libc.stdint cimport uint32_t

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int descriptor, void *bytes, size_t size, int flags)
    ssize_t send(int descriptor, const void *bytes, size_t size, int flags)
    int accept4(int descriptor, void *address, void *size, int flags)
    int setsockopt(int descriptor, int level, int name, const void *value, unsigned size)
    cdef enum:
        MSG_NOSIGNAL
        MSG_PEEK
        SOCK_NONBLOCK
        SOCK_CLOEXEC

cdef extern from "<netinet/in.h>" nogil:
    cdef enum:
        IPPROTO_TCP

cdef extern from "<netinet/tcp.h>" nogil:
    cdef enum:
        TCP_NODELAY

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        void *ptr
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int operation, int descriptor, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int most, int timeout_ms)
    cdef enum:
        EPOLL_CLOEXEC
        EPOLL_CTL_ADD
        EPOLL_CTL_MOD
        EPOLL_CTL_DEL
        EPOLLIN
        EPOLLOUT
        EPOLLERR
        EPOLLHUP
        EPOLLRDHUP
