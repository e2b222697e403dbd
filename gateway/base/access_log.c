#include "gateway/base/access_log.h"

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MODE = 0640, PATIENCE_MS = 1000, SAID_EVERY_MS = 1000 };
_Static_assert((int)CG_ACCESS_LINE_MAX <= (int)PIPE_BUF, "a line is one write to a pipe");

enum kind {
    KIND_FILE,   /* takes everything */
    KIND_PIPE,   /* our own description, which does not block: pipes, terminals */
    KIND_SHARED, /* a description that others have as well: asked before each write */
    KIND_SOCKET,
};

static struct {
    char *file;     /* NULL: standard output */
    int descriptor; /* -1: closed. Reopening puts another file behind the same number. */
    _Atomic int kind;
    pthread_mutex_t shared; /* between asking and writing */
    _Atomic uint64_t unsaid;
    _Atomic int64_t said_ms;
} target = {.descriptor = -1, .shared = PTHREAD_MUTEX_INITIALIZER};

/* ---- opening ---- */

static bool fail(char **ret_error, const char *what, const char *remedy)
{
    int length = asprintf(ret_error, "cannot open %s for the access log: %s; %s", what,
                          strerror(errno), remedy);
    CG_ASSERT(length > 0);
    return false;
}

static enum kind kind_of(int descriptor)
{
    struct stat status;
    if (fstat(descriptor, &status) != 0 || S_ISREG(status.st_mode))
        return KIND_FILE;
    return S_ISSOCK(status.st_mode) ? KIND_SOCKET : KIND_PIPE;
}

/* Another description of what standard output is, which may be set not to block. That of a regular
 * file is kept: it has the offset that others who write there share. */
static int open_output(enum kind *ret_kind)
{
    *ret_kind = kind_of(STDOUT_FILENO);
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    int descriptor = -1;
    if (flags >= 0 && *ret_kind == KIND_PIPE)
        descriptor =
            open("/proc/self/fd/1", O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (descriptor >= 0 || flags < 0)
        return descriptor;
    if (*ret_kind == KIND_PIPE) /* it belongs to another user, as in some containers */
        *ret_kind = KIND_SHARED;
    return fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
}

/* O_NONBLOCK: a named pipe that nobody reads is an error, and later one that does not take it. */
static int open_file(const char *name)
{
    return open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, FILE_MODE);
}

bool cg_access_log_open(const char *name, char **ret_error)
{
    enum kind kind = KIND_FILE;
    CG_ASSERT(target.descriptor < 0);
    if (strcmp(name, "stdout") == 0) {
        target.descriptor = open_output(&kind);
        if (target.descriptor < 0)
            return fail(ret_error, "standard output",
                        "start the gateway with one, or give log.access a file");
    } else {
        target.descriptor = open_file(name);
        if (target.descriptor < 0)
            return fail(ret_error, name,
                        "its folder must exist, and the gateway's user must be allowed to write "
                        "there; see log.access");
        kind = kind_of(target.descriptor);
        target.file = strdup(name);
        CG_ASSERT(target.file != NULL);
    }
    atomic_store(&target.kind, (int)kind);
    return true;
}

void cg_access_log_reopen(void)
{
    if (target.descriptor < 0 || target.file == NULL)
        return;
    int descriptor = open_file(target.file);
    if (descriptor < 0) {
        cg_log(CG_LOG_ERROR, "access-log", "cannot open %s again: %s; the file that was open stays",
               target.file, strerror(errno));
        return;
    }
    enum kind kind = kind_of(descriptor);
    int result = dup3(descriptor, target.descriptor, O_CLOEXEC);
    close(descriptor);
    CG_ASSERT(result == target.descriptor);
    atomic_store(&target.kind, (int)kind);
    cg_log(CG_LOG_INFO, "access-log", "%s was opened again", target.file);
}

void cg_access_log_close(void)
{
    if (target.descriptor >= 0)
        close(target.descriptor);
    free(target.file);
    target.file = NULL;
    target.descriptor = -1;
}

/* ---- a thread's pen ---- */

struct cg_access_pen {
    struct cg_sheet *sheet;
    size_t capacity, length;
    int error; /* why the last write took nothing; 0: it did */
    char bytes[];
};

struct cg_access_pen *cg_access_pen_create(size_t buffer_bytes, struct cg_sheet *sheet)
{
    CG_ASSERT(buffer_bytes >= (size_t)2 * CG_ACCESS_LINE_MAX);
    struct cg_access_pen *pen = malloc(sizeof(*pen) + buffer_bytes);
    CG_ASSERT(pen != NULL);
    *pen = (struct cg_access_pen){.sheet = sheet, .capacity = buffer_bytes};
    return pen;
}

static void count_dropped(struct cg_access_pen *pen, uint64_t lines)
{
    cg_count(pen->sheet, CG_METRIC_ACCESS_LOG_DROPPED, lines);
    atomic_fetch_add_explicit(&target.unsaid, lines, memory_order_relaxed);
}

