/* The write path: marks, purges, held answers, unknown outcomes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "help_world.h"

static const char *const rules =
    "identity: [ { header: X-User, name: user } ]\n"
    "rules:\n"
    "  defaults: { ttl: 60s }\n"
    "  groups:\n"
    "    session: [ '/transactions?session_id={id}', /sessions ]\n"
    "  routes:\n"
    "    - match: GET /transactions\n"
    "    - match: GET /sessions\n"
    "    - match: GET /items/**\n"
    "      scope: shared\n"
    "    - match: GET /apart/**\n"
    "      scope: shared\n"
    "      upstream: other\n"
    "    - match: PUT /transactions/{id}\n"
    "      invalidate: [ { group: session, id: '{response.session_id}' } ]\n"
    "    - match: POST /bulk\n"
    "      invalidate: [ { group: session, id: '{request.session_id}' } ]\n"
    "    - match: POST /jobs\n"
    "      invalidate: [ { pattern: '/items/jobs', when: { response.state: done } } ]\n"
    "    - match: POST /silent\n"
    "      invalidate: none\n";

static struct world_client *stored(struct world *world, const char *target, const char *fields)
{
    struct world_client *client = world_asks(world, "GET", target, fields, NULL);
    world_origin_answers(world_asked(world), 200, NULL, "old");
    cr_assert(world_got(client, 200, "old", "stored"), "%s: %s", target,
              world_field(client, "cache-status"));
    world_reap(world);
    return client;
}

/* Whether the store answers; a miss is answered by the origin with "new". */
static bool hits(struct world *world, const char *target, const char *fields)
{
    struct world_client *client = world_asks(world, "GET", target, fields, NULL);
    bool hit = client->ended;
    if (hit)
        cr_assert(world_got(client, 200, "old", "hit"));
    else
        world_origin_answers(world_asked(world), 200, NULL, "new");
    world_reap(world);
    return hit;
}

Test(writes, default_purges_own_path_parent_and_location)
{
    struct world *world = world_create(rules);
    stored(world, "/items/5", NULL);
    stored(world, "/items/5?page=2", NULL);
    stored(world, "/items", NULL);
    stored(world, "/items/6", NULL);
    stored(world, "/items/9", NULL);
    world_asks(world, "DELETE", "/items/5", NULL, NULL);
    world_origin_answers(world_asked(world), 200, "location: /items/9", "{}");
    world_reap(world);
    cr_assert(hits(world, "/items/6", NULL));
    cr_assert_not(hits(world, "/items/5", NULL));
    cr_assert_not(hits(world, "/items/5?page=2", NULL));
    cr_assert_not(hits(world, "/items", NULL));
    cr_assert_not(hits(world, "/items/9", NULL));
    world_destroy(world);
}

Test(writes, group_named_by_the_response_is_purged_for_everyone_before_the_answer)
{
    struct world *world = world_create(rules);
    stored(world, "/transactions?session_id=abc", "x-user: a");
    stored(world, "/transactions?session_id=abc&page=2", "x-user: b");
    stored(world, "/transactions?session_id=other", "x-user: a");
    stored(world, "/transactions", "x-user: a"); /* lacks the parameter: may show any session */
    stored(world, "/sessions", "x-user: a");
    struct world_client *writer = world_asks(world, "PUT", "/transactions/7", "x-user: a", "{}");
    world_origin_answers(world_asked(world), 200, "content-type: application/json",
                         "{\"session_id\": \"abc\"}");
    cr_assert(world_got(writer, 200, "{\"session_id\": \"abc\"}", NULL));
    cr_assert(hits(world, "/transactions?session_id=other", "x-user: a"));
    cr_assert_not(hits(world, "/transactions?session_id=abc", "x-user: a"));
    cr_assert_not(hits(world, "/transactions?session_id=abc&page=2", "x-user: b"));
    cr_assert_not(hits(world, "/transactions", "x-user: a"));
    cr_assert_not(hits(world, "/sessions", "x-user: a"));
    world_destroy(world);
}

