/*
 * An exchange of rules while requests are in flight (CONSISTENCY row 14).
 */
#include "help_world.h"
#include "tests/make_ruleset.h"

#include <criterion/criterion.h>

#include "gateway/request/machine.h"

/* Under the old rules a write of a thing says nothing of the list; under the new ones it does. */
static const char old_rules[] = "routes:\n"
                                "  - match: GET /list\n"
                                "    ttl: 1h\n"
                                "    scope: shared\n"
                                "  - match: GET /same\n"
                                "    ttl: 1h\n"
                                "    scope: shared\n"
                                "  - match: PUT /things/{id}\n"
                                "    invalidate: [/same]\n";
static const char new_rules[] = "routes:\n"
                                "  - match: GET /list\n"
                                "    ttl: 1h\n"
                                "    scope: shared\n"
                                "  - match: GET /same\n"
                                "    ttl: 1h\n"
                                "    scope: shared\n"
                                "  - match: PUT /things/{id}\n"
                                "    invalidate: [/list]\n";

struct exchange {
    struct world *world;
    struct cg_regime next;
    bool announced, banned;
    unsigned ended;
};

static struct exchange the_exchange;

static void on_end(struct cg_regime *regime)
{
    (void)regime;
    the_exchange.ended++;
}

static void on_announced(void *owner)
{
    ((struct exchange *)owner)->announced = true;
}

static void on_banned(void *owner, enum cg_store_result result)
{
    ((struct exchange *)owner)->banned = result == CG_STORE_OK;
}

static struct world *world_between(const char *before, const char *after)
{
    struct world *world = world_create(before);
    the_exchange = (struct exchange){.world = world};
    /* As the first ones were made: the upstream's name counts. */
    world->regime.ruleset = make_ruleset_under(before, NULL, "a secret of the tests", NULL);
    world->regime.on_end = on_end;
    the_exchange.next = world->regime;
    the_exchange.next.references = 0;
    the_exchange.next.ruleset = make_ruleset_under(after, NULL, "a secret of the tests", NULL);
    return world;
}

static void announce(void)
{
    cg_machine_announce(&the_exchange.world->machine, &the_exchange.next, on_announced,
                        &the_exchange);
}

static void adopt(void)
{
    cr_assert(the_exchange.announced);
    cg_machine_adopt(&the_exchange.world->machine);
}

static void forget(void)
{
    cg_machine_forget(&the_exchange.world->machine);
}

static void exchange_at_once(void)
{
    announce();
    adopt();
    forget();
}

static struct world_client *puts_thing(struct world *world)
{
    return world_asks(world, "PUT", "/things/1", NULL, "{}");
}

static struct world_exchange *asked_for(struct world *world, const char *target)
{
    for (size_t i = 0; i < world->exchange_count; i++)
        if (world->exchanges[i]->live && !world->exchanges[i]->headed &&
            strcmp(world->exchanges[i]->target, target) == 0)
            return world->exchanges[i];
    return NULL;
}

/* Whether the next reader of the list is answered from the store. */
static bool hits(struct world *world, const char *target, const char *body)
{
    struct world_client *client = world_gets(world, target);
    world_store_settle(world);
    bool hit = world_got(client, 200, body, "hit");
    if (!client->ended) {
        world_origin_answers(asked_for(world, target), 200, NULL, "new");
        world_store_settle(world);
        cr_assert(world_got(client, 200, "new", NULL));
    }
    return hit;
}

static struct world_client *fetches(struct world *world, const char *target, const char *body)
{
    struct world_client *client = world_gets(world, target);
    world_store_settle(world);
    cr_assert_not_null(asked_for(world, target));
    world_origin_answers(asked_for(world, target), 200, NULL, body);
    world_store_settle(world);
    cr_assert(world_got(client, 200, body, NULL));
    return client;
}

static void end_world(struct world *world)
{
    world_reap(world);
    world_store_settle(world);
    world_destroy(world);
}

/* ---- a write over the exchange ---- */

/* Where the exchange comes in the life of the write. */
enum moment { MARKS, UPSTREAM, HEAD, BODY, MOMENTS };

