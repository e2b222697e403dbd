/*
 * redis_near: the Redis store with near copies in front of it, as a gateway uses it.
 *
 * Puts together redis_store, near and redis_tracking; has no behaviour of its own.
 */
#ifndef GATEWAY_STORE_REDIS_NEAR_H
#define GATEWAY_STORE_REDIS_NEAR_H

#include "gateway/store/near.h"
#include "gateway/store/redis_store.h"

struct cg_redis_near;

/* All is borrowed. With settings.near_bytes 0 its handles are those of `redis`. */
struct cg_redis_near *cg_redis_near_create(const struct cg_settings *settings,
                                           struct cg_redis *redis, struct cg_book *book);
/* All handles must have been closed. Takes NULL; returns NULL. */
struct cg_redis_near *cg_redis_near_destroy(struct cg_redis_near *near);

/* As cg_redis_open and cg_redis_close. */
struct cg_store *cg_redis_near_open(struct cg_redis_near *near, struct st_h2o_context_t *context,
                                    struct cg_clock *clock);
struct cg_store *cg_redis_near_close(struct cg_redis_near *near, struct cg_store *store);

#endif
