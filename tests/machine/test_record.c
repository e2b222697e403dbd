/* What is told of each request when it is over, and what is counted of it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/recent.h"
#include "gateway/request/record.h"
#include "help_world.h"

static const char *const rules = "defaults: { ttl: 60s }\n"
                                 "routes:\n"
                                 "  - match: GET /items/**\n"
                                 "    name: items\n"
                                 "    scope: shared\n"
                                 "    stale_if_error: 1h\n"
                                 "  - match: GET /lists\n"
                                 "    scope: shared\n"
                                 "  - match: GET /never/**\n"
                                 "    cache: never\n"
                                 "  - match: PUT /items/{id}\n"
                                 "    name: change\n"
                                 "    invalidate:\n"
                                 "      - /items/{id}/**\n"
                                 "      - /lists?owner={request.owner}\n";

enum { SEEN_MAX = 64 };

/* What was told, with its texts copied. */
struct seen {
    struct cg_request_record records[SEEN_MAX];
    char targets[SEEN_MAX][64];
    size_t count;
};

static void observe(void *observer, const struct cg_request_record *record)
{
    struct seen *seen = observer;
    cr_assert_lt(seen->count, (size_t)SEEN_MAX);
    snprintf(seen->targets[seen->count], sizeof seen->targets[0], "%.*s %.*s",
             CG_STR_ARG(record->method), CG_STR_ARG(record->target));
    seen->records[seen->count++] = *record;
}

static struct world *observed(struct seen *seen)
{
    struct world *world = world_create(rules);
    world->machine.observe = observe;
    world->machine.observer = seen;
    return world;
}

static const struct cg_request_record *last_of(const struct seen *seen)
{
    cr_assert_gt(seen->count, 0u);
    return &seen->records[seen->count - 1];
}

static uint64_t counted(const struct world *world, const char *route, enum cg_method method,
                        enum cg_class status_class, enum cg_result result)
{
    struct cg_request_counts counts;
    cg_book_requests(world->book, cg_book_route_slot(world->book, cg_str_from(route)), &counts);
    return counts.of[method][status_class][result];
}

Test(record, a_miss_and_a_hit)
{
    struct seen seen = {.count = 0};
    struct world *world = observed(&seen);
    world_gets(world, "/items/1?b=2&a=1");
    world_origin_answers(world_asked(world), 200, NULL, "one");
    cr_assert_eq(seen.count, 0u); /* its client is still there */
    cr_assert_eq(cg_book_gauge(world->book, CG_GAUGE_REQUESTS), 1u);
    world_reap(world);
    cr_assert_eq(cg_book_gauge(world->book, CG_GAUGE_REQUESTS), 0u);
    cr_assert_eq(seen.count, 1u);
    struct cg_request_record miss = *last_of(&seen);
    cr_expect_str_eq(seen.targets[0], "GET /items/1?b=2&a=1");
    cr_expect_eq(miss.status, 200u);
    cr_expect_eq(miss.result, CG_RESULT_MISS);
    cr_expect_eq(miss.reason, CG_REASON_ABSENT);
    cr_expect_eq(miss.response_body_bytes, 3u);
    cr_expect(miss.complete);
    cr_expect(miss.has_key);
    cr_expect_eq(miss.upstream, 0);
    cr_expect_eq(miss.upstream_status, 200u);
    cr_expect(cg_str_eq(miss.route->name, CG_STR("items")));
    cr_expect_leq(miss.head_us, miss.duration_us);
    cr_expect_leq(miss.upstream_us, miss.duration_us);
    world_gets(world, "/items/1?a=1&b=2");
    world_reap(world);
    const struct cg_request_record *hit = last_of(&seen);
    cr_expect_eq(hit->result, CG_RESULT_HIT);
    cr_expect_eq(hit->reason, CG_REASON_FRESH);
    cr_expect_eq(hit->upstream, CG_RECORD_NO_UPSTREAM);
    cr_expect_eq(hit->upstream_status, 0u);
    cr_expect_eq(hit->response_body_bytes, 3u);
    cr_expect_arr_eq(hit->key_id, miss.key_id, sizeof miss.key_id);
    cr_expect_eq(hit->started_ms, world->now_ms - (int64_t)(hit->duration_us / 1000));
    cr_expect_eq(counted(world, "items", CG_METHOD_GET, CG_CLASS_2XX, CG_RESULT_MISS), 1u);
    cr_expect_eq(counted(world, "items", CG_METHOD_GET, CG_CLASS_2XX, CG_RESULT_HIT), 1u);
    world_destroy(world);
}

