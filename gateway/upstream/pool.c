#include "gateway/upstream/pool.h"

#include "cachegate/assert.h"
#include "gateway/base/clock.h"

void cg_pool_init(struct cg_pool *pool, const struct cg_upstream *upstream, h2o_context_t *context,
                  struct cg_clock *clock)
{
    *pool = (struct cg_pool){
        .endpoint = {.upstream = upstream, .loop = context->loop, .clock = clock},
    };
    cg_recycler_init(&pool->exchanges, CG_EXCHANGE_BLOCK_BYTES, CG_EXCHANGES_KEPT_MAX);
    cg_resolver_init(&pool->endpoint.resolver, upstream, context, clock);
}

static void unlink_idle(struct cg_pool *pool, struct cg_connection *connection)
{
    if (connection->newer != NULL)
        connection->newer->older = connection->older;
    else
        pool->newest = connection->older;
    if (connection->older != NULL)
        connection->older->newer = connection->newer;
    else
        pool->oldest = connection->newer;
    connection->newer = connection->older = NULL;
    pool->idle_count--;
}

static void drop(struct cg_connection *connection, bool politely)
{
    unlink_idle(connection->pool, connection);
    cg_connection_destroy(connection, politely);
}

void cg_pool_fini(struct cg_pool *pool)
{
    CG_ASSERT(pool->held_count == 0 && pool->first == NULL);
    while (pool->newest != NULL)
        drop(pool->newest, true);
    cg_recycler_fini(&pool->exchanges);
    cg_resolver_fini(&pool->endpoint.resolver);
}

static void enqueue(struct cg_pool *pool, struct cg_pool_ticket *ticket)
{
    ticket->state = CG_TICKET_WAITING;
    ticket->next = NULL;
    ticket->previous = pool->last;
    if (pool->last != NULL)
        pool->last->next = ticket;
    else
        pool->first = ticket;
    pool->last = ticket;
    pool->waiting_count++;
}

static void unlink_waiting(struct cg_pool *pool, struct cg_pool_ticket *ticket)
{
    if (ticket->previous != NULL)
        ticket->previous->next = ticket->next;
    else
        pool->first = ticket->next;
    if (ticket->next != NULL)
        ticket->next->previous = ticket->previous;
    else
        pool->last = ticket->previous;
    ticket->next = ticket->previous = NULL;
    pool->waiting_count--;
}

static void grant(struct cg_pool *pool, struct cg_pool_ticket *ticket)
{
    ticket->state = CG_TICKET_HELD;
    pool->held_count++;
    ticket->on_turn(ticket->owner);
}

static bool has_place(const struct cg_pool *pool)
{
    return pool->held_count < pool->endpoint.upstream->settings->connections_max;
}

bool cg_pool_ask(struct cg_pool *pool, struct cg_pool_ticket *ticket)
{
    CG_ASSERT(ticket->state == CG_TICKET_NONE);
    if (pool->first == NULL && has_place(pool)) {
        grant(pool, ticket);
        return true;
    }
    if (pool->waiting_count >= CG_POOL_QUEUE_MAX)
        return false;
    enqueue(pool, ticket);
    return true;
}

void cg_pool_leave(struct cg_pool *pool, struct cg_pool_ticket *ticket)
{
    if (ticket->state == CG_TICKET_WAITING)
        unlink_waiting(pool, ticket);
    else if (ticket->state == CG_TICKET_HELD)
        pool->held_count--;
    ticket->state = CG_TICKET_NONE;
}

void cg_pool_dispatch(struct cg_pool *pool)
{
    /* One who fails at once comes back here: the loop below goes on, not a deeper one. */
    if (pool->dispatching)
        return;
    pool->dispatching = true;
    while (pool->first != NULL && has_place(pool)) {
        struct cg_pool_ticket *ticket = pool->first;
        unlink_waiting(pool, ticket);
        grant(pool, ticket);
    }
    pool->dispatching = false;
}

/* Closed by the peer, or it talks unasked: of no use either way. */
static void on_idle_input(void *owner)
{
    drop(owner, false);
}

static void on_idle_expiry(void *owner)
{
    drop(owner, true);
}

/* on_open and on_drained cannot happen: it is open, and nothing was being sent. */
static const struct cg_connection_events idle_events = {.on_input = on_idle_input};

struct cg_connection *cg_pool_take(struct cg_pool *pool)
{
    while (pool->newest != NULL) {
        struct cg_connection *connection = pool->newest;
        /* Its end may have arrived without the loop having seen it yet. */
        if (!cg_connection_is_quiet(connection)) {
            drop(connection, false);
            continue;
        }
        unlink_idle(pool, connection);
        cg_timer_disarm(pool->endpoint.clock, &connection->timer);
        connection->reused = true;
        return connection;
    }
    return NULL;
}

void cg_pool_keep(struct cg_pool *pool, struct cg_connection *connection)
{
    const struct cg_upstream_settings *settings = pool->endpoint.upstream->settings;
    CG_ASSERT(!cg_connection_is_sending(connection));
    connection->pool = pool;
    connection->events = &idle_events;
    connection->owner = connection;
    connection->older = pool->newest;
    if (pool->newest != NULL)
        pool->newest->newer = connection;
    else
        pool->oldest = connection;
    pool->newest = connection;
    pool->idle_count++;
    if (pool->idle_count > settings->keepalive_max) {
        drop(pool->oldest, true);
        if (pool->idle_count == 0)
            return;
    }
    cg_connection_trim(connection);
    cg_connection_read_start(connection);
    connection->timer.on_expiry = on_idle_expiry;
    cg_timer_arm(pool->endpoint.clock, &connection->timer, settings->keepalive_ms);
}
