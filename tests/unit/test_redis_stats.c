/* What a process keeps until its next report to Redis. */
#include <criterion/criterion.h>

#include "gateway/store/redis_stats_parts.h"

static const struct cg_str names[] = {
    {"b:", 2}, {"a:", 2}, {"a_long_one:", 11}, {"a:", 2}, {"ab:", 3}};
enum { NAMES = sizeof names / sizeof names[0] };

static struct cg_redis_key_change changes[CG_REDIS_STATS_CHANGES];

static const int64_t now_ms = INT64_C(1795000000000);

static struct cg_redis_stats *create(void)
{
    return cg_redis_stats_create(names, NAMES, 1000);
}

static int64_t sum(size_t count, uint32_t route)
{
    int64_t all = 0;
    for (size_t i = 0; i < count; i++)
        if (changes[i].route == route)
            all += changes[i].by;
    return all;
}

Test(redis_stats, changes_add_up_and_are_taken_once)
{
    struct cg_redis_stats *stats = create();
    for (int i = 0; i < 5; i++)
        cg_redis_stats_filled(stats, 2, now_ms, 60000, 0);
    cg_redis_stats_filled(stats, 4, now_ms, 60000, -2);
    size_t count = cg_redis_stats_take_keys(stats, changes);
    cr_expect_eq(count, 2);
    cr_expect_eq(sum(count, 2), 5);
    cr_expect_eq(sum(count, 4), 1);
    cr_expect_eq(cg_redis_stats_take_keys(stats, changes), 0);
    cg_redis_stats_destroy(stats);
}

/* One that is replaced at once was and is in one bucket: there is nothing to tell. */
Test(redis_stats, replacing_moves_a_key_and_adds_none)
{
    struct cg_redis_stats *stats = create();
    cg_redis_stats_filled(stats, 1, now_ms, 60000, 60000);
    cr_expect_eq(cg_redis_stats_take_keys(stats, changes), 0);
    cg_redis_stats_filled(stats, 1, now_ms, 60000, 100);
    size_t count = cg_redis_stats_take_keys(stats, changes);
    cr_expect_eq(count, 2);
    cr_expect_eq(sum(count, 1), 0);
    cg_redis_stats_destroy(stats);
}

Test(redis_stats, what_no_gateway_stored_is_not_counted)
{
    struct cg_redis_stats *stats = create();
    cg_redis_stats_filled(stats, 1, now_ms, 60000, INT64_MAX);
    size_t count = cg_redis_stats_take_keys(stats, changes);
    cr_expect_eq(count, 1);
    cr_expect_eq(sum(count, 1), 1);
    cg_redis_stats_destroy(stats);
}

Test(redis_stats, more_than_there_is_room_for_is_forgotten)
{
    struct cg_redis_stats *stats = create();
    for (int i = 0; i < 4 * CG_REDIS_STATS_CHANGES; i++)
        cg_redis_stats_filled(stats, 0, now_ms + i * INT64_C(1000), 1000, 0);
    size_t count = cg_redis_stats_take_keys(stats, changes);
    cr_expect_gt(count, CG_REDIS_STATS_CHANGES / 2);
    cr_expect_eq(sum(count, 0), (int64_t)count);
    cg_redis_stats_filled(stats, 77, now_ms, UINT64_MAX, INT64_MAX / 8);
    cr_expect_leq(cg_redis_stats_take_keys(stats, changes), 2);
    cg_redis_stats_destroy(stats);
}

Test(redis_stats, names_are_found_and_equal_ones_are_one)
{
    struct cg_redis_stats *stats = create();
    cr_expect_eq(cg_redis_stats_route(stats, CG_STR("b:")), 0);
    cr_expect_eq(cg_redis_stats_route(stats, CG_STR("a:")), 1);
    cr_expect_eq(cg_redis_stats_route(stats, CG_STR("ab:")), 4);
    cr_expect_eq(cg_redis_stats_route(stats, CG_STR("a_long_one:")), 2);
    cr_expect_eq(cg_redis_stats_route(stats, CG_STR("c:")), NAMES);
    cr_expect_eq(cg_redis_stats_route(stats, CG_STR("")), NAMES);
    uint64_t counts[NAMES] = {7, 8, 9, 0, 5}, shown[NAMES];
    struct cg_store_fleet fleet = {.keys = 29, .route_keys = counts, .route_count = NAMES};
    cr_expect_not(cg_redis_stats_get(stats, shown, &fleet));
    fleet = (struct cg_store_fleet){.keys = 29, .route_keys = counts, .route_count = NAMES};
    cg_redis_stats_put(stats, &fleet);
    cr_expect(cg_redis_stats_get(stats, shown, &fleet));
    cr_expect_eq(fleet.keys, 29);
    cr_expect_eq(shown[1], 8);
    cr_expect_eq(shown[3], 8);
    cr_expect_eq(shown[4], 5);
    cg_redis_stats_destroy(stats);
}

static void count_hits(void *owner, uint64_t ret_counters[CG_FLEET_COUNTERS])
{
    uint64_t *hits = owner;
    ret_counters[CG_FLEET_HITS] = *hits;
}

Test(redis_stats, counters_are_told_as_what_was_added)
{
    struct cg_redis_stats *stats = create();
    uint64_t hits = 3, deltas[CG_FLEET_COUNTERS];
    cg_redis_stats_take_counters(stats, deltas);
    cr_expect_eq(deltas[CG_FLEET_HITS], 0);
    cg_redis_stats_source(stats, count_hits, &hits);
    cg_redis_stats_take_counters(stats, deltas);
    cr_expect_eq(deltas[CG_FLEET_HITS], 3);
    cg_redis_stats_take_counters(stats, deltas);
    cr_expect_eq(deltas[CG_FLEET_HITS], 0);
    hits = 5;
    cg_redis_stats_take_counters(stats, deltas);
    cr_expect_eq(deltas[CG_FLEET_HITS], 2);
    cg_redis_stats_destroy(stats);
}

Test(redis_stats, one_handle_of_the_process_reports)
{
    struct cg_redis_stats *stats = cg_redis_stats_create(names, NAMES, 3600000);
    cr_expect(cg_redis_stats_on(stats));
    cr_expect(cg_redis_stats_claim(stats));
    cr_expect_not(cg_redis_stats_claim(stats));
    cg_redis_stats_destroy(stats);
    stats = cg_redis_stats_create(names, NAMES, 0);
    cr_expect_not(cg_redis_stats_on(stats));
    cg_redis_stats_filled(stats, 0, now_ms, 1000, 0);
    cr_expect_eq(cg_redis_stats_take_keys(stats, changes), 0);
    cg_redis_stats_destroy(stats);
}