Test(record, a_status_is_counted_before_the_client_has_it)
{
    struct world *world = world_create(rules);
    world_gets(world, "/items/1");
    cr_expect_eq(counted(world, "items", CG_METHOD_GET, CG_CLASS_2XX, CG_RESULT_MISS), 0u);
    world_origin_head(world_asked(world), 200, NULL, 3);
    cr_expect_eq(counted(world, "items", CG_METHOD_GET, CG_CLASS_2XX, CG_RESULT_MISS), 1u);
    world_origin_body(world->exchanges[0], "one");
    world_origin_end(world->exchanges[0], CG_ORIGIN_COMPLETE);
    world_destroy(world);
}

Test(record, every_other_result)
{
    struct seen seen = {.count = 0};
    struct world *world = observed(&seen);
    world_gets(world, "/items/1");
    world_gets(world, "/items/1");
    world_origin_answers(world_asked(world), 200, NULL, "one");
    world_reap(world);
    cr_expect_eq(seen.records[0].result, CG_RESULT_MISS);
    cr_expect_eq(seen.records[1].result, CG_RESULT_COLLAPSED);
    cr_expect_eq(seen.records[1].upstream, 0); /* whose fetch it shared */
    cr_expect_eq(seen.records[1].upstream_status, 200u);
    world_time_passes(world, 61000);
    world_gets(world, "/items/1");
    world_origin_answers(world_asked(world), 503, NULL, "");
    world_reap(world);
    cr_expect_eq(last_of(&seen)->result, CG_RESULT_STALE);
    cr_expect_eq(last_of(&seen)->reason, CG_REASON_STALE_IF_ERROR);
    cr_expect_eq(last_of(&seen)->status, 200u);
    cr_expect_eq(last_of(&seen)->upstream_status, 503u);
    world_gets(world, "/never/1");
    world_origin_answers(world_asked(world), 404, NULL, "");
    world_reap(world);
    cr_expect_eq(last_of(&seen)->result, CG_RESULT_PASS);
    cr_expect_eq(last_of(&seen)->status, 404u);
    cr_expect_not(last_of(&seen)->has_key);
    world_asks(world, "PUT", "/items/1", NULL, "{\"owner\": \"ann\"}");
    world_origin_answers(world_asked(world), 200, NULL, "done");
    world_reap(world);
    cr_expect_eq(last_of(&seen)->result, CG_RESULT_WRITE);
    cr_expect_eq(last_of(&seen)->request_body_bytes, 16u);
    world_asks(world, "PURGE", "/items/1", "authorization: Bearer sesame", NULL);
    world_reap(world);
    cr_expect_eq(last_of(&seen)->result, CG_RESULT_PURGE);
    cr_expect_eq(last_of(&seen)->status, 200u);
    world_asks(world, "PURGE", "/items/1", NULL, NULL);
    world_reap(world);
    cr_expect_eq(last_of(&seen)->result, CG_RESULT_ERROR);
    cr_expect_eq(last_of(&seen)->status, 405u);
    world_gets(world, "/items/2");
    world_origin_end(world_asked(world), CG_ORIGIN_CONNECT_TIMEOUT);
    world_reap(world);
    cr_expect_eq(last_of(&seen)->result, CG_RESULT_ERROR);
    cr_expect_eq(last_of(&seen)->status, 504u);
    cr_expect_eq(last_of(&seen)->upstream, 0);
    cr_expect_eq(last_of(&seen)->upstream_status, 0u);
    cr_expect_eq(cg_book_sum_upstream_errors(world->book, 0, CG_ORIGIN_CONNECT_TIMEOUT), 1u);
    world_destroy(world);
}

Test(record, whoever_leaves_is_told_of_once)
{
    struct seen seen = {.count = 0};
    struct world *world = observed(&seen);
    struct world_client *reader = world_gets(world, "/items/1");
    world_client_leaves(reader);
    cr_assert_eq(seen.count, 1u);
    cr_expect_eq(seen.records[0].status, 0u);
    cr_expect_not(seen.records[0].complete);
    cr_expect_eq(seen.records[0].upstream, 0);
    cr_expect_eq(counted(world, "items", CG_METHOD_GET, CG_CLASS_NONE, CG_RESULT_MISS), 1u);
    struct world_client *writer = world_asks(world, "PUT", "/items/1", NULL, "{\"owner\": 1}");
    world_client_leaves(writer); /* the write goes on */
    cr_assert_eq(seen.count, 2u);
    while (world_asked(world) != NULL)
        world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_expect_eq(seen.count, 2u);
    struct world_client *cut = world_gets(world, "/never/2");
    world_origin_head(world_asked(world), 200, NULL, 10);
    world_origin_body(world->exchanges[world->exchange_count - 1], "12345");
    world_client_leaves(cut);
    cr_expect_eq(last_of(&seen)->status, 200u);
    cr_expect_eq(last_of(&seen)->response_body_bytes, 5u);
    cr_expect_not(last_of(&seen)->complete);
    world_destroy(world);
}

