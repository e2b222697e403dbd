#include "gateway/reload/reload.h"

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/reload/watch.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    READS_MAX = 5,      /* of one attempt, while files go on changing */
    DEBOUNCES_MAX = 25, /* changes that never end do not put it off for longer */
    ASK_ROOM = 64,
};

static const struct cg_str too_late = {"the gateway is about to end\n", 28};

struct ask {
    cg_reload_done_fn on_done;
    void *owner;
};

struct cg_reload {
    struct cg_reload_hooks hooks;
    enum cg_reload_watch mode;
    uint32_t debounce_ms, poll_ms;
    pthread_t thread;
    int wake; /* eventfd */
    pthread_mutex_t lock;
    /* Under the lock. */
    struct ask *asks; /* owned */
    size_t ask_count, ask_room;
    bool asked, stopping;
    struct cg_reload_status status;
    /* Of the thread. */
    struct cg_watch *watch;
    uint8_t digest[CG_WATCH_DIGEST_BYTES]; /* of what was tried last */
    int64_t look_at_ms, look_by_ms;        /* monotonic; 0: nothing has changed */
    int64_t poll_at_ms;
    bool complained;
};

static void lock(struct cg_reload *reload)
{
    CG_ASSERT(pthread_mutex_lock(&reload->lock) == 0);
}

static void unlock(struct cg_reload *reload)
{
    CG_ASSERT(pthread_mutex_unlock(&reload->lock) == 0);
}

/* ---- an attempt ---- */

static void watch_files(struct cg_reload *reload)
{
    const char *const *files = NULL;
    size_t count = reload->hooks.files(reload->hooks.owner, &files);
    bool good = cg_watch_set(reload->watch, files, count);
    if (!good && !reload->complained)
        cg_log(CG_LOG_WARN, "watch",
               "not every directory can be watched; files are looked at "
               "every %u ms",
               reload->poll_ms);
    reload->complained = !good;
}

/* Loads until the files are as they were before. */
static bool load(struct cg_reload *reload, struct cg_buf *report)
{
    uint8_t after[CG_WATCH_DIGEST_BYTES];
    for (unsigned reads = 1;; reads++) {
        cg_watch_digest(reload->watch, reload->digest);
        cg_buf_clear(report);
        bool good = reload->hooks.load(reload->hooks.owner, report);
        cg_watch_digest(reload->watch, after);
        if (memcmp(after, reload->digest, sizeof after) == 0 || reads == READS_MAX)
            return good;
        if (good)
            reload->hooks.discard(reload->hooks.owner);
    }
}

static void log_report(bool good, struct cg_str report)
{
    struct cg_str line;
    while (cg_str_split(&report, '\n', &line))
        if (!cg_str_empty(line))
            cg_log(good ? CG_LOG_WARN : CG_LOG_ERROR, good ? "reload" : "reload-refused", "%.*s",
                   CG_STR_ARG(line));
}

/* The first line that is no warning. */
static struct cg_str first_mistake(struct cg_str report)
{
    struct cg_str rest = report, line, first = {NULL, 0};
    while (cg_str_split(&rest, '\n', &line)) {
        bool warns = false;
        for (size_t i = 0; i < line.length && !warns; i++)
            warns = cg_str_starts_with(cg_str_skip(line, i), CG_STR("warning: "));
        if (!warns && !cg_str_empty(line))
            return line;
        if (cg_str_empty(first))
            first = line;
    }
    return first;
}

static void note(struct cg_reload *reload, bool good, struct cg_str report)
{
    struct cg_str error = good ? CG_STR("") : first_mistake(report);
    error = cg_str_sub(error, 0, CG_RELOAD_ERROR_MAX - 1);
    lock(reload);
    reload->status.successful = good;
    if (good)
        reload->status.since_ms = cg_clock_wall_ms();
    if (error.length > 0)
        memcpy(reload->status.error, error.bytes, error.length);
    reload->status.error[error.length] = '\0';
    unlock(reload);
}

static void attempt(struct cg_reload *reload)
{
    struct cg_buf report;
    lock(reload);
    struct ask *asks = reload->asks;
    size_t count = reload->ask_count;
    reload->asks = NULL;
    reload->ask_count = reload->ask_room = 0;
    reload->asked = false;
    unlock(reload);
    reload->look_at_ms = 0;
    cg_buf_init(&report, CG_RELOAD_REPORT_BYTES_MAX);
    bool good = load(reload, &report);
    log_report(good, cg_buf_str(&report));
    if (good && !reload->hooks.exchange(reload->hooks.owner)) {
        good = false;
        cg_buf_add_text(&report, "the gateway is about to end\n");
    }
    if (good)
        watch_files(reload);
    else
        cg_log(CG_LOG_ERROR, "reload-refused", "what was in force stays in force");
    note(reload, good, cg_buf_str(&report));
    for (size_t i = 0; i < count; i++)
        asks[i].on_done(asks[i].owner, good, cg_buf_str(&report));
    free(asks);
    cg_buf_fini(&report);
}

/* ---- when ---- */

static void look_soon(struct cg_reload *reload, int64_t now_ms)
{
    if (reload->look_at_ms == 0)
        reload->look_by_ms = now_ms + (int64_t)DEBOUNCES_MAX * reload->debounce_ms;
    reload->look_at_ms = now_ms + reload->debounce_ms;
    if (reload->look_at_ms > reload->look_by_ms)
        reload->look_at_ms = reload->look_by_ms;
}

