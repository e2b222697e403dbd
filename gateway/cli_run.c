#include "cachegate/assert.h"
#include "gateway/admin/admin.h"
#include "gateway/base/access_log.h"
#include "gateway/base/log.h"
#include "gateway/cli.h"
#include "gateway/front/server.h"
#include "gateway/run_reload.h"
#include "gateway/store/delays.h"
#include "gateway/store/memory.h"
#include "gateway/store/memory_wake.h"
#include "gateway/store/outage_memory.h"
#include "gateway/store/redis_near.h"
#include "gateway/upstream/origin.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MEMORY_KEPT_BYTES = 32 << 20 }; /* free, at the end of each of malloc's arenas */

/* All that a running gateway consists of, in the order in which it is made. */
struct gateway {
    const struct cg_settings *settings;
    struct cg_memory *memory; /* NULL with Redis */
    struct cg_book *book;
    struct cg_redis *redis;          /* NULL without */
    struct cg_redis_near *near;      /* in front of it */
    struct cg_outage_memory *outage; /* in front of both; NULL unless it is asked for */
    struct cg_upstreams *upstreams;
    struct cg_server_hooks hooks;
    struct cg_server *server;
    struct cg_admin *admin;                 /* NULL: none is configured */
    _Atomic(struct cg_run_reload *) reload; /* NULL until everything else runs */
    atomic_uint generations_alive;
};

/* ---- what a thread needs ---- */

static struct cg_store *open_driver(struct gateway *gateway, struct st_h2o_context_t *context,
                                    struct cg_clock *clock)
{
    if (gateway->redis == NULL)
        return cg_memory_wake_open(gateway->memory, context, clock);
    struct cg_store *store = cg_redis_near_open(gateway->near, context, clock);
    return gateway->outage == NULL ? store : cg_outage_memory_open(gateway->outage, store, clock);
}

static void close_driver(struct gateway *gateway, struct cg_store *store)
{
    if (gateway->redis == NULL) {
        cg_memory_wake_close(store);
        return;
    }
    struct cg_store *inner = gateway->outage == NULL ? store : cg_outage_memory_inner(store);
    cg_redis_near_close(gateway->near, inner);
    if (gateway->outage != NULL)
        cg_outage_memory_close(store);
}

#ifdef CACHEGATE_TEST_CLOCK
static struct cg_store *open_store(void *owner, struct st_h2o_context_t *context,
                                   struct cg_clock *clock)
{
    return cg_delays_open(open_driver(owner, context, clock), clock);
}

static void close_store(void *owner, struct cg_store *store)
{
    struct cg_delays *delays = cg_delays_of(store);
    close_driver(owner, delays == NULL ? store : cg_delays_detach(delays));
    cg_delays_destroy(delays);
}
#else
static struct cg_store *open_store(void *owner, struct st_h2o_context_t *context,
                                   struct cg_clock *clock)
{
    return open_driver(owner, context, clock);
}

static void close_store(void *owner, struct cg_store *store)
{
    close_driver(owner, store);
}
#endif

static struct cg_origin *open_origin(void *owner, struct st_h2o_context_t *context,
                                     struct cg_clock *clock)
{
    struct gateway *gateway = owner;
    return cg_origin_create(gateway->upstreams, context, clock);
}

static void close_origin(void *owner, struct cg_origin *origin)
{
    (void)owner;
    cg_origin_destroy(origin);
}

static unsigned count_threads(void *owner)
{
    const struct gateway *gateway = owner;
    return cg_server_threads(gateway->server);
}

static bool is_warm(void *owner)
{
    return cg_server_is_warm(((struct gateway *)owner)->server);
}

static bool fetch(void *owner, struct cg_warm_order *order)
{
    return cg_server_fetch(((struct gateway *)owner)->server, order);
}

static void leave(void *owner)
{
    cg_server_leave(((struct gateway *)owner)->server);
}

static size_t count_connections(void *owner)
{
    return cg_server_connections(((struct gateway *)owner)->server);
}

