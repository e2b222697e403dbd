/*
 * One thread: its loop from the first turn to the last.
 */
#include "gateway/front/front.h"

#include "cachegate/assert.h"
#include "gateway/front/tls.h"
#include "gateway/net/handover.h"
#include "gateway/net/lookup.h"
#include "gateway/request/warm.h"

#include <h2o/http1.h>
#include <h2o/http2.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    WAIT_MS_MAX = 1000,
    TICK_MS_MAX = 250,        /* what uploads may bring unseen */
    RATE_WINDOW_MS = 10000,   /* of cg_h2_budgets_default */
    STOP_MS_MAX = 3000,       /* how long the end may take once everything was cut */
    DOORS_WAIT_MS_MAX = 1000, /* for the store, at the start */
    DOORS_LINGER_MS = 250,    /* a round trip of handshakes that began before steering */
};

static void set_progress(struct cg_worker *worker, enum cg_progress progress)
{
    atomic_store(&worker->progress, (int)progress);
    cg_server_notify(worker->server);
}

static void on_message(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    (void)receiver;
    (void)messages; /* there are none: being woken is all */
}

void cg_worker_order(struct cg_worker *worker, enum cg_orders orders)
{
    if (!worker->started || atomic_load(&worker->orders) >= (int)orders)
        return;
    atomic_store(&worker->orders, (int)orders);
    /* Its queue exists from RUNS on, which cg_server_start waits for, and until ENDED. */
    h2o_multithread_send_message(&worker->receiver, NULL);
}

void cg_worker_wake(struct cg_worker *worker)
{
    if (worker->started && atomic_load(&worker->progress) < CG_PROGRESS_ENDED)
        h2o_multithread_send_message(&worker->receiver, NULL);
}

void cg_worker_log_refused(struct cg_worker *worker, const char *peer, const char *why)
{
    uint64_t held = 0;
    if (!cg_log_enabled(CG_LOG_INFO) ||
        !cg_log_gate_open(&worker->refused_log, cg_clock_monotonic_ms(), &held))
        return;
    cg_log(CG_LOG_INFO, "refused", "%s (peer %s; %llu more were not logged)", why, peer,
           (unsigned long long)held);
}

/* ---- doors ---- */

/*
 * A write that comes before Redis can be told of it is news to the other gateways only later. So
 * the first clients of all wait for the store, though not for long: one that is away is no reason
 * to serve nobody.
 */
static void open_doors(struct cg_worker *worker)
{
    struct cg_store *store = worker->machine.store;
    struct cg_store_health health = {0};
    store->port->health(store, &health);
    if (!health.available && cg_clock_monotonic_ms() < worker->doors_open_ms)
        return;
    worker->doors_open_ms = 0;
    cg_doors_resume(worker);
}

static bool has_open_doors(const struct cg_worker *worker)
{
    return worker->door_count > 0 && worker->doors[0].socket != NULL;
}

static void close_doors(struct cg_worker *worker)
{
    if (!has_open_doors(worker))
        return;
    for (size_t i = 0; i < worker->door_count; i++) {
        /* The successor's sockets move up, and all of them are to be chosen from. */
        if (worker->doors_close_ms != 0 && worker == worker->server->workers)
            cg_handover_release(h2o_socket_get_fd(worker->doors[i].socket));
        cg_door_close(&worker->doors[i]);
    }
    worker->doors_close_ms = 0;
    atomic_fetch_sub(&worker->server->listening_count, 1);
}

/*
 * In a hand-over the first thread steers for all and closes last. Nobody closes at once: the
 * handshakes that began before must come to their end.
 */
static void start_closing(struct cg_worker *worker)
{
    const struct cg_server *server = worker->server;
    if (!server->settings->handover) {
        close_doors(worker);
        return;
    }
    /* The sockets of all our threads stand before those of a successor. */
    for (size_t i = 0; worker == server->workers && i < worker->door_count; i++)
        cg_handover_steer(h2o_socket_get_fd(worker->doors[i].socket),
                          (uint32_t)server->worker_count);
    worker->doors_close_ms = cg_clock_monotonic_ms() + DOORS_LINGER_MS;
}

static bool may_close_doors(const struct cg_worker *worker, int64_t now_ms)
{
    const struct cg_server *server = worker->server;
    if (worker->doors_close_ms == 0 || now_ms < worker->doors_close_ms)
        return false;
    return worker != server->workers || atomic_load(&server->listening_count) == 1 ||
           now_ms > worker->doors_close_ms + DOORS_LINGER_MS; /* a thread is stuck */
}

