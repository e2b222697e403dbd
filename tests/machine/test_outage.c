/* Reads while the store does not answer: the upstream is spared, and nobody is shown what is old.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "help_world.h"

enum { PLACES = 4, QUEUE = 8, WAIT_MS = 10000 }; /* as the world has them */

static const char *const rules = "identity: [ { header: X-User, name: user } ]\n"
                                 "rules:\n"
                                 "  defaults: { ttl: 60s, scope: shared }\n"
                                 "  routes:\n"
                                 "    - match: GET /items/**\n"
                                 "    - match: GET /mine/**\n"
                                 "      scope: user\n"
                                 "    - match: GET /apart/**\n"
                                 "      upstream: other\n"
                                 "    - match: GET /never/**\n"
                                 "      cache: never\n";

static struct world *create(void)
{
    struct world *world = world_create(rules);
    world->store_down = true;
    return world;
}

/* Takes all places with fetches that do not end. */
static void fill_places(struct world *world)
{
    for (int i = 0; i < PLACES; i++) {
        char target[32];
        snprintf(target, sizeof(target), "/items/busy%d", i);
        world_gets(world, target);
    }
    cr_assert_eq(world_times_asked(world), (size_t)PLACES);
}

static struct world_exchange *last_asked(struct world *world)
{
    return world->exchanges[world->exchange_count - 1];
}

static void end_everything(struct world *world)
{
    struct world_exchange *exchange;
    while ((exchange = world_asked(world)) != NULL)
        world_origin_answers(exchange, 200, NULL, "end");
    world_reap(world);
    cr_assert_eq(world->machine.lanes[0].places_taken, 0u);
    cr_assert_eq(world->machine.lanes[0].queue_length, 0u);
    world_destroy(world);
}

Test(outage, reads_beyond_the_places_wait_and_go_in_order)
{
    struct world *world = create();
    fill_places(world);
    struct world_client *first = world_gets(world, "/items/first");
    struct world_client *second = world_gets(world, "/items/second");
    cr_assert_eq(world_times_asked(world), (size_t)PLACES);
    world_origin_answers(world->exchanges[2], 200, NULL, "done");
    cr_assert_eq(world_times_asked(world), (size_t)PLACES + 1);
    cr_assert_str_eq(last_asked(world)->target, "/items/first");
    world_origin_end(world->exchanges[0], CG_ORIGIN_CUT); /* a failure frees its place too */
    cr_assert_str_eq(last_asked(world)->target, "/items/second");
    world_origin_answers(world->exchanges[PLACES], 200, NULL, "1");
    world_origin_answers(world->exchanges[PLACES + 1], 200, NULL, "2");
    cr_assert(world_got(first, 200, "1", "store-unavailable"));
    cr_assert(world_got(second, 200, "2", "store-unavailable"));
    cr_assert_eq(cg_book_sum(world->book, CG_METRIC_OUTAGE_QUEUED), 2u);
    end_everything(world);
}

Test(outage, a_waiting_fetch_is_joined_and_a_sent_one_is_not)
{
    struct world *world = create();
    fill_places(world);
    struct world_client *clients[4];
    for (int i = 0; i < 3; i++)
        clients[i] = world_gets(world, "/items/x");
    cr_assert_eq(world->machine.lanes[0].queue_length, 1u);
    world_origin_answers(world->exchanges[0], 200, NULL, "done");
    cr_assert_eq(world_times_asked(world), (size_t)PLACES + 1);
    clients[3] = world_gets(world, "/items/x"); /* may follow a write that the sent one did not */
    cr_assert_eq(world->machine.lanes[0].queue_length, 1u);
    world_origin_answers(world->exchanges[PLACES], 200, NULL, "shared");
    for (int i = 0; i < 3; i++) {
        cr_assert(world_got(clients[i], 200, "shared", i == 0 ? NULL : "collapsed"));
        cr_assert_null(strstr(world_field(clients[i], "cache-status"), "; stored"));
    }
    cr_assert_not(clients[3]->begun);
    world_origin_answers(last_asked(world), 200, NULL, "own");
    cr_assert(world_got(clients[3], 200, "own", NULL));
    end_everything(world);
}

Test(outage, an_answer_that_is_one_clients_is_not_shared)
{
    static const char *const fields[] = {"set-cookie: a=b", "cache-control: private",
                                         "cache-control: no-store", "vary: *"};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        struct world *world = create();
        fill_places(world);
        struct world_client *founder = world_gets(world, "/items/x");
        struct world_client *follower = world_gets(world, "/items/x");
        world_origin_answers(world->exchanges[0], 200, NULL, "done");
        world_origin_answers(last_asked(world), 200, fields[i], "the founder's");
        cr_assert(world_got(founder, 200, "the founder's", NULL));
        cr_assert_not(follower->begun);
        world_origin_answers(last_asked(world), 200, fields[i], "the follower's");
        cr_assert(world_got(follower, 200, "the follower's", "flight-left"), "%s", fields[i]);
        end_everything(world);
    }
}

