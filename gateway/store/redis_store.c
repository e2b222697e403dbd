#include "gateway/store/redis_store.h"

#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_journal.h"
#include "gateway/store/redis_parts.h"

/* How much longer versions and the epoch live than any answer: the longest marks with all renewals
 * that a gateway may still send. */
static const uint64_t margin_ms = 3 * 60 * 60 * 1000;
enum { CALLS_KEPT_MAX = 256 }; /* of a handle, to be used again */

static const uint64_t lifetime_longest_ms = UINT64_C(3650) * 24 * 60 * 60 * 1000;

/* ---- what the threads share ---- */

struct cg_redis *cg_redis_create(const struct cg_settings *settings, char **ret_error)
{
    struct cg_redis *redis = calloc(1, sizeof(*redis));
    CG_ASSERT(redis != NULL);
    redis->settings = settings;
    bool good = cg_redis_peer_init(&redis->peer, settings->redis_url, ret_error);
    if (good)
        redis->journal =
            cg_redis_journal_create(settings->journal_entries, settings->spool_file, ret_error);
    if (!good || redis->journal == NULL) {
        cg_redis_peer_fini(&redis->peer);
        free(redis);
        return NULL;
    }
    redis->peer.reply_bytes_max += settings->entry_bytes_max;
    cg_redis_outlive(redis, settings->ruleset == NULL ? 0 : settings->ruleset->lifetime_max_ms);
    cg_redis_keys_init(redis);
    cg_redis_scripts_init(redis);
    redis->stats =
        cg_redis_stats_create(redis->route_names, redis->route_count, settings->store_stats_ms);
    cg_redis_rules_init(&redis->rules, settings->ruleset);
    cg_redis_trust_init(redis);
    return redis;
}

struct cg_redis *cg_redis_destroy(struct cg_redis *redis)
{
    if (redis == NULL)
        return NULL;
    cg_redis_journal_destroy(redis->journal);
    cg_redis_stats_destroy(redis->stats);
    cg_redis_keys_fini(redis);
    cg_redis_peer_fini(&redis->peer);
    cg_redis_trust_fini(redis);
    cg_redis_rules_fini(&redis->rules);
    free(redis);
    return NULL;
}

void cg_redis_outlive(struct cg_redis *redis, uint64_t lifetime_ms)
{
    uint64_t longest_ms = lifetime_ms > lifetime_longest_ms ? lifetime_longest_ms : lifetime_ms;
    if (longest_ms + margin_ms > atomic_load(&redis->lifetime_ms))
        atomic_store(&redis->lifetime_ms, longest_ms + margin_ms);
}

void cg_redis_count(struct cg_redis *redis, cg_redis_counted_fn counted, void *owner)
{
    cg_redis_stats_source(redis->stats, counted, owner);
}

/* ---- nodes ---- */

static void greet_when_complete(struct cg_redis_handle *handle)
{
    for (size_t i = 0; i < handle->node_count; i++)
        if (!handle->nodes[i]->greeted)
            return;
    if (handle->node_count > 0)
        cg_redis_handle_greeted(handle);
}

static void on_node_greeted(void *owner, struct cg_redis_node *node)
{
    struct cg_redis_handle *handle = owner;
    (void)node;
    handle->greetings++;
    greet_when_complete(handle);
}

static void on_node_lost(void *owner, struct cg_redis_node *node)
{
    struct cg_redis_handle *handle = owner;
    (void)node;
    handle->greetings++;
    cg_redis_topology_doubt(handle->topology);
}

static void on_node_doubt(void *owner, struct cg_redis_node *node)
{
    struct cg_redis_handle *handle = owner;
    (void)node;
    /* Where others are asked who is primary, they name another one or the same after a while. */
    if (handle->redis->peer.url.form == CG_REDIS_STANDALONE)
        cg_redis_trust_strange(handle->redis);
    cg_redis_topology_doubt(handle->topology);
}

/* Takes the node of that address out of `nodes`; NULL when there is none. */
static struct cg_redis_node *take_node(struct cg_redis_node **nodes, size_t count,
                                       const struct cg_redis_address *address)
{
    for (size_t i = 0; i < count; i++) {
        struct cg_redis_node *node = nodes[i];
        if (node != NULL && cg_redis_address_eq(&node->address, address)) {
            nodes[i] = NULL;
            return node;
        }
    }
    return NULL;
}

/* Nodes that stay keep their connections. What was in flight to the others is lost, at the end: the
 * answers may ask again. */
