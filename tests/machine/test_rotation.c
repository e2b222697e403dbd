/* A fleet that exchanges its secret: gateways on both sides of the exchange, on one store. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "cachegate/seal.h"
#include "help_world.h"
#include "tests/make_ruleset.h"

static const char *const rules = "defaults: { ttl: 60s, stale_if_error: 1h }\n"
                                 "routes:\n"
                                 "  - match: GET /mine/**\n"
                                 "  - match: GET /shared/**\n"
                                 "    scope: shared\n"
                                 "  - match: GET /soon/**\n"
                                 "    stale_while_revalidate: 30s\n";

/* The stages, as one gateway sees them. */
enum stage { OLD, ACCEPTS, SWITCHED, NEW };
static const struct {
    const char *secret, *previous;
} stages[] = {{"old", NULL}, {"old", "new"}, {"new", "old"}, {"new", NULL}};

/* The next requests go to a gateway of that stage. */
static void become(struct world *world, enum stage stage)
{
    struct cg_secret secret, previous;
    cg_secret_from_text(cg_str_from(stages[stage].secret), &secret);
    if (stages[stage].previous != NULL)
        cg_secret_from_text(cg_str_from(stages[stage].previous), &previous);
    cg_sealer_destroy(world->machine.regime->sealer);
    world->machine.regime->sealer =
        cg_sealer_create(&secret, stages[stage].previous == NULL ? NULL : &previous);
    world->machine.regime->ruleset =
        make_ruleset_under(rules, NULL, stages[stage].secret, stages[stage].previous);
}

static struct world *world_at(enum stage stage)
{
    struct world *world = world_create(rules);
    world->port.seals = true;
    become(world, stage);
    return world;
}

static struct world_client *ask(struct world *world, const char *target)
{
    return world_asks(world, "GET", target, "authorization: ann\naccept-language: de", NULL);
}

static void stored(struct world *world, const char *target, const char *fields)
{
    struct world_client *client = ask(world, target);
    cr_assert_not(client->ended, "%s is there already", target);
    world_origin_answers(world_asked(world), 200, fields, "old");
    cr_assert(world_got(client, 200, "old", "stored"));
    world_reap(world);
}

static bool hits(struct world *world, const char *target)
{
    struct world_client *client = ask(world, target);
    bool hit = client->ended;
    if (hit)
        cr_assert(world_got(client, 200, "old", "hit"));
    else
        world_origin_answers(world_asked(world), 200, "cache-control: no-store", "new");
    world_reap(world);
    return hit;
}

static uint64_t previous_hits(const struct world *world)
{
    return cg_book_sum(world->book, CG_METRIC_PREVIOUS_SECRET);
}

Test(rotation, what_was_stored_before_the_exchange_is_found_after_it)
{
    static const char *const targets[] = {"/mine/1", "/shared/2", "/mine/3"};
    struct world *world = world_at(OLD);
    stored(world, "/mine/1", NULL);
    stored(world, "/shared/2", "cache-control: public");
    stored(world, "/mine/3", "vary: accept-language");
    become(world, SWITCHED);
    for (size_t i = 0; i < 3; i++)
        cr_expect(hits(world, targets[i]), "%s", targets[i]);
    cr_expect_eq(previous_hits(world), 3u);
    become(world, ACCEPTS);
    cr_expect(hits(world, "/mine/1"));
    cr_expect_eq(previous_hits(world), 3u, "it was there under our own");
    become(world, NEW);
    cr_expect_not(hits(world, "/mine/1"));
    world_destroy(world);
}

Test(rotation, fills_are_under_the_current_secret_and_found_by_those_who_accept_it)
{
    struct world *world = world_at(SWITCHED);
    stored(world, "/mine/1", NULL);
    become(world, NEW);
    cr_expect(hits(world, "/mine/1"));
    become(world, ACCEPTS);
    cr_expect(hits(world, "/mine/1"));
    become(world, OLD);
    cr_expect_not(hits(world, "/mine/1"));
    world_destroy(world);
}