Test(outage, vary_keeps_followers_apart)
{
    struct world *world = create();
    fill_places(world);
    struct world_client *english =
        world_asks(world, "GET", "/items/x", "accept-language: en", NULL);
    struct world_client *german = world_asks(world, "GET", "/items/x", "accept-language: de", NULL);
    struct world_client *too = world_asks(world, "GET", "/items/x", "accept-language: en", NULL);
    world_origin_answers(world->exchanges[0], 200, NULL, "done");
    world_origin_answers(last_asked(world), 200, "vary: accept-language", "hello");
    cr_assert(world_got(english, 200, "hello", NULL));
    cr_assert(world_got(too, 200, "hello", "collapsed"));
    cr_assert_not(german->begun);
    world_origin_answers(last_asked(world), 200, "vary: accept-language", "hallo");
    cr_assert(world_got(german, 200, "hallo", NULL));
    end_everything(world);
}

Test(outage, users_do_not_join_each_other)
{
    struct world *world = create();
    fill_places(world);
    struct world_client *anna = world_asks(world, "GET", "/mine/x", "x-user: anna", NULL);
    struct world_client *ben = world_asks(world, "GET", "/mine/x", "x-user: ben", NULL);
    cr_assert_eq(world->machine.lanes[0].queue_length, 2u);
    world_origin_answers(world->exchanges[0], 200, NULL, "done");
    world_origin_answers(last_asked(world), 200, NULL, "anna's");
    cr_assert(world_got(anna, 200, "anna's", NULL));
    cr_assert_not(ben->begun);
    world_origin_answers(last_asked(world), 200, NULL, "ben's");
    cr_assert(world_got(ben, 200, "ben's", NULL));
    end_everything(world);
}

Test(outage, over_the_queue_is_503)
{
    struct world *world = create();
    fill_places(world);
    struct world_client *clients[QUEUE + 1];
    for (int i = 0; i <= QUEUE; i++) {
        char target[32];
        snprintf(target, sizeof(target), "/items/%d", i);
        clients[i] = world_gets(world, target);
        cr_assert_eq(clients[i]->begun, i == QUEUE);
    }
    cr_assert(world_got(clients[QUEUE], 503, NULL, "detail=outage-crowded"));
    cr_assert_str_eq(world_field(clients[QUEUE], "retry-after"), "10");
    cr_assert(strstr(world_field(clients[QUEUE], "proxy-status"), "connection_limit_reached"));
    cr_assert_eq(cg_book_sum(world->book, CG_METRIC_OUTAGE_REFUSED), 1u);
    struct world_client *joined = world_gets(world, "/items/0"); /* needs no room */
    cr_assert_not(joined->begun);
    end_everything(world);
}

Test(outage, waiting_ends)
{
    struct world *world = create();
    fill_places(world);
    struct world_client *waiting = world_gets(world, "/items/x");
    world_time_passes(world, WAIT_MS - 1);
    struct world_client *joined = world_gets(world, "/items/x");
    cr_assert_not(waiting->begun);
    world_time_passes(world, 1);
    cr_assert(world_got(waiting, 503, NULL, "detail=outage-crowded"));
    cr_assert(world_got(joined, 503, NULL, "detail=outage-crowded"));
    cr_assert_eq(world->machine.lanes[0].queue_length, 0u);
    end_everything(world);
}

Test(outage, who_leaves_the_queue_is_not_fetched_for)
{
    struct world *world = create();
    fill_places(world);
    struct world_client *leaves = world_gets(world, "/items/leaves");
    struct world_client *one = world_gets(world, "/items/shared");
    struct world_client *stays = world_gets(world, "/items/shared");
    world_client_leaves(leaves);
    world_client_leaves(one); /* the founder; another still waits */
    cr_assert_eq(world->machine.lanes[0].queue_length, 1u);
    world_origin_answers(world->exchanges[0], 200, NULL, "done");
    cr_assert_str_eq(last_asked(world)->target, "/items/shared");
    world_origin_answers(last_asked(world), 200, NULL, "kept");
    cr_assert(world_got(stays, 200, "kept", NULL));
    cr_assert_eq(world_times_asked(world), (size_t)PLACES + 1);
    end_everything(world);
}

Test(outage, a_client_that_leaves_its_place_frees_it)
{
    struct world *world = create();
    fill_places(world);
    world_gets(world, "/items/x");
    world_client_leaves(world->clients[1]);
    cr_assert(world->exchanges[1]->cancelled);
    cr_assert_str_eq(last_asked(world)->target, "/items/x");
    end_everything(world);
}

Test(outage, writes_and_what_is_never_cached_do_not_wait)
{
    struct world *world = create();
    fill_places(world);
    world_asks(world, "PUT", "/items/busy1", NULL, "x");
    cr_assert_str_eq(last_asked(world)->method, "PUT");
    world_gets(world, "/never/x");
    cr_assert_str_eq(last_asked(world)->target, "/never/x");
    world_gets(world, "/no/rule/names/this");
    cr_assert_eq(world_times_asked(world), (size_t)PLACES + 3);
    end_everything(world);
}

