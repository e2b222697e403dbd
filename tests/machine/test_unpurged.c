/* Writes that the store cannot be told of: journal, refuse, lease. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "help_world.h"

enum {
    LEASE_MS = 3000,
    HOLD_MS = 10000,
    MARK_MS = 30000
}; /* limits.write_hold and write_mark of the world */

static const char *const rules = "identity: [ { header: X-User, name: user } ]\n"
                                 "rules:\n"
                                 "  defaults: { ttl: 600s, scope: shared }\n"
                                 "  routes:\n"
                                 "    - match: GET /items/**\n"
                                 "    - match: POST /silent\n"
                                 "      invalidate: none\n";

static struct world *create(enum cg_unpurgeable unpurgeable)
{
    struct world *world = world_create(rules);
    world->machine.unpurgeable = unpurgeable;
    return world;
}

static void stored(struct world *world, const char *target)
{
    struct world_client *client = world_gets(world, target);
    world_origin_answers(world_asked(world), 200, NULL, "old");
    cr_assert(world_got(client, 200, "old", "stored"));
    world_reap(world);
}

static bool hits(struct world *world, const char *target)
{
    struct world_client *client = world_gets(world, target);
    bool hit = client->ended;
    if (!hit)
        world_origin_answers(world_asked(world), 200, NULL, "new");
    world_reap(world);
    return hit;
}

static struct world_client *writes(struct world *world, const char *target)
{
    return world_asks(world, "PUT", target, NULL, "x");
}

static uint64_t sum(const struct world *world, enum cg_metric metric)
{
    return cg_book_sum(world->book, metric);
}

Test(unpurged, journal_answers_at_once_and_counts)
{
    struct world *world = create(CG_UNPURGEABLE_JOURNAL);
    world->hold_until_ms = world->now_ms + LEASE_MS; /* is not asked for */
    world->store_down = true;
    struct world_client *writer = writes(world, "/items/5");
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_assert(world_got(writer, 200, "done", NULL));
    cr_assert_eq(sum(world, CG_METRIC_WRITES_UNPURGED), 1u);
    cr_assert_eq(sum(world, CG_METRIC_WRITES_HELD), 0u);
    world_destroy(world);
}

Test(unpurged, refuse_does_not_forward_what_cannot_be_marked)
{
    struct world *world = create(CG_UNPURGEABLE_REFUSE);
    stored(world, "/items/5");
    size_t asked = world_times_asked(world);
    world->store_down = true;
    struct world_client *writer = writes(world, "/items/5");
    cr_assert(world_got(writer, 503, NULL, "detail=unpurgeable"));
    cr_assert_neq(atoi(world_field(writer, "retry-after")), 0);
    cr_assert(strstr(world_field(writer, "proxy-status"), "proxy_internal_response"));
    cr_assert_eq(world_times_asked(world), asked);
    cr_assert_eq(sum(world, CG_METRIC_WRITES_REFUSED), 1u);
    world->store_down = false;
    cr_assert(hits(world, "/items/5"), "nothing was written");
    world_destroy(world);
}

Test(unpurged, refuse_lets_pass_what_purges_nothing)
{
    struct world *world = create(CG_UNPURGEABLE_REFUSE);
    world->store_down = true;
    struct world_client *writer = world_asks(world, "POST", "/silent", NULL, "x");
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_assert(world_got(writer, 200, "done", NULL));
    world_destroy(world);
}

Test(unpurged, refuse_ends_the_marks_that_were_made_all_the_same)
{
    struct world *world = create(CG_UNPURGEABLE_REFUSE);
    stored(world, "/items/5");
    world->store_mode = WORLD_STORE_ANSWERS_LATE;
    struct world_client *writer = writes(world, "/items/5");
    world_store_fails(world); /* it was done, but the answer is lost */
    world_store_settle(world);
    cr_assert(world_got(writer, 503, NULL, "detail=unpurgeable"));
    world->store_mode = WORLD_STORE_AT_ONCE;
    cr_assert(hits(world, "/items/5"));
    world_destroy(world);
}

