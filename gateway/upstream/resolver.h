/*
 * resolver: the addresses of one upstream, on one thread.
 *
 * A fixed address is known at once. A name is looked up by libh2o's lookup threads when somebody
 * wants to connect and the last answer is older than CG_RESOLVER_FRESH_MS; whoever asks meanwhile
 * waits for the same lookup. A failed lookup falls back on the last addresses known.
 */
#ifndef GATEWAY_UPSTREAM_RESOLVER_H
#define GATEWAY_UPSTREAM_RESOLVER_H

#include <h2o.h>

#include "gateway/net/lookup.h"
#include "gateway/request/ports.h"
#include "gateway/upstream/upstreams.h"

enum { CG_RESOLVER_ADDRESSES_MAX = 16, CG_RESOLVER_FRESH_MS = 10 * 1000 };

/* One who waits; embedded in its owner. */
struct cg_resolver_waiter {
    void (*on_resolved)(void *owner);
    void *owner;
    /* Private. */
    struct cg_resolver_waiter *next;
    struct cg_resolver_waiter **link; /* what points here; NULL when not waiting */
};

struct cg_resolver {
    struct cg_socket_address addresses[CG_RESOLVER_ADDRESSES_MAX];
    size_t count;      /* 0: `error` says why */
    const char *error; /* static */
    /* Private. */
    const struct cg_upstream *upstream; /* borrowed */
    h2o_context_t *context;
    struct cg_clock *clock;
    size_t first; /* the address that worked last */
    bool fresh;
    struct cg_timer expiry;
    struct cg_lookup *lookup; /* under way, or NULL */
    struct cg_resolver_waiter *waiters;
};

void cg_resolver_init(struct cg_resolver *resolver, const struct cg_upstream *upstream,
                      h2o_context_t *context, struct cg_clock *clock);
/* Nobody may be waiting. */
void cg_resolver_fini(struct cg_resolver *resolver);

/* Fires on_resolved once, perhaps before this returns: look at `count` then. */
void cg_resolver_ask(struct cg_resolver *resolver, struct cg_resolver_waiter *waiter);
/* Takes a question back. Idempotent. */
void cg_resolver_forget(struct cg_resolver_waiter *waiter);

/* The address to try as number `attempt` (below `count`), the one that worked last first. */
struct cg_socket_address *cg_resolver_address(struct cg_resolver *resolver, size_t attempt);
/* Number `attempt` worked: try it first from now on. */
void cg_resolver_prefer(struct cg_resolver *resolver, size_t attempt);

#endif