Test(outage, upstreams_have_places_of_their_own)
{
    struct world *world = create();
    fill_places(world);
    world_gets(world, "/apart/x");
    cr_assert_str_eq(last_asked(world)->target, "/apart/x");
    cr_assert_eq(world->machine.lanes[1].places_taken, 1u);
    end_everything(world);
}

Test(outage, heads_and_ranges_take_places_and_are_not_shared)
{
    struct world *world = create();
    fill_places(world);
    world_asks(world, "HEAD", "/items/x", NULL, NULL);
    world_asks(world, "HEAD", "/items/x", NULL, NULL);
    world_asks(world, "GET", "/items/x", "range: bytes=0-1", NULL);
    world_gets(world, "/items/x");
    cr_assert_eq(world->machine.lanes[0].queue_length, 4u);
    end_everything(world);
}

Test(outage, conditions_of_one_client_do_not_travel_in_a_shared_fetch)
{
    struct world *world = create();
    world->on_asked = NULL;
    struct world_client *client =
        world_asks(world, "GET", "/items/x", "if-none-match: \"a\"", NULL);
    struct world_exchange *exchange = world_asked(world);
    cr_assert_null(cg_fields_find(exchange->request->fields, CG_STR("if-none-match")));
    world_origin_answers(exchange, 200, "etag: \"a\"", "whole");
    cr_assert(world_got(client, 304, "", "fwd-status=200")); /* they are judged here */
    end_everything(world);
}

Test(outage, the_store_comes_back_in_the_middle)
{
    struct world *world = create();
    fill_places(world);
    struct world_client *waiting = world_gets(world, "/items/x");
    world->store_down = false;
    struct world_client *miss = world_gets(world, "/items/x"); /* knows versions: another fetch */
    cr_assert_eq(world_times_asked(world), (size_t)PLACES + 1, "no place is needed");
    world_origin_answers(last_asked(world), 200, NULL, "stored now");
    cr_assert(world_got(miss, 200, "stored now", "stored"));
    cr_assert_not(waiting->begun);
    world_origin_answers(world->exchanges[0], 200, NULL, "done");
    world_origin_answers(last_asked(world), 200, NULL, "passed");
    cr_assert(world_got(waiting, 200, "passed", "store-unavailable"));
    struct world_client *hit = world_gets(world, "/items/x");
    cr_assert(world_got(hit, 200, "stored now", "hit"), "what waited was not stored");
    end_everything(world);
}

Test(outage, a_store_that_goes_between_lookup_and_versions_counts_too)
{
    struct world *world = create();
    fill_places(world);
    world->store_down = false;
    world->store_mode = WORLD_STORE_ACTS_LATE;
    struct world_client *client = world_gets(world, "/items/x");
    cr_assert(world_store_step(world)); /* the lookup finds nothing */
    world->store_down = true;
    cr_assert(world_store_step(world)); /* creating versions fails */
    cr_assert_eq(world->machine.lanes[0].queue_length, 1u);
    world_origin_answers(world->exchanges[0], 200, NULL, "done");
    world_origin_answers(last_asked(world), 200, NULL, "passed");
    cr_assert(world_got(client, 200, "passed", "store-unavailable"));
    end_everything(world);
}

Test(outage, fetches_that_end_at_once_empty_the_queue_in_one_go)
{
    struct world *world = create();
    fill_places(world);
    struct world_client *clients[QUEUE];
    for (int i = 0; i < QUEUE; i++) {
        char target[32];
        snprintf(target, sizeof(target), "/items/%d", i);
        clients[i] = world_gets(world, target);
    }
    world->origin_answers_inside_start = true;
    world_origin_answers(world->exchanges[3], 200, NULL, "done");
    for (int i = 0; i < QUEUE; i++)
        cr_assert(world_got(clients[i], 200, "at once", NULL));
    world->origin_answers_inside_start = false;
    end_everything(world);
}

/* Waiting for another's fetch has an end of its own, which is not for a fetch that waits itself. */
Test(outage, followers_do_not_leave_a_fetch_that_is_not_sent)
{
    struct world *world = create();
    world->machine.regime->limits.flight_wait_ms = 100;
    fill_places(world);
    struct world_client *founder = world_gets(world, "/items/x");
    struct world_client *follower = world_gets(world, "/items/x");
    world_time_passes(world, 5000);
    cr_assert_eq(world->machine.lanes[0].queue_length, 1u);
    world_origin_answers(world->exchanges[0], 200, NULL, "done");
    world_origin_answers(last_asked(world), 200, NULL, "shared");
    cr_assert(world_got(founder, 200, "shared", NULL) && world_got(follower, 200, "shared", NULL));
    end_everything(world);
}
