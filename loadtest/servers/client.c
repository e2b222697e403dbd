/*
 * An HTTP/1.1 client for what wrk and h2load cannot do:
 *
 *   --rate R   an open loop: requests fall due at R per second (exponential gaps, the same ones in
 *              every run), whether or not earlier ones were answered. Latency counts from the
 * moment at which a request was due, so one that had to wait for a free connection, or for a server
 * that stood still, shows it (no coordinated omission).
 *   --number N every request is another one (`{n}` in path and fields counts up), and exactly N are
 *              made: for filling, for purging, and for a thousand clients at one moment
 *              (--connections 1000 --number 1000; all are connected before the first asks).
 *
 * One thread, 127.0.0.1, answers with Content-Length only. Prints one line of JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HEAD_BYTES_MAX = 4096,
    FIELDS_MAX = 8,
    EVENTS_MAX = 256,
    READ_BYTES = 65536,
    SILENCE_S = 60
};

struct settings {
    uint16_t port;
    size_t connections, number, first, modulo; /* `{n}` is first + index % modulo */
    double rate;                               /* per second; 0: as fast as answers come */
    const char *method, *path;
    const char *fields[FIELDS_MAX];
    size_t field_count;
};

struct connection {
    int fd;
    bool busy;
    size_t request;  /* its index */
    size_t received; /* of the head, in `head` */
    size_t body_left;
    bool in_body;
    char head[HEAD_BYTES_MAX];
};

static struct settings settings = {
    .connections = 1, .number = 1, .modulo = SIZE_MAX, .method = "GET", .path = "/"};
static struct connection *connections, **idle;
static size_t idle_count, started, answered, refused;
static uint64_t *due_ns; /* when each request should be or was sent */
static uint32_t *latency_us;
static uint64_t origin_ns;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "client: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        die("memory");
    return memory;
}

/* ---- requests ---- */

static size_t append_text(char *text, size_t length, const char *template, size_t value)
{
    for (const char *at = template; *at != '\0' && length < HEAD_BYTES_MAX - 32;) {
        if (strncmp(at, "{n}", 3) == 0) {
            length += (size_t)snprintf(text + length, 24, "%zu", value);
            at += 3;
        } else {
            text[length++] = *at++;
        }
    }
    return length;
}

static void send_request(struct connection *connection, size_t index)
{
    char text[HEAD_BYTES_MAX];
    size_t value = settings.first + index % settings.modulo, length;
    length = append_text(text, 0, settings.method, 0);
    text[length++] = ' ';
    length = append_text(text, length, settings.path, value);
    length = append_text(text, length, " HTTP/1.1\r\nHost: 127.0.0.1:{n}\r\n", settings.port);
    for (size_t i = 0; i < settings.field_count; i++) {
        length = append_text(text, length, settings.fields[i], value);
        length = append_text(text, length, "\r\n", 0);
    }
    if (strcmp(settings.method, "GET") != 0)
        length = append_text(text, length, "Content-Length: 0\r\n", 0);
    length = append_text(text, length, "\r\n", 0);
    if (length >= HEAD_BYTES_MAX - 32) {
        errno = E2BIG;
        die("request");
    }
    connection->busy = true;
    connection->request = index;
    connection->received = 0;
    connection->in_body = false;
    if (send(connection->fd, text, length, MSG_NOSIGNAL) != (ssize_t)length)
        die("send");
}

/* Sends what is due on connections that are free. How long until the next one is due, or -1. */
static int64_t send_due(void)
{
    while (started < settings.number && idle_count > 0) {
        uint64_t now = now_ns();
        if (settings.rate == 0)
            due_ns[started] = now;
        else if (due_ns[started] > now)
            return (int64_t)(due_ns[started] - now);
        send_request(idle[--idle_count], started);
        started++;
    }
    return -1;
}

/* ---- answers ---- */

static void end_answer(struct connection *connection)
{
    uint64_t took = now_ns() - due_ns[connection->request];
    latency_us[connection->request] = (uint32_t)(took / 1000);
    connection->busy = false;
    idle[idle_count++] = connection;
    answered++;
}

/* Takes a whole head apart. Its end is known, and a NUL stands there. */
static void read_head(struct connection *connection)
{
    const char *length = strcasestr(connection->head, "\r\ncontent-length:");
    if (strncmp(connection->head, "HTTP/1.1 2", 10) != 0)
        refused++;
    if (length == NULL) {
        fprintf(stderr, "client: an answer without Content-Length:\n%s\n", connection->head);
        exit(1);
    }
    connection->body_left = strtoul(length + 17, NULL, 10);
    connection->in_body = true;
}

