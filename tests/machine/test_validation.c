/* Expired answers: asked about, confirmed, replaced; and what must never be asked about. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "gateway/request/machine.h"
#include "help_world.h"
#include "tests/make_ruleset.h"

static const char *const rules = "defaults: { ttl: 60s }\n"
                                 "routes:\n"
                                 "  - match: GET /items/**\n"
                                 "    scope: shared\n"
                                 "  - match: GET /soon/**\n"
                                 "    scope: shared\n"
                                 "    stale_while_revalidate: 30s\n"
                                 "    stale_if_error: 1h\n"
                                 "  - match: GET /origin/**\n"
                                 "    scope: shared\n"
                                 "    ttl: origin\n"
                                 "  - match: GET /fresher/**\n"
                                 "    scope: shared\n"
                                 "    client: [no-cache]\n";

static const char *const tagged = "etag: \"1\"\ncontent-type: text/plain\nx-build: old";

/* The first value of that field of what the origin was asked, "" without. */
static const char *asked_with(struct world_exchange *exchange, const char *name)
{
    struct cg_str value = cg_fields_value(exchange->request->fields, cg_str_from(name));
    snprintf(exchange->seen_field, sizeof(exchange->seen_field), "%.*s", CG_STR_ARG(value));
    return exchange->seen_field;
}

static void stored(struct world *world, const char *target, const char *fields)
{
    struct world_client *client = world_gets(world, target);
    world_origin_answers(world_asked(world), 200, fields, "body");
    cr_assert(world_got(client, 200, "body", "stored"), "%s", world_field(client, "cache-status"));
    world_reap(world);
}

static bool hits(struct world *world, const char *target)
{
    size_t before = world_times_asked(world);
    struct world_client *client = world_gets(world, target);
    bool hit = client->ended && world_times_asked(world) == before;
    if (!hit)
        world_origin_answers(world_asked(world), 200, "cache-control: no-store", "other");
    world_reap(world);
    return hit;
}

Test(validation, confirmed_answer_is_served_and_lives_on)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *client = world_gets(world, "/items/1");
    struct world_exchange *asked = world_asked(world);
    cr_assert_str_eq(asked_with(asked, "if-none-match"), "\"1\"");
    world_origin_answers(asked, 304, "etag: \"1\"\nx-build: new\ncontent-length: 0", "");
    cr_assert(world_got(client, 200, "body", "validated"), "%s",
              world_field(client, "cache-status"));
    cr_assert_str_eq(world_field(client, "cache-status"),
                     "cachegate; fwd=stale; fwd-status=304; ttl=60; stored; detail=validated");
    cr_assert(client->has_length && client->content_length == 4);
    cr_assert_str_eq(world_field(client, "x-build"), "new");
    cr_assert_str_eq(world_field(client, "content-type"), "text/plain");
    world_time_passes(world, 59000);
    struct world_client *again = world_gets(world, "/items/1");
    cr_assert(world_got(again, 200, "body", "hit"));
    cr_assert_str_eq(world_field(again, "x-build"), "new");
    cr_assert_str_eq(world_field(again, "age"), "59");
    world_destroy(world);
}

Test(validation, replaced_answer_is_an_ordinary_one)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", "last-modified: Tue, 01 Jan 2030 00:00:00 GMT");
    world_time_passes(world, 61000);
    struct world_client *client = world_gets(world, "/items/1");
    struct world_exchange *asked = world_asked(world);
    cr_assert_str_eq(asked_with(asked, "if-modified-since"), "Tue, 01 Jan 2030 00:00:00 GMT");
    world_origin_answers(asked, 200, NULL, "replaced");
    cr_assert(world_got(client, 200, "replaced", "detail=expired"));
    cr_assert(hits(world, "/items/1"));
    world_destroy(world);
}

/* RFC 9111 4.3.4. */
Test(validation, confirmation_of_another_answer_is_asked_for_whole)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *client = world_gets(world, "/items/1");
    struct world_client *follower = world_gets(world, "/items/1");
    world_origin_answers(world_asked(world), 304, "etag: \"2\"", "");
    cr_assert_not(client->begun);
    struct world_exchange *again = world_asked(world);
    cr_assert_str_eq(asked_with(again, "if-none-match"), "");
    world_origin_answers(again, 200, "etag: \"2\"", "second");
    cr_assert(world_got(client, 200, "second", "stored"));
    cr_assert(world_got(follower, 200, "second", "collapsed"));
    cr_assert_eq(world_times_asked(world), 3);
    world_destroy(world);
}