static unsigned count_loops_alive(void *owner, uint32_t within_ms)
{
    const struct gateway *gateway = owner;
    return cg_server_loops_alive(gateway->server, within_ms);
}

static void reload(void *owner, cg_reload_done_fn on_done, void *done_owner)
{
    struct cg_run_reload *run = atomic_load(&((struct gateway *)owner)->reload);
    if (run != NULL)
        cg_run_reload_ask(run, on_done, done_owner);
    else
        on_done(done_owner, false, CG_STR("the gateway is still starting\n"));
}

static void reload_status(void *owner, struct cg_admin_reload_status *ret_status)
{
    struct cg_run_reload *run = atomic_load(&((struct gateway *)owner)->reload);
    if (run != NULL)
        cg_run_reload_status(run, ret_status);
}

/* What the gateways on one Redis add up. */
static void read_counters(void *owner, uint64_t ret_counters[CG_FLEET_COUNTERS])
{
    static const enum cg_metric metrics[CG_FLEET_COUNTERS] = {
        [CG_FLEET_HITS] = CG_METRIC_HITS,
        [CG_FLEET_MISSES] = CG_METRIC_MISSES,
        [CG_FLEET_STALE_HITS] = CG_METRIC_STALE_HITS,
        [CG_FLEET_SETS] = CG_METRIC_SETS,
        [CG_FLEET_DELETES] = CG_METRIC_DELETES,
        [CG_FLEET_BANS] = CG_METRIC_BANS,
    };
    const struct gateway *gateway = owner;
    for (size_t i = 0; i < CG_FLEET_COUNTERS; i++)
        ret_counters[i] = cg_book_sum(gateway->book, metrics[i]);
}

/* ---- start and end ---- */

static bool fail(const char *what, char *error)
{
    cg_log(CG_LOG_ERROR, what, "%s", error == NULL ? "no reason is known" : error);
    free(error);
    return false;
}

static bool make_store(struct gateway *gateway, const struct cg_settings *settings, char **error)
{
    uint64_t random, lifetime_max_ms = settings->ruleset->lifetime_max_ms;
    CG_ASSERT(RAND_bytes((unsigned char *)&random, sizeof random) == 1);
    if (settings->redis_url != NULL) {
        gateway->redis = cg_redis_create(settings, error);
        if (gateway->redis == NULL)
            return false;
        gateway->near = cg_redis_near_create(settings, gateway->redis, gateway->book);
        if (strcmp(settings->on_outage, "memory") == 0)
            gateway->outage = cg_outage_memory_create(settings->memory_bytes, lifetime_max_ms,
                                                      settings->outage_ttl_ms, random);
        return true;
    }
    gateway->memory = cg_memory_create(settings->memory_bytes, lifetime_max_ms, random);
    return true;
}

static bool start(struct gateway *gateway, struct cg_generation *generation)
{
    const struct cg_settings *settings = generation->settings;
    char *error = NULL;
    gateway->settings = settings;
    gateway->book = cg_book_create(settings->upstream_count);
    if (strcmp(settings->log_access, "off") != 0 &&
        !cg_access_log_open(settings->log_access, &error))
        return fail("access-log", error);
    if (!make_store(gateway, settings, &error))
        return fail("redis", error);
    if (gateway->redis != NULL)
        cg_redis_count(gateway->redis, read_counters, gateway);
    gateway->upstreams = cg_upstreams_create(settings, &error);
    if (gateway->upstreams == NULL)
        return fail("upstream", error);
    gateway->hooks = (struct cg_server_hooks){
        .owner = gateway,
        .store_open = open_store,
        .store_close = close_store,
        .origin_open = open_origin,
        .origin_close = close_origin,
    };
    gateway->server = cg_server_start(generation, &gateway->hooks, gateway->book, &error);
    if (gateway->server == NULL)
        return fail("listen", error);
    if (!settings->has_admin)
        return true;
    struct cg_admin_world world = {
        .settings = settings,
        .generation = generation,
        .book = gateway->book,
        .owner = gateway,
        .store_open = open_store,
        .store_close = close_store,
        .threads = count_threads,
        .loops_alive = count_loops_alive,
        .is_warm = is_warm,
        .leave = leave,
        .connections = count_connections,
        .fetch = fetch,
        .reload = reload,
        .reload_status = reload_status,
    };
    gateway->admin = cg_admin_start(&world, &error);
    return gateway->admin != NULL || fail("admin", error);
}