/* Over all threads, once a second at most. */
static void say_dropped(const struct cg_access_pen *pen, int64_t now_ms)
{
    int64_t said_ms = atomic_load_explicit(&target.said_ms, memory_order_relaxed);
    if (now_ms - said_ms < SAID_EVERY_MS && said_ms != 0)
        return;
    if (!atomic_compare_exchange_strong(&target.said_ms, &said_ms, now_ms))
        return;
    uint64_t lines = atomic_exchange(&target.unsaid, 0);
    if (lines > 0)
        cg_log(CG_LOG_WARN, "access-log", "%llu lines were dropped: %s: %s",
               (unsigned long long)lines, target.file == NULL ? "standard output" : target.file,
               pen->error == 0 || pen->error == EAGAIN ? "its reader is too slow"
                                                       : strerror(pen->error));
}

/* Whole lines that the kernel takes or refuses as one. A longer line cannot be. */
static size_t piece_of(const char *bytes, size_t length)
{
    if (length <= CG_ACCESS_LINE_MAX)
        return length;
    const char *end = memrchr(bytes, '\n', CG_ACCESS_LINE_MAX);
    CG_ASSERT(end != NULL);
    return (size_t)(end - bytes) + 1;
}

static ssize_t write_when_asked(const char *bytes, size_t length)
{
    struct pollfd poller = {.fd = target.descriptor, .events = POLLOUT};
    ssize_t written = -1;
    pthread_mutex_lock(&target.shared);
    if (poll(&poller, 1, 0) == 1)
        written = write(target.descriptor, bytes, length);
    else
        errno = EAGAIN;
    pthread_mutex_unlock(&target.shared);
    return written;
}

static ssize_t write_some(const char *bytes, size_t length)
{
    switch ((enum kind)atomic_load_explicit(&target.kind, memory_order_relaxed)) {
    case KIND_FILE:
        return write(target.descriptor, bytes, length);
    case KIND_PIPE:
        return write(target.descriptor, bytes, piece_of(bytes, length));
    case KIND_SHARED:
        return write_when_asked(bytes, piece_of(bytes, length));
    case KIND_SOCKET:
        return send(target.descriptor, bytes, piece_of(bytes, length), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    CG_UNREACHABLE();
}

/* Whether the same bytes may be taken later. */
static bool may_pass(int error)
{
    return error == EAGAIN || error == EINTR || error == ENOSPC || error == EDQUOT ||
           error == ENOBUFS;
}

static void drop_all(struct cg_access_pen *pen)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < pen->length; i++)
        lines += pen->bytes[i] == '\n';
    count_dropped(pen, lines);
    pen->length = 0;
}

static void write_out(struct cg_access_pen *pen)
{
    size_t done = 0;
    pen->error = 0;
    while (done < pen->length && pen->error == 0) {
        ssize_t written = write_some(pen->bytes + done, pen->length - done);
        if (written > 0)
            done += (size_t)written;
        else if (written == 0 || errno != EINTR)
            pen->error = written == 0 ? EAGAIN : errno;
    }
    pen->length -= done;
    if (done > 0 && pen->length > 0)
        memmove(pen->bytes, pen->bytes + done, pen->length);
    if (pen->length > 0 && !may_pass(pen->error))
        drop_all(pen);
}

void cg_access_pen_flush(struct cg_access_pen *pen)
{
    if (pen->length > 0)
        write_out(pen);
    if (atomic_load_explicit(&target.unsaid, memory_order_relaxed) > 0)
        say_dropped(pen, cg_clock_monotonic_ms());
}

void cg_access_pen_write(struct cg_access_pen *pen, struct cg_str line)
{
    CG_ASSERT(line.length > 0 && line.length <= CG_ACCESS_LINE_MAX &&
              line.bytes[line.length - 1] == '\n');
    /* One that took nothing is asked again at the end of the turn, not for every line. */
    if (line.length > pen->capacity - pen->length && pen->error == 0)
        write_out(pen);
    if (line.length > pen->capacity - pen->length) {
        count_dropped(pen, 1);
        return;
    }
    memcpy(pen->bytes + pen->length, line.bytes, line.length);
    pen->length += line.length;
}

struct cg_access_pen *cg_access_pen_destroy(struct cg_access_pen *pen)
{
    if (pen == NULL)
        return NULL;
    int64_t until_ms = cg_clock_monotonic_ms() + PATIENCE_MS;
    cg_access_pen_flush(pen);
    for (int64_t left_ms = PATIENCE_MS; pen->length > 0 && left_ms > 0;) {
        struct pollfd poller = {.fd = target.descriptor, .events = POLLOUT};
        if (pen->error != EAGAIN || poll(&poller, 1, (int)left_ms) <= 0)
            break;
        write_out(pen);
        left_ms = until_ms - cg_clock_monotonic_ms();
    }
    if (pen->length > 0)
        drop_all(pen);
    if (atomic_load(&target.unsaid) > 0)
        say_dropped(pen, cg_clock_monotonic_ms());
    free(pen);
    return NULL;
}
