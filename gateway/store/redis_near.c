#include "gateway/store/redis_near.h"

#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/store/redis_tracking.h"

struct cg_redis_near {
    struct cg_redis *redis;
    struct cg_near *near;               /* NULL: no copies are kept */
    struct cg_redis_tracking *tracking; /* NULL: nothing is pushed */
};

struct cg_redis_near *cg_redis_near_create(const struct cg_settings *settings,
                                           struct cg_redis *redis, struct cg_book *book)
{
    struct cg_redis_near *near = calloc(1, sizeof(*near));
    CG_ASSERT(near != NULL);
    near->redis = redis;
    if (settings->near_bytes == 0)
        return near;
    near->near = cg_near_create(settings, book,
                                cg_redis_tracking_is_possible(redis) ? cg_redis_server : NULL);
    if (cg_near_watch_of(near->near) != NULL)
        near->tracking = cg_redis_tracking_create(redis, cg_near_watch_of(near->near));
    return near;
}

struct cg_redis_near *cg_redis_near_destroy(struct cg_redis_near *near)
{
    if (near == NULL)
        return NULL;
    cg_redis_tracking_destroy(near->tracking);
    cg_near_destroy(near->near);
    free(near);
    return NULL;
}

struct cg_store *cg_redis_near_open(struct cg_redis_near *near, struct st_h2o_context_t *context,
                                    struct cg_clock *clock)
{
    struct cg_store *inner = cg_redis_open(near->redis, context, clock);
    if (near->near == NULL)
        return inner;
    struct cg_store *store = cg_near_open(near->near, inner, clock);
    if (near->tracking != NULL)
        cg_redis_tracking_join(near->tracking, store, context, clock, cg_near_sheet(store));
    return store;
}

struct cg_store *cg_redis_near_close(struct cg_redis_near *near, struct cg_store *store)
{
    if (store == NULL || near->near == NULL)
        return cg_redis_close(store);
    if (near->tracking != NULL)
        cg_redis_tracking_leave(near->tracking, store);
    cg_redis_close(cg_near_inner(store));
    return cg_near_close(store);
}
