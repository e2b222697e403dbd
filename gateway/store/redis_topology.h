/*
 * redis_topology: which servers there are, and which of them owns a key.
 *
 * Maps are those of cachegate/redis_map.h. A topology belongs to one thread, talks over connections
 * of its own, and reports a map whenever it differs from the last. It does not connect to the
 * shards for data, and knows nothing of what is stored.
 */
#ifndef GATEWAY_STORE_REDIS_TOPOLOGY_H
#define GATEWAY_STORE_REDIS_TOPOLOGY_H

#include "cachegate/redis_map.h"
#include "gateway/request/ports.h"
#include "gateway/store/redis_peer.h"

/* `map` is borrowed during the call. */
typedef void (*cg_redis_map_fn)(void *owner, const struct cg_redis_map *map);

struct cg_redis_topology;
struct st_h2o_context_t;

/* Starts to look; on_map fires from the loop, never from inside this call. All is borrowed. */
struct cg_redis_topology *cg_redis_topology_create(struct cg_redis_peer *peer,
                                                   struct st_h2o_context_t *context,
                                                   struct cg_clock *clock, uint32_t timeout_ms,
                                                   cg_redis_map_fn on_map, void *owner);
/* Something contradicts the map (MOVED, READONLY, CLUSTERDOWN, a primary was lost): looks again,
 * soon, but not more often than its own pace. */
void cg_redis_topology_doubt(struct cg_redis_topology *topology);
/* Not from inside on_map. Takes NULL; returns NULL. */
struct cg_redis_topology *cg_redis_topology_destroy(struct cg_redis_topology *topology);

#endif
