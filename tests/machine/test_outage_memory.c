/* store.on_outage: memory. Entries of the gateway's own while the store is away. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "gateway/store/outage_memory.h"
#include "help_world.h"

enum { TTL_MS = 5000, PLACES = 4, QUEUE = 8 };

static const char *const rules = "identity: [ { header: X-User, name: user } ]\n"
                                 "rules:\n"
                                 "  defaults: { ttl: 600s, scope: shared }\n"
                                 "  routes:\n"
                                 "    - match: GET /items/**\n"
                                 "    - match: GET /mine/**\n"
                                 "      scope: user\n";

static struct world *create(void)
{
    struct world *world = world_create(rules);
    world_stands_in(world, TTL_MS);
    return world;
}

static struct world_exchange *last_asked(struct world *world)
{
    return world->exchanges[world->exchange_count - 1];
}

static void stored(struct world *world, const char *target)
{
    struct world_client *client = world_gets(world, target);
    world_origin_answers(world_asked(world), 200, NULL, "old");
    cr_assert(world_got(client, 200, "old", "stored"), "%s", world_field(client, "cache-status"));
    world_reap(world);
}

static bool hits(struct world *world, const char *target)
{
    struct world_client *client = world_gets(world, target);
    bool hit = client->ended;
    if (hit)
        cr_assert(world_got(client, 200, "old", "hit"));
    else
        world_origin_answers(last_asked(world), 200, "cache-control: no-store", "new");
    world_reap(world);
    return hit;
}

static void writes(struct world *world, const char *target)
{
    struct world_client *writer = world_asks(world, "PUT", target, NULL, "x");
    world_origin_answers(last_asked(world), 200, NULL, "done");
    cr_assert(world_got(writer, 200, "done", NULL));
    world_reap(world);
}

Test(outage_memory, answers_while_the_store_is_away_and_not_for_long)
{
    struct world *world = create();
    world->store_down = true;
    stored(world, "/items/5");
    cr_assert(hits(world, "/items/5"));
    world_time_passes(world, TTL_MS - 1);
    cr_assert(hits(world, "/items/5"));
    world_time_passes(world, 1);
    cr_assert_not(hits(world, "/items/5"));
    world_destroy(world);
}

Test(outage_memory, sealed_entries_answer_their_user_only)
{
    struct world *world = world_create(rules);
    world->port.seals = true;
    world_stands_in(world, TTL_MS);
    world->store_down = true;
    struct world_client *anna = world_asks(world, "GET", "/mine/x", "x-user: anna", NULL);
    world_origin_answers(world_asked(world), 200, NULL, "anna's");
    cr_assert(world_got(anna, 200, "anna's", "stored"));
    anna = world_asks(world, "GET", "/mine/x", "x-user: anna", NULL);
    cr_assert(world_got(anna, 200, "anna's", "hit"));
    struct world_client *ben = world_asks(world, "GET", "/mine/x", "x-user: ben", NULL);
    cr_assert_not(ben->begun);
    world_origin_answers(world_asked(world), 200, NULL, "ben's");
    cr_assert(world_got(ben, 200, "ben's", NULL));
    world_destroy(world);
}

Test(outage_memory, an_own_write_is_seen)
{
    struct world *world = create();
    world->store_down = true;
    stored(world, "/items/5");
    stored(world, "/items/6");
    writes(world, "/items/5");
    cr_assert_not(hits(world, "/items/5"));
    cr_assert(hits(world, "/items/6"));
    world_destroy(world);
}

Test(outage_memory, a_write_through_another_thread_is_seen)
{
    struct world *world = create();
    struct cg_store *here = world->machine.store;
    struct cg_store *there = cg_outage_memory_open(world->outage, &world->store, &world->clock);
    world->store_down = true;
    stored(world, "/items/5");
    world->store_down = false; /* the other thread still reaches it */
    world->machine.store = there;
    writes(world, "/items/5");
    world->machine.store = here;
    world->store_down = true;
    cr_assert_not(hits(world, "/items/5"));
    cg_outage_memory_close(there);
    world_destroy(world);
}