/*
 * The reverse of start; takes a gateway of which only a part was made. Returns how many requests
 * were cut.
 */
static size_t end(struct gateway *gateway)
{
    size_t cut = 0;
    gateway->admin = cg_admin_stop(gateway->admin); /* it looks at the server */
    if (gateway->server != NULL)
        gateway->server = cg_server_stop(gateway->server, &cut);
    cg_access_log_close();
    if (gateway->upstreams != NULL)
        gateway->upstreams = cg_upstreams_destroy(gateway->upstreams);
    gateway->memory = cg_memory_destroy(gateway->memory);
    gateway->outage = cg_outage_memory_destroy(gateway->outage);
    gateway->near = cg_redis_near_destroy(gateway->near);
    gateway->redis = cg_redis_destroy(gateway->redis);
    gateway->book = cg_book_destroy(gateway->book);
    gateway->reload = cg_run_reload_destroy(gateway->reload);
    return cut;
}

static void log_ready(const struct gateway *gateway)
{
    char threads[16], memory[32] = "none";
    uint64_t limit = gateway->settings->cgroup.memory_bytes;
    snprintf(threads, sizeof threads, "%u", cg_server_threads(gateway->server));
    if (limit > 0)
        snprintf(memory, sizeof memory, "%lluMB", (unsigned long long)(limit >> 20));
    struct cg_log_pair pairs[] = {
        {"listen", cg_str_from(cg_server_addresses(gateway->server))},
        {"threads", cg_str_from(threads)},
        {"memory_limit", cg_str_from(memory)},
        {"version", CG_STR(CACHEGATE_VERSION)},
        {"admin", cg_str_from(gateway->admin == NULL ? "" : cg_admin_address(gateway->admin))},
    };
    cg_log_pairs(CG_LOG_NOTICE, "ready", pairs, gateway->admin == NULL ? 4 : 5);
}

/* ---- signals ---- */

/* Blocked in every thread from before the first one starts; only taken by waiting for them. */
static void block_signals(sigset_t *ret_signals)
{
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGINT);
    sigaddset(ret_signals, SIGHUP);
    CG_ASSERT(pthread_sigmask(SIG_BLOCK, ret_signals, NULL) == 0);
    signal(SIGPIPE, SIG_IGN); /* a peer that left is a result of write */
}

/* Waits until somebody asks for the end, or `over` is set and a signal is sent to this thread.
 * SIGHUP reloads, unless `run` is NULL. */
static void wait_for_end(const sigset_t *signals, const atomic_bool *over,
                         struct cg_run_reload *run)
{
    for (;;) {
        int number = 0;
        int result = sigwait(signals, &number);
        if (atomic_load(over) || (result == 0 && number != SIGHUP))
            return;
        if (result == 0)
            cg_access_log_reopen();
        if (result == 0 && run != NULL)
            cg_run_reload_ask(run, NULL, NULL);
    }
}

/* A second signal while draining: whoever sends it does not want to wait. */
struct impatience {
    const sigset_t *signals;
    atomic_bool over; /* the drain has ended */
};

static void *exit_at_next_signal(void *argument)
{
    struct impatience *impatience = argument;
    wait_for_end(impatience->signals, &impatience->over, NULL);
    if (atomic_load(&impatience->over))
        return NULL;
    cg_log(CG_LOG_WARN, "exit", "asked again: requests in flight are cut");
    _exit(CG_CLI_FAILED);
}

