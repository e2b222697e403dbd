/*
 * redis_store: the store that several gateways share: Redis from 6.2 on, standalone, named by
 * Sentinel, or a Cluster.
 *
 * cg_redis is what the threads of a process have in common; cg_redis_open gives each a handle that
 * implements cg_store_port (store.h), with connections of its own to every primary of the newest
 * map (redis_topology.h, redis_node.h). A lookup is one MGET, on a Cluster one GET for each key,
 * all at once; versions that carry marks are changed by one single-key script. Replicas are never
 * read. Keys begin with the namespace:
 *
 *     <ns>:e:<route>:<32 hex>    entries      <ns>:v:<32 hex>    versions (version_value.h)
 *     <ns>:{bans}:epoch, <ns>:{bans}:list     open purges
 *     <ns>:{bans}:members        which gateways there are (redis_trust.h)
 *     <ns>:beat:{<n>}            on a Cluster with wait_replicas: a heartbeat for each primary
 *     <ns>:{stats}:fleet, <ns>:{stats}:keys   what the gateways count together (redis_stats.h)
 *
 * A purge that the server did not acknowledge is kept and delivered later, by a later process too
 * where there is a spool (redis_journal.h); until then no thread of the process trusts what it
 * reads (CONSISTENCY row 3). Servers that may have forgotten purges are flushed before they are
 * believed: those with another run id than the epoch was made under or than this process last
 * trusted, and those that replicate when nobody has heard of them for store.failover_time (rows 10
 * and 11). A gateway that ended without telling Redis costs one flush, by whoever starts next, or
 * by the others when it is declared gone; with `on_unpurgeable: lease` until then nobody believes
 * anything (lease.h). The last handle of a process to be closed tells Redis that it ends, and turns
 * its loop for that, at most for store.timeout.
 */
#ifndef GATEWAY_STORE_REDIS_STORE_H
#define GATEWAY_STORE_REDIS_STORE_H

#include "gateway/config/settings.h"
#include "gateway/request/ports.h"
#include "gateway/store/redis_stats.h"

struct cg_redis;
struct st_h2o_context_t;

/*
 * Of settings: all under `store`, and the ruleset's routes and longest lifetime; borrowed. NULL and
 * a sentence in *ret_error (to be freed) when the URL or its files cannot be used. Nothing is
 * connected yet.
 */
struct cg_redis *cg_redis_create(const struct cg_settings *settings, char **ret_error);
/* Says who knows what this process has counted. Before the first handle is opened. */
void cg_redis_count(struct cg_redis *redis, cg_redis_counted_fn counted, void *owner);
/* For rules that keep answers for `lifetime_ms`; any thread. It never falls: versions and bans
 * outlive what was stored under earlier rules. */
void cg_redis_outlive(struct cg_redis *redis, uint64_t lifetime_ms);
/* What keys of answers of that route are to bear (cg_route.key_route), for rules that come after
 * the first. From one thread, and before others see the rules. */
uint32_t cg_redis_route(struct cg_redis *redis, struct cg_str name);
/* All handles must have been closed. Takes NULL; returns NULL. */
struct cg_redis *cg_redis_destroy(struct cg_redis *redis);

/* A handle for one thread, which connects by itself; context and clock are borrowed until closed.
 */
struct cg_store *cg_redis_open(struct cg_redis *redis, struct st_h2o_context_t *context,
                               struct cg_clock *clock);
/* Calls in flight are never answered. Not from inside a callback. Takes NULL; returns NULL. */
struct cg_store *cg_redis_close(struct cg_store *store);

#endif
