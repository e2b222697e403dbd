/*
 * redis_tracking: the connection on which Redis says what has changed, one for the process.
 *
 * It feeds a cg_near_watch for routes with `consistency: pushed`. hiredis 0.14 speaks RESP2 only,
 * so the messages come as a subscription: CLIENT TRACKING ON REDIRECT <its own id> BCAST with the
 * prefixes of versions, epoch and heartbeats, then SUBSCRIBE __redis__:invalidate. It lives on the
 * loop of the first handle that joined; when that one leaves, another takes over.
 *
 * A second connection sends heartbeats: SET of a key under a watched prefix, with a name that is
 * never used again. Pushes come in the order of the changes, so when that name is pushed, all that
 * was changed before the SET left has arrived. A heartbeat that is not seen within
 * store.tracking_timeout empties the watch and ends the connection. The name also says that both
 * connections lead to one server; which one, is told by its run id, and the data path must lead to
 * the same (cg_redis_server).
 *
 * Standalone and Sentinel only: the keys of a Cluster change on many servers. SWAPDB is not pushed
 * by Redis 7.0, nor changes made under DEBUG; nobody should do that to a store in use.
 */
#ifndef GATEWAY_STORE_REDIS_TRACKING_H
#define GATEWAY_STORE_REDIS_TRACKING_H

#include "gateway/base/metrics.h"
#include "gateway/store/near_watch.h"
#include "gateway/store/redis_store.h"

struct cg_redis_tracking;

/* Not those of a Cluster. */
bool cg_redis_tracking_is_possible(const struct cg_redis *redis);

/* All is borrowed. It must be possible. */
struct cg_redis_tracking *cg_redis_tracking_create(struct cg_redis *redis,
                                                   struct cg_near_watch *watch);
/* Everybody must have left. Takes NULL; returns NULL. */
struct cg_redis_tracking *cg_redis_tracking_destroy(struct cg_redis_tracking *tracking);

/* On the thread of `context`; `member` is any address that is nobody else's. */
void cg_redis_tracking_join(struct cg_redis_tracking *tracking, const void *member,
                            struct st_h2o_context_t *context, struct cg_clock *clock,
                            struct cg_sheet *sheet);
/* On the same thread, not from inside a callback of the store. */
void cg_redis_tracking_leave(struct cg_redis_tracking *tracking, const void *member);

/* A cg_near_server_fn: the run id of the one server behind this handle; "" while what it says is
 * not believed, or when there are several. */
const char *cg_redis_server(struct cg_store *store);

#endif
