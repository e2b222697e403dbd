/*
 * The exchange of one generation of settings for the next: each worker's part, and the server's,
 * which waits for all of them (request.h; CONSISTENCY row 14).
 */
#include "gateway/front/front.h"

#include "cachegate/assert.h"
#include "cachegate/seal.h"
#include "gateway/front/tls.h"
#include "gateway/request/record.h"
#include "gateway/request/warm.h"

#include <stdlib.h>

/* A regime and what it borrows from. */
struct worker_regime {
    struct cg_regime base;
    struct cg_generation *generation; /* a reference */
    size_t *route_slots;              /* owned */
};

/* This thread's share of what the process may do; nobody is left without. */
uint32_t cg_worker_share(const struct cg_worker *worker, uint32_t total)
{
    const struct cg_server *server = worker->server;
    uint32_t index = (uint32_t)(worker - server->workers), threads = server->settings->threads;
    uint32_t share = total / threads + (index < total % threads ? 1 : 0);
    return share == 0 ? 1 : share;
}

static void end_regime(struct cg_regime *regime)
{
    struct worker_regime *own = (struct worker_regime *)regime;
    cg_sealer_destroy(own->base.sealer);
    free(own->route_slots);
    cg_generation_unref(own->generation);
    free(own);
}

struct cg_regime *cg_worker_regime(struct cg_worker *worker, struct cg_generation *generation)
{
    const struct cg_settings *settings = generation->settings;
    const struct cg_limits *limits = &settings->limits;
    struct worker_regime *own = calloc(1, sizeof *own);
    CG_ASSERT(own != NULL);
    own->generation = cg_generation_ref(generation);
    own->route_slots = cg_route_slots_create(worker->server->book, settings->ruleset);
    own->base = (struct cg_regime){
        .ruleset = settings->ruleset,
        .route_slots = own->route_slots,
        .limits = {.response_capture_max = limits->response_capture_max,
                   .json_body_max = limits->json_body_max,
                   .json_depth_max = limits->json_depth_max,
                   .purge_instances_max = limits->purge_instances_max,
                   .entry_bytes_max = settings->entry_bytes_max,
                   .flight_buffer = limits->flight_buffer,
                   .flight_waiters_max = limits->flight_waiters_max,
                   .flight_wait_ms = limits->flight_wait_ms,
                   .flight_takeovers_max = limits->flight_takeovers_max,
                   .flight_claim_ms = limits->flight_claim_ms,
                   .write_hold_ms = limits->write_hold_ms,
                   .write_mark_ms = limits->write_mark_ms,
                   .outage_fetches_max = cg_worker_share(worker, limits->outage_fetches_max),
                   .outage_queue_max = limits->outage_queue_max,
                   .outage_wait_ms = limits->outage_wait_ms},
        .via = cg_str_from(settings->via),
        .admin_token = settings->admin_token,
        .shows_keys = settings->cache_status_key,
        .sealer = cg_sealer_create(
            &settings->secret, settings->secret_previous_given ? &settings->secret_previous : NULL),
        .on_end = end_regime,
    };
    return &own->base;
}

/* ---- a worker's part ---- */

static void done(void *owner)
{
    struct cg_worker *worker = owner;
    atomic_store(&worker->exchange_done, worker->exchange_begun);
    cg_server_notify(worker->server);
}

static void on_purged(void *owner, enum cg_store_result result)
{
    struct cg_worker *worker = owner;
    atomic_store(&worker->server->exchange.purged, (int)result);
    done(worker);
}

/*
 * The driver sees to it that those who were not told now are told before the store is believed.
 * What answers because it is being closed is asked for nothing more.
 */
static void on_told(void *owner, enum cg_store_result result)
{
    struct cg_worker *worker = owner;
    const struct cg_exchange *exchange = &worker->server->exchange;
    struct cg_store *store = worker->machine.store;
    (void)result;
    if (exchange->ban_count == 0 || atomic_load(&worker->orders) >= CG_ORDERS_STOP)
        done(worker);
    else
        store->port->ban(store, exchange->bans, exchange->ban_count, on_purged, worker);
}

/* One thread does it for all. */
static void purge(struct cg_worker *worker)
{
    struct cg_store *store = worker->machine.store;
    if (worker != worker->server->workers)
        done(worker);
    else if (store->port->announce == NULL)
        on_told(worker, CG_STORE_OK);
    else
        store->port->announce(store, worker->server->exchange.next->settings->ruleset, on_told,
                              worker);
}

