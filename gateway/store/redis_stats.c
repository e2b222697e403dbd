#include "gateway/store/redis_stats_parts.h"

#include <stdlib.h>

#include "cachegate/assert.h"
#include "cachegate/expiry_bucket.h"
#include "gateway/base/clock.h"

/* ---- names ---- */

static int compare_names(const void *a, const void *b)
{
    const struct cg_redis_route_name *one = a, *other = b;
    int order = cg_str_cmp(one->name, other->name);
    return order != 0 ? order : (one->route > other->route) - (one->route < other->route);
}

static int compare_to_name(const void *name, const void *row)
{
    return cg_str_cmp(*(const struct cg_str *)name,
                      ((const struct cg_redis_route_name *)row)->name);
}

/* Under the lock, once there are threads. */
static void sort_names(struct cg_redis_stats *stats)
{
    stats->named = 0;
    for (size_t i = 0; i < stats->route_count && stats->route_names[i].length > 0; i++)
        stats->sorted[stats->named++] =
            (struct cg_redis_route_name){stats->route_names[i], (uint32_t)i};
    qsort(stats->sorted, stats->named, sizeof(*stats->sorted), compare_names);
    for (size_t i = 1; i < stats->named; i++)
        if (cg_str_cmp(stats->sorted[i].name, stats->sorted[i - 1].name) == 0)
            stats->sorted[i].route = stats->sorted[i - 1].route;
}

static size_t find_route(const struct cg_redis_stats *stats, struct cg_str name)
{
    const struct cg_redis_route_name *found =
        bsearch(&name, stats->sorted, stats->named, sizeof(*stats->sorted), compare_to_name);
    return found == NULL ? stats->route_count : found->route;
}

size_t cg_redis_stats_route(struct cg_redis_stats *stats, struct cg_str name)
{
    cg_redis_stats_lock(stats);
    size_t route = find_route(stats, name);
    cg_redis_stats_unlock(stats);
    return route;
}

void cg_redis_stats_named(struct cg_redis_stats *stats)
{
    cg_redis_stats_lock(stats);
    sort_names(stats);
    cg_redis_stats_unlock(stats);
}

/* ---- lifetime ---- */

struct cg_redis_stats *cg_redis_stats_create(const struct cg_str *route_names, size_t route_count,
                                             uint32_t interval_ms)
{
    struct cg_redis_stats *stats = calloc(1, sizeof(*stats));
    CG_ASSERT(stats != NULL && pthread_mutex_init(&stats->lock, NULL) == 0);
    stats->route_names = route_names;
    stats->route_count = route_count;
    stats->interval_ms = interval_ms;
    stats->route_keys = calloc(route_count + 1, sizeof(*stats->route_keys));
    stats->sorted = calloc(route_count + 1, sizeof(*stats->sorted));
    CG_ASSERT(stats->route_keys != NULL && stats->sorted != NULL);
    sort_names(stats);
    return stats;
}

struct cg_redis_stats *cg_redis_stats_destroy(struct cg_redis_stats *stats)
{
    if (stats == NULL)
        return NULL;
    CG_ASSERT(pthread_mutex_destroy(&stats->lock) == 0);
    free(stats->route_keys);
    free(stats->sorted);
    free(stats);
    return NULL;
}

void cg_redis_stats_source(struct cg_redis_stats *stats, cg_redis_counted_fn counted, void *owner)
{
    stats->counted = counted;
    stats->counted_owner = owner;
}

bool cg_redis_stats_on(const struct cg_redis_stats *stats)
{
    return stats->interval_ms > 0;
}

void cg_redis_stats_lock(struct cg_redis_stats *stats)
{
    CG_ASSERT(pthread_mutex_lock(&stats->lock) == 0);
}

void cg_redis_stats_unlock(struct cg_redis_stats *stats)
{
    CG_ASSERT(pthread_mutex_unlock(&stats->lock) == 0);
}

/* ---- keys by route and expiry ---- */