static bool has_changed(const struct cg_reload *reload)
{
    uint8_t digest[CG_WATCH_DIGEST_BYTES];
    cg_watch_digest(reload->watch, digest);
    return memcmp(digest, reload->digest, sizeof digest) != 0;
}

static void look(struct cg_reload *reload)
{
    int64_t now_ms = cg_clock_monotonic_ms();
    if (cg_watch_take(reload->watch))
        look_soon(reload, now_ms);
    if (reload->mode != CG_RELOAD_WATCH_OFF && now_ms >= reload->poll_at_ms) {
        reload->poll_at_ms = now_ms + reload->poll_ms;
        watch_files(reload); /* directories may have come */
        if (reload->look_at_ms == 0 && has_changed(reload))
            look_soon(reload, now_ms);
    }
    if (reload->look_at_ms == 0 || now_ms < reload->look_at_ms)
        return;
    reload->look_at_ms = 0;
    if (has_changed(reload))
        attempt(reload);
}

static int wait_ms(const struct cg_reload *reload)
{
    int64_t until_ms = INT64_MAX, now_ms = cg_clock_monotonic_ms();
    if (reload->mode != CG_RELOAD_WATCH_OFF)
        until_ms = reload->poll_at_ms;
    if (reload->look_at_ms != 0 && reload->look_at_ms < until_ms)
        until_ms = reload->look_at_ms;
    if (until_ms == INT64_MAX)
        return -1;
    return until_ms <= now_ms ? 0 : (int)(until_ms - now_ms);
}

static bool take_wake(struct cg_reload *reload, bool *ret_asked)
{
    uint64_t count;
    (void)!read(reload->wake, &count, sizeof count);
    lock(reload);
    bool goes_on = !reload->stopping;
    *ret_asked = reload->asked;
    unlock(reload);
    return goes_on;
}

static void *run(void *argument)
{
    struct cg_reload *reload = argument;
    bool asked = false;
    watch_files(reload);
    cg_watch_digest(reload->watch, reload->digest);
    if (reload->mode != CG_RELOAD_WATCH_OFF && reload->hooks.changed(reload->hooks.owner)) {
        memset(reload->digest, 0, sizeof reload->digest); /* of what is in force: not known */
        look_soon(reload, cg_clock_monotonic_ms());
    }
    while (take_wake(reload, &asked)) {
        struct pollfd fds[] = {{.fd = reload->wake, .events = POLLIN},
                               {.fd = cg_watch_descriptor(reload->watch), .events = POLLIN}};
        if (asked) {
            attempt(reload);
            continue;
        }
        (void)poll(fds, 2, wait_ms(reload));
        look(reload);
    }
    return NULL;
}

/* ---- life ---- */

struct cg_reload *cg_reload_start(const struct cg_reload_hooks *hooks, enum cg_reload_watch watch,
                                  uint32_t debounce_ms, uint32_t poll_ms)
{
    struct cg_reload *reload = calloc(1, sizeof *reload);
    CG_ASSERT(reload != NULL && pthread_mutex_init(&reload->lock, NULL) == 0);
    reload->hooks = *hooks;
    reload->mode = watch;
    reload->debounce_ms = debounce_ms;
    reload->poll_ms = poll_ms;
    reload->status = (struct cg_reload_status){.successful = true, .since_ms = cg_clock_wall_ms()};
    reload->poll_at_ms = cg_clock_monotonic_ms() + poll_ms;
    reload->watch = cg_watch_create(watch == CG_RELOAD_WATCH_ON);
    reload->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    CG_ASSERT(reload->wake >= 0);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    CG_ASSERT(pthread_create(&reload->thread, NULL, run, reload) == 0);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return reload;
}

static void wake(struct cg_reload *reload)
{
    uint64_t one = 1;
    CG_ASSERT(write(reload->wake, &one, sizeof one) == (ssize_t)sizeof one);
}

void cg_reload_ask(struct cg_reload *reload, cg_reload_done_fn on_done, void *owner)
{
    lock(reload);
    bool stopping = reload->stopping;
    reload->asked = true;
    if (on_done != NULL && !stopping) {
        if (reload->ask_count == reload->ask_room) {
            reload->ask_room += ASK_ROOM;
            reload->asks = realloc(reload->asks, reload->ask_room * sizeof *reload->asks);
            CG_ASSERT(reload->asks != NULL);
        }
        reload->asks[reload->ask_count++] = (struct ask){on_done, owner};
    }
    unlock(reload);
    if (!stopping)
        wake(reload);
    else if (on_done != NULL)
        on_done(owner, false, too_late);
}

void cg_reload_status(struct cg_reload *reload, struct cg_reload_status *ret_status)
{
    lock(reload);
    *ret_status = reload->status;
    unlock(reload);
}

void cg_reload_stop(struct cg_reload *reload)
{
    lock(reload);
    reload->stopping = true;
    unlock(reload);
    wake(reload);
    pthread_join(reload->thread, NULL);
    for (size_t i = 0; i < reload->ask_count; i++)
        reload->asks[i].on_done(reload->asks[i].owner, false, too_late);
    reload->ask_count = 0;
}

struct cg_reload *cg_reload_destroy(struct cg_reload *reload)
{
    if (reload == NULL)
        return NULL;
    free(reload->asks);
    cg_watch_destroy(reload->watch);
    close(reload->wake);
    pthread_mutex_destroy(&reload->lock);
    free(reload);
    return NULL;
}