Test(validation, second_question_is_the_last)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *client = world_gets(world, "/items/1");
    world_origin_head(world_asked(world), 304, "etag: \"2\"", -1); /* its end is not awaited */
    world_origin_answers(world_asked(world), 304, "etag: \"3\"", "");
    cr_assert(world_got(client, 304, "", NULL));
    cr_assert_eq(world_times_asked(world), 3);
    world_destroy(world);
}

Test(validation, everybody_who_waits_gets_the_confirmed_answer)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *founder = world_gets(world, "/items/1");
    struct world_client *follower = world_gets(world, "/items/1");
    struct world_exchange *asked = world_asked(world);
    world_client_leaves(founder); /* whose entry it is */
    world_origin_head(asked, 304, "etag: \"1\"", -1);
    struct world_client *late = world_gets(world, "/items/1");
    cr_assert_not(follower->ended, "the last byte waits until it is stored");
    world_origin_end(asked, CG_ORIGIN_COMPLETE);
    cr_assert(world_got(follower, 200, "body", "collapsed"));
    cr_assert(world_got(late, 200, "body", "collapsed"));
    cr_assert_eq(world_times_asked(world), 2);
    world_destroy(world);
}

/* A cookie in it makes it one client's. */
Test(validation, confirmation_with_a_cookie_is_not_shared)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *founder = world_gets(world, "/items/1");
    struct world_client *follower = world_gets(world, "/items/1");
    world_origin_answers(world_asked(world), 304, "set-cookie: s=1", "");
    cr_assert(world_got(founder, 200, "body", "set-cookie"));
    cr_assert_not(follower->begun);
    world_origin_answers(world_asked(world), 304, NULL, "");
    cr_assert(world_got(follower, 200, "body", "stored"));
    cr_assert_str_eq(world_field(follower, "set-cookie"), "");
    world_destroy(world);
}

Test(validation, cut_confirmation_confirms_nothing)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *client = world_gets(world, "/items/1");
    struct world_exchange *asked = world_asked(world);
    world_origin_head(asked, 304, "etag: \"1\"", -1);
    world_origin_end(asked, CG_ORIGIN_CUT);
    cr_assert(client->aborted);
    cr_assert_not(hits(world, "/items/1"));
    world_destroy(world);
}

Test(validation, what_the_origin_no_longer_lets_us_store_is_passed_on)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *client = world_gets(world, "/items/1");
    world_origin_answers(world_asked(world), 304, "etag: \"1\"\ncache-control: no-store", "");
    cr_assert(world_got(client, 200, "body", "detail=no-store"));
    cr_assert_not(hits(world, "/items/1"));
    world_destroy(world);
}

Test(validation, failing_origin_leaves_what_is_stale)
{
    struct world *world = world_create(rules);
    stored(world, "/soon/1", tagged);
    world_time_passes(world, 120000);
    struct world_client *client = world_gets(world, "/soon/1");
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "\"1\"");
    world_origin_answers(world_asked(world), 500, NULL, "broken");
    cr_assert(world_got(client, 200, "body", "stale-if-error"));
    world_destroy(world);
}

Test(validation, refresh_asks_about_what_it_refreshes)
{
    struct world *world = world_create(rules);
    stored(world, "/soon/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *client = world_gets(world, "/soon/1");
    cr_assert(world_got(client, 200, "body", "stale-while-revalidate"));
    world_client_leaves(client);
    struct world_exchange *asked = world_asked(world);
    cr_assert_str_eq(asked_with(asked, "if-none-match"), "\"1\"");
    world_origin_answers(asked, 304, NULL, "");
    cr_assert(world_got(world_gets(world, "/soon/1"), 200, "body", "detail=fresh"));
    world_destroy(world);
}

/* RFC 9111 5.2.2.4: kept, and never used without asking. */
Test(validation, no_cache_is_asked_about_each_time)
{
    struct world *world = world_create(rules);
    struct world_client *client = world_gets(world, "/items/1");
    world_origin_answers(world_asked(world), 200, "etag: \"1\"\ncache-control: no-cache", "body");
    cr_assert_str_eq(world_field(client, "cache-status"),
                     "cachegate; fwd=uri-miss; stored; detail=no-cache");
    for (int i = 0; i < 3; i++) {
        client = world_gets(world, "/items/1");
        cr_assert_not(client->begun);
        struct world_client *other = world_gets(world, "/items/1");
        world_origin_answers(world_asked(world), 304, NULL, "");
        cr_assert(world_got(client, 200, "body", "fwd-status=304"));
        cr_assert_not(other->begun, "what must be asked about is not shared");
        world_origin_answers(world_asked(world), 304, NULL, "");
        cr_assert(world_got(other, 200, "body", "fwd-status=304"));
        world_reap(world);
    }
    world_destroy(world);
}

Test(validation, variant_that_was_selected_is_asked_about)
{
    struct world *world = world_create(rules);
    struct world_client *client = world_asks(world, "GET", "/items/1", "accept-language: de", NULL);
    world_origin_answers(world_asked(world), 200, "etag: \"de\"\nvary: accept-language", "hallo");
    cr_assert(world_got(client, 200, "hallo", "stored"));
    client = world_asks(world, "GET", "/items/1", "accept-language: en", NULL);
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "");
    world_origin_answers(world_asked(world), 200, "etag: \"en\"\nvary: accept-language", "hello");
    cr_assert(world_got(client, 200, "hello", "stored"));
    world_time_passes(world, 61000);
    client = world_asks(world, "GET", "/items/1", "accept-language: de", NULL);
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "\"de\"");
    world_origin_answers(world_asked(world), 304, "etag: \"de\"", "");
    cr_assert(world_got(client, 200, "hallo", "validated"));
    client = world_asks(world, "GET", "/items/1", "accept-language: de", NULL);
    cr_assert(world_got(client, 200, "hallo", "hit"));
    client = world_asks(world, "GET", "/items/1", "accept-language: en", NULL);
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "\"en\"");
    world_origin_answers(world_asked(world), 304, NULL, "");
    cr_assert(world_got(client, 200, "hello", "validated"));
    world_destroy(world);
}

