/* The read path: hits, misses, shared flights, leaving clients, failing upstreams. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/request/machine.h"
#include "help_world.h"

static const char *const rules = "defaults: { ttl: 60s }\n"
                                 "routes:\n"
                                 "  - match: GET /items/**\n"
                                 "    scope: shared\n"
                                 "    stale_while_revalidate: 30s\n"
                                 "    stale_if_error: 1h\n"
                                 "  - match: GET /mine/**\n"
                                 "  - match: GET /never/**\n"
                                 "    cache: never\n";

/* Fetches `target` once, so that it is stored. */
static void stored(struct world *world, const char *target, const char *body)
{
    struct world_client *client = world_gets(world, target);
    world_origin_answers(world_asked(world), 200, NULL, body);
    cr_assert(world_got(client, 200, body, "stored"), "%s", world_field(client, "cache-status"));
    world_reap(world);
}

Test(reads, miss_is_forwarded_and_stored_then_hit)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", "one");
    world_time_passes(world, 10000);
    struct world_client *again = world_gets(world, "/items/1");
    cr_assert(world_got(again, 200, "one", "hit"));
    cr_assert(world_got(again, 200, "one", "ttl=50"), "%s", world_field(again, "cache-status"));
    cr_assert_str_eq(world_field(again, "age"), "10");
    cr_assert_eq(world_times_asked(world), 1);
    world_destroy(world);
}

/* Each piece costs a write to the client's socket, a packet and a turn of the client. */
Test(reads, answer_that_comes_at_once_is_sent_in_one_piece)
{
    static const struct {
        const char *method, *target;
    } rows[] = {{"GET", "/items/1"}, {"GET", "/nowhere"}, {"PUT", "/items/1"}};
    struct world *world = world_create(rules);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world_client *client =
            world_asks(world, rows[i].method, rows[i].target, "authorization: Bearer a", NULL);
        world_origin_answers(world_asked(world), 200, "location: /items/2", "hello");
        cr_expect(world_got(client, 200, "hello", NULL), "%s", rows[i].target);
        cr_expect_eq(client->sends, 1, "%s %s: %u", rows[i].method, rows[i].target, client->sends);
    }
    world_destroy(world);
}

Test(reads, expired_entry_is_fetched_again)
{
    struct world *world = world_create(rules);
    stored(world, "/mine/1", "old");
    world_time_passes(world, 61000);
    struct world_client *again = world_gets(world, "/mine/1");
    cr_assert_not(again->begun);
    world_origin_answers(world_asked(world), 200, NULL, "new");
    cr_assert(world_got(again, 200, "new", "stored"));
    world_destroy(world);
}

Test(reads, other_users_do_not_share)
{
    struct world *world = world_create(rules);
    struct world_client *a = world_asks(world, "GET", "/mine/1", "authorization: a", NULL);
    world_origin_answers(world_asked(world), 200, NULL, "of a");
    struct world_client *b = world_asks(world, "GET", "/mine/1", "authorization: b", NULL);
    cr_assert_not(b->begun);
    world_origin_answers(world_asked(world), 200, NULL, "of b");
    cr_assert(world_got(a, 200, "of a", NULL));
    cr_assert(world_got(b, 200, "of b", NULL));
    struct world_client *again = world_asks(world, "GET", "/mine/1", "authorization: a", NULL);
    cr_assert(world_got(again, 200, "of a", "hit"));
    world_destroy(world);
}

Test(reads, concurrent_misses_share_one_fetch)
{
    struct world *world = world_create(rules);
    struct world_client *clients[20];
    for (int i = 0; i < 20; i++)
        clients[i] = world_gets(world, "/items/1");
    cr_assert_eq(world_times_asked(world), 1);
    struct world_exchange *exchange = world_asked(world);
    world_origin_head(exchange, 200, NULL, -1);
    world_origin_body(exchange, "first ");
    struct world_client *late = world_gets(world, "/items/1"); /* joins in mid-body */
    world_origin_body(exchange, "second");
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
    for (int i = 0; i < 20; i++)
        cr_assert(world_got(clients[i], 200, "first second", i == 0 ? "stored" : "collapsed"));
    cr_assert(world_got(late, 200, "first second", "collapsed"));
    cr_assert_eq(world_times_asked(world), 1);
    world_destroy(world);
}