/* Whoever stored it, and whoever carries the write. */
Test(rotation, write_through_either_half_of_the_fleet_purges_what_both_stored)
{
    for (enum stage storer = ACCEPTS; storer <= SWITCHED; storer++)
        for (enum stage writer = ACCEPTS; writer <= SWITCHED; writer++) {
            struct world *world = world_at(storer);
            stored(world, "/mine/1", NULL);
            become(world, writer);
            world_asks(world, "PUT", "/mine/1", "authorization: ann", "x");
            /* While it is out, neither half serves or stores. */
            for (enum stage reader = ACCEPTS; reader <= SWITCHED; reader++) {
                become(world, reader);
                struct world_client *client = ask(world, "/mine/1");
                cr_assert_not(client->begun, "%d %d %d", storer, writer, reader);
            }
            become(world, writer);
            world_origin_answers(world_asked(world), 200, NULL, "done");
            while (world_asked(world) != NULL)
                world_origin_answers(world_asked(world), 200, NULL, "old");
            world_reap(world);
            for (enum stage reader = ACCEPTS; reader <= SWITCHED; reader++) {
                become(world, reader);
                cr_expect_not(hits(world, "/mine/1"), "%d %d %d", storer, writer, reader);
            }
            world_destroy(world);
        }
}

/* An answer that was refused for its credential purges what is stored for that user, under both. */
Test(rotation, refusal_purges_what_both_stored)
{
    struct world *world = world_at(OLD);
    stored(world, "/mine/1", NULL);
    become(world, SWITCHED);
    struct world_client *refused = ask(world, "/mine/2");
    world_origin_answers(world_asked(world), 401, NULL, "who are you?");
    cr_expect(world_got(refused, 401, NULL, NULL));
    world_reap(world);
    cr_expect_not(hits(world, "/mine/1"));
    world_destroy(world);
}

Test(rotation, stale_answer_from_before_is_fetched_anew_and_serves_only_if_that_fails)
{
    struct world *world = world_at(OLD);
    stored(world, "/soon/1", NULL);
    become(world, SWITCHED);
    world_time_passes(world, 70000);
    struct world_client *client = ask(world, "/soon/1");
    cr_assert_not(client->begun, "a refresh of it would be stored where nobody looked");
    world_origin_end(world_asked(world), CG_ORIGIN_REFUSED);
    cr_expect(world_got(client, 200, "old", "stale-if-error"));
    world_reap(world);
    stored(world, "/soon/1", NULL);
    become(world, NEW);
    cr_expect(hits(world, "/soon/1"));
    world_destroy(world);
}

/* A write that begins between the two looks: what was read first decides what may be stored. */
Test(rotation, write_between_the_looks_leaves_no_stale_fill)
{
    struct world *world = world_at(SWITCHED);
    stored(world, "/mine/1?of=the-same-path", NULL); /* its versions exist */
    world->store_mode = WORLD_STORE_ANSWERS_LATE;
    struct world_client *reader = ask(world, "/mine/1");
    cr_assert(world_store_step(world)); /* the second look is out */
    struct world_client *writer = world_asks(world, "PUT", "/mine/1", "authorization: ann", "x");
    world_store_settle(world);
    struct world_exchange *read = world_asked(world);
    cr_assert_str_eq(read->method, "GET");
    world_origin_head(read, 200, NULL, 3);
    cr_assert_str_eq(world_asked(world)->method, "PUT");
    world_origin_answers(world_asked(world), 200, NULL, "new");
    world_store_settle(world);
    cr_assert(writer->ended);
    world_origin_body(read, "old");
    world_origin_end(read, CG_ORIGIN_COMPLETE);
    world_store_settle(world);
    cr_assert(world_got(reader, 200, "old", "stored"));
    world_reap(world);
    world->store_mode = WORLD_STORE_AT_ONCE;
    cr_expect_not(hits(world, "/mine/1"));
    world_destroy(world);
}

Test(rotation, without_a_previous_secret_a_miss_looks_once)
{
    static const enum stage which[] = {NEW, SWITCHED};
    size_t asked[2];
    for (size_t i = 0; i < 2; i++) {
        struct world *world = world_at(which[i]);
        struct world_client *client = ask(world, "/mine/1");
        asked[i] = world->operations_asked;
        world_origin_answers(world_asked(world), 200, NULL, "old");
        cr_expect(client->ended);
        world_reap(world);
        world_destroy(world);
    }
    cr_expect_eq(asked[1], asked[0] + 1);
}

Test(rotation, store_that_fails_at_the_second_look_is_no_store)
{
    struct world *world = world_at(SWITCHED);
    world->store_mode = WORLD_STORE_ACTS_LATE;
    struct world_client *client = ask(world, "/mine/1");
    cr_assert(world_store_step(world));
    world->store_down = true;
    world_store_settle(world);
    world_origin_answers(world_asked(world), 200, NULL, "new");
    cr_expect(world_got(client, 200, "new", NULL));
    world->store_down = false;
    world_store_settle(world);
    world_reap(world);
    world_destroy(world);
}
