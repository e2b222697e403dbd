/* redis_stats_parts: what redis_stats.c keeps for the process and redis_reporter.c sends and reads.
 * Private to them. */
#ifndef GATEWAY_STORE_REDIS_STATS_PARTS_H
#define GATEWAY_STORE_REDIS_STATS_PARTS_H

#include <pthread.h>

#include "gateway/store/redis_stats.h"

enum { CG_REDIS_STATS_CHANGES = 2048, CG_REDIS_STATS_PROBES = 16 };

/* How the number of keys of one route that end in one bucket has changed. */
struct cg_redis_key_change {
    uint64_t end_s; /* 0: an empty row */
    int64_t by;
    uint32_t route; /* route_count: of none that the rules know */
};

struct cg_redis_route_name {
    struct cg_str name; /* with its colon */
    uint32_t route;     /* the first of that name */
};

struct cg_redis_stats {
    const struct cg_str *route_names;
    size_t route_count;   /* room for names; those that are not there yet are empty */
    uint32_t interval_ms; /* 0: off */
    cg_redis_counted_fn counted;
    void *counted_owner;
    /* Under the lock. */
    pthread_mutex_t lock;
    struct cg_redis_route_name *sorted; /* owned: those that are there, by name */
    size_t named;
    struct cg_redis_key_change changes[CG_REDIS_STATS_CHANGES];
    uint64_t told[CG_FLEET_COUNTERS]; /* what Redis was told of */
    int64_t due_ms;                   /* monotonic: of the next report */
    bool known;
    struct cg_store_fleet fleet; /* what was read last, but for its routes */
    uint64_t *route_keys;        /* owned */
    int64_t read_ms;             /* monotonic */
};

/* The first route of that name, with its colon; route_count when there is none. */
size_t cg_redis_stats_route(struct cg_redis_stats *stats, struct cg_str name);
/* True for one handle of the process, and for the others not before the interval is over. */
bool cg_redis_stats_claim(struct cg_redis_stats *stats);
/* What there is to tell; it counts as told. Returns how many changes. */
size_t cg_redis_stats_take_keys(struct cg_redis_stats *stats,
                                struct cg_redis_key_change ret_changes[CG_REDIS_STATS_CHANGES]);
void cg_redis_stats_take_counters(struct cg_redis_stats *stats,
                                  uint64_t ret_deltas[CG_FLEET_COUNTERS]);
/* Routes of one name have one count: that of the first. */
void cg_redis_stats_put(struct cg_redis_stats *stats, const struct cg_store_fleet *fleet);
/* False before the first was put. Fills `route_keys`, one for each route. */
bool cg_redis_stats_get(struct cg_redis_stats *stats, uint64_t *route_keys,
                        struct cg_store_fleet *ret_fleet);
void cg_redis_stats_lock(struct cg_redis_stats *stats);
void cg_redis_stats_unlock(struct cg_redis_stats *stats);

#endif