Test(reads, waiters_of_an_answer_that_may_not_be_shared_fetch_for_themselves)
{
    struct world *world = world_create(rules);
    struct world_client *a = world_gets(world, "/items/1"), *b = world_gets(world, "/items/1");
    struct world_exchange *first = world_asked(world);
    world_origin_answers(first, 200, "set-cookie: s=1", "for a alone");
    cr_assert(world_got(a, 200, "for a alone", "set-cookie"));
    cr_assert_not(b->begun);
    world_origin_answers(world_asked(world), 200, "set-cookie: s=2", "for b alone");
    cr_assert(world_got(b, 200, "for b alone", NULL));
    cr_assert_str_eq(world_field(b, "set-cookie"), "s=2");
    world_destroy(world);
}

Test(reads, cookie_of_a_shared_answer_is_for_the_one_who_fetched_it)
{
    struct world *world = world_create("routes:\n"
                                       "  - match: GET /items/**\n"
                                       "    ttl: 60s\n"
                                       "    scope: shared\n"
                                       "    override: [set-cookie]\n");
    struct world_client *founder = world_gets(world, "/items/1");
    struct world_client *follower = world_gets(world, "/items/1");
    world_origin_answers(world_asked(world), 200, "set-cookie: sid=1", "one");
    struct world_client *late = world_gets(world, "/items/1");
    cr_assert_str_eq(world_field(founder, "set-cookie"), "sid=1");
    cr_assert(world_got(follower, 200, "one", "collapsed"));
    cr_assert_str_eq(world_field(follower, "set-cookie"), "");
    cr_assert(world_got(late, 200, "one", "hit"));
    cr_assert_str_eq(world_field(late, "set-cookie"), "");
    world_destroy(world);
}

Test(reads, waiters_that_select_another_variant_fetch_for_themselves)
{
    struct world *world = world_create(rules);
    struct world_client *de = world_asks(world, "GET", "/items/1", "accept-language: de", NULL);
    struct world_client *en = world_asks(world, "GET", "/items/1", "accept-language: en", NULL);
    world_origin_answers(world_asked(world), 200, "vary: Accept-Language", "hallo");
    cr_assert(world_got(de, 200, "hallo", NULL));
    cr_assert_not(en->begun);
    world_origin_answers(world_asked(world), 200, "vary: Accept-Language", "hello");
    cr_assert(world_got(en, 200, "hello", NULL));
    world_reap(world);
    de = world_asks(world, "GET", "/items/1", "accept-language: de", NULL);
    en = world_asks(world, "GET", "/items/1", "accept-language: en", NULL);
    cr_assert(world_got(de, 200, "hallo", "hit"));
    cr_assert(world_got(en, 200, "hello", "hit"));
    world_destroy(world);
}

/* Thousands may wait with fields as long as they like: what they bring is theirs. */
Test(reads, waiters_leave_nothing_in_the_memory_of_the_flight)
{
    char fields[20000] = "accept-language: de";
    memset(fields + strlen(fields), 'x', sizeof fields - 1 - strlen(fields));
    struct world *world = world_create(rules);
    world_asks(world, "GET", "/items/1", "accept-language: de", NULL);
    for (int i = 0; i < 50; i++)
        world_asks(world, "GET", "/items/1", fields, NULL);
    struct world_exchange *exchange = world_asked(world);
    const struct cg_flight *flight = NULL;
    for (size_t i = 0; i < CG_FLIGHT_BUCKETS && flight == NULL; i++)
        flight = world->machine.flights->buckets[i];
    cr_assert(flight != NULL && flight->waiter_count == 51);
    size_t used = flight->founder->arena.used;
    world_origin_head(exchange, 200, "vary: accept-language", -1);
    cr_assert_eq(flight->waiter_count, 1, "the others went their own way");
    cr_assert_lt(flight->founder->arena.used - used, 10000);
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
    while ((exchange = world_asked(world)) != NULL)
        world_origin_answers(exchange, 200, NULL, "own");
    world_destroy(world);
}

Test(reads, waiter_that_waited_long_enough_fetches_for_itself)
{
    struct world *world = world_create(rules);
    struct world_client *a = world_gets(world, "/items/1"), *b = world_gets(world, "/items/1");
    struct world_exchange *first = world_asked(world);
    world_time_passes(world, 5001);
    cr_assert_eq(world_times_asked(world), 2);
    world_origin_answers(world->exchanges[1], 200, NULL, "quick");
    cr_assert(world_got(b, 200, "quick", NULL));
    cr_assert_not(a->begun);
    world_origin_answers(first, 200, NULL, "slow");
    cr_assert(world_got(a, 200, "slow", NULL));
    world_destroy(world);
}

