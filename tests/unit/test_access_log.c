#include "gateway/base/access_log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUFFER = 2 * CG_ACCESS_LINE_MAX, THREADS = 4, LINES = 5000 };

/* Each test is a process of its own, and so has a log of its own. */
static char folder[] = "/tmp/cachegate-unit-XXXXXX";
static char file[64], renamed[64];
static struct cg_book *book;
static struct cg_sheet *sheet;

static void setup(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(file, sizeof(file), "%s/access.log", folder);
    snprintf(renamed, sizeof(renamed), "%s/access.log.1", folder);
    book = cg_book_create(1);
    sheet = cg_book_sheet(book);
}

static void teardown(void)
{
    cg_access_log_close();
    cg_book_destroy(book);
    unlink(file);
    unlink(renamed);
    rmdir(folder);
}

TestSuite(access_log, .init = setup, .fini = teardown);

static void open_log(const char *name)
{
    char *error = NULL;
    cr_assert(cg_access_log_open(name, &error), "%s", error);
}

static void write_line(struct cg_access_pen *pen, int width, unsigned number)
{
    char line[CG_ACCESS_LINE_MAX];
    int length = snprintf(line, sizeof(line), "%0*u\n", width, number);
    cg_access_pen_write(pen, cg_str_of(line, (size_t)length));
}

static struct cg_str read_whole(const char *name)
{
    static char bytes[16 << 20];
    FILE *stream = fopen(name, "rb");
    cr_assert_not_null(stream, "%s is missing", name);
    size_t length = fread(bytes, 1, sizeof(bytes), stream);
    fclose(stream);
    return cg_str_of(bytes, length);
}

static uint64_t dropped(void)
{
    return cg_book_sum(book, CG_METRIC_ACCESS_LOG_DROPPED);
}