static void play_write(enum moment moment, enum world_store_mode mode)
{
    struct world *world = world_between(old_rules, new_rules);
    world->store_mode = mode;
    struct world_client *writer = puts_thing(world);
    if (moment == MARKS)
        announce(); /* while the answer to its own marks is under way */
    world_store_settle(world);
    struct world_exchange *put = world_asked(world);
    cr_assert_not_null(put);
    if (moment == UPSTREAM)
        announce();
    if (moment >= HEAD)
        world_origin_head(put, 200, NULL, 4);
    world_store_settle(world);
    if (moment == HEAD)
        announce();
    if (moment == BODY) {
        world_origin_body(put, "do");
        world_store_settle(world);
        announce();
    }
    world_store_settle(world);
    adopt();
    forget();
    /* A reader under the new rules sees the state from before the write: it may, because nobody was
     * told of the write; but it must not be kept. */
    fetches(world, "/list", "before");
    if (moment < HEAD)
        world_origin_head(put, 200, NULL, 4);
    world_origin_body(put, moment == BODY ? "ne" : "done");
    world_origin_end(put, CG_ORIGIN_COMPLETE);
    world_store_settle(world);
    cr_assert(world_got(writer, 200, "done", NULL), "moment %d, mode %d", moment, mode);
    cr_assert_not(hits(world, "/list", "before"), "stale: moment %d, mode %d", moment, mode);
    cr_assert(hits(world, "/list", "new"));
    end_world(world);
    cr_assert_eq(the_exchange.ended, 2u); /* nobody obeys any, the machine has ended */
}

Test(reload, write_that_began_under_other_rules_purges_what_the_new_ones_say)
{
    for (enum moment moment = MARKS; moment < MOMENTS; moment++)
        for (enum world_store_mode mode = WORLD_STORE_AT_ONCE; mode <= WORLD_STORE_ACTS_LATE;
             mode++)
            play_write(moment, mode);
}

/* The same the other way round: what its own rules say is purged as well. */
Test(reload, write_purges_what_its_own_rules_say_to_its_end)
{
    struct world *world = world_between(old_rules, new_rules);
    fetches(world, "/same", "before");
    struct world_client *writer = puts_thing(world);
    announce();
    adopt();
    /* Another thread still serves readers under the old rules: here, one that came before. */
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_assert(world_got(writer, 200, "done", NULL));
    forget();
    struct cg_regime back = the_exchange.next;
    back.ruleset = world->regime.ruleset;
    back.references = 0;
    /* Back to the old rules, without what an exchange purges openly: the write did it itself. */
    cg_machine_announce(&world->machine, &back, on_announced, &the_exchange);
    adopt();
    forget();
    cr_assert_not(hits(world, "/same", "before"));
    end_world(world);
}

/* While readers may still come under the rules before, on other threads, writes under the new ones
 * purge for them too. */
Test(reload, write_between_adopting_and_forgetting_covers_both)
{
    struct world *world = world_between(old_rules, new_rules);
    fetches(world, "/same", "before");
    announce();
    adopt();
    struct world_client *writer = puts_thing(world);
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_assert(world_got(writer, 200, "done", NULL));
    const struct cg_regime *old = world->machine.other;
    cr_assert_eq(old, &world->regime);
    /* A reader of the rules before, as another thread would have it: the same machine, back. */
    world->machine.other = world->machine.regime;
    world->machine.regime = &world->regime;
    cr_assert_not(hits(world, "/same", "before"));
    world->machine.regime = world->machine.other;
    world->machine.other = &world->regime;
    forget();
    end_world(world);
}

/* What a reader under the new rules sees while the write is at the upstream is busy: it passes. */
Test(reload, what_a_write_in_flight_touches_is_busy_before_anybody_reads_under_the_new_rules)
{
    struct world *world = world_between(old_rules, new_rules);
    world->store_mode = WORLD_STORE_ANSWERS_LATE;
    struct world_client *writer = puts_thing(world);
    world_store_settle(world);
    announce();
    cr_assert_not(the_exchange.announced, "its marks are not acknowledged yet");
    world_store_settle(world);
    cr_assert(the_exchange.announced);
    adopt();
    struct world_client *reader = world_gets(world, "/list");
    world_store_settle(world);
    world_origin_answers(world->exchanges[1], 200, NULL, "before");
    cr_assert(world_got(reader, 200, "before", "write-in-flight"), "%s",
              world_field(reader, "cache-status"));
    forget();
    world_origin_answers(world->exchanges[0], 200, NULL, "done");
    world_store_settle(world);
    cr_assert(world_got(writer, 200, "done", NULL));
    end_world(world);
}

Test(reload, store_that_is_away_does_not_hold_up_the_exchange)
{
    struct world *world = world_between(old_rules, new_rules);
    struct world_client *writer = puts_thing(world);
    world->store_down = true;
    announce();
    cr_assert(the_exchange.announced);
    world->store_down = false;
    adopt();
    forget();
    fetches(world, "/list", "before");
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_assert(world_got(writer, 200, "done", NULL));
    cr_assert_not(hits(world, "/list", "before"));
    end_world(world);
}