static void on_map(void *owner, const struct cg_redis_map *map)
{
    struct cg_redis_handle *handle = owner;
    struct cg_redis_node *before[CG_REDIS_SHARDS_MAX];
    size_t before_count = handle->node_count, kept = 0;
    CG_ASSERT(map->shard_count <= CG_REDIS_SHARDS_MAX);
    memcpy(before, handle->nodes, sizeof(before));
    for (size_t i = 0; i < map->shard_count; i++) {
        struct cg_redis_node *node = take_node(before, before_count, &map->shards[i]);
        kept += node == NULL ? 0 : 1;
        if (node == NULL)
            node = cg_redis_node_create(&handle->node_settings, &map->shards[i]);
        handle->nodes[i] = node;
    }
    handle->node_count = map->shard_count;
    handle->one_shard = map->shard_count == 1 && handle->redis->peer.url.form != CG_REDIS_CLUSTER;
    memcpy(handle->owners, map->owners, sizeof(handle->owners));
    cg_redis_claims_move(handle->claims, map);
    bool same = kept == before_count && kept == map->shard_count;
    if (same && handle->trusted)
        return;
    handle->greetings++;
    cg_redis_handle_distrust(handle);
    for (size_t i = 0; i < before_count; i++)
        cg_redis_node_destroy(before[i]);
    greet_when_complete(handle);
}

/* ---- handles ---- */

static void on_delivery(void *owner)
{
    cg_redis_deliver(owner);
}

struct cg_store *cg_redis_open(struct cg_redis *redis, struct st_h2o_context_t *context,
                               struct cg_clock *clock)
{
    const struct cg_settings *settings = redis->settings;
    struct cg_redis_handle *handle = calloc(1, sizeof(*handle));
    CG_ASSERT(handle != NULL);
    handle->base.port = &cg_redis_port;
    handle->redis = redis;
    handle->clock = clock;
    handle->wait_replicas = settings->wait_replicas;
    cg_recycler_init(&handle->calls, sizeof(struct cg_redis_call), CALLS_KEPT_MAX);
    handle->random_used = sizeof(handle->random);
    cg_buf_init(&handle->agreed, CG_REDIS_SET_BYTES_MAX);
    handle->delivery = (struct cg_timer){.on_expiry = on_delivery, .owner = handle};
    handle->node_settings = (struct cg_redis_node_settings){
        .peer = &redis->peer,
        .context = context,
        .clock = clock,
        .timeout_ms = settings->store_timeout_ms,
        .two_channels = settings->wait_replicas > 0,
        .breaker = {settings->breaker_failures, settings->breaker_open_ms,
                    settings->breaker_open_longest_ms},
        .toll = &redis->toll,
        .on_greeted = on_node_greeted,
        .on_lost = on_node_lost,
        .on_doubt = on_node_doubt,
        .owner = handle,
    };
    handle->reporter = cg_redis_reporter_create(handle);
    handle->claims = cg_redis_claims_create(handle, context);
    atomic_fetch_add(&redis->open_handles, 1);
    cg_redis_member_start(handle);
    handle->topology = cg_redis_topology_create(&redis->peer, context, clock,
                                                settings->store_timeout_ms, on_map, handle);
    return &handle->base;
}

struct cg_store *cg_redis_close(struct cg_store *store)
{
    if (store == NULL)
        return NULL;
    struct cg_redis_handle *handle = (struct cg_redis_handle *)store;
    handle->closing = true;
    cg_redis_reporter_stop(handle->reporter);
    cg_redis_member_stop(handle);
    if (atomic_fetch_sub(&handle->redis->open_handles, 1) == 1)
        cg_redis_member_leave(handle);
    handle->trusted = false;
    handle->topology = cg_redis_topology_destroy(handle->topology);
    cg_redis_claims_stop(handle->claims);
    cg_redis_directed_end_all(handle);
    size_t count = handle->node_count;
    handle->node_count = 0;
    handle->one_shard = false;
    for (size_t i = 0; i < count; i++)
        cg_redis_node_destroy(handle->nodes[i]);
    cg_timer_disarm(handle->clock, &handle->delivery);
    cg_redis_reporter_destroy(handle->reporter);
    cg_redis_claims_destroy(handle->claims);
    CG_ASSERT(handle->waiting_for_bans == NULL);
    cg_bans_unref(handle->bans);
    cg_recycler_fini(&handle->calls);
    cg_buf_fini(&handle->agreed);
    free(handle);
    return NULL;
}