/* ---- purges ---- */

static uint64_t purged(const struct world *world, enum cg_purge_cause cause)
{
    return cg_book_sum_purges(world->book, cause);
}

Test(record, a_write_says_why_it_purges)
{
    struct world *world = world_create(rules);
    uint64_t before = cg_recent_count(cg_recent_process());
    struct cg_recent_purge recent[8];
    world_asks(world, "PUT", "/items/1", NULL, "{\"owner\": \"ann\"}");
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_expect_eq(purged(world, CG_PURGE_DEFAULT), 1u); /* its own path */
    cr_expect_gt(purged(world, CG_PURGE_RULE), 0u);
    cr_expect_eq(purged(world, CG_PURGE_WIDENED), 0u);
    cr_assert_eq(cg_recent_read(cg_recent_process(), before, recent, 8), 1u);
    cr_expect_str_eq(recent[0].cause, "write");
    cr_expect_str_eq(recent[0].route, "change");
    cr_expect(strstr(recent[0].shape, "/lists?owner={owner}") != NULL ||
                  strstr(recent[0].shape, "/lists?owner={request.owner}") != NULL,
              "%s", recent[0].shape);
    cr_expect_null(strstr(recent[0].shape, "ann"));
    world_asks(world, "PUT", "/items/1", NULL, "{}");
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_expect_eq(purged(world, CG_PURGE_WIDENED), 1u);
    cr_assert_eq(cg_recent_read(cg_recent_process(), before, recent, 8), 2u);
    cr_expect_str_eq(recent[0].cause, "widened");
    cr_expect(recent[0].widened);
    world_destroy(world);
}

Test(record, other_causes)
{
    struct world *world = world_create(rules);
    world_asks(world, "POST", "/things", NULL, NULL);
    world_origin_answers(world_asked(world), 201, "location: /things/7", "done");
    cr_expect_eq(purged(world, CG_PURGE_LOCATION), 1u);
    cr_expect_eq(purged(world, CG_PURGE_DEFAULT), 2u); /* /things and / */
    world_asks(world, "PURGE", "/items/1", "authorization: Bearer sesame", NULL);
    cr_expect_gt(purged(world, CG_PURGE_METHOD), 0u);
    cr_expect_eq(purged(world, CG_PURGE_ADMIN), 0u);
    world_gets(world, "/items/9");
    world_origin_answers(world_asked(world), 403, NULL, "no");
    cr_expect_gt(purged(world, CG_PURGE_REFUSED_403), 0u);
    cr_expect_eq(purged(world, CG_PURGE_REFUSED_401), 0u);
    world_asks(world, "PUT", "/items/3", NULL, "{}");
    world_origin_answers(world_asked(world), 409, NULL, "no"); /* changed nothing */
    cr_expect_eq(purged(world, CG_PURGE_RULE), 0u);
    cr_expect_eq(purged(world, CG_PURGE_WIDENED), 0u);
    world_destroy(world);
}

/* ---- refusals ---- */

Test(record, what_never_reached_the_machine_is_told_and_counted)
{
    struct seen seen = {.count = 0};
    struct world *world = observed(&seen);
    const struct cg_request_record refusal = {
        .method = CG_STR("BREW"),
        .target = CG_STR("/pot"),
        .status = 400,
        .result = CG_RESULT_ERROR,
        .reason = CG_REASON_BAD_REQUEST,
        .upstream = CG_RECORD_NO_UPSTREAM,
    };
    cg_machine_note_refusal(&world->machine, &refusal);
    cr_assert_eq(seen.count, 1u);
    cr_expect_str_eq(seen.targets[0], "BREW /pot");
    cr_expect_eq(counted(world, "(none)", CG_METHOD_OTHER, CG_CLASS_4XX, CG_RESULT_ERROR), 1u);
    cr_expect_eq(cg_book_sum(world->book, CG_METRIC_REFUSED), 1u);
    world_destroy(world);
}