/* The new rules want to read the answer, which was not kept: everything that the clause could mean
 * is purged. */
Test(reload, value_that_was_not_captured_widens)
{
    static const char after[] = "routes:\n"
                                "  - match: GET /list\n"
                                "    ttl: 1h\n"
                                "    scope: shared\n"
                                "  - match: GET /same\n"
                                "    ttl: 1h\n"
                                "    scope: shared\n"
                                "  - match: PUT /things/{id}\n"
                                "    invalidate: [\"/list?of={response.of}\"]\n";
    struct world *world = world_between(old_rules, after);
    struct world_client *writer = puts_thing(world);
    exchange_at_once();
    fetches(world, "/list?of=7", "before");
    world_origin_answers(world_asked(world), 200, NULL, "{\"of\": 7}");
    cr_assert(world_got(writer, 200, NULL, NULL));
    cr_assert_not(hits(world, "/list?of=7", "before"));
    cr_assert_geq(cg_book_sum(world->book, CG_METRIC_WIDENED), 1u);
    end_world(world);
}

Test(reload, client_that_leaves_changes_nothing)
{
    struct world *world = world_between(old_rules, new_rules);
    struct world_client *writer = puts_thing(world);
    announce();
    adopt();
    world_client_leaves(writer);
    fetches(world, "/list", "before");
    forget();
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_assert_not(hits(world, "/list", "before"));
    end_world(world);
}

Test(reload, refused_write_ends_its_marks_and_wipes_nothing)
{
    struct world *world = world_between(old_rules, new_rules);
    struct world_client *writer = puts_thing(world);
    exchange_at_once();
    world_origin_answers(world_asked(world), 409, NULL, "no");
    cr_assert(world_got(writer, 409, "no", NULL));
    fetches(world, "/list", "kept");
    cr_assert(hits(world, "/list", "kept"));
    end_world(world);
}

Test(reload, slow_write_renews_what_was_marked_late)
{
    struct world *world = world_between(old_rules, new_rules);
    puts_thing(world);
    exchange_at_once();
    world_time_passes(world, 10 * world->regime.limits.write_mark_ms);
    struct world_client *reader = world_gets(world, "/list");
    world_origin_answers(world->exchanges[1], 200, NULL, "before");
    cr_assert(world_got(reader, 200, "before", "write-in-flight"));
    world_origin_answers(world->exchanges[0], 200, NULL, "done");
    cr_assert_not(hits(world, "/list", "before"));
    end_world(world);
}

/* ---- reads over the exchange ---- */

static const char longer[] = "routes:\n"
                             "  - match: GET /list\n"
                             "    ttl: 2h\n"
                             "    scope: shared\n"
                             "  - match: GET /same\n"
                             "    ttl: 1h\n"
                             "    scope: shared\n"
                             "  - match: PUT /things/{id}\n"
                             "    invalidate: [/same]\n";

Test(reload, entries_of_a_changed_route_are_not_found_and_those_of_others_are)
{
    struct world *world = world_between(old_rules, longer);
    fetches(world, "/list", "kept for an hour");
    fetches(world, "/same", "same");
    exchange_at_once();
    cr_assert_not(hits(world, "/list", "kept for an hour"));
    cr_assert(hits(world, "/same", "same"));
    cr_assert(hits(world, "/list", "new"));
    end_world(world);
}

Test(reload, fetch_from_before_is_joined_only_where_the_route_is_as_it_was)
{
    struct world *world = world_between(old_rules, longer);
    struct world_client *before[2] = {world_gets(world, "/list"), world_gets(world, "/same")};
    exchange_at_once();
    struct world_client *after[2] = {world_gets(world, "/list"), world_gets(world, "/same")};
    cr_assert_eq(world_times_asked(world), 3u);
    for (size_t i = 0; i < 3; i++)
        world_origin_answers(world->exchanges[i], 200, NULL, i == 2 ? "anew" : "old");
    cr_assert(world_got(before[0], 200, "old", "ttl=3600"));
    cr_assert(world_got(after[0], 200, "anew", "ttl=7200"));
    cr_assert(world_got(before[1], 200, "old", NULL));
    cr_assert(world_got(after[1], 200, "old", "collapsed"));
    end_world(world);
}