Test(outage_memory, a_write_that_began_before_keeps_readers_away)
{
    struct world *world = create();
    struct world_client *writer = world_asks(world, "PUT", "/items/5", NULL, "x");
    struct world_exchange *write = last_asked(world);
    world->store_down = true;
    struct world_client *reader = world_gets(world, "/items/5");
    world_origin_answers(last_asked(world), 200, NULL, "old");
    cr_assert(world_got(reader, 200, "old", "write-in-flight"));
    world_origin_answers(write, 200, NULL, "done");
    cr_assert(world_got(writer, 200, "done", NULL));
    world_reap(world);
    cr_assert_not(hits(world, "/items/5"));
    world_destroy(world);
}

Test(outage_memory, a_fetch_from_before_a_write_is_dead_on_arrival)
{
    struct world *world = create();
    world->store_down = true;
    struct world_client *reader = world_gets(world, "/items/5");
    struct world_exchange *read = last_asked(world);
    writes(world, "/items/5");
    world_origin_answers(read, 200, NULL, "old");
    cr_assert(world_got(reader, 200, "old", NULL));
    world_reap(world);
    cr_assert_not(hits(world, "/items/5"));
    world_destroy(world);
}

Test(outage_memory, every_outage_begins_empty)
{
    struct world *world = create();
    world->store_down = true;
    stored(world, "/items/5");
    world->store_down = false;
    cr_assert_not(hits(world, "/items/5"));
    world->store_down = true;
    cr_assert_not(hits(world, "/items/5"));
    world_destroy(world);
}

/* Another thread has seen more of the shared store than the one that stored here. */
Test(outage_memory, every_thread_that_loses_the_store_begins_empty)
{
    struct world *world = create();
    struct cg_store *here = world->machine.store;
    struct cg_store *there = cg_outage_memory_open(world->outage, &world->store, &world->clock);
    world->store_down = true;
    stored(world, "/items/5");
    world->store_down = false;
    world->machine.store = there;
    cr_assert_not(hits(world, "/items/5"));
    world->store_down = true;
    cr_assert_not(hits(world, "/items/5"));
    world->machine.store = here;
    cg_outage_memory_close(there);
    world_destroy(world);
}

Test(outage_memory, a_fetch_of_one_outage_is_not_for_the_next)
{
    struct world *world = create();
    world->store_down = true;
    struct world_client *reader = world_gets(world, "/items/5");
    struct world_exchange *read = last_asked(world);
    world->store_down = false;
    cr_assert_not(hits(world, "/items/6"));
    world->store_down = true;
    cr_assert_not(hits(world, "/items/6"));
    world_origin_answers(read, 200, NULL, "old");
    cr_assert(world_got(reader, 200, "old", NULL));
    world_reap(world);
    cr_assert_not(hits(world, "/items/5"));
    world_destroy(world);
}

/* What was fetched under the versions of one store goes to that store. */
Test(outage_memory, modes_do_not_fill_each_other)
{
    struct world *world = create();
    world->store_down = true;
    struct world_client *reader = world_gets(world, "/items/5");
    struct world_exchange *read = last_asked(world);
    world->store_down = false;
    size_t operations = world->operations_asked;
    world_origin_answers(read, 200, NULL, "old");
    cr_assert(world_got(reader, 200, "old", NULL));
    cr_assert_eq(world->operations_asked, operations);
    world_reap(world);
    cr_assert_not(hits(world, "/items/5"));

    reader = world_gets(world, "/items/6");
    read = last_asked(world);
    world->store_down = true;
    operations = world->operations_asked;
    world_origin_answers(read, 200, NULL, "old");
    cr_assert_eq(world->operations_asked, operations + 1,
                 "the fill goes to the store that is away");
    world_reap(world);
    cr_assert_not(hits(world, "/items/6"));
    world_destroy(world);
}

Test(outage_memory, modes_do_not_join_each_other)
{
    struct world *world = create();
    struct world_client *before = world_gets(world, "/items/5");
    struct world_exchange *first = last_asked(world);
    world->store_down = true;
    struct world_client *during = world_gets(world, "/items/5");
    cr_assert_eq(world_times_asked(world), 2u);
    world_origin_answers(first, 200, NULL, "1");
    cr_assert(world_got(before, 200, "1", NULL));
    cr_assert_not(during->begun);
    world_origin_answers(last_asked(world), 200, NULL, "2");
    cr_assert(world_got(during, 200, "2", NULL));
    world_destroy(world);
}