/* A pipe that takes 4 KB and no more until it is read, as standard output. */
static int small_pipe(void)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    cr_assert_eq(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    cr_assert_eq(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
    int flags = fcntl(STDOUT_FILENO, F_GETFL);
    fcntl(STDOUT_FILENO, F_SETFL, flags & ~O_NONBLOCK); /* as it is inherited from a shell */
    close(ends[1]);
    return ends[0];
}

/* Up to `size` bytes, as far as they are there. */
static size_t drain(int descriptor, char *bytes, size_t size)
{
    size_t length = 0;
    ssize_t result;
    while (length < size && (result = read(descriptor, bytes + length, size - length)) > 0)
        length += (size_t)result;
    return length;
}

Test(access_log, lines_are_appended_to_a_file_that_others_cannot_read)
{
    umask(0);
    open_log(file);
    struct cg_access_pen *pen = cg_access_pen_create(BUFFER, sheet);
    write_line(pen, 1, 1);
    cr_expect_eq(read_whole(file).length, 0, "nothing is written before the turn is over");
    cg_access_pen_flush(pen);
    write_line(pen, 1, 2);
    cg_access_pen_destroy(pen);
    cg_access_log_close();
    struct stat status;
    cr_assert_eq(stat(file, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0640);
    open_log(file);
    pen = cg_access_pen_create(BUFFER, sheet);
    write_line(pen, 1, 3);
    cg_access_pen_destroy(pen);
    cr_expect(cg_str_eq(read_whole(file), CG_STR("1\n2\n3\n")));
    cr_expect_eq(dropped(), 0);
}

Test(access_log, a_file_that_cannot_be_opened_is_an_error_with_a_remedy)
{
    char *error = NULL;
    char name[96];
    snprintf(name, sizeof(name), "%s/missing/access.log", folder);
    cr_assert_not(cg_access_log_open(name, &error));
    cr_expect(strstr(error, name) != NULL && strstr(error, "No such file") != NULL &&
                  strstr(error, "log.access") != NULL,
              "%s", error);
    free(error);
    cr_assert_not(cg_access_log_open(folder, &error));
    cr_expect(strstr(error, "directory") != NULL, "%s", error);
    free(error);
    close(STDOUT_FILENO);
    cr_assert_not(cg_access_log_open("stdout", &error));
    cr_expect(strstr(error, "standard output") != NULL, "%s", error);
    free(error);
    cg_access_log_reopen(); /* none is open */
}

Test(access_log, rotation_loses_no_line)
{
    open_log(file);
    struct cg_access_pen *pen = cg_access_pen_create(BUFFER, sheet);
    write_line(pen, 1, 1);
    cg_access_pen_flush(pen);
    write_line(pen, 1, 2);
    cr_assert_eq(rename(file, renamed), 0);
    cg_access_pen_flush(pen);
    write_line(pen, 1, 3);
    cg_access_log_reopen();
    cg_access_pen_destroy(pen);
    cr_expect(cg_str_eq(read_whole(renamed), CG_STR("1\n2\n")));
    cr_expect(cg_str_eq(read_whole(file), CG_STR("3\n")));
}

Test(access_log, what_cannot_be_opened_again_stays)
{
    open_log(file);
    struct cg_access_pen *pen = cg_access_pen_create(BUFFER, sheet);
    cr_assert_eq(rename(file, renamed), 0);
    cr_assert_eq(mkdir(file, 0700), 0);
    cg_access_log_reopen();
    write_line(pen, 1, 1);
    cg_access_pen_destroy(pen);
    cr_expect(cg_str_eq(read_whole(renamed), CG_STR("1\n")));
    rmdir(file);
}

struct writer {
    pthread_t thread;
    unsigned number;
    struct cg_sheet *sheet;
};

static atomic_uint writers_done;

static void *write_many(void *argument)
{
    const struct writer *writer = argument;
    struct cg_access_pen *pen = cg_access_pen_create(BUFFER, writer->sheet);
    char line[256];
    for (unsigned i = 0; i < LINES; i++) {
        int length =
            snprintf(line, sizeof(line), "%u %0*u\n", writer->number, 5 + (int)(i % 90), i);
        cg_access_pen_write(pen, cg_str_of(line, (size_t)length));
        if (i % 7 == 0)
            cg_access_pen_flush(pen);
    }
    cg_access_pen_destroy(pen);
    atomic_fetch_add(&writers_done, 1);
    return NULL;
}

static struct writer writers[THREADS];

static void start_writers(void)
{
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (struct writer){.number = i, .sheet = cg_book_sheet(book)};
        cr_assert_eq(pthread_create(&writers[i].thread, NULL, write_many, &writers[i]), 0);
    }
}

static void join_writers(void)
{
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(writers[i].thread, NULL);
}

/* Every line is whole, and those of a thread come in order. */
static void take_lines(struct cg_str text, unsigned next[THREADS])
{
    struct cg_str line;
    while (!cg_str_empty(text) && cg_str_split(&text, '\n', &line)) {
        uint64_t thread, number;
        size_t space = cg_str_find(line, ' ');
        cr_assert(cg_str_to_u64(cg_str_sub(line, 0, space), THREADS - 1, &thread) &&
                      cg_str_to_u64(cg_str_skip(line, space + 1), LINES, &number),
                  "not a line: %.*s", (int)line.length, line.bytes);
        cr_assert_eq(number, next[thread], "thread %u", (unsigned)thread);
        next[thread]++;
    }
}

static void expect_all(const unsigned next[THREADS])
{
    for (unsigned i = 0; i < THREADS; i++)
        cr_expect_eq(next[i], LINES, "thread %u wrote %u lines", i, next[i]);
}

Test(access_log, threads_write_whole_lines_while_the_file_is_rotated)
{
    enum { ROTATIONS = 20 };
    char names[ROTATIONS][96];
    unsigned next[THREADS] = {0};
    open_log(file);
    start_writers();
    for (size_t i = 0; i < ROTATIONS; i++) {
        snprintf(names[i], sizeof(names[i]), "%s.%zu", file, i);
        cr_assert_eq(rename(file, names[i]), 0);
        cg_access_log_reopen();
    }
    join_writers();
    for (size_t i = 0; i < ROTATIONS; i++) {
        take_lines(read_whole(names[i]), next);
        unlink(names[i]);
    }
    take_lines(read_whole(file), next);
    expect_all(next);
    cr_expect_eq(dropped(), 0);
}

/* A reader slower than four threads: what it gets is whole lines, and the rest was counted. */
static void expect_whole_lines_from(int reader)
{
    static char bytes[16 << 20];
    size_t length = 0, lines = 0;
    unsigned last[THREADS] = {0};
    start_writers();
    while (atomic_load(&writers_done) < THREADS) {
        struct pollfd poller = {.fd = reader, .events = POLLIN};
        if (poll(&poller, 1, 10) == 1) /* a piece at a time, so that writers meet a full pipe */
            length += drain(reader, bytes + length, 1000);
    }
    join_writers();
    length += drain(reader, bytes + length, sizeof(bytes) - length);
    struct cg_str text = cg_str_of(bytes, length), line;
    while (!cg_str_empty(text) && cg_str_split(&text, '\n', &line)) {
        uint64_t thread, number;
        size_t space = cg_str_find(line, ' ');
        cr_assert(cg_str_to_u64(cg_str_sub(line, 0, space), THREADS - 1, &thread) &&
                      cg_str_to_u64(cg_str_skip(line, space + 1), LINES, &number),
                  "not a line: %.*s", (int)line.length, line.bytes);
        cr_assert(number == 0 || number >= last[thread]);
        last[thread] = (unsigned)number;
        lines++;
    }
    cr_expect_gt(lines, 0u);
    cr_expect_eq(lines + dropped(), (size_t)THREADS * LINES, "%zu and %zu lines", lines,
                 (size_t)dropped());
}

Test(access_log, a_pipe_gets_whole_lines_and_nobody_waits_for_it)
{
    int reader = small_pipe();
    open_log("stdout");
    cr_expect_eq(fcntl(STDOUT_FILENO, F_GETFL) & O_NONBLOCK, 0, "others have it too");
    expect_whole_lines_from(reader);
}

Test(access_log, a_pipe_of_somebody_else_gets_whole_lines_too)
{
    int reader = small_pipe();
    cr_assert_eq(fchmod(STDOUT_FILENO, 0), 0);
    if (geteuid() == 0)
        cr_assert_eq(seteuid(65534), 0);
    open_log("stdout");
    expect_whole_lines_from(reader);
    if (getuid() == 0)
        cr_assert_eq(seteuid(0), 0);
}

Test(access_log, a_socket_gets_whole_lines_as_under_systemd)
{
    int ends[2], small = 16384;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    cr_assert_eq(setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
    cr_assert_eq(dup2(ends[1], STDOUT_FILENO), STDOUT_FILENO);
    close(ends[1]);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    open_log("stdout");
    expect_whole_lines_from(ends[0]);
}

Test(access_log, a_stuck_reader_costs_new_lines_and_gets_the_old_ones)
{
    static char bytes[1 << 16];
    int reader = small_pipe();
    open_log("stdout");
    struct cg_access_pen *pen = cg_access_pen_create(BUFFER, sheet);
    for (unsigned i = 0; i < 10000; i++) {
        write_line(pen, 7, i);
        cg_access_pen_flush(pen);
    }
    size_t kept = (size_t)(4096 + BUFFER) / 8;
    cr_expect_eq(dropped(), 10000 - kept);
    size_t length = 0, got;
    do {
        got = drain(reader, bytes + length, sizeof(bytes) - length);
        length += got;
        cg_access_pen_flush(pen);
    } while (got > 0);
    cr_assert_eq(length, kept * 8);
    for (size_t i = 0; i < kept; i++) {
        char line[16];
        snprintf(line, sizeof(line), "%07zu\n", i);
        cr_assert(memcmp(bytes + i * 8, line, 8) == 0);
    }
    write_line(pen, 7, 1);
    cg_access_pen_destroy(pen);
    cr_expect_eq(drain(reader, bytes, sizeof(bytes)), 8, "it is taken again");
}

Test(access_log, a_reader_that_left_costs_all_lines)
{
    int reader = small_pipe();
    signal(SIGPIPE, SIG_IGN);
    open_log("stdout");
    close(reader);
    struct cg_access_pen *pen = cg_access_pen_create(BUFFER, sheet);
    write_line(pen, 1, 1);
    write_line(pen, 1, 2);
    cg_access_pen_flush(pen);
    cr_expect_eq(dropped(), 2);
    cg_access_pen_destroy(pen);
}

Test(access_log, the_end_waits_for_a_slow_reader_and_not_for_ever)
{
    int reader = small_pipe();
    open_log("stdout");
    struct cg_access_pen *pen = cg_access_pen_create(BUFFER, sheet);
    for (unsigned i = 0; i < 1000; i++)
        write_line(pen, 7, i);
    cg_access_pen_destroy(pen); /* nobody reads */
    cr_expect_eq(dropped(), 1000 - 4096 / 8);
    close(reader);
}
