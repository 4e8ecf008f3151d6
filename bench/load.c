/* A load for a server that speaks RESP, cheaper than the server:
 * `load HOST PORT CONNECTIONS PIPELINE SECONDS KEYS MODE`.
 *
 * Each connection sends a pipeline of requests made beforehand and waits for the bytes of all replies, whose sizes are
 * known: nothing is parsed. MODE: get, set (100-byte values, keys key:000000000000 with KEYS numbers at random), ping,
 * xadd, xrange. Prints one line: requests, seconds, and the 50th, 99th and 99.9th percentile of the time that a
 * pipeline takes, in microseconds. Replies to xadd and xrange are told by their line ends, as their sizes differ.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define VALUE_BYTES 100
#define VARIANTS 256 /* pipelines made beforehand */
#define MOST_TIMES (1 << 22)

typedef struct client {
    int descriptor;
    int64_t left; /* bytes, or line ends, of replies to come */
    int64_t begun_ns;
} client;

static char *pipelines[VARIANTS];
static size_t pipeline_bytes[VARIANTS];
static uint32_t times_us[MOST_TIMES];
static char received[1 << 20];

static int64_t now_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int add_request(char *place, const char *mode, int keys) {
    char key[32], value[VALUE_BYTES + 1];

    snprintf(key, sizeof key, "key:%012d", rand() % keys);
    memset(value, 'x', VALUE_BYTES);
    value[VALUE_BYTES] = 0;
    if (!strcmp(mode, "get"))
        return sprintf(place, "*2\r\n$3\r\nGET\r\n$16\r\n%s\r\n", key);
    if (!strcmp(mode, "set"))
        return sprintf(place, "*3\r\n$3\r\nSET\r\n$16\r\n%s\r\n$100\r\n%s\r\n", key, value);
    if (!strcmp(mode, "xadd"))
        return sprintf(place, "*5\r\n$4\r\nXADD\r\n$6\r\nevents\r\n$1\r\n*\r\n$4\r\ndata\r\n$100\r\n%s\r\n", value);
    if (!strcmp(mode, "xrange"))
        return sprintf(place, "*6\r\n$6\r\nXRANGE\r\n$6\r\nevents\r\n$1\r\n-\r\n$1\r\n+\r\n"
                              "$5\r\nCOUNT\r\n$3\r\n100\r\n");
    return sprintf(place, "*1\r\n$4\r\nPING\r\n");
}

static int64_t reply_size(const char *mode) {
    if (!strcmp(mode, "get"))
        return VALUE_BYTES + 8;
    if (!strcmp(mode, "set"))
        return 5;
    if (!strcmp(mode, "xadd"))
        return 2; /* line ends */
    if (!strcmp(mode, "xrange"))
        return 1 + 100 * 8; /* line ends: an entry has its head, its id, and one field */
    return 7;
}

static int64_t line_ends(const char *bytes, ssize_t size) {
    int64_t count = 0;
    const char *end = bytes + size;

    while ((bytes = memchr(bytes, '\n', (size_t)(end - bytes)))) {
        count++;
        bytes++;
    }
    return count;
}

static int smaller(const void *one, const void *other) {
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;

    return (a > b) - (a < b);
}

static void begin(client *client, int64_t replies) {
    int which = rand() % VARIANTS;
    size_t sent = 0;

    client->begun_ns = now_ns();
    client->left = replies;
    while (sent < pipeline_bytes[which]) {
        ssize_t size = send(client->descriptor, pipelines[which] + sent, pipeline_bytes[which] - sent, MSG_NOSIGNAL);

        if (size < 0 && errno != EINTR && errno != EAGAIN) {
            perror("send");
            exit(1);
        }
        sent += size > 0 ? (size_t)size : 0;
    }
}

int main(int count, char **words) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct epoll_event event, events[256];
    int64_t replies, started, end, requests = 0;
    int connections, pipeline, keys, set = epoll_create1(0), one = 1, by_lines;
    uint32_t measured = 0;
    client *clients;

    if (count != 8)
        return 2;
    connections = atoi(words[3]), pipeline = atoi(words[4]), keys = atoi(words[6]);
    address.sin_port = htons((uint16_t)atoi(words[2]));
    inet_pton(AF_INET, words[1], &address.sin_addr);
    by_lines = words[7][0] == 'x';
    replies = reply_size(words[7]) * pipeline;
    srand(1);
    for (int number = 0; number < VARIANTS; number++) {
        pipelines[number] = malloc((size_t)pipeline * 256);
        for (int request = 0; request < pipeline; request++)
            pipeline_bytes[number] += (size_t)add_request(pipelines[number] + pipeline_bytes[number], words[7], keys);
    }
    clients = calloc((size_t)connections, sizeof *clients);
    for (int number = 0; number < connections; number++) {
        clients[number].descriptor = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(clients[number].descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(clients[number].descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
            perror("connect");
            return 1;
        }
        event.events = EPOLLIN;
        event.data.ptr = &clients[number];
        epoll_ctl(set, EPOLL_CTL_ADD, clients[number].descriptor, &event);
    }
    started = now_ns();
    end = started + (int64_t)(atof(words[5]) * 1e9);
    for (int number = 0; number < connections; number++)
        begin(&clients[number], replies);
    while (now_ns() < end) {
        int ready = epoll_wait(set, events, 256, 100);

        for (int number = 0; number < ready; number++) {
            client *client = events[number].data.ptr;
            ssize_t size = recv(client->descriptor, received, sizeof received, 0);

            if (size <= 0 || (received[0] == '-' && client->left == replies)) {
                fprintf(stderr, "the server said: %.*s\n", (int)(size > 0 ? size : 0), received);
                return 1;
            }
            client->left -= by_lines ? line_ends(received, size) : size;
            if (client->left > 0)
                continue;
            requests += pipeline;
            if (measured < MOST_TIMES)
                times_us[measured++] = (uint32_t)((now_ns() - client->begun_ns) / 1000);
            begin(client, replies);
        }
    }
    qsort(times_us, measured, sizeof *times_us, smaller);
    printf("%lld %.6f %u %u %u\n", (long long)requests, (double)(now_ns() - started) * 1e-9, times_us[measured / 2],
           times_us[(uint64_t)measured * 99 / 100], times_us[(uint64_t)measured * 999 / 1000]);
    return 0;
}
