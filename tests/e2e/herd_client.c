/*
 * herd_client: many clients that ask for the same at once, and when each has its answer.
 *
 *     herd_client COUNT TARGET HOST:PORT...
 *
 * Opens COUNT connections, to the addresses by turns (IPv4), asks on each, writes `asked` when all
 * are out, and reads until all have their answers. Then it asks once more on the same connections:
 * what was fetched is stored by now, so that is what as many plain hits take. Writes one line of
 * JSON for each round: statuses, how many different bodies there were, and in microseconds when
 * the first, the median and the last answer was there, counted from the first answer (`cold`) and
 * from the first request (`stored`).
 *
 * A client in Python spends more time than the gateway does. This one is a loop on epoll, and tells
 * the time after each read. Used by measure_herd.py; no test depends on what it measures.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 16 << 10, EVENTS = 256, WAIT_MS = 60000, NS_PER_US = 1000 };

struct one {
    int socket;
    size_t length;
    bool done;
    unsigned status;
    uint64_t body_hash;
    int64_t done_us;
    char answer[ANSWER_MAX + 1];
};

static void fail(const char *what)
{
    fprintf(stderr, "herd_client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / NS_PER_US;
}

static int connect_to(const char *address)
{
    char host[64];
    struct sockaddr_in to = {.sin_family = AF_INET};
    const char *colon = strrchr(address, ':');
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    if (descriptor < 0)
        fail("socket");
    if (colon == NULL || colon - address >= (long)sizeof(host))
        fail(address);
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    to.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1 ||
        connect(descriptor, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail(address);
    return descriptor;
}

static uint64_t hash_of(const char *bytes, size_t length)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

/* Whole when the head is there and Content-Length bytes behind it. */
static void look(struct one *one)
{
    one->answer[one->length] = '\0';
    const char *end = strstr(one->answer, "\r\n\r\n");
    const char *field = strcasestr(one->answer, "\r\ncontent-length:");
    if (end == NULL || field == NULL || field > end)
        return;
    size_t head = (size_t)(end - one->answer) + 4;
    size_t body = strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
    if (one->length < head + body)
        return;
    one->done = true;
    one->done_us = now_us();
    one->status = (unsigned)strtoul(one->answer + strlen("HTTP/1.1 "), NULL, 10);
    one->body_hash = hash_of(one->answer + head, body);
}

static void take(struct one *one)
{
    ssize_t got = read(one->socket, one->answer + one->length, ANSWER_MAX - one->length);
    if (got <= 0)
        fail("a connection ended, or an answer is too long");
    one->length += (size_t)got;
    look(one);
}

/* When the first request left. */
static int64_t ask_all(struct one *all, size_t count, const char *target, const char *address)
{
    char text[1024];
    int length =
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, address);
    int64_t at_us = now_us();
    for (size_t i = 0; i < count; i++) {
        all[i].length = 0;
        all[i].done = false;
        if (write(all[i].socket, text, (size_t)length) != length)
            fail("write");
    }
    return at_us;
}

static void take_all(int epoll, size_t count)
{
    struct epoll_event events[EVENTS];
    for (size_t done = 0; done < count;) {
        int ready = epoll_wait(epoll, events, EVENTS, WAIT_MS);
        if (ready <= 0)
            fail("no answer came");
        for (int i = 0; i < ready; i++) {
            struct one *one = events[i].data.ptr;
            take(one);
            done += one->done;
        }
    }
}

static int by_time(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;
    return (one > other) - (one < other);
}

static void report(const char *round, const struct one *all, size_t count, int64_t from_us)
{
    int64_t *times = calloc(count, sizeof(*times));
    size_t good = 0, bodies = 0;
    if (times == NULL)
        fail("memory");
    for (size_t i = 0; i < count; i++) {
        bool seen = false;
        times[i] = all[i].done_us;
        good += all[i].status == 200;
        for (size_t j = 0; j < i && !seen; j++)
            seen = all[j].body_hash == all[i].body_hash;
        bodies += !seen;
    }
    qsort(times, count, sizeof(*times), by_time);
    if (from_us == 0)
        from_us = times[0];
    printf("{\"round\": \"%s\", \"good\": %zu, \"bodies\": %zu, \"first_us\": %lld, "
           "\"median_us\": %lld, \"last_us\": %lld}\n",
           round, good, bodies, (long long)(times[0] - from_us),
           (long long)(times[count / 2] - from_us), (long long)(times[count - 1] - from_us));
    fflush(stdout);
    free(times);
}

int main(int argc, char **argv)
{
    size_t count = argc < 4 ? 0 : strtoul(argv[1], NULL, 10);
    struct rlimit files;
    if (count == 0) {
        fprintf(stderr, "usage: herd_client COUNT TARGET HOST:PORT...\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 ||
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){files.rlim_max, files.rlim_max}) != 0)
        fail("the limit of open files");
    struct one *all = calloc(count, sizeof(*all));
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (all == NULL || epoll < 0)
        fail("memory");
    for (size_t i = 0; i < count; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[i]};
        all[i].socket = connect_to(argv[3 + i % (size_t)(argc - 3)]);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].socket, &event) != 0)
            fail("epoll");
    }
    ask_all(all, count, argv[2], argv[3]);
    printf("asked\n");
    fflush(stdout);
    take_all(epoll, count);
    report("cold", all, count, 0);
    int64_t from_us = ask_all(all, count, argv[2], argv[3]);
    take_all(epoll, count);
    report("stored", all, count, from_us);
    free(all);
    return 0;
}