static void take(struct connection *connection, const char *bytes, size_t length)
{
    if (!connection->in_body) {
        size_t room = HEAD_BYTES_MAX - 1 - connection->received;
        size_t part = length < room ? length : room;
        memcpy(connection->head + connection->received, bytes, part);
        connection->head[connection->received + part] = '\0';
        char *end = strstr(connection->head, "\r\n\r\n");
        if (end == NULL && part < length) {
            errno = E2BIG;
            die("head of an answer");
        }
        if (end == NULL) {
            connection->received += part;
            return;
        }
        size_t used = (size_t)(end + 4 - connection->head) - connection->received;
        end[2] = '\0';
        read_head(connection);
        bytes += used;
        length -= used;
    }
    if (length > connection->body_left) {
        errno = EPROTO;
        die("more bytes than Content-Length says");
    }
    connection->body_left -= length;
    if (connection->body_left == 0)
        end_answer(connection);
}

static void on_readable(struct connection *connection)
{
    static char buffer[READ_BYTES];
    ssize_t length = recv(connection->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0 || !connection->busy) {
        fprintf(stderr, "client: the server closed a connection\n");
        exit(1);
    }
    take(connection, buffer, (size_t)length);
}

/* ---- one run ---- */

static int connect_once(void)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(settings.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

static int open_connections(void)
{
    int poll = epoll_create1(EPOLL_CLOEXEC);
    connections = allocate(settings.connections, sizeof(*connections));
    idle = allocate(settings.connections, sizeof(struct connection *));
    for (size_t i = 0; i < settings.connections; i++) {
        connections[i].fd = connect_once();
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].fd, &event) != 0)
            die("epoll_ctl");
        idle[idle_count++] = &connections[i];
    }
    return poll;
}

/* Gaps of a Poisson process by a fixed seed: each run and each contender gets the same ones. */
static void plan(void)
{
    uint64_t state = 88172645463325252u;
    double at = 0;
    for (size_t i = 0; i < settings.number; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        at += -log(((double)(state >> 11) + 1) / 9007199254740993.0) / settings.rate;
        due_ns[i] = origin_ns + (uint64_t)(at * 1e9);
    }
}

static void run(int poll)
{
    struct epoll_event events[EVENTS_MAX];
    while (answered < settings.number) {
        int64_t wait_ns = send_due();
        struct timespec wait = {.tv_sec = SILENCE_S};
        if (wait_ns >= 0)
            wait = (struct timespec){wait_ns / 1000000000, wait_ns % 1000000000};
        int count = epoll_pwait2(poll, events, EVENTS_MAX, &wait, NULL);
        if (count < 0 && errno != EINTR)
            die("epoll_pwait2");
        if (count == 0 && wait_ns < 0) {
            fprintf(stderr, "client: %zu of %zu answers are missing after %d s of silence\n",
                    settings.number - answered, settings.number, SILENCE_S);
            exit(1);
        }
        for (int i = 0; i < count; i++)
            on_readable(events[i].data.ptr);
    }
}

static int compare(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

static uint32_t percentile(double part)
{
    size_t index = (size_t)(part * (double)settings.number);
    return latency_us[index < settings.number ? index : settings.number - 1];
}

static void report(uint64_t ended_ns)
{
    qsort(latency_us, settings.number, sizeof(*latency_us), compare);
    printf(
        "{\"requests\": %zu, \"seconds\": %.6f, \"refused\": %zu, \"p50_us\": %u, \"p90_us\": %u, "
        "\"p99_us\": %u, \"p999_us\": %u, \"max_us\": %u}\n",
        settings.number, (double)(ended_ns - origin_ns) / 1e9, refused, percentile(0.5),
        percentile(0.9), percentile(0.99), percentile(0.999), percentile(1.0));
}

static void read_arguments(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--port") == 0)
            settings.port = (uint16_t)strtoul(value, NULL, 10);
        else if (strcmp(name, "--connections") == 0)
            settings.connections = strtoul(value, NULL, 10);
        else if (strcmp(name, "--number") == 0)
            settings.number = strtoul(value, NULL, 10);
        else if (strcmp(name, "--first") == 0)
            settings.first = strtoul(value, NULL, 10);
        else if (strcmp(name, "--modulo") == 0)
            settings.modulo = strtoul(value, NULL, 10);
        else if (strcmp(name, "--rate") == 0)
            settings.rate = strtod(value, NULL);
        else if (strcmp(name, "--method") == 0)
            settings.method = value;
        else if (strcmp(name, "--path") == 0)
            settings.path = value;
        else if (strcmp(name, "--field") == 0 && settings.field_count < FIELDS_MAX)
            settings.fields[settings.field_count++] = value;
        else {
            fprintf(stderr, "client: what is %s?\n", name);
            exit(1);
        }
    }
    if (settings.port == 0 || settings.connections == 0 || settings.number == 0 ||
        settings.modulo == 0) {
        fprintf(stderr, "client: --port, --connections, --number and --modulo are above 0\n");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    due_ns = allocate(settings.number, sizeof(*due_ns));
    latency_us = allocate(settings.number, sizeof(*latency_us));
    int poll = open_connections();
    origin_ns = now_ns();
    if (settings.rate > 0)
        plan();
    run(poll);
    report(now_ns());
    return 0;
}