/* Under the lock. A change that finds no room is forgotten: the numbers are for people. */
static void change(struct cg_redis_stats *stats, uint32_t route, uint64_t end_s, int64_t by)
{
    size_t place = (size_t)((end_s * 31 + route) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    for (size_t step = 0; step < CG_REDIS_STATS_PROBES; step++) {
        struct cg_redis_key_change *row = &stats->changes[(place + step) % CG_REDIS_STATS_CHANGES];
        if (row->end_s == 0)
            *row = (struct cg_redis_key_change){.end_s = end_s, .route = route};
        else if (row->end_s != end_s || row->route != route)
            continue;
        row->by += by;
        return;
    }
}

void cg_redis_stats_filled(struct cg_redis_stats *stats, uint32_t route, int64_t now_ms,
                           uint64_t lifetime_ms, int64_t replaced_ms)
{
    const int64_t longest_ms = INT64_MAX / 4;
    int64_t lives_ms = lifetime_ms > (uint64_t)longest_ms ? longest_ms : (int64_t)lifetime_ms;
    if (replaced_ms > longest_ms) /* not by a gateway */
        replaced_ms = 0;
    if (!cg_redis_stats_on(stats))
        return;
    if (route > stats->route_count)
        route = (uint32_t)stats->route_count;
    uint64_t now_bucket = cg_expiry_bucket(now_ms + lives_ms, lifetime_ms);
    cg_redis_stats_lock(stats);
    if (replaced_ms > 0) /* it is counted where it would have ended, if it lived as long */
        change(stats, route, cg_expiry_bucket(now_ms + replaced_ms, lifetime_ms), -1);
    change(stats, route, now_bucket, 1);
    cg_redis_stats_unlock(stats);
}

/* ---- what is sent ---- */

bool cg_redis_stats_claim(struct cg_redis_stats *stats)
{
    int64_t now_ms = cg_clock_monotonic_ms();
    cg_redis_stats_lock(stats);
    bool due = now_ms >= stats->due_ms;
    if (due)
        stats->due_ms = now_ms + stats->interval_ms;
    cg_redis_stats_unlock(stats);
    return due;
}

size_t cg_redis_stats_take_keys(struct cg_redis_stats *stats,
                                struct cg_redis_key_change ret_changes[CG_REDIS_STATS_CHANGES])
{
    size_t count = 0;
    cg_redis_stats_lock(stats);
    for (size_t i = 0; i < CG_REDIS_STATS_CHANGES; i++)
        if (stats->changes[i].end_s != 0 && stats->changes[i].by != 0)
            ret_changes[count++] = stats->changes[i];
    memset(stats->changes, 0, sizeof(stats->changes));
    cg_redis_stats_unlock(stats);
    return count;
}

void cg_redis_stats_take_counters(struct cg_redis_stats *stats,
                                  uint64_t ret_deltas[CG_FLEET_COUNTERS])
{
    uint64_t counted[CG_FLEET_COUNTERS] = {0};
    if (stats->counted != NULL)
        stats->counted(stats->counted_owner, counted);
    cg_redis_stats_lock(stats);
    for (size_t i = 0; i < CG_FLEET_COUNTERS; i++) {
        /* Two handles may have read in one order and come here in the other. */
        ret_deltas[i] = counted[i] > stats->told[i] ? counted[i] - stats->told[i] : 0;
        stats->told[i] += ret_deltas[i];
    }
    cg_redis_stats_unlock(stats);
}

/* ---- what is read ---- */

void cg_redis_stats_put(struct cg_redis_stats *stats, const struct cg_store_fleet *fleet)
{
    cg_redis_stats_lock(stats);
    stats->fleet = *fleet;
    stats->read_ms = cg_clock_monotonic_ms();
    for (size_t i = 0; i < stats->named; i++)
        stats->route_keys[i] = fleet->route_keys[find_route(stats, stats->route_names[i])];
    stats->known = true;
    cg_redis_stats_unlock(stats);
}

bool cg_redis_stats_get(struct cg_redis_stats *stats, uint64_t *route_keys,
                        struct cg_store_fleet *ret_fleet)
{
    cg_redis_stats_lock(stats);
    bool known = stats->known;
    *ret_fleet = stats->fleet;
    ret_fleet->age_ms = (uint64_t)(cg_clock_monotonic_ms() - stats->read_ms);
    memcpy(route_keys, stats->route_keys, stats->route_count * sizeof(*route_keys));
    cg_redis_stats_unlock(stats);
    ret_fleet->route_keys = route_keys;
    ret_fleet->route_count = stats->route_count;
    return known;
}