static void adopt(struct cg_worker *worker)
{
    SSL_CTX *tls = worker->server->exchange.tls;
    cg_machine_adopt(&worker->machine);
    if (tls != NULL) { /* connections that have begun keep the context that they have */
        SSL_CTX_up_ref(tls);
        cg_tls_destroy(worker->tls);
        worker->tls = tls;
    }
    if (worker->access != NULL)
        cg_access_adopt(worker->access, worker->server->exchange.next->settings);
    cg_warm_again(worker->warm);
}

void cg_worker_exchange(struct cg_worker *worker)
{
    struct cg_exchange *exchange = &worker->server->exchange;
    unsigned wanted = atomic_load_explicit(&exchange->wanted, memory_order_acquire);
    if (worker->exchange_begun == wanted)
        return;
    worker->exchange_begun = wanted;
    switch ((enum cg_exchange_step)(wanted % CG_EXCHANGE_STEPS)) {
    case CG_EXCHANGE_ANNOUNCE:
        cg_machine_announce(&worker->machine, cg_worker_regime(worker, exchange->next), done,
                            worker);
        return;
    case CG_EXCHANGE_PURGE:
        purge(worker);
        return;
    case CG_EXCHANGE_ADOPT:
        adopt(worker);
        done(worker);
        return;
    case CG_EXCHANGE_FORGET:
        cg_machine_forget(&worker->machine);
        done(worker);
        return;
    case CG_EXCHANGE_STEPS:
        break;
    }
    CG_UNREACHABLE();
}

/* ---- the server's part ---- */

static bool all_done(const struct cg_server *server, unsigned wanted)
{
    for (size_t i = 0; i < server->worker_count; i++) {
        const struct cg_worker *worker = &server->workers[i];
        if (worker->started && atomic_load(&worker->exchange_done) != wanted &&
            atomic_load(&worker->progress) < CG_PROGRESS_ENDED)
            return false;
    }
    return true;
}

/* The next step, on all threads. False: somebody wants the end. */
static bool take_step(struct cg_server *server)
{
    struct cg_exchange *exchange = &server->exchange;
    pthread_mutex_lock(&server->lock);
    unsigned wanted = atomic_load(&exchange->wanted) + 1;
    atomic_store_explicit(&exchange->wanted, wanted, memory_order_release);
    for (size_t i = 0; i < server->worker_count; i++)
        cg_worker_wake(&server->workers[i]);
    while (!exchange->cancelled && !all_done(server, wanted))
        pthread_cond_wait(&server->changed, &server->lock);
    bool cancelled = exchange->cancelled;
    pthread_mutex_unlock(&server->lock);
    return !cancelled;
}

bool cg_server_announce(struct cg_server *server, struct cg_generation *next)
{
    struct cg_exchange *exchange = &server->exchange;
    CG_ASSERT(exchange->next == NULL);
    exchange->next = cg_generation_ref(next);
    return take_step(server);
}

bool cg_server_purge(struct cg_server *server, const struct cg_ban *bans, size_t count,
                     bool *ret_purged)
{
    struct cg_exchange *exchange = &server->exchange;
    exchange->bans = bans;
    exchange->ban_count = count;
    atomic_store(&exchange->purged, (int)CG_STORE_OK);
    if (!take_step(server))
        return false;
    *ret_purged = atomic_load(&exchange->purged) == (int)CG_STORE_OK;
    return true;
}

bool cg_server_adopt(struct cg_server *server, struct ssl_ctx_st *tls)
{
    server->exchange.tls = tls;
    return take_step(server);
}

bool cg_server_forget(struct cg_server *server)
{
    struct cg_exchange *exchange = &server->exchange;
    if (!take_step(server))
        return false;
    cg_generation_unref(exchange->next);
    exchange->next = NULL;
    if (exchange->tls != NULL) {
        cg_tls_destroy(server->tls);
        server->tls = exchange->tls;
        exchange->tls = NULL;
    }
    return true;
}

void cg_server_cancel_exchange(struct cg_server *server)
{
    pthread_mutex_lock(&server->lock);
    server->exchange.cancelled = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
}