Test(writes, unusable_response_widens_the_purge)
{
    static const char *const bodies[] = {"",
                                         "no json",
                                         "{\"session_id\":",
                                         "{\"other\": 1}",
                                         "{\"session_id\": null}",
                                         "{\"session_id\": {}}"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct world *world = world_create(rules);
        stored(world, "/transactions?session_id=abc", "x-user: a");
        stored(world, "/items/1", NULL);
        world_asks(world, "PUT", "/transactions/7", "x-user: a", "{}");
        world_origin_answers(world_asked(world), 200, NULL, bodies[i]);
        world_reap(world);
        cr_assert_not(hits(world, "/transactions?session_id=abc", "x-user: a"), "%s", bodies[i]);
        cr_assert(hits(world, "/items/1", NULL), "%s", bodies[i]);
        cr_assert_geq(cg_book_sum(world->book, CG_METRIC_WIDENED), 1u);
        world_destroy(world);
    }
}

Test(writes, response_over_the_capture_limit_widens_and_still_arrives_whole)
{
    struct world *world = world_create(rules);
    stored(world, "/transactions?session_id=abc", "x-user: a");
    struct world_client *writer = world_asks(world, "PUT", "/transactions/7", NULL, "{}");
    struct world_exchange *exchange = world_asked(world);
    static char piece[3000];
    memset(piece, ' ', sizeof(piece));
    world_origin_head(exchange, 200, NULL, -1);
    world_origin_bytes(exchange, piece, sizeof(piece));
    cr_assert_not(writer->begun);
    world_origin_bytes(exchange, piece, sizeof(piece));
    cr_assert(writer->begun);
    cr_assert_not(hits(world, "/transactions?session_id=abc", "x-user: a"));
    world_origin_bytes(exchange, piece, sizeof(piece));
    cr_assert_lt(writer->body.length, 9000u);
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
    cr_assert_eq(writer->body.length, 9000u);
    cr_assert(writer->ended && !writer->aborted);
    world_destroy(world);
}

Test(writes, refused_write_purges_nothing)
{
    struct world *world = world_create(rules);
    stored(world, "/items/5", NULL);
    struct world_client *writer = world_asks(world, "PUT", "/items/5", NULL, "x");
    world_origin_answers(world_asked(world), 422, NULL, "no");
    cr_assert(world_got(writer, 422, "no", NULL));
    cr_assert(hits(world, "/items/5", NULL));
    world_destroy(world);
}

Test(writes, failed_write_purges_as_a_success_does)
{
    struct world *world = world_create(rules);
    stored(world, "/items/5", NULL);
    world_asks(world, "PUT", "/items/5", NULL, "x");
    world_origin_answers(world_asked(world), 500, NULL, "oops");
    world_reap(world);
    cr_assert_not(hits(world, "/items/5", NULL));
    world_destroy(world);
}

Test(writes, write_that_never_left_purges_nothing)
{
    struct world *world = world_create(rules);
    stored(world, "/items/5", NULL);
    struct world_client *writer = world_asks(world, "PUT", "/items/5", NULL, "x");
    world_origin_end(world_asked(world), CG_ORIGIN_REFUSED);
    cr_assert(world_got(writer, 502, NULL, NULL));
    cr_assert(hits(world, "/items/5", NULL));
    world_destroy(world);
}

Test(writes, condition_on_the_response_decides)
{
    struct world *world = world_create(rules);
    stored(world, "/items/jobs", NULL);
    world_asks(world, "POST", "/jobs", NULL, "{}");
    world_origin_answers(world_asked(world), 200, NULL, "{\"state\": \"queued\"}");
    world_reap(world);
    cr_assert(hits(world, "/items/jobs", NULL));
    world_asks(world, "POST", "/jobs", NULL, "{}");
    world_origin_answers(world_asked(world), 200, NULL, "{\"state\": \"done\"}");
    world_reap(world);
    cr_assert_not(hits(world, "/items/jobs", NULL));
    world_destroy(world);
}