Test(outage_memory, the_upstream_is_spared_as_without)
{
    struct world *world = create();
    world->store_down = true;
    struct world_client *clients[PLACES + QUEUE + 1];
    for (int i = 0; i <= PLACES + QUEUE; i++) {
        char target[32];
        snprintf(target, sizeof(target), "/items/%d", i);
        clients[i] = world_gets(world, target);
    }
    cr_assert_eq(world_times_asked(world), (size_t)PLACES);
    cr_assert(world_got(clients[PLACES + QUEUE], 503, NULL, "outage-crowded"));
    struct world_client *sent = world_gets(world, "/items/0"); /* its versions are known: joins */
    world_client_leaves(clients[PLACES]); /* waits for its place: nobody needs it */
    cr_assert_eq(world->machine.lanes[0].queue_length, (unsigned)QUEUE - 1);
    world_origin_answers(world->exchanges[0], 200, NULL, "shared");
    cr_assert(world_got(sent, 200, "shared", "collapsed"));
    struct world_exchange *exchange;
    while ((exchange = world_asked(world)) != NULL)
        world_origin_answers(exchange, 200, NULL, "end");
    world_destroy(world);
}

/* What only this memory knows of is not acknowledged. */
Test(outage_memory, a_purge_is_as_good_as_the_stores)
{
    struct world *world = create();
    world->store_down = true;
    stored(world, "/items/5");
    struct world_client *purger =
        world_asks(world, "PURGE", "/items/5", "authorization: Bearer sesame", NULL);
    cr_assert(world_got(purger, 503, NULL, NULL));
    world_reap(world);
    cr_assert_not(hits(world, "/items/5"));
    world->machine.unpurgeable = CG_UNPURGEABLE_REFUSE;
    struct world_client *writer = world_asks(world, "PUT", "/items/5", NULL, "x");
    cr_assert(world_got(writer, 503, NULL, "unpurgeable"));
    world_destroy(world);
}

static void on_done(void *owner, enum cg_store_result result)
{
    *(enum cg_store_result *)owner = result;
}

Test(outage_memory, a_flush_empties_it)
{
    struct world *world = create();
    enum cg_store_result result = CG_STORE_OK;
    world->store_down = true;
    stored(world, "/items/5");
    world->machine.store->port->flush(world->machine.store, on_done, &result);
    cr_assert_eq(result, CG_STORE_UNAVAILABLE);
    cr_assert_not(hits(world, "/items/5"));
    stored(world, "/items/6");
    struct cg_ban all = {0};
    world->machine.store->port->ban(world->machine.store, &all, 1, on_done, &result);
    cr_assert_not(hits(world, "/items/6"));
    world_destroy(world);
}

/* Waiting for another's fetch has an end, which is not for a fetch that waits for its place. */
Test(outage_memory, followers_do_not_leave_a_fetch_that_is_not_sent)
{
    struct world *world = create();
    world->machine.regime->limits.flight_wait_ms = 100;
    world->store_down = true;
    for (int i = 0; i < PLACES; i++) {
        char target[32];
        snprintf(target, sizeof(target), "/items/busy%d", i);
        world_gets(world, target);
    }
    struct world_client *founder = world_gets(world, "/items/x");
    struct world_client *follower = world_gets(world, "/items/x");
    world_time_passes(world, 5000);
    cr_assert_eq(world->machine.lanes[0].queue_length, 1u);
    world_origin_answers(world->exchanges[0], 200, NULL, "done");
    world_origin_answers(last_asked(world), 200, NULL, "shared");
    cr_assert(world_got(founder, 200, "shared", NULL) && world_got(follower, 200, "shared", NULL));
    struct world_exchange *exchange;
    while ((exchange = world_asked(world)) != NULL)
        world_origin_answers(exchange, 200, NULL, "end");
    world_destroy(world);
}