/* Its body would not fit where the fetch keeps it: a limit that was lowered since. */
Test(validation, answer_that_is_too_large_now_is_not_asked_about)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world->machine.regime->limits.entry_bytes_max = 3;
    world_time_passes(world, 61000);
    struct world_client *client = world_gets(world, "/items/1");
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "");
    world_origin_answers(world_asked(world), 200, NULL, "whole");
    cr_assert(world_got(client, 200, "whole", "too-large"));
    world_destroy(world);
}

Test(validation, nobody_waits_and_it_is_stored_all_the_same)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    world_client_leaves(world_gets(world, "/items/1"));
    world_origin_answers(world_asked(world), 304, NULL, "");
    cr_assert(hits(world, "/items/1"));
    world_destroy(world);
}

/* It is not shared, and stored all the same. */
Test(validation, nobody_waits_for_what_is_kept_to_be_asked_about)
{
    struct world *world = world_create(rules);
    struct world_client *client = world_gets(world, "/items/1");
    struct world_exchange *asked = world_asked(world);
    world_origin_head(asked, 200, "etag: \"1\"\ncache-control: no-cache", 4);
    world_client_leaves(client);
    world_origin_body(asked, "body");
    world_origin_end(asked, CG_ORIGIN_COMPLETE);
    client = world_gets(world, "/items/1");
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "\"1\"");
    world_origin_answers(world_asked(world), 304, NULL, "");
    cr_assert(world_got(client, 200, "body", "fwd-status=304"));
    world_destroy(world);
}

/* ---- CONSISTENCY row 4 ---- */

Test(validation, purged_answer_is_not_asked_about)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    struct world_client *write = world_asks(world, "PUT", "/items/1", NULL, "x");
    world_origin_answers(world_asked(world), 204, NULL, "");
    cr_assert(world_got(write, 204, "", NULL));
    world_time_passes(world, 61000);
    struct world_client *client = world_gets(world, "/items/1");
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "");
    world_origin_answers(world_asked(world), 200, tagged, "new");
    cr_assert(world_got(client, 200, "new", "stored"));
    world_destroy(world);
}

/* The validator is too coarse to tell the two states apart, as dates are. */
Test(validation, write_between_question_and_confirmation_wins)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *before = world_gets(world, "/items/1");
    struct world_exchange *asked = world_asked(world);
    cr_assert_str_eq(asked_with(asked, "if-none-match"), "\"1\"");
    asked->headed = true; /* so that the write is what is asked next */
    struct world_client *write = world_asks(world, "PUT", "/items/1", NULL, "x");
    world_origin_answers(world_asked(world), 204, NULL, "");
    cr_assert(world_got(write, 204, "", NULL));
    struct world_client *after = world_gets(world, "/items/1");
    struct world_exchange *fresh = world_asked(world);
    cr_assert_neq(fresh, NULL, "who comes after the write asks for itself");
    cr_assert_str_eq(asked_with(fresh, "if-none-match"), "");
    asked->headed = false;
    world_origin_answers(asked, 304, "etag: \"1\"", "");
    cr_assert(world_got(before, 200, "body", NULL)); /* it began before the write ended */
    cr_assert_not(after->begun);
    world_origin_answers(fresh, 200, tagged, "new");
    cr_assert(world_got(after, 200, "new", "stored"));
    cr_assert(world_got(world_gets(world, "/items/1"), 200, "new", "hit"));
    world_destroy(world);
}