Test(writes, readers_pass_and_do_not_store_while_a_write_is_in_flight)
{
    struct world *world = world_create(rules);
    stored(world, "/items/5", NULL);
    struct world_client *writer = world_asks(world, "PUT", "/items/5", NULL, "x");
    struct world_exchange *write = world_asked(world);
    write->headed = true; /* so that world_asked finds the readers' */
    struct world_client *reader = world_gets(world, "/items/5");
    cr_assert_not(reader->begun);
    world_origin_answers(world_asked(world), 200, NULL, "old, from upstream");
    cr_assert(world_got(reader, 200, "old, from upstream", "write-in-flight"));
    write->headed = false;
    world_origin_answers(write, 204, NULL, "");
    cr_assert(world_got(writer, 204, "", NULL));
    world_reap(world);
    cr_assert_not(hits(world, "/items/5", NULL));
    world_destroy(world);
}

Test(writes, purge_is_acknowledged_before_the_answer_is_released)
{
    struct world *world = world_create(rules);
    world->store_mode = WORLD_STORE_ACTS_LATE;
    struct world_client *writer = world_asks(world, "PUT", "/items/5", NULL, "x");
    cr_assert_eq(world_times_asked(world), 0, "the mark comes first");
    world_store_settle(world);
    struct world_exchange *exchange = world_asked(world);
    world_origin_answers(exchange, 200, NULL, "done");
    cr_assert_not(writer->ended);
    cr_assert_lt(writer->body.length, 4u);
    world_store_settle(world);
    cr_assert(world_got(writer, 200, "done", NULL));
    world_destroy(world);
}

Test(writes, streamed_answer_keeps_its_last_byte_until_the_purge)
{
    struct world *world = world_create(rules);
    struct world_client *writer = world_asks(world, "PUT", "/items/5", NULL, "x");
    struct world_exchange *exchange = world_asked(world);
    world_origin_head(exchange, 200, NULL, 10);
    cr_assert(writer->begun);
    world_origin_body(exchange, "01234");
    cr_assert_eq(writer->body.length, 4u);
    world_origin_body(exchange, "56789");
    cr_assert_eq(writer->body.length, 9u);
    world->store_mode = WORLD_STORE_ACTS_LATE;
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
    cr_assert_eq(writer->body.length, 9u);
    world_store_settle(world);
    cr_assert(world_got(writer, 200, "0123456789", NULL));
    world_destroy(world);
}

/* Its head alone is a whole answer to the client. */
Test(writes, answer_without_a_body_is_held_whole)
{
    static const unsigned statuses[] = {200, 204, 303};
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        struct world *world = world_create(rules);
        stored(world, "/items/5", NULL);
        struct world_client *writer = world_asks(world, "PUT", "/items/5", NULL, "x");
        struct world_exchange *exchange = world_asked(world);
        world_origin_head(exchange, statuses[i], NULL, 0);
        cr_assert_not(writer->begun);
        world->store_mode = WORLD_STORE_ACTS_LATE;
        world_origin_end(exchange, CG_ORIGIN_COMPLETE);
        cr_assert_not(writer->begun);
        world_store_settle(world);
        world->store_mode = WORLD_STORE_AT_ONCE;
        cr_assert(world_got(writer, statuses[i], "", NULL));
        world_reap(world);
        cr_assert_not(hits(world, "/items/5", NULL));
        world_destroy(world);
    }
}

Test(writes, unknown_outcome_stays_busy_for_the_hold_time)
{
    struct world *world = world_create(rules);
    stored(world, "/items/5", NULL);
    struct world_client *writer = world_asks(world, "PUT", "/items/5", NULL, "x");
    world_origin_end(world_asked(world), CG_ORIGIN_FIRST_BYTE_TIMEOUT);
    cr_assert(world_got(writer, 504, NULL, NULL));
    /* The upstream may commit within the hold; what is read until then is not stored. */
    struct world_client *early = world_gets(world, "/items/5");
    world_origin_answers(world_asked(world), 200, NULL, "still old");
    cr_assert(world_got(early, 200, "still old", "write-in-flight"));
    world_time_passes(world, 10001);
    cr_assert_not(hits(world, "/items/5", NULL));
    struct world_client *late = world_gets(world, "/items/5");
    cr_assert(world_got(late, 200, "new", "hit"));
    world_destroy(world);
}