/* ---- the clock ---- */

static void on_tick(void *owner)
{
    struct cg_worker *worker = owner;
    int64_t now_ms = cg_clock_monotonic_ms();
    bool new_window = now_ms - worker->window_started_ms >= RATE_WINDOW_MS;
    if (new_window)
        worker->window_started_ms = now_ms;
    cg_downstreams_tick(worker, now_ms, new_window);
    cg_uploads_bound(worker);
    cg_doors_resume(worker);
    if (may_close_doors(worker, now_ms))
        close_doors(worker);
    cg_timer_arm(worker->clock, &worker->tick, worker->tick_ms);
}

/* Fine enough for the shortest of the timeouts that connections have. */
static uint32_t tick_ms_of(const struct cg_limits *limits)
{
    uint32_t shortest = limits->request_timeout_ms;
    if (limits->idle_timeout_ms < shortest)
        shortest = limits->idle_timeout_ms;
    if (limits->send_timeout_ms < shortest)
        shortest = limits->send_timeout_ms;
    uint32_t tick_ms = shortest / 4;
    return tick_ms < 25 ? 25 : tick_ms > TICK_MS_MAX ? TICK_MS_MAX : tick_ms;
}

/* ---- opening and closing ---- */

/* Drawn ahead, since OpenSSL takes as long for a few bytes as for a kilobyte; each is given once
 * and wiped here. */
static void draw_random(void *bytes, size_t length)
{
    static _Thread_local unsigned char pool[1024];
    static _Thread_local size_t left;
    CG_ASSERT(length <= sizeof(pool));
    if (length > left) {
        CG_ASSERT(RAND_bytes(pool, (int)sizeof(pool)) == 1);
        left = sizeof(pool);
    }
    left -= length;
    memcpy(bytes, pool + left, length);
    OPENSSL_cleanse(pool + left, length);
}

static enum cg_unpurgeable unpurgeable_of(const char *word)
{
    if (strcmp(word, "refuse") == 0)
        return CG_UNPURGEABLE_REFUSE;
    return strcmp(word, "lease") == 0 ? CG_UNPURGEABLE_LEASE : CG_UNPURGEABLE_JOURNAL;
}

static enum cg_tracing tracing_of(const char *word)
{
    if (strcmp(word, "unsampled") == 0)
        return CG_TRACING_UNSAMPLED;
    return strcmp(word, "pass") == 0 ? CG_TRACING_PASS : CG_TRACING_SAMPLED;
}

static void open_machine(struct cg_worker *worker)
{
    const struct cg_server *server = worker->server;
    const struct cg_settings *settings = server->settings;
    struct cg_machine *machine = &worker->machine;
    *machine = (struct cg_machine){
        .regime = cg_worker_regime(worker, server->generation),
        .unpurgeable = unpurgeable_of(settings->on_unpurgeable),
        .upstream_count = settings->upstream_count,
        .clock = worker->clock,
        .sheet = cg_book_sheet(server->book),
        .tracing = tracing_of(settings->tracing),
    };
    if (cg_access_is_wanted(settings)) {
        worker->access = cg_access_create(settings, machine->sheet);
        machine->observe = cg_access_observe;
        machine->observer = worker->access;
    }
    machine->random_bytes = draw_random;
    machine->store = server->hooks.store_open(server->hooks.owner, &worker->context, worker->clock);
    machine->origin =
        server->hooks.origin_open(server->hooks.owner, &worker->context, worker->clock);
    draw_random(machine->writer_seed, sizeof(machine->writer_seed));
    cg_machine_init(machine);
    for (size_t i = 0; i < settings->upstream_count; i++)
        if (settings->upstreams[i].concurrency_max > 0)
            cg_machine_cap(machine, i,
                           cg_worker_share(worker, settings->upstreams[i].concurrency_max));
}

static void on_warm(void *owner)
{
    struct cg_worker *worker = owner;
    atomic_store(&worker->server->warm, true);
}

