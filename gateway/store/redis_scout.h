/*
 * redis_scout: what the topologies of Sentinel and Cluster have in common: when to look, whom to
 * ask next, what to believe. Private to them.
 *
 * A look asks candidates, one after the other, until one gives a map. It happens at the start,
 * every ten seconds, and soon after a doubt; the more looks on doubts bring nothing new, the slower
 * (200 ms to 800 ms). When all candidates failed, the next look comes after 50 ms to 2 s. All
 * pauses have jitter, since the gateways of a fleet doubt at the same moment. Views carry an epoch:
 * one that is behind what was seen before is not believed, unless no candidate has a newer one.
 */
#ifndef GATEWAY_STORE_REDIS_SCOUT_H
#define GATEWAY_STORE_REDIS_SCOUT_H

#include "gateway/base/log.h"
#include "gateway/store/redis_probe.h"
#include "gateway/store/redis_topology_parts.h"

struct cg_redis_scout {
    struct cg_redis_topology base; /* first: a scout is a topology */
    struct cg_redis_peer *peer;    /* borrowed, like all to `owner` */
    struct cg_clock *clock;
    cg_redis_map_fn on_map;
    void *owner;
    /* Asks the candidate of number `next` (modulo how many there are) with the probe; then
     * cg_redis_scout_found or _failed, once. */
    void (*ask)(struct cg_redis_scout *scout);
    size_t (*count_candidates)(const struct cg_redis_scout *scout);
    struct cg_redis_probe probe; /* on_answer and on_end are the form's */
    size_t next;
    unsigned turn; /* counts what was asked */
    /* Private. */
    struct cg_redis_map *map; /* the last that was reported; no shard before the first */
    uint64_t epoch;           /* the highest seen */
    bool looking, hurried, doubted, behind;
    size_t asked; /* candidates in this look */
    unsigned failures, fruitless;
    int64_t looked_ms; /* monotonic */
    struct cg_timer again;
    struct cg_log_gate log_gate;
};

/* The members before the private ones are set, but peer, clock, on_map, owner, next and the probe's
 * borrowed parts, which it sets. */
void cg_redis_scout_start(struct cg_redis_scout *scout, struct cg_redis_peer *peer,
                          struct st_h2o_context_t *context, struct cg_clock *clock,
                          uint32_t timeout_ms, cg_redis_map_fn on_map, void *owner);
void cg_redis_scout_stop(struct cg_redis_scout *scout);
/* The next look begins with another candidate. */
void cg_redis_scout_doubt(struct cg_redis_scout *scout);
/* Somebody has news: looks at once and asks the candidate of that number first. */
void cg_redis_scout_told(struct cg_redis_scout *scout, size_t candidate);
/* True when the map was believed (it is copied); otherwise the next candidate is asked. */
bool cg_redis_scout_found(struct cg_redis_scout *scout, const struct cg_redis_map *map,
                          uint64_t epoch, const char *who);
void cg_redis_scout_failed(struct cg_redis_scout *scout, const char *who, const char *why);
/* 0 to `below` - 1. */
uint32_t cg_redis_scout_random(uint32_t below);

#endif