Test(reads, stale_entry_is_served_while_one_refresh_runs)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", "old");
    world_time_passes(world, 61000);
    struct world_client *a = world_gets(world, "/items/1"), *b = world_gets(world, "/items/1");
    cr_assert(world_got(a, 200, "old", "stale-while-revalidate"));
    cr_assert(world_got(b, 200, "old", "stale-while-revalidate"));
    world_reap(world);
    cr_assert_eq(world_times_asked(world), 2);
    world_origin_answers(world_asked(world), 200, NULL, "new");
    struct world_client *c = world_gets(world, "/items/1");
    cr_assert(world_got(c, 200, "new", "hit"));
    world_destroy(world);
}

Test(reads, expired_entry_is_served_when_the_upstream_fails)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", "old");
    world_time_passes(world, 600000);
    struct world_client *refused = world_gets(world, "/items/1");
    world_origin_end(world_asked(world), CG_ORIGIN_REFUSED);
    cr_assert(world_got(refused, 200, "old", "stale-if-error"));
    struct world_client *broken = world_gets(world, "/items/1");
    struct world_exchange *exchange = world_asked(world);
    world_origin_head(exchange, 503, NULL, 4);
    cr_assert(world_got(broken, 200, "old", "stale-if-error"));
    cr_assert(exchange->cancelled);
    world_destroy(world);
}

Test(reads, version_dead_entry_is_never_served_stale)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", "old");
    struct world_client *writer = world_asks(world, "PUT", "/items/1", NULL, "x");
    world_origin_answers(world_asked(world), 204, NULL, "");
    cr_assert(world_got(writer, 204, NULL, NULL));
    world_time_passes(world, 61000);
    struct world_client *reader = world_gets(world, "/items/1");
    cr_assert_not(reader->begun);
    world_origin_end(world_asked(world), CG_ORIGIN_REFUSED);
    cr_assert(world_got(reader, 502, NULL, NULL));
    world_destroy(world);
}