/* The first thread asks for all: what is stored is there for the others too. */
static void open_warm(struct cg_worker *worker)
{
    const struct cg_settings *settings = worker->server->settings;
    if (worker != worker->server->workers)
        return;
    cg_fetches_open(worker->server->fetches, &worker->machine, &worker->context,
                    settings->warm_concurrency);
    if (settings->warm_count == 0) {
        on_warm(worker);
        return;
    }
    worker->wishes = calloc(settings->warm_count, sizeof(*worker->wishes));
    CG_ASSERT(worker->wishes != NULL);
    for (size_t i = 0; i < settings->warm_count; i++)
        worker->wishes[i] =
            (struct cg_warm_wish){settings->warm[i].scheme, settings->warm[i].authority,
                                  settings->warm[i].target, settings->warm[i].fields};
    worker->warm = cg_warm_create(&worker->machine, worker->wishes, settings->warm_count,
                                  settings->warm_concurrency, on_warm, worker);
}

static void open_worker(struct cg_worker *worker)
{
    struct cg_server *server = worker->server;
    h2o_context_init(&worker->context, h2o_evloop_create(), &server->configuration);
    h2o_multithread_register_receiver(worker->context.queue, &worker->receiver, on_message);
    worker->accept =
        (h2o_accept_ctx_t){.ctx = &worker->context, .hosts = server->configuration.hosts};
    worker->clock = cg_clock_create();
    worker->tls = server->tls;
    if (worker->tls != NULL)
        SSL_CTX_up_ref(worker->tls);
    open_machine(worker);
    open_warm(worker);
    size_t index = (size_t)(worker - server->workers), door = 0;
    for (size_t i = 0; i < server->listener_count; i++)
        for (size_t j = 0; j < server->listeners[i].address_count; j++)
            cg_door_open(&worker->doors[door++], worker, server->listeners[i].settings,
                         cg_listener_take(&server->listeners[i], index, j));
    atomic_fetch_add(&server->listening_count, 1);
    worker->doors_open_ms = cg_clock_monotonic_ms() + DOORS_WAIT_MS_MAX;
    worker->tick.on_expiry = on_tick;
    worker->tick.owner = worker;
    worker->tick_ms = tick_ms_of(&server->settings->limits);
    worker->window_started_ms = cg_clock_monotonic_ms();
    cg_timer_arm(worker->clock, &worker->tick, worker->tick_ms);
}

static void stop_warm(struct cg_worker *worker)
{
    cg_warm_stop(worker->warm);
    if (worker == worker->server->workers)
        cg_fetches_stop(worker->server->fetches);
}

static bool is_empty(const struct cg_worker *worker)
{
    return worker->connection_count == 0 && worker->machine.live == 0 && !has_open_doors(worker);
}

static void turn(struct cg_worker *worker)
{
    uint32_t wait_ms = cg_clock_wait_ms(worker->clock, WAIT_MS_MAX);
    h2o_evloop_run(worker->context.loop, (int32_t)wait_ms);
    cg_clock_run(worker->clock);
    if (worker->access != NULL)
        cg_access_flush(worker->access);
    atomic_store_explicit(&worker->turned_ms, cg_clock_monotonic_ms(), memory_order_relaxed);
}

/* Ends connections and requests in progress. False when some did not end in time. */
static bool cut_everything(struct cg_worker *worker)
{
    int64_t started_ms = cg_clock_monotonic_ms();
    close_doors(worker);
    stop_warm(worker);
    worker->tick_ms = 25;
    cg_timer_arm(worker->clock, &worker->tick, worker->tick_ms);
    h2o_linklist_t *next;
    for (h2o_linklist_t *at = worker->connections.next; at != &worker->connections; at = next) {
        struct cg_downstream *connection = H2O_STRUCT_FROM_MEMBER(struct cg_downstream, link, at);
        bool has_clients = connection->client_count > 0;
        next = at->next;
        worker->cut_count += connection->client_count;
        cg_downstream_kill(connection);
        if (has_clients)
            cg_clients_cut(connection);
    }
    while (!is_empty(worker) && cg_clock_monotonic_ms() - started_ms < STOP_MS_MAX)
        turn(worker);
    return is_empty(worker);
}