Test(unpurged, a_refused_writer_that_left_needs_no_answer)
{
    struct world *world = create(CG_UNPURGEABLE_REFUSE);
    world->store_mode = WORLD_STORE_ACTS_LATE;
    struct world_client *writer = writes(world, "/items/5");
    world_client_leaves(writer);
    world->store_down = true;
    world_store_settle(world);
    cr_assert_eq(world_times_asked(world), 0u);
    world_destroy(world);
}

/* The marks stay until their deadline, and end with a new version. */
Test(unpurged, marks_that_were_acknowledged_protect_by_themselves)
{
    struct world *world = create(CG_UNPURGEABLE_JOURNAL);
    stored(world, "/items/5");
    struct world_client *writer = writes(world, "/items/5");
    world->store_down = true;
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_assert(world_got(writer, 200, "done", NULL));
    cr_assert_eq(sum(world, CG_METRIC_WRITES_UNPURGED), 0u);
    cr_assert_eq(sum(world, CG_METRIC_WRITES_HELD), 0u);
    world->store_down = false;
    cr_assert_not(hits(world, "/items/5"));
    world_time_passes(world, MARK_MS);
    cr_assert_not(hits(world, "/items/5"));
    world_destroy(world);
}

/* The store may have lost them while the write was at the upstream (CONSISTENCY row 3). */
static void marks_are_not_relied_on(enum cg_unpurgeable unpurgeable)
{
    struct world *world = create(unpurgeable);
    world->hold_until_ms = world->now_ms + LEASE_MS;
    stored(world, "/items/5");
    struct world_client *writer = writes(world, "/items/5");
    world->store_down = true;
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_assert_not(writer->ended);
    cr_assert_eq(sum(world, CG_METRIC_WRITES_HELD), 1u);
    world->store_down = false;
    world_time_passes(world, 1000);
    cr_assert(world_got(writer, 200, "done", NULL));
    cr_assert_eq(sum(world, CG_METRIC_WRITES_UNPURGED), 0u);
    cr_assert_not(hits(world, "/items/5"));
    world_destroy(world);
}

Test(unpurged, where_it_matters_an_answer_waits_for_its_purge_marks_or_not)
{
    marks_are_not_relied_on(CG_UNPURGEABLE_REFUSE);
    marks_are_not_relied_on(CG_UNPURGEABLE_LEASE);
}

/* Their renewals were lost, and they ran out before the upstream was done. */
Test(unpurged, marks_that_ran_out_do_not_protect)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    struct world_client *writer = writes(world, "/items/5");
    world->store_down = true;
    world_time_passes(world, MARK_MS);
    world->hold_until_ms = world->now_ms + LEASE_MS;
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_assert_not(writer->ended);
    world_time_passes(world, LEASE_MS);
    cr_assert(world_got(writer, 200, "done", NULL));
    cr_assert_eq(sum(world, CG_METRIC_WRITES_UNPURGED), 1u);
    world_destroy(world);
}

Test(unpurged, marks_that_were_renewed_protect)
{
    struct world *world = create(CG_UNPURGEABLE_JOURNAL);
    struct world_client *writer = writes(world, "/items/5");
    world_time_passes(world, MARK_MS + MARK_MS / 2); /* renewals are acknowledged */
    world->store_down = true;
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_assert(world_got(writer, 200, "done", NULL));
    cr_assert_eq(sum(world, CG_METRIC_WRITES_UNPURGED), 0u);
    world->store_down = false;
    world_time_passes(world, MARK_MS);
    world_destroy(world);
}

/* ---- known too late: what only the answer names ---- */

static struct world_client *writes_elsewhere(struct world *world)
{
    struct world_client *writer = world_asks(world, "POST", "/items/5", NULL, "x");
    world->store_down = true;
    world_origin_answers(world_asked(world), 201, "location: /items/9", "done");
    return writer;
}