/* Clients go on to come until everybody has heard that this gateway leaves. */
static void accept_on(uint32_t for_ms)
{
    struct timespec left = {.tv_sec = for_ms / 1000, .tv_nsec = for_ms % 1000 * 1000000L};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

static void drain(struct gateway *gateway, const sigset_t *signals)
{
    pthread_t thread;
    struct impatience impatience = {.signals = signals};
    if (gateway->admin != NULL)
        cg_admin_set_ready(gateway->admin, false);
    cg_server_leave(gateway->server);
    cg_log(CG_LOG_INFO, "draining",
           "new connections for %u ms; then at most %u ms for requests in flight",
           gateway->settings->drain_accept_ms, gateway->settings->drain_timeout_ms);
    bool watched = pthread_create(&thread, NULL, exit_at_next_signal, &impatience) == 0;
    accept_on(gateway->settings->drain_accept_ms);
    cg_server_drain(gateway->server, gateway->settings->drain_timeout_ms);
    if (watched) {
        atomic_store(&impatience.over, true);
        pthread_kill(thread, SIGHUP); /* blocked there as everywhere: it only ends the wait */
        pthread_join(thread, NULL);
    }
}

static struct cg_run_reload *start_reload(struct gateway *gateway,
                                          const struct cg_settings_source *source,
                                          struct cg_generation *generation)
{
    struct cg_run_parts parts = {
        .source = source,
        .server = gateway->server,
        .admin = gateway->admin,
        .memory = gateway->memory,
        .outage = gateway->outage,
        .redis = gateway->redis,
        .book = gateway->book,
        .generations_alive = &gateway->generations_alive,
    };
    return cg_run_reload_start(&parts, generation);
}

/* Takes settings and arena. */
static int serve(const struct cg_settings_source *source, struct cg_settings *settings,
                 struct cg_arena *arena)
{
    struct gateway gateway = {0};
    struct cg_generation *generation =
        cg_generation_create(settings, arena, 1, &gateway.generations_alive);
    enum cg_log_level level = CG_LOG_INFO;
    sigset_t signals;
    const atomic_bool never = false;
    cg_log_level_from(cg_str_from(settings->log_level), &level);
    cg_log_set_level(level);
    block_signals(&signals);
    bool started = start(&gateway, generation);
    if (started) {
        if (gateway.admin != NULL)
            cg_admin_set_ready(gateway.admin, true);
        gateway.reload = start_reload(&gateway, source, generation);
        log_ready(&gateway);
        wait_for_end(&signals, &never, gateway.reload);
        cg_run_reload_stop(gateway.reload);
        gateway.settings = cg_run_reload_settings(gateway.reload);
        drain(&gateway, &signals);
    }
    size_t cut = end(&gateway);
    cg_generation_unref(generation);
    if (!started)
        return CG_CLI_FAILED;
    if (cut > 0)
        cg_log(CG_LOG_WARN, "stopped", "%zu requests were in flight after drain_timeout, and cut",
               cut);
    else
        cg_log(CG_LOG_INFO, "stopped", "all connections are closed");
    return cut > 0 ? CG_CLI_CUT : CG_CLI_OK;
}

int cg_cli_run(int argc, char **argv)
{
    struct cg_cli cli;
    struct cg_settings_source source;
    int status = CG_CLI_FAILED;
    cg_cli_init(&cli, argc, argv);
    while (cg_cli_more(&cli))
        if (!cg_cli_take_option(&cli))
            cg_cli_refuse(&cli, NULL, 0);
    if (cli.failed)
        return CG_CLI_USAGE;
    /* Entries are freed on other threads than filled them: many arenas would only hoard memory. */
    mallopt(M_ARENA_MAX, 4);
    /* What a busy turn of the loop frees, the next one takes: given back to the kernel meanwhile,
     * it would cost a call and fresh pages for each miss and write. */
    mallopt(M_TRIM_THRESHOLD, MEMORY_KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, MEMORY_KEPT_BYTES / 2);
    struct cg_arena *arena = malloc(sizeof *arena);
    CG_ASSERT(arena != NULL);
    struct cg_settings *settings = cg_cli_settings(&cli, false, true, arena);
    if (settings != NULL) {
        cg_cli_source(&cli, &source);
        status = serve(&source, settings, arena);
    } else {
        cg_arena_fini(arena);
        free(arena);
    }
    return status;
}
