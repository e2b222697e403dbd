/*
 * redis_stats: what all gateways on one Redis count together, and what that Redis says of itself.
 *
 * Every few seconds (store.stats) one handle of the process adds what the process has counted since
 * the last time to two hashes, `{stats}:fleet` (hits, misses, …) and `{stats}:keys` (entries by
 * route and by when they expire: expiry_bucket.h), and reads both back, with INFO memory. So nobody
 * scans, and no request waits for it.
 *
 * The numbers are for people. What is not delivered is lost, and so are both hashes when Redis
 * loses them; keys that Redis evicts are counted until they would have expired; of an entry that
 * replaces one of another lifetime the count may be off by one for a while. An entry that was
 * purged is still a key.
 *
 * A cg_redis_stats belongs to the process and may be used from any thread; a reporter to a handle.
 */
#ifndef GATEWAY_STORE_REDIS_STATS_H
#define GATEWAY_STORE_REDIS_STATS_H

#include "cachegate/str.h"
#include "gateway/store/store.h"

struct cg_redis_handle;
struct cg_redis_reporter;
struct cg_redis_stats;

/* Whoever knows what this process has counted so far. Any thread may ask. */
typedef void (*cg_redis_counted_fn)(void *owner, uint64_t ret_counters[CG_FLEET_COUNTERS]);

/* `route_names` as they stand in keys, with a colon behind; borrowed. Those at the end may be
 * empty, to be filled in later. */
struct cg_redis_stats *cg_redis_stats_create(const struct cg_str *route_names, size_t route_count,
                                             uint32_t interval_ms);
/* One was filled in. */
void cg_redis_stats_named(struct cg_redis_stats *stats);
/* Takes NULL; returns NULL. */
struct cg_redis_stats *cg_redis_stats_destroy(struct cg_redis_stats *stats);
/* Before the first handle is opened. Without it only keys are counted. */
void cg_redis_stats_source(struct cg_redis_stats *stats, cg_redis_counted_fn counted, void *owner);
/* Whether fills are to be told of. */
bool cg_redis_stats_on(const struct cg_redis_stats *stats);
/* An entry was put under a key of that route. `replaced_ms`: how long the one that it replaced had
 * still to live; 0 or less when there was none. */
void cg_redis_stats_filled(struct cg_redis_stats *stats, uint32_t route, int64_t now_ms,
                           uint64_t lifetime_ms, int64_t replaced_ms);

/* NULL when statistics are off. */
struct cg_redis_reporter *cg_redis_reporter_create(struct cg_redis_handle *handle);
/* After the handle's nodes have ended. Takes NULL; returns NULL. */
struct cg_redis_reporter *cg_redis_reporter_destroy(struct cg_redis_reporter *reporter);
/* No more of it from now on. Takes NULL. */
void cg_redis_reporter_stop(struct cg_redis_reporter *reporter);
/* What was read last, by any handle of the process; NULL before. Valid until the next call. */
const struct cg_store_fleet *cg_redis_reporter_fleet(struct cg_redis_reporter *reporter);

#endif
