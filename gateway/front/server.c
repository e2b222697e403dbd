#include "gateway/front/server.h"

#include "cachegate/assert.h"
#include "gateway/front/front.h"
#include "gateway/front/sentence.h"
#include "gateway/front/tls.h"

#include <h2o/http1.h>
#include <h2o/http2.h>
#include <stdlib.h>
#include <time.h>

static void configure(struct cg_server *server)
{
    static char host_name[] = "default";
    const struct cg_limits *limits = &server->settings->limits;
    h2o_globalconf_t *configuration = &server->configuration;
    h2o_config_init(configuration);
    server->configured = true;
    configuration->server_name = (h2o_iovec_t){NULL, 0}; /* the upstream's Server passes */
    /* Over HTTP/2 libh2o resets a stream whose body exceeds its own limit; twice ours lets most who
     * send too much be told 413 by the handler (facts_h2o.c). */
    configuration->max_request_entity_size = 2 * limits->request_body_max;
    configuration->handshake_timeout = limits->request_timeout_ms;
    /* One timer of libh2o's for both; downstream.c has one for each. */
    configuration->http1.req_timeout =
        (uint64_t)limits->idle_timeout_ms + limits->request_timeout_ms;
    configuration->http1.upgrade_to_http2 = 0;
    configuration->http2.idle_timeout = limits->idle_timeout_ms;
    configuration->http2.graceful_shutdown_timeout = 0;
    configuration->http2.max_concurrent_requests_per_connection = limits->http2_streams_max;
    h2o_hostconf_t *host = h2o_config_register_host(
        configuration, (h2o_iovec_t){host_name, sizeof(host_name) - 1}, 65535);
    host->http2.push_preload = 0;
    cg_client_register(h2o_config_register_path(host, "/", 0));
}

static bool open_listeners(struct cg_server *server, char **ret_error)
{
    const struct cg_settings *settings = server->settings;
    server->listeners = calloc(settings->listener_count + 1, sizeof(*server->listeners));
    CG_ASSERT(server->listeners != NULL);
    for (size_t i = 0; i < settings->listener_count; i++) {
        if (!cg_listener_open(&server->listeners[i], &settings->listeners[i], settings->threads,
                              settings->handover, ret_error))
            return false;
        server->listener_count++;
        server->addresses = cg_sentence_join(server->addresses, " ", server->listeners[i].text);
    }
    return true;
}

static bool open_tls(struct cg_server *server, char **ret_error)
{
    const struct cg_settings *settings = server->settings;
    for (size_t i = 0; i < settings->listener_count; i++) {
        if (!settings->listeners[i].tls)
            continue;
        server->tls = cg_tls_create(&settings->tls, ret_error);
        return server->tls != NULL;
    }
    return true;
}

static bool start_workers(struct cg_server *server, char **ret_error)
{
    size_t count = server->settings->threads;
    server->workers = calloc(count + 1, sizeof(*server->workers));
    CG_ASSERT(server->workers != NULL);
    for (size_t i = 0; i < count; i++) {
        server->worker_count++;
        if (!cg_worker_start(&server->workers[i], server, i)) {
            *ret_error = cg_sentence("cannot start thread %zu of %zu", i + 1, count);
            return false;
        }
    }
    return true;
}

void cg_server_notify(struct cg_server *server)
{
    pthread_mutex_lock(&server->lock);
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}

static bool all_reached(const struct cg_server *server, enum cg_progress progress)
{
    for (size_t i = 0; i < server->worker_count; i++)
        if (server->workers[i].started && atomic_load(&server->workers[i].progress) < (int)progress)
            return false;
    return true;
}

/* `timeout_ms` < 0: for as long as it takes. */
static void wait_for(struct cg_server *server, enum cg_progress progress, int64_t timeout_ms)
{
    /* `changed` waits on the monotonic clock. */
    int64_t until_ms = cg_clock_monotonic_ms() + timeout_ms;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    int result = 0;
    pthread_mutex_lock(&server->lock);
    while (result == 0 && !all_reached(server, progress))
        result = timeout_ms < 0 ? pthread_cond_wait(&server->changed, &server->lock)
                                : pthread_cond_timedwait(&server->changed, &server->lock, &until);
    pthread_mutex_unlock(&server->lock);
}

