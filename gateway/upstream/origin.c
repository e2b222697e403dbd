#include "gateway/upstream/origin.h"

#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/upstream/exchange.h"
#include "gateway/upstream/upstreams.h"

struct socket_origin {
    struct cg_origin base;
    struct cg_pool *pools; /* owned; one per upstream */
    size_t count;
};

static void start(struct cg_origin *base, const struct cg_origin_request *request,
                  const struct cg_origin_events *events, void *owner,
                  struct cg_origin_exchange **ret_exchange)
{
    struct socket_origin *origin = (struct socket_origin *)base;
    CG_ASSERT(request->upstream < origin->count);
    cg_exchange_start(&origin->pools[request->upstream], request, events, owner, ret_exchange);
}

static const struct cg_origin_port port = {start, cg_exchange_pause, cg_exchange_resume,
                                           cg_exchange_cancel};

struct cg_origin *cg_origin_create(struct cg_upstreams *upstreams, h2o_context_t *context,
                                   struct cg_clock *clock)
{
    struct socket_origin *origin = calloc(1, sizeof(*origin));
    CG_ASSERT(origin != NULL);
    origin->base.port = &port;
    origin->count = upstreams->count;
    origin->pools = calloc(upstreams->count + 1, sizeof(*origin->pools));
    CG_ASSERT(origin->pools != NULL);
    for (size_t i = 0; i < origin->count; i++)
        cg_pool_init(&origin->pools[i], &upstreams->items[i], context, clock);
    return &origin->base;
}

struct cg_origin *cg_origin_destroy(struct cg_origin *base)
{
    if (base == NULL)
        return NULL;
    struct socket_origin *origin = (struct socket_origin *)base;
    for (size_t i = 0; i < origin->count; i++)
        cg_pool_fini(&origin->pools[i]);
    free(origin->pools);
    free(origin);
    return NULL;
}