Test(reload, requests_in_flight_end_under_the_rules_they_began_with)
{
    static const char never[] = "routes:\n"
                                "  - match: GET /list\n"
                                "    cache: never\n";
    struct world *world = world_between(old_rules, never);
    world->store_mode = WORLD_STORE_ANSWERS_LATE;
    struct world_client *client = world_gets(world, "/list"); /* its lookup is under way */
    announce();
    adopt();
    forget();
    cr_assert_eq(the_exchange.ended, 0u, "a request obeys it");
    world_store_settle(world);
    world_origin_answers(world_asked(world), 200, NULL, "one");
    world_store_settle(world);
    cr_assert(world_got(client, 200, "one", "stored"));
    world_client_leaves(client);
    world_store_settle(world);
    cr_assert_eq(the_exchange.ended, 1u);
    struct world_client *next = world_gets(world, "/list");
    world_store_settle(world);
    world_origin_answers(world_asked(world), 200, NULL, "two");
    cr_assert(world_got(next, 200, "two", "rule"));
    end_world(world);
}

Test(reload, bounds_on_fetches_in_an_outage_are_those_of_the_next_rules)
{
    struct world *world = world_between(old_rules, new_rules);
    the_exchange.next.limits.outage_fetches_max = 7;
    the_exchange.next.limits.outage_queue_max = 5;
    exchange_at_once();
    cr_assert_eq(world->machine.lanes[0].places_max, 7u);
    cr_assert_eq(world->machine.lanes[0].queue_max, 5u);
    end_world(world);
}

Test(reload, a_thousand_exchanges_leave_nothing_behind)
{
    struct world *world = world_between(old_rules, new_rules);
    struct cg_regime regimes[2] = {world->regime, the_exchange.next};
    struct cg_regime *spare = calloc(1000, sizeof *spare);
    for (unsigned i = 0; i < 1000; i++) {
        spare[i] = regimes[(i + 1) % 2];
        spare[i].references = 0;
        cg_machine_announce(&world->machine, &spare[i], on_announced, &the_exchange);
        struct world_client *writer = i % 100 == 0 ? puts_thing(world) : NULL;
        cg_machine_adopt(&world->machine);
        cg_machine_forget(&world->machine);
        if (writer != NULL)
            world_origin_answers(world_asked(world), 200, NULL, "done");
        world_reap(world);
        cr_assert_eq(the_exchange.ended, i + 1);
    }
    end_world(world);
    free(spare);
}

/* ---- what is purged because rules change ---- */

static struct cg_purge_set changes(const struct cg_ruleset *before, const struct cg_ruleset *next,
                                   struct cg_arena *arena)
{
    struct cg_purge_set set = {0};
    cg_purge_of_changes(before, next, arena, &set);
    return set;
}

Test(reload, what_comes_back_is_purged_before_it_is_read)
{
    struct cg_arena arena;
    cg_arena_init(&arena, 1 << 20);
    const struct cg_ruleset *one = make_ruleset_under(old_rules, NULL, "s", NULL);
    const struct cg_ruleset *two = make_ruleset_under(longer, NULL, "s", NULL);
    struct cg_purge_set set = changes(one, two, &arena);
    cr_assert_eq(set.ban_count, 1u);
    cr_assert(cg_str_eq(set.bans[0].pattern, CG_STR("/list")));
    cr_assert_eq(changes(one, one, &arena).ban_count, 0u);
    cr_assert_eq(changes(two, one, &arena).ban_count, 1u);
    cg_arena_fini(&arena);
}

/* Rules away and back: meanwhile a write did not purge what the first ones say. */
Test(reload, stale_entry_is_not_found_again_when_rules_come_back)
{
    struct world *world = world_between(new_rules, old_rules);
    struct cg_arena arena;
    cg_arena_init(&arena, 1 << 20);
    fetches(world, "/list", "before");
    exchange_at_once();
    struct world_client *writer = puts_thing(world); /* old_rules: says nothing of the list */
    world_origin_answers(world_asked(world), 200, NULL, "done");
    cr_assert(world_got(writer, 200, "done", NULL));
    struct cg_regime back = world->regime;
    const struct cg_ruleset *now = world->machine.regime->ruleset;
    back.references = 0;
    cg_machine_announce(&world->machine, &back, on_announced, &the_exchange);
    struct cg_purge_set set = changes(now, back.ruleset, &arena);
    cr_assert_eq(set.ban_count, 2u); /* the list, and what the write purges under these rules */
    world->machine.store->port->ban(world->machine.store, set.bans, set.ban_count, on_banned,
                                    &the_exchange);
    cr_assert(the_exchange.banned);
    cg_machine_adopt(&world->machine);
    cg_machine_forget(&world->machine);
    cr_assert_not(hits(world, "/list", "before"));
    end_world(world);
    cg_arena_fini(&arena);
}
