#include "gateway/store/redis_topology.h"

#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_topology_parts.h"

/* ---- one server ---- */

struct standalone {
    struct cg_redis_topology base;
    struct cg_redis_peer *peer;
    struct cg_clock *clock;
    cg_redis_map_fn on_map;
    void *owner;
    struct cg_timer first_turn;
};

static void on_first_turn(void *owner)
{
    struct standalone *standalone = owner;
    struct cg_redis_map *map = malloc(sizeof(*map));
    CG_ASSERT(map != NULL);
    cg_redis_map_whole(map, &standalone->peer->url.seeds[0]);
    standalone->on_map(standalone->owner, map);
    free(map);
}

/* There is no other. */
static void standalone_doubt(struct cg_redis_topology *topology)
{
    (void)topology;
}

static void standalone_destroy(struct cg_redis_topology *topology)
{
    struct standalone *standalone = (struct standalone *)topology;
    cg_timer_disarm(standalone->clock, &standalone->first_turn);
    free(standalone);
}

static struct cg_redis_topology *create_standalone(struct cg_redis_peer *peer,
                                                   struct cg_clock *clock, cg_redis_map_fn on_map,
                                                   void *owner)
{
    static const struct cg_redis_topology_port port = {standalone_doubt, standalone_destroy};
    struct standalone *standalone = calloc(1, sizeof(*standalone));
    CG_ASSERT(standalone != NULL);
    *standalone = (struct standalone){
        .base = {&port}, .peer = peer, .clock = clock, .on_map = on_map, .owner = owner};
    standalone->first_turn = (struct cg_timer){.on_expiry = on_first_turn, .owner = standalone};
    cg_timer_arm(clock, &standalone->first_turn, 0);
    return &standalone->base;
}

/* ---- all forms ---- */

struct cg_redis_topology *cg_redis_topology_create(struct cg_redis_peer *peer,
                                                   struct st_h2o_context_t *context,
                                                   struct cg_clock *clock, uint32_t timeout_ms,
                                                   cg_redis_map_fn on_map, void *owner)
{
    switch (peer->url.form) {
    case CG_REDIS_STANDALONE:
        return create_standalone(peer, clock, on_map, owner);
    case CG_REDIS_SENTINEL:
        return cg_redis_sentinel_create(peer, context, clock, timeout_ms, on_map, owner);
    case CG_REDIS_CLUSTER:
        return cg_redis_cluster_create(peer, context, clock, timeout_ms, on_map, owner);
    }
    CG_UNREACHABLE();
}

void cg_redis_topology_doubt(struct cg_redis_topology *topology)
{
    topology->port->doubt(topology);
}

struct cg_redis_topology *cg_redis_topology_destroy(struct cg_redis_topology *topology)
{
    if (topology != NULL)
        topology->port->destroy(topology);
    return NULL;
}