Test(reads, failed_fetch_is_an_error_with_proxy_status_and_is_not_stored)
{
    static const struct {
        enum cg_origin_outcome outcome;
        unsigned status;
        const char *error;
    } rows[] = {
        {CG_ORIGIN_UNRESOLVED, 502, "dns_error"},
        {CG_ORIGIN_REFUSED, 502, "connection_refused"},
        {CG_ORIGIN_CONNECT_TIMEOUT, 504, "connection_timeout"},
        {CG_ORIGIN_TLS_FAILED, 502, "tls_protocol_error"},
        {CG_ORIGIN_QUEUE_FULL, 503, "connection_limit_reached"},
        {CG_ORIGIN_FIRST_BYTE_TIMEOUT, 504, "http_response_timeout"},
        {CG_ORIGIN_BETWEEN_BYTES_TIMEOUT, 504, "connection_read_timeout"},
        {CG_ORIGIN_TOTAL_TIMEOUT, 504, "http_response_timeout"},
        {CG_ORIGIN_BAD_ANSWER, 502, "http_protocol_error"},
        {CG_ORIGIN_CUT, 502, "http_response_incomplete"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world *world = world_create(rules);
        struct world_client *a = world_gets(world, "/items/1"), *b = world_gets(world, "/items/1");
        world_origin_end(world_asked(world), rows[i].outcome);
        if (world_asked(world) != NULL) /* the second tries in the place of the first */
            world_origin_end(world_asked(world), rows[i].outcome);
        cr_assert(world_got(a, rows[i].status, NULL, NULL), "%s", rows[i].error);
        cr_assert(world_got(b, rows[i].status, NULL, NULL), "%s", rows[i].error);
        cr_assert(strstr(world_field(a, "proxy-status"), rows[i].error), "%s", rows[i].error);
        world_reap(world);
        cr_assert_not(world_gets(world, "/items/1")->begun);
        world_origin_answers(world_asked(world), 200, NULL, "back");
        world_destroy(world);
    }
}

Test(reads, cut_body_is_aborted_and_not_stored)
{
    struct world *world = world_create(rules);
    struct world_client *client = world_gets(world, "/items/1");
    struct world_exchange *exchange = world_asked(world);
    world_origin_head(exchange, 200, NULL, 10);
    world_origin_body(exchange, "half");
    world_origin_end(exchange, CG_ORIGIN_CUT);
    cr_assert(client->aborted);
    world_reap(world);
    cr_assert_not(world_gets(world, "/items/1")->begun);
    world_origin_answers(world_asked(world), 200, NULL, "whole");
    world_destroy(world);
}

Test(reads, flight_goes_on_for_the_store_when_its_client_leaves)
{
    struct world *world = world_create(rules);
    struct world_client *client = world_gets(world, "/items/1");
    struct world_exchange *exchange = world_asked(world);
    world_client_leaves(client);
    cr_assert(exchange->live);
    world_origin_answers(exchange, 200, NULL, "kept");
    struct world_client *next = world_gets(world, "/items/1");
    cr_assert(world_got(next, 200, "kept", "hit"), "%u %s", next->status,
              world_field(next, "cache-status"));
    world_destroy(world);
}

Test(reads, fetch_that_is_not_stored_is_cancelled_when_its_client_leaves)
{
    struct world *world = world_create(rules);
    struct world_client *client = world_gets(world, "/never/1");
    struct world_exchange *exchange = world_asked(world);
    world_client_leaves(client);
    cr_assert(exchange->cancelled);
    world_destroy(world);
}

Test(reads, slow_client_of_an_unstored_answer_pauses_the_upstream)
{
    struct world *world = world_create(rules);
    struct world_client *client = world_client(world, "GET", "/never/1", NULL, NULL);
    client->slow = true;
    world_send(client);
    struct world_exchange *exchange = world_asked(world);
    static char piece[10000];
    size_t total = 0;
    memset(piece, 'x', sizeof(piece));
    world_origin_head(exchange, 200, NULL, -1);
    for (int i = 0; i < 1000; i++) {
        if (!exchange->paused) {
            world_origin_bytes(exchange, piece, sizeof(piece));
            total += sizeof(piece);
        } else {
            cr_assert_leq(total - client->body.length, 16384u + 2 * sizeof(piece));
            world_client_takes(client);
        }
    }
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
    while (!client->ended)
        world_client_takes(client);
    cr_assert_eq(client->body.length, total);
    world_destroy(world);
}

Test(reads, body_that_outgrows_the_store_still_reaches_everybody_whole)
{
    struct world *world = world_create(rules);
    struct world_client *a = world_gets(world, "/items/1");
    struct world_client *b = world_client(world, "GET", "/items/1", NULL, NULL);
    b->slow = true;
    world_send(b);
    struct world_exchange *exchange = world_asked(world);
    static char piece[10000];
    memset(piece, 'y', sizeof(piece));
    world_origin_head(exchange, 200, NULL, -1);
    for (int i = 0; i < 20; i++) {
        while (exchange->paused)
            world_client_takes(b);
        world_origin_bytes(exchange, piece, sizeof(piece));
    }
    world_origin_end(exchange, CG_ORIGIN_COMPLETE);
    while (!b->ended)
        world_client_takes(b);
    cr_assert_eq(a->body.length, 200000);
    cr_assert_eq(b->body.length, 200000);
    world_reap(world);
    cr_assert_not(world_gets(world, "/items/1")->begun);
    world_origin_answers(world_asked(world), 200, NULL, "small");
    world_destroy(world);
}

Test(reads, head_is_answered_from_a_stored_get)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", "12345");
    struct world_client *head = world_asks(world, "HEAD", "/items/1", NULL, NULL);
    cr_assert(world_got(head, 200, "", "hit"));
    cr_assert(head->no_body && head->has_length && head->content_length == 5);
    world_destroy(world);
}

/* The answer to HEAD has no body and the one to Range a part of it: neither stands for the whole.
 */
Test(reads, head_and_range_that_miss_travel_as_they_are_and_are_not_stored)
{
    static const char *const methods[] = {"HEAD", "GET"};
    static const char *const fields[] = {NULL, "range: bytes=0-1"};
    for (size_t i = 0; i < 2; i++) {
        struct world *world = world_create(rules);
        world_asks(world, methods[i], "/items/1", fields[i], NULL);
        struct world_exchange *exchange = world_asked(world);
        cr_assert_str_eq(exchange->method, methods[i]);
        bool ranged = cg_fields_find(exchange->request->fields, CG_STR("range")) != NULL;
        cr_assert_eq(ranged, i == 1);
        world_origin_head(exchange, 200, NULL, 3);
        if (i == 1)
            world_origin_body(exchange, "one");
        world_origin_end(exchange, CG_ORIGIN_COMPLETE);
        world_reap(world);
        cr_assert_eq(cg_book_sum(world->book, CG_METRIC_SETS), 0u);
        stored(world, "/items/1", "one");
        world_destroy(world);
    }
}