static void close_worker(struct cg_worker *worker)
{
    const struct cg_server_hooks *hooks = &worker->server->hooks;
    h2o_evloop_t *loop = worker->context.loop;
    cg_timer_disarm(worker->clock, &worker->tick);
    cg_machine_fini(&worker->machine);
    hooks->origin_close(hooks->owner, worker->machine.origin);
    hooks->store_close(hooks->owner, worker->machine.store);
    worker->warm = cg_warm_destroy(worker->warm); /* to which the store could have answered */
    free(worker->wishes);
    worker->tls = cg_tls_destroy(worker->tls);
    if (worker == worker->server->workers)
        cg_fetches_close(worker->server->fetches);
    worker->access = cg_access_destroy(worker->access);
    if (worker->date != NULL)
        h2o_mem_release_shared(worker->date);
    if (!cg_lookups_drain(&worker->context, STOP_MS_MAX)) {
        cg_log(CG_LOG_WARN, "stop", "a lookup of a name is still under way");
        return; /* what it will answer to must stay, for the short time until the process ends */
    }
    h2o_multithread_queue_t *queue = worker->context.queue;
    /* Orders are seen before they are sent through the queue: whoever sends must be done with it.
     */
    pthread_mutex_lock(&worker->server->lock);
    pthread_mutex_unlock(&worker->server->lock);
    h2o_multithread_unregister_receiver(queue, &worker->receiver);
    h2o_timeout_unlink(&worker->context.http2._graceful_shutdown_timeout);
    h2o_context_dispose(&worker->context);
    free(queue); /* libh2o 2.2.5 takes it apart, but does not free it */
    h2o_evloop_destroy(loop);
    worker->clock = cg_clock_destroy(worker->clock);
}

#ifdef __SANITIZE_ADDRESS__
/* libh2o keeps some buffers per thread for reuse and cannot give them back. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_mem_alloc_recycle\n";
}
#endif

#ifdef __SANITIZE_THREAD__
/* OpenSSL hands certificates from thread to thread by atomics that the sanitizer does not see. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:libcrypto.so.3\n";
}
#endif

/* ---- orders ---- */

static void start_leaving(struct cg_worker *worker)
{
    worker->draining = true;
    worker->drain_started_ms = cg_clock_monotonic_ms();
    stop_warm(worker);
    /* Answers of HTTP/1.1 say `Connection: close` from now on, and HTTP/2 the first GOAWAY. What
     * libh2o would do a second later is done better by cg_guard_drain. */
    h2o_context_request_shutdown(&worker->context);
    h2o_timeout_unlink(&worker->context.http2._graceful_shutdown_timeout);
    cg_guards_watch(worker);
    if (worker->tick_ms > 100)
        worker->tick_ms = 100;
    cg_timer_arm(worker->clock, &worker->tick, worker->tick_ms);
}

static void serve(struct cg_worker *worker)
{
    int orders;
    bool closing = false;
    while ((orders = atomic_load(&worker->orders)) < CG_ORDERS_STOP) {
        if (worker->doors_open_ms != 0)
            open_doors(worker);
        if (orders >= CG_ORDERS_LEAVE && !worker->draining)
            start_leaving(worker);
        if (orders >= CG_ORDERS_DRAIN && !closing) {
            start_closing(worker);
            closing = true;
        }
        if (worker->draining && is_empty(worker) &&
            atomic_load(&worker->progress) < CG_PROGRESS_DRAINED)
            set_progress(worker, CG_PROGRESS_DRAINED);
        cg_worker_exchange(worker);
        turn(worker);
    }
}

static void *run(void *argument)
{
    struct cg_worker *worker = argument;
    open_worker(worker);
    set_progress(worker, CG_PROGRESS_RUNS);
    serve(worker);
    if (cut_everything(worker))
        close_worker(worker);
    else /* the process ends anyway; what still runs keeps its memory */
        cg_log(CG_LOG_WARN, "stop", "%zu requests or fetches were still in progress",
               worker->machine.live);
    if (worker->access != NULL)
        cg_access_flush(worker->access);
    set_progress(worker, CG_PROGRESS_ENDED);
    return NULL;
}

bool cg_worker_start(struct cg_worker *worker, struct cg_server *server, size_t index)
{
    worker->server = server;
    h2o_linklist_init_anchor(&worker->connections);
    atomic_store(&worker->turned_ms, cg_clock_monotonic_ms());
    for (size_t i = 0; i < server->listener_count; i++)
        worker->door_count += server->listeners[i].address_count;
    worker->doors = calloc(worker->door_count + 1, sizeof(*worker->doors));
    CG_ASSERT(worker->doors != NULL && worker == &server->workers[index]);
    /* Signals are the main thread's. SIGPIPE is thereby a failed write. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    worker->started = pthread_create(&worker->thread, NULL, run, worker) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return worker->started;
}