Test(unpurged, refuse_holds_the_answer_until_the_purge_is_delivered)
{
    struct world *world = create(CG_UNPURGEABLE_REFUSE);
    stored(world, "/items/9");
    struct world_client *writer = writes_elsewhere(world);
    world_time_passes(world, HOLD_MS / 2);
    cr_assert_not(writer->ended);
    cr_assert_lt(writer->body.length, 4u);
    world->store_down = false;
    world_time_passes(world, HOLD_MS / 4);
    cr_assert(world_got(writer, 201, "done", NULL));
    cr_assert_not(hits(world, "/items/9"));
    cr_assert_eq(sum(world, CG_METRIC_WRITES_HELD), 1u);
    cr_assert_eq(sum(world, CG_METRIC_WRITES_UNPURGED), 0u);
    world_destroy(world);
}

Test(unpurged, refuse_holds_no_longer_than_write_hold)
{
    struct world *world = create(CG_UNPURGEABLE_REFUSE);
    struct world_client *writer = writes_elsewhere(world);
    world_time_passes(world, HOLD_MS - 1);
    cr_assert_not(writer->ended);
    world_time_passes(world, 1);
    cr_assert(world_got(writer, 201, "done", NULL));
    cr_assert_eq(sum(world, CG_METRIC_WRITES_UNPURGED), 1u);
    world_destroy(world);
}

Test(unpurged, a_store_that_fails_again_is_asked_again)
{
    struct world *world = create(CG_UNPURGEABLE_REFUSE);
    stored(world, "/items/9");
    struct world_client *writer = writes_elsewhere(world);
    world->store_mode = WORLD_STORE_ACTS_LATE;
    world->store_down = false;
    world_time_passes(world, HOLD_MS / 4);
    world->store_down = true; /* what was sent meanwhile is lost too */
    world_store_settle(world);
    world_time_passes(world, HOLD_MS / 4);
    cr_assert_not(writer->ended);
    world->store_mode = WORLD_STORE_AT_ONCE;
    world->store_down = false;
    world_time_passes(world, HOLD_MS / 4);
    cr_assert(world_got(writer, 201, "done", NULL));
    cr_assert_not(hits(world, "/items/9"));
    world_destroy(world);
}

Test(unpurged, nobody_is_waited_for_who_left)
{
    struct world *world = create(CG_UNPURGEABLE_REFUSE);
    struct world_client *writer = writes_elsewhere(world);
    world_client_leaves(writer);
    cr_assert_eq(world->machine.live, 0u);
    world_destroy(world); /* no timer is left either */
}

/* ---- lease ---- */

Test(unpurged, lease_holds_the_answer_for_as_long_as_the_store_says)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    world->hold_until_ms = world->now_ms + LEASE_MS;
    world->store_down = true;
    struct world_client *writer = writes(world, "/items/5");
    world_origin_answers(world_asked(world), 200, NULL, "done");
    world_time_passes(world, LEASE_MS - 1);
    cr_assert_not(writer->ended);
    world_time_passes(world, 1);
    cr_assert(world_got(writer, 200, "done", NULL));
    world_destroy(world);
}

Test(unpurged, lease_ends_early_when_the_purge_is_delivered)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    world->hold_until_ms = world->now_ms + LEASE_MS;
    stored(world, "/items/5");
    world->store_down = true;
    struct world_client *writer = writes(world, "/items/5");
    world_origin_answers(world_asked(world), 200, NULL, "done");
    world_time_passes(world, 1000);
    world->store_down = false;
    world_time_passes(world, 200);
    cr_assert(world_got(writer, 200, "done", NULL));
    cr_assert_not(hits(world, "/items/5"));
    world_destroy(world);
}