Test(writes, doubt_of_a_gateway_behind_us_is_held_as_our_own)
{
    static const struct {
        unsigned status;
        bool held;
    } cases[] = {{500, false}, {502, true}, {503, false}, {504, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *world = world_create(rules);
        stored(world, "/items/5", NULL);
        world_asks(world, "PUT", "/items/5", NULL, "x");
        world_origin_answers(world_asked(world), cases[i].status, NULL, "oops");
        world_reap(world);
        struct world_client *reader = world_gets(world, "/items/5");
        world_origin_answers(world_asked(world), 200, NULL, "still old");
        cr_assert(world_got(reader, 200, "still old", cases[i].held ? "write-in-flight" : "stored"),
                  "%u: %s", cases[i].status, world_field(reader, "cache-status"));
        world_time_passes(world, 10001);
        world_destroy(world);
    }
}

/* However an answered write ends, it was answered: it is not one that never left. */
Test(writes, answer_that_outgrows_its_buffer_purges_all_the_same)
{
    struct world *world = world_create(rules);
    stored(world, "/items/5", NULL);
    world_asks(world, "PUT", "/items/5", NULL, "x");
    struct world_exchange *exchange = world_asked(world);
    size_t length = (size_t)40 << 20;
    char *bytes = calloc(1, length);
    cr_assert_not_null(bytes);
    world_origin_head(exchange, 200, NULL, -1);
    world_origin_bytes(exchange, bytes, length);
    free(bytes);
    cr_assert(exchange->cancelled);
    world_reap(world);
    world_time_passes(world, 10001);
    cr_assert_not(hits(world, "/items/5", NULL));
    world_destroy(world);
}

Test(writes, only_idempotent_methods_may_be_sent_twice)
{
    static const struct {
        const char *method;
        bool may_retry;
    } cases[] = {
        {"PUT", true}, {"DELETE", true}, {"POST", false}, {"PATCH", false}, {"BREW", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world *world = world_create(rules);
        world_asks(world, cases[i].method, "/items/5", NULL, "x");
        cr_assert_eq(world_asked(world)->request->may_retry, cases[i].may_retry, "%s",
                     cases[i].method);
        world_origin_answers(world_asked(world), 204, NULL, "");
        world_reap(world);
        world_destroy(world);
    }
}

Test(writes, slow_write_keeps_its_marks)
{
    struct world *world = world_create(rules);
    stored(world, "/items/5", NULL);
    world_asks(world, "PUT", "/items/5", NULL, "x");
    struct world_exchange *write = world_asked(world);
    write->headed = true;
    world_time_passes(world, 300000); /* ten times a mark's life */
    struct world_client *reader = world_gets(world, "/items/5");
    world_origin_answers(world_asked(world), 200, NULL, "old");
    cr_assert(world_got(reader, 200, "old", "write-in-flight"));
    write->headed = false;
    world_origin_answers(write, 204, NULL, "");
    world_reap(world);
    world_destroy(world);
}

Test(writes, write_goes_on_when_its_client_leaves)
{
    struct world *world = world_create(rules);
    stored(world, "/items/5", NULL);
    struct world_client *writer = world_asks(world, "PUT", "/items/5", NULL, "x");
    struct world_exchange *exchange = world_asked(world);
    world_client_leaves(writer);
    cr_assert(exchange->live);
    /* Its marks are renewed as if it were there … */
    exchange->headed = true;
    world_time_passes(world, 300000);
    struct world_client *reader = world_gets(world, "/items/5");
    world_origin_answers(world_asked(world), 200, NULL, "old");
    cr_assert(world_got(reader, 200, "old", "write-in-flight"));
    exchange->headed = false;
    world_origin_answers(exchange, 204, NULL, "");
    /* … and end when the upstream has answered. */
    cr_assert_not(hits(world, "/items/5", NULL));
    cr_assert(world_got(world_gets(world, "/items/5"), 200, "new", "hit"));
    world_destroy(world);
}

Test(writes, cut_answer_widens_although_it_reads_as_whole)
{
    struct world *world = world_create(rules);
    stored(world, "/transactions?session_id=abc", "x-user: a");
    world_asks(world, "PUT", "/transactions/7", "x-user: a", "{}");
    struct world_exchange *exchange = world_asked(world);
    world_origin_head(exchange, 200, NULL, -1);
    world_origin_body(exchange, "{\"session_id\": \"xyz\"}");
    world_origin_end(exchange, CG_ORIGIN_CUT);
    world_reap(world);
    world_time_passes(world, 10001);
    cr_assert_not(hits(world, "/transactions?session_id=abc", "x-user: a"));
    world_destroy(world);
}

/* The lookup saw nothing, the write began, and only then were the versions asked for. */
Test(writes, write_that_begins_between_lookup_and_fetch_is_in_flight)
{
    struct world *world = world_create(rules);
    world->store_mode = WORLD_STORE_ACTS_LATE;
    struct world_client *reader = world_gets(world, "/items/5");
    cr_assert(world_store_step(world));
    world->store_mode = WORLD_STORE_AT_ONCE;
    world_asks(world, "PUT", "/items/5", NULL, "x");
    struct world_exchange *write = world_asked(world);
    write->headed = true;
    world_store_settle(world);
    world_origin_answers(world_asked(world), 200, NULL, "old");
    cr_assert(world_got(reader, 200, "old", "write-in-flight"), "%s",
              world_field(reader, "cache-status"));
    cr_assert_eq(cg_book_sum(world->book, CG_METRIC_SETS), 0u);
    write->headed = false;
    world_origin_answers(write, 204, NULL, "");
    world_reap(world);
    world_destroy(world);
}

Test(writes, two_writers_do_not_cut_each_others_mark_short)
{
    struct world *world = world_create(rules);
    stored(world, "/items/5", NULL);
    world_asks(world, "PUT", "/items/5", NULL, "1");
    world_asks(world, "PUT", "/items/5", NULL, "2");
    struct world_exchange *first = world->exchanges[1], *second = world->exchanges[2];
    world_origin_answers(first, 204, NULL, "");
    second->headed = true;
    struct world_client *reader = world_gets(world, "/items/5");
    world_origin_answers(world_asked(world), 200, NULL, "between");
    cr_assert(world_got(reader, 200, "between", "write-in-flight"));
    second->headed = false;
    world_origin_answers(second, 204, NULL, "");
    world_reap(world);
    cr_assert_not(hits(world, "/items/5", NULL));
    world_destroy(world);
}

Test(writes, invalidate_none_purges_nothing)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", NULL);
    world_asks(world, "POST", "/silent", NULL, "{}");
    world_origin_answers(world_asked(world), 200, NULL, "{}");
    world_reap(world);
    cr_assert(hits(world, "/items/1", NULL));
    cr_assert_eq(cg_book_sum(world->book, CG_METRIC_DELETES), 0u);
    world_destroy(world);
}

Test(writes, purge_method_needs_the_admin_token)
{
    struct world *world = world_create(rules);
    stored(world, "/items/5", NULL);
    cr_assert(world_got(world_asks(world, "PURGE", "/items/5", NULL, NULL), 405, NULL, NULL));
    cr_assert(
        world_got(world_asks(world, "PURGE", "/items/5", "authorization: Bearer sesamf", NULL), 405,
                  NULL, NULL));
    cr_assert(world_got(world_asks(world, "PURGE", "/items/5",
                                   "authorization: Bearer sesame\nauthorization: Bearer x", NULL),
                        405, NULL, NULL));
    cr_assert(hits(world, "/items/5", NULL));
    cr_assert(
        world_got(world_asks(world, "PURGE", "/items/5", "authorization: Bearer sesame", NULL), 200,
                  NULL, NULL));
    cr_assert_not(hits(world, "/items/5", NULL));
    world_destroy(world);
}

Test(writes, purges_reach_what_is_read_from_another_upstream)
{
    static const char *const methods[] = {"PURGE", "PUT", "BREW"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct world *world = world_create(rules);
        stored(world, "/apart/5", NULL);
        stored(world, "/apart/6", NULL);
        struct world_client *writer =
            world_asks(world, methods[i], "/apart/5", "authorization: Bearer sesame", NULL);
        if (!writer->ended)
            world_origin_answers(world_asked(world), 200, NULL, "{}");
        cr_assert(world_got(writer, 200, NULL, NULL));
        world_reap(world);
        cr_assert_not(hits(world, "/apart/5", NULL), "%s", methods[i]);
        cr_assert(hits(world, "/apart/6", NULL), "%s", methods[i]);
        world_destroy(world);
    }
}