Test(validation, what_was_confirmed_before_a_write_is_dead_on_arrival)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *before = world_gets(world, "/items/1");
    struct world_exchange *asked = world_asked(world);
    asked->headed = true;
    world_asks(world, "PUT", "/items/1", NULL, "x");
    world_origin_answers(world_asked(world), 204, NULL, "");
    asked->headed = false;
    world_origin_answers(asked, 304, "etag: \"1\"", "");
    cr_assert(world_got(before, 200, "body", "stored"));
    struct world_client *after = world_gets(world, "/items/1");
    cr_assert_not(after->begun);
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "");
    world_origin_answers(world_asked(world), 200, NULL, "new");
    cr_assert(world_got(after, 200, "new", "purged"));
    world_destroy(world);
}

/* ---- the client's conditions on what is fetched ---- */

Test(validation, client_that_has_what_was_confirmed_is_told_so)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *client =
        world_asks(world, "GET", "/items/1", "if-none-match: \"0\", \"1\"", NULL);
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "\"1\"");
    world_origin_answers(world_asked(world), 304, NULL, "");
    cr_assert(world_got(client, 304, "", "fwd-status=304"));
    cr_assert_not(client->has_length);
    cr_assert_str_eq(world_field(client, "etag"), "\"1\"");
    cr_assert_str_eq(world_field(client, "content-type"), "");
    cr_assert(hits(world, "/items/1"));
    world_destroy(world);
}

Test(validation, client_that_has_what_is_fetched_is_told_so_and_it_is_stored)
{
    struct world *world = world_create(rules);
    struct world_client *client =
        world_asks(world, "GET", "/items/1", "if-none-match: \"1\"", NULL);
    struct world_client *other = world_asks(world, "GET", "/items/1", "if-none-match: \"0\"", NULL);
    struct world_exchange *asked = world_asked(world);
    world_origin_head(asked, 200, tagged, 4);
    cr_assert(world_got(client, 304, "", "fwd-status=200"), "%s",
              world_field(client, "cache-status"));
    world_client_leaves(client);
    world_origin_body(asked, "body");
    world_origin_end(asked, CG_ORIGIN_COMPLETE);
    cr_assert(world_got(other, 200, "body", "collapsed"));
    cr_assert(hits(world, "/items/1"));
    world_destroy(world);
}

/* Nobody needs the rest of an answer that is not stored. */
Test(validation, fetch_ends_when_its_only_client_has_it_already)
{
    struct world *world = world_create(rules);
    struct world_client *client =
        world_asks(world, "GET", "/items/1", "if-none-match: \"1\"", NULL);
    struct world_exchange *asked = world_asked(world);
    world_origin_head(asked, 200, "etag: \"1\"\ncache-control: no-store", 4);
    cr_assert(world_got(client, 304, "", "no-store"));
    cr_assert(asked->cancelled);
    world_destroy(world);
}

/* The route lets clients ask for newer answers: a fresh one is asked about, too. */
Test(validation, wish_for_a_newer_answer_asks_about_the_fresh_one)
{
    struct world *world = world_create(rules);
    stored(world, "/fresher/1", tagged);
    struct world_client *client =
        world_asks(world, "GET", "/fresher/1", "cache-control: no-cache", NULL);
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "\"1\"");
    world_origin_answers(world_asked(world), 304, NULL, "");
    cr_assert(world_got(client, 200, "body", "validated"));
    world_destroy(world);
}

/* What stands under the other secret is not fetched anew under it, and no base for anything. */
Test(validation, second_look_of_a_rotation_is_no_base)
{
    struct world *world = world_create(rules);
    world->machine.regime->ruleset = make_ruleset_under(rules, NULL, "old", NULL);
    stored(world, "/fresher/1", tagged);
    world->machine.regime->ruleset = make_ruleset_under(rules, NULL, "new", "old");
    struct world_client *client =
        world_asks(world, "GET", "/fresher/1", "cache-control: no-cache", NULL);
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "");
    world_origin_answers(world_asked(world), 200, NULL, "anew");
    cr_assert(world_got(client, 200, "anew", "stored"));
    world->machine.regime->ruleset = make_ruleset_under(rules, NULL, "new", NULL);
    cr_assert(world_got(world_gets(world, "/fresher/1"), 200, "anew", "hit"));
    world_reap(world);
    world_destroy(world);
}

/* ---- HEAD (RFC 9111 4.3.5) ---- */