/* An answer without a body is held whole: what was marked is purged at the end only. */
Test(unpurged, what_was_to_end_with_the_marks_is_purged_again_too)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    stored(world, "/items/5");
    world->store_down = true;
    world->hold_until_ms = world->now_ms + LEASE_MS;
    struct world_client *writer = writes(world, "/items/5");
    world_origin_answers(world_asked(world), 204, NULL, "");
    world_time_passes(world, 1000);
    cr_assert_not(writer->begun);
    world->store_down = false;
    world_time_passes(world, 200);
    cr_assert(world_got(writer, 204, "", NULL));
    cr_assert_not(hits(world, "/items/5"));
    world_destroy(world);
}

Test(unpurged, lease_that_nobody_honours_any_more_refuses)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    world->hold_until_ms = INT64_MAX;
    world->store_down = true;
    struct world_client *writer = writes(world, "/items/5");
    cr_assert(world_got(writer, 503, NULL, "detail=unpurgeable"));
    cr_assert_eq(world_times_asked(world), 0u);
    world_destroy(world);
}

/* Too late to refuse it, and nobody knows what others believe: its outcome is not told. */
Test(unpurged, lease_that_ends_while_a_write_is_forwarded_fails_it)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    world->store_down = true;
    world->hold_until_ms = world->now_ms + LEASE_MS;
    struct world_client *writer = writes(world, "/items/5");
    world->hold_until_ms = INT64_MAX;
    world_origin_answers(world_asked(world), 204, NULL, "");
    world_time_passes(world, HOLD_MS - 1);
    cr_assert_not(writer->ended);
    world_time_passes(world, 1);
    cr_assert(world_got(writer, 502, NULL, "detail=unpurged"));
    cr_assert_str_eq(world_field(writer, "retry-after"), "");
    cr_assert_eq(sum(world, CG_METRIC_WRITES_FAILED), 1u);
    cr_assert_eq(sum(world, CG_METRIC_WRITES_UNPURGED), 0u);
    world_destroy(world);
}

Test(unpurged, a_lease_may_last_longer_than_write_hold)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    world->store_down = true;
    world->hold_until_ms = world->now_ms + 3 * HOLD_MS;
    struct world_client *writer = writes(world, "/items/5");
    world_origin_answers(world_asked(world), 200, NULL, "done");
    world_time_passes(world, 3 * HOLD_MS - 1);
    cr_assert_not(writer->ended);
    world_time_passes(world, 1);
    cr_assert(world_got(writer, 200, "done", NULL));
    world_destroy(world);
}

Test(unpurged, a_lease_that_was_renewed_meanwhile_holds_longer)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    world->store_down = true;
    world->hold_until_ms = world->now_ms + LEASE_MS;
    struct world_client *writer = writes(world, "/items/5");
    world_origin_answers(world_asked(world), 200, NULL, "done");
    world_time_passes(world, LEASE_MS - 1);
    world->hold_until_ms = world->now_ms + LEASE_MS;
    world_time_passes(world, LEASE_MS - 1);
    cr_assert_not(writer->ended);
    world_time_passes(world, 1);
    cr_assert(world_got(writer, 200, "done", NULL));
    world_destroy(world);
}

/* The head is failed; the upstream goes on, and what it did is purged at its end. */
Test(unpurged, a_streamed_answer_fails_before_its_head)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    stored(world, "/items/9");
    struct world_client *writer = world_asks(world, "POST", "/items/5", NULL, "x");
    struct world_exchange *exchange = world_asked(world);
    world->store_down = true;
    world->hold_until_ms = INT64_MAX;
    world_origin_head(exchange, 201, "location: /items/9", 8);
    world_time_passes(world, HOLD_MS);
    cr_assert(world_got(writer, 502, NULL, "detail=unpurged"));
    world->store_down = false;
    world_origin_body(exchange, "01234567");
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
    world_reap(world);
    cr_assert_not(hits(world, "/items/9"));
    world_destroy(world);
}