/* Requests are told apart by their bytes: so many of them share buckets of the table. */
Test(reads, different_requests_never_share_a_fetch)
{
    enum { REQUESTS = 3000 };
    struct world *world = world_create(rules);
    char text[32];
    for (int i = 0; i < REQUESTS; i++) {
        snprintf(text, sizeof(text), "/items/1?n=%d", i);
        world_gets(world, text);
    }
    cr_assert_eq(world_times_asked(world), (size_t)REQUESTS);
    for (int i = 0; i < REQUESTS; i++) {
        snprintf(text, sizeof(text), "%d", i);
        world_origin_answers(world->exchanges[i], 200, NULL, text);
        cr_assert(world_got(world->clients[i], 200, text, "stored"));
    }
    world_destroy(world);
}

Test(reads, everything_passes_when_the_store_is_down)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", "one");
    world->store_down = true;
    struct world_client *client = world_gets(world, "/items/1");
    world_origin_answers(world_asked(world), 200, NULL, "from upstream");
    cr_assert(world_got(client, 200, "from upstream", "store-unavailable"));
    world_destroy(world);
}

Test(reads, unauthorized_answer_purges_that_identity_before_anybody_is_told)
{
    struct world *world = world_create(rules);
    struct world_client *client = world_asks(world, "GET", "/mine/1", "authorization: a", NULL);
    world_origin_answers(world_asked(world), 200, NULL, "secret");
    cr_assert(world_got(client, 200, "secret", NULL));
    client = world_asks(world, "GET", "/never/1", "authorization: a", NULL);
    world->store_mode = WORLD_STORE_ANSWERS_LATE;
    world_origin_answers(world_asked(world), 401, NULL, "no");
    cr_assert_not(client->begun);
    world_store_settle(world);
    world->store_mode = WORLD_STORE_AT_ONCE;
    cr_assert(world_got(client, 401, "no", NULL));
    client = world_asks(world, "GET", "/mine/1", "authorization: a", NULL);
    cr_assert_not(client->begun);
    world_origin_answers(world_asked(world), 401, NULL, "no");
    world_destroy(world);
}

/* Every answer inside the call that asks for it: no recursion, no lost wake-up. */
Test(reads, everything_may_answer_at_once)
{
    struct world *world = world_create(rules);
    world->origin_answers_inside_start = true;
    struct world_client *miss = world_gets(world, "/items/1"), *hit = world_gets(world, "/items/1");
    cr_assert(world_got(miss, 200, "at once", "stored"));
    cr_assert(world_got(hit, 200, "at once", "hit"));
    struct world_client *writer = world_asks(world, "PUT", "/items/1", NULL, "x");
    cr_assert(world_got(writer, 200, "at once", NULL));
    cr_assert_eq(world_times_asked(world), 2);
    world_destroy(world);
}

/* The client leaves after every number of steps, in every store mode. */
static void play_and_leave(enum world_store_mode mode, int leave_after, bool inside_send,
                           const char *method)
{
    struct world *world = world_create(rules);
    world->store_mode = mode;
    struct world_client *client =
        world_client(world, method, "/items/1", NULL, strcmp(method, "GET") == 0 ? NULL : "b");
    client->leaves_inside_send = inside_send;
    struct world_client *other = world_client(world, "GET", "/items/1", NULL, NULL);
    world_send(client);
    world_send(other);
    for (int step = 0; step < 60; step++) {
        if (step == leave_after)
            world_client_leaves(client);
        if (world_store_step(world))
            continue;
        struct world_exchange *exchange = world_asked(world);
        if (exchange != NULL) {
            world_origin_head(exchange, 200, NULL, 4);
            continue;
        }
        for (size_t i = 0; i < world->exchange_count; i++)
            if (world->exchanges[i]->live) {
                world_origin_body(world->exchanges[i], "body");
                world_origin_end(world->exchanges[i], CG_ORIGIN_COMPLETE);
            }
    }
    cr_assert(world_got(other, 200, "body", NULL), "mode %d, left after %d", (int)mode,
              leave_after);
    if (!client->gone)
        cr_assert(world_got(client, 200, "body", NULL), "mode %d", (int)mode);
    world_destroy(world);
}

Test(reads, client_may_leave_between_any_two_steps)
{
    static const char *const methods[] = {"GET", "PUT"};
    for (int mode = WORLD_STORE_AT_ONCE; mode <= WORLD_STORE_ACTS_LATE; mode++)
        for (int leave_after = 0; leave_after < 30; leave_after++)
            for (int inside = 0; inside < 2; inside++)
                for (int method = 0; method < 2; method++)
                    play_and_leave((enum world_store_mode)mode, leave_after, inside,
                                   methods[method]);
}