static struct world_client *heads(struct world *world, const char *target, unsigned status,
                                  const char *fields)
{
    struct world_client *client = world_asks(world, "HEAD", target, NULL, NULL);
    cr_assert_not(client->begun);
    world_origin_answers(world_asked(world), status, fields, "");
    cr_assert(client->ended);
    return client;
}

Test(validation, head_renews_the_stored_answer)
{
    struct world *world = world_create(rules);
    stored(world, "/origin/1", "etag: \"1\"\ncache-control: max-age=10\nx-build: old");
    world_time_passes(world, 11000);
    struct world_client *head =
        heads(world, "/origin/1", 200, "etag: \"1\"\ncache-control: max-age=100\nx-build: new");
    cr_assert(world_got(head, 200, "", "head-miss"));
    world_time_passes(world, 50000);
    struct world_client *client = world_gets(world, "/origin/1");
    cr_assert(world_got(client, 200, "body", "ttl=50"), "%s", world_field(client, "cache-status"));
    cr_assert_str_eq(world_field(client, "x-build"), "new");
    world_destroy(world);
}

Test(validation, head_of_another_answer_ends_the_stored_one)
{
    struct world *world = world_create(rules);
    stored(world, "/soon/1", tagged);
    world_time_passes(world, 120000); /* beyond stale-while-revalidate, good for errors */
    heads(world, "/soon/1", 200, "etag: \"2\"");
    struct world_client *client = world_gets(world, "/soon/1");
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "");
    world_origin_answers(world_asked(world), 500, NULL, "broken");
    cr_assert(world_got(client, 500, "broken", NULL), "what HEAD showed to be wrong is not served");
    world_destroy(world);
}

Test(validation, head_that_says_nothing_changes_nothing)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    heads(world, "/items/1", 404, "etag: \"2\"");
    heads(world, "/items/1", 200, NULL);
    heads(world, "/items/1", 200, "etag: \"1\"\ncache-control: no-store");
    heads(world, "/items/1", 200, "etag: \"1\"\nvary: accept-language");
    struct world_client *client = world_gets(world, "/items/1");
    cr_assert_str_eq(asked_with(world_asked(world), "if-none-match"), "\"1\"");
    world_origin_answers(world_asked(world), 304, NULL, "");
    cr_assert(world_got(client, 200, "body", "validated"));
    world_destroy(world);
}

Test(validation, head_revives_nothing_that_a_write_made_wrong)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    struct world_client *head = world_asks(world, "HEAD", "/items/1", NULL, NULL);
    struct world_exchange *asked = world_asked(world);
    asked->headed = true;
    world_asks(world, "PUT", "/items/1", NULL, "x");
    world_origin_answers(world_asked(world), 204, NULL, "");
    asked->headed = false;
    world_origin_answers(asked, 200, "etag: \"1\"", "");
    cr_assert(world_got(head, 200, "", NULL));
    cr_assert_not(hits(world, "/items/1"));
    heads(world, "/items/1", 200, "etag: \"1\"");
    cr_assert_not(hits(world, "/items/1"));
    world_destroy(world);
}

/*
 * A fetch that waits for its place may be joined by whoever comes, also after a write. The
 * validator may be too coarse to tell the two states apart, so it then asks for the whole.
 */
Test(validation, who_comes_after_a_write_gets_no_confirmation_of_what_was_before)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", tagged);
    world_time_passes(world, 61000);
    world->machine.caps[0].places_max = 1;
    world->machine.caps[0].queue_max = 10;
    struct world_client *other = world_gets(world, "/items/other");
    struct world_exchange *first = world_asked(world);
    struct world_client *before = world_gets(world, "/items/1");
    cr_assert_eq(world_times_asked(world), 2, "it waits for its place");
    first->headed = true;
    struct world_client *write = world_asks(world, "PUT", "/items/1", NULL, "x");
    world_origin_answers(world_asked(world), 204, NULL, "");
    cr_assert(world_got(write, 204, "", NULL));
    struct world_client *after = world_gets(world, "/items/1");
    first->headed = false;
    world_origin_answers(first, 200, NULL, "other");
    cr_assert(world_got(other, 200, "other", NULL));
    struct world_exchange *asked = world_asked(world);
    cr_assert_str_eq(asked_with(asked, "if-none-match"), "");
    world_origin_answers(asked, 200, tagged, "new");
    while ((asked = world_asked(world)) != NULL)
        world_origin_answers(asked, 200, tagged, "new");
    cr_assert(world_got(before, 200, "new", NULL));
    cr_assert(world_got(after, 200, "new", NULL));
    world_destroy(world);
}
