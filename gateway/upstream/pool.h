/*
 * pool: the connections of one upstream on one thread: who may have one, and which are idle.
 *
 * A ticket is an exchange's right to one connection, opened or idle: at most connections_max hold
 * one, CG_POOL_QUEUE_MAX more wait in order of arrival. Idle connections are taken newest first, so
 * that few stay warm; one that becomes readable, ages, or exceeds keepalive_max (the oldest goes)
 * is closed. Idle connections and tickets together never exceed connections_max.
 */
#ifndef GATEWAY_UPSTREAM_POOL_H
#define GATEWAY_UPSTREAM_POOL_H

#include "gateway/base/recycle.h"
#include "gateway/upstream/connection.h"

enum {
    CG_POOL_QUEUE_MAX = 4096,
    CG_EXCHANGE_BLOCK_BYTES = 3072, /* an exchange, and what it needs first */
    CG_EXCHANGES_KEPT_MAX = 128,    /* blocks of exchanges that are over */
};

/* Embedded in its owner; zeroed but for on_turn and owner. */
struct cg_pool_ticket {
    void (*on_turn)(void *owner);
    void *owner;
    /* Private. */
    enum { CG_TICKET_NONE, CG_TICKET_WAITING, CG_TICKET_HELD } state;
    struct cg_pool_ticket *next, *previous;
};

struct cg_pool {
    struct cg_endpoint endpoint;
    struct cg_recycler exchanges; /* their blocks */
    /* Private. */
    struct cg_connection *newest, *oldest; /* idle, owned */
    size_t idle_count;
    size_t held_count;
    struct cg_pool_ticket *first, *last; /* waiting */
    size_t waiting_count;
    bool dispatching;
};

void cg_pool_init(struct cg_pool *pool, const struct cg_upstream *upstream, h2o_context_t *context,
                  struct cg_clock *clock);
/* Closes idle connections; no ticket may be held or waiting. */
void cg_pool_fini(struct cg_pool *pool);

/* on_turn fires once, perhaps before this returns. False, and no on_turn, when the queue is full.
 */
bool cg_pool_ask(struct cg_pool *pool, struct cg_pool_ticket *ticket);
/* Gives the ticket back, in whatever state. Idempotent. Then cg_pool_dispatch. */
void cg_pool_leave(struct cg_pool *pool, struct cg_pool_ticket *ticket);
/* Gives free places to those who wait. Apart from leave, so that the one who leaves is done first.
 */
void cg_pool_dispatch(struct cg_pool *pool);

/* A live idle connection, whose events and owner the taker sets; or NULL. */
struct cg_connection *cg_pool_take(struct cg_pool *pool);
/* Takes over a connection on which nothing is under way. */
void cg_pool_keep(struct cg_pool *pool, struct cg_connection *connection);

#endif