struct cg_server *cg_server_start(struct cg_generation *generation,
                                  const struct cg_server_hooks *hooks, struct cg_book *book,
                                  char **ret_error)
{
    struct cg_server *server = calloc(1, sizeof(*server));
    CG_ASSERT(server != NULL);
    server->generation = cg_generation_ref(generation);
    server->settings = generation->settings;
    server->hooks = *hooks;
    server->book = book;
    server->fetches = cg_fetches_create();
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!open_tls(server, ret_error) || !open_listeners(server, ret_error))
        return cg_server_stop(server, NULL);
    configure(server);
    bool started = start_workers(server, ret_error);
    wait_for(server, CG_PROGRESS_RUNS, -1);
    return started ? server : cg_server_stop(server, NULL);
}

const char *cg_server_addresses(const struct cg_server *server)
{
    return server->addresses == NULL ? "" : server->addresses;
}

/* Under the lock: a worker that ends takes its queue apart, and asks for the lock before. */
static void order(struct cg_server *server, enum cg_orders orders)
{
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->worker_count; i++)
        cg_worker_order(&server->workers[i], orders);
    pthread_mutex_unlock(&server->lock);
}

void cg_server_leave(struct cg_server *server)
{
    order(server, CG_ORDERS_LEAVE);
}

size_t cg_server_connections(const struct cg_server *server)
{
    return atomic_load_explicit(&server->connection_count, memory_order_relaxed);
}

void cg_server_drain(struct cg_server *server, uint32_t timeout_ms)
{
    order(server, CG_ORDERS_DRAIN);
    wait_for(server, CG_PROGRESS_DRAINED, (int64_t)timeout_ms);
}

struct cg_server *cg_server_stop(struct cg_server *server, size_t *ret_cut)
{
    bool clean = true;
    size_t cut = 0;
    if (server == NULL)
        return NULL;
    order(server, CG_ORDERS_STOP);
    for (size_t i = 0; i < server->worker_count; i++) {
        struct cg_worker *worker = &server->workers[i];
        if (worker->started)
            pthread_join(worker->thread, NULL);
        cut += worker->cut_count;
        clean = clean && worker->clock == NULL;
    }
    if (ret_cut != NULL)
        *ret_cut = cut;
    for (size_t i = 0; i < server->listener_count; i++)
        cg_listener_close(&server->listeners[i]);
    if (!clean) /* what still refers to the rest stays, for the short time until the process ends */
        return NULL;
    for (size_t i = 0; i < server->worker_count; i++)
        free(server->workers[i].doors);
    if (server->configured)
        h2o_config_dispose(&server->configuration);
    cg_fetches_destroy(server->fetches);
    cg_tls_destroy(server->tls);
    cg_tls_destroy(server->exchange.tls);
    cg_generation_unref(server->exchange.next);
    cg_generation_unref(server->generation);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    free(server->workers);
    free(server->listeners);
    free(server->addresses);
    free(server);
    return NULL;
}

unsigned cg_server_loops_alive(const struct cg_server *server, uint32_t within_ms)
{
    int64_t now_ms = cg_clock_monotonic_ms();
    unsigned alive = 0;
    for (size_t i = 0; i < server->worker_count; i++)
        alive +=
            now_ms - atomic_load_explicit(&server->workers[i].turned_ms, memory_order_relaxed) <=
            (int64_t)within_ms;
    return alive;
}

bool cg_server_fetch(struct cg_server *server, struct cg_warm_order *order)
{
    return cg_fetches_hand_over(server->fetches, order);
}

bool cg_server_is_warm(const struct cg_server *server)
{
    return atomic_load(&server->warm);
}

unsigned cg_server_threads(const struct cg_server *server)
{
    return (unsigned)server->worker_count;
}
