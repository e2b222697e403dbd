/*
 * redis_topology_parts: what the three forms of redis_topology share. Private to them.
 *
 * A form is a struct that begins with cg_redis_topology. cg_redis_topology_create asks the one that
 * the URL names.
 */
#ifndef GATEWAY_STORE_REDIS_TOPOLOGY_PARTS_H
#define GATEWAY_STORE_REDIS_TOPOLOGY_PARTS_H

#include "gateway/store/redis_topology.h"

struct cg_redis_topology_port {
    void (*doubt)(struct cg_redis_topology *topology);
    void (*destroy)(struct cg_redis_topology *topology);
};

struct cg_redis_topology {
    const struct cg_redis_topology_port *port;
};

/* As cg_redis_topology_create. */
struct cg_redis_topology *cg_redis_sentinel_create(struct cg_redis_peer *peer,
                                                   struct st_h2o_context_t *context,
                                                   struct cg_clock *clock, uint32_t timeout_ms,
                                                   cg_redis_map_fn on_map, void *owner);
struct cg_redis_topology *cg_redis_cluster_create(struct cg_redis_peer *peer,
                                                  struct st_h2o_context_t *context,
                                                  struct cg_clock *clock, uint32_t timeout_ms,
                                                  cg_redis_map_fn on_map, void *owner);

#endif