/* A store that loses purges, but not marks. */
Test(unpurged, marks_do_not_run_out_while_the_head_is_held)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    struct world_client *writer = world_asks(world, "POST", "/items/5", NULL, "x");
    struct world_exchange *exchange = world_asked(world);
    world->store_mode = WORLD_STORE_ANSWERS_LATE;
    world->hold_until_ms = world->now_ms + 3 * MARK_MS;
    world_origin_head(exchange, 201, "location: /items/9", 4);
    for (int passed_ms = 0; passed_ms < 2 * MARK_MS; passed_ms += 100) {
        while (world->operation_count > 0)
            world_store_fails(world);
        world_time_passes(world, 100);
    }
    cr_assert_not(writer->begun);
    world->store_mode = WORLD_STORE_AT_ONCE;
    struct world_client *reader = world_gets(world, "/items/5");
    world_origin_answers(world_asked(world), 200, NULL, "old");
    cr_assert(world_got(reader, 200, "old", "write-in-flight"));
    world_store_settle(world);
    world_time_passes(world, 100);
    cr_assert(writer->begun);
    world_origin_body(exchange, "done");
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
    cr_assert(world_got(writer, 201, "done", NULL));
    world_destroy(world);
}

Test(unpurged, a_streamed_answer_is_cut_before_its_last_byte)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    struct world_client *writer = world_asks(world, "POST", "/items/5", NULL, "x");
    struct world_exchange *exchange = world_asked(world);
    world_origin_head(exchange, 201, "location: /items/9", 4);
    world->store_down = true;
    world->hold_until_ms = INT64_MAX;
    world_origin_body(exchange, "done");
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
    cr_assert_not(writer->ended);
    world_time_passes(world, HOLD_MS);
    cr_assert(writer->aborted);
    cr_assert_lt(writer->body.length, 4u);
    world_destroy(world);
}

Test(unpurged, lease_does_not_hold_what_purges_nothing)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    world->hold_until_ms = world->now_ms + LEASE_MS;
    world->store_down = true;
    struct world_client *writer = writes(world, "/items/5");
    world_origin_answers(world_asked(world), 422, NULL, "no");
    cr_assert(world_got(writer, 422, "no", NULL));
    writer = writes(world, "/items/5");
    world_origin_end(world_asked(world), CG_ORIGIN_REFUSED);
    cr_assert(world_got(writer, 502, NULL, NULL));
    world_destroy(world);
}

/* ---- streamed answers: the head alone would tell ---- */

Test(unpurged, the_head_of_a_streamed_answer_is_held_too)
{
    struct world *world = create(CG_UNPURGEABLE_LEASE);
    world->hold_until_ms = world->now_ms + LEASE_MS;
    struct world_client *writer = world_asks(world, "POST", "/items/5", NULL, "x");
    struct world_exchange *exchange = world_asked(world);
    world->store_down = true;
    world_origin_head(exchange, 201, "location: /items/9", 8);
    world_origin_body(exchange, "0123");
    world_time_passes(world, LEASE_MS - 1);
    cr_assert_not(writer->begun);
    world_time_passes(world, 1);
    cr_assert(writer->begun);
    cr_assert_lt(writer->body.length, 8u);
    world_origin_body(exchange, "4567");
    world->hold_until_ms = world->now_ms + LEASE_MS;
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
    cr_assert_not(writer->ended, "the last byte is held for the purge at the end");
    world->store_down = false;
    world_time_passes(world, 200);
    cr_assert(world_got(writer, 201, "01234567", NULL));
    world_destroy(world);
}

/* Without marks nothing keeps readers away while the upstream still talks: purged before the head.
 */
Test(unpurged, what_has_no_marks_is_purged_before_the_head)
{
    struct world *world = create(CG_UNPURGEABLE_JOURNAL);
    stored(world, "/items/5");
    world->store_down = true;
    struct world_client *writer = writes(world, "/items/5");
    struct world_exchange *exchange = world_asked(world);
    world->store_down = false;
    world_origin_head(exchange, 200, NULL, 4);
    cr_assert(writer->begun);
    exchange->headed = true;
    cr_assert_not(hits(world, "/items/5"));
    world_origin_body(exchange, "done");
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
    cr_assert(world_got(writer, 200, "done", NULL));
    world_destroy(world);
}
