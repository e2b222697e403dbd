/* Many who want the same at once, in one gateway and in several on one store. */
#include <criterion/criterion.h>

#include "gateway/request/machine.h"
#include "help_world.h"

static const char *const rules = "defaults: { ttl: 60s }\n"
                                 "routes:\n"
                                 "  - match: GET /items/**\n"
                                 "    scope: shared\n"
                                 "    stale_while_revalidate: 30s\n"
                                 "    hit_for_miss: 10s\n"
                                 "    early_refresh: off\n"
                                 "  - match: GET /apart/**\n"
                                 "    scope: shared\n"
                                 "    coalesce: thread\n"
                                 "    hit_for_miss: 0s\n"
                                 "  - match: GET /keen/**\n"
                                 "    scope: shared\n"
                                 "    early_refresh: 1\n"
                                 "  - match: GET /grouped/**\n"
                                 "    scope: shared\n"
                                 "    groups: keep\n"
                                 "  - match: PUT /items/{id}\n";

enum { GATEWAYS = 3 };
static struct world *fleet[GATEWAYS];

static void setup(void)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        fleet[i] = world_create(rules);
    for (size_t i = 1; i < GATEWAYS; i++)
        world_shares(fleet[i], fleet[0]);
}

static void settle(void)
{
    for (size_t turn = 0; turn < 4; turn++)
        for (size_t i = 0; i < GATEWAYS; i++)
            world_store_settle(fleet[i]);
}

static void teardown(void)
{
    for (size_t i = GATEWAYS; i > 0; i--)
        world_reap(fleet[i - 1]);
    settle();
    for (size_t i = GATEWAYS; i > 0; i--)
        world_destroy(fleet[i - 1]);
}

TestSuite(herd, .init = setup, .fini = teardown);

static size_t times_asked(void)
{
    size_t count = 0;
    for (size_t i = 0; i < GATEWAYS; i++)
        count += world_times_asked(fleet[i]);
    return count;
}

static void pass_time(int64_t ms)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        world_time_passes(fleet[i], ms);
}

/* Who is asked somewhere, and not answered yet; NULL without. */
static struct world_exchange *asked_anywhere(void)
{
    struct world_exchange *found = NULL;
    for (size_t i = 0; i < GATEWAYS && found == NULL; i++)
        found = world_asked(fleet[i]);
    return found;
}

Test(herd, a_thousand_clients_of_three_gateways_cost_one_fetch)
{
    for (size_t i = 0; i < 999; i++)
        world_gets(fleet[i % GATEWAYS], "/items/1");
    cr_assert_eq(times_asked(), 1);
    world_origin_head(asked_anywhere(), 200, NULL, 4);
    cr_assert(fleet[0]->clients[0]->begun, "its own clients are streamed to");
    cr_expect_not(fleet[1]->clients[0]->begun, "the others wait until it is stored");
    world_origin_body(fleet[0]->exchanges[0], "body");
    world_origin_end(fleet[0]->exchanges[0], CG_ORIGIN_COMPLETE);
    settle();
    cr_assert_eq(times_asked(), 1);
    for (size_t i = 0; i < GATEWAYS; i++)
        for (size_t j = 0; j < fleet[i]->client_count; j++)
            cr_assert(world_got(fleet[i]->clients[j], 200, "body", NULL), "%zu of %zu", j, i);
}

Test(herd, a_slow_store_costs_one_fetch_too)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        fleet[i]->store_mode = WORLD_STORE_ACTS_LATE;
    for (size_t i = 0; i < 30; i++)
        world_gets(fleet[i % GATEWAYS], "/items/1");
    settle();
    cr_assert_eq(times_asked(), 1);
    world_origin_answers(asked_anywhere(), 200, NULL, "body");
    settle();
    cr_assert_eq(times_asked(), 1);
    for (size_t i = 0; i < GATEWAYS; i++)
        for (size_t j = 0; j < fleet[i]->client_count; j++)
            cr_assert(world_got(fleet[i]->clients[j], 200, "body", NULL), "%zu of %zu", j, i);
}

/* It looked before the other stored, and comes to claim only afterwards. */
Test(herd, who_claims_just_after_it_was_stored_looks_again)
{
    struct world_client *first = world_gets(fleet[0], "/items/1");
    fleet[1]->store_mode = WORLD_STORE_ANSWERS_LATE;
    struct world_client *late = world_gets(fleet[1], "/items/1");
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "body");
    settle();
    cr_assert(world_got(first, 200, "body", NULL));
    cr_assert(world_got(late, 200, "body", "hit"));
    cr_assert_eq(times_asked(), 1);
}

/* … and what is gone by then is fetched, without looking for ever. */
Test(herd, what_was_stored_and_lost_again_is_fetched)
{
    world_gets(fleet[0], "/items/1");
    fleet[1]->store_mode = WORLD_STORE_ANSWERS_LATE;
    struct world_client *late = world_gets(fleet[1], "/items/1");
    fleet[0]->store_mode = WORLD_STORE_ACTS_LATE;
    world_origin_answers(world_asked(fleet[0]), 200, "cache-control: s-maxage=1", "body");
    world_store_settle(fleet[0]);
    for (size_t i = 0; i < GATEWAYS; i++)
        fleet[i]->now_ms += 999999; /* past any use of it; no timer fires */
    settle();
    cr_assert_eq(world_times_asked(fleet[1]), 1);
    world_origin_answers(world_asked(fleet[1]), 200, NULL, "again");
    settle();
    cr_assert(world_got(late, 200, "again", NULL));
}

Test(herd, of_those_who_wait_for_a_dead_gateway_exactly_one_takes_over)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        for (size_t j = 0; j < 5; j++)
            world_gets(fleet[i], "/items/1");
    cr_assert_eq(times_asked(), 1);
    /* The first one's time stands still: it renews nothing. */
    for (size_t i = 1; i < GATEWAYS; i++)
        world_time_passes(fleet[i], 2999);
    cr_expect_eq(times_asked(), 1, "the claim may still live");
    for (size_t i = 1; i < GATEWAYS; i++)
        world_time_passes(fleet[i], 1);
    cr_assert_eq(times_asked(), 2);
    cr_assert_null(world_asked(fleet[2]));
    world_origin_answers(world_asked(fleet[1]), 200, NULL, "new");
    settle();
    cr_assert_eq(times_asked(), 2);
    for (size_t i = 1; i < GATEWAYS; i++)
        for (size_t j = 0; j < 5; j++)
            cr_assert(world_got(fleet[i]->clients[j], 200, "new", NULL));
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "old");
}

Test(herd, a_slow_leader_keeps_its_claim)
{
    fleet[1]->machine.regime->limits.flight_wait_ms = 1000000;
    world_gets(fleet[0], "/items/1");
    world_gets(fleet[1], "/items/1");
    for (size_t i = 0; i < 100; i++)
        pass_time(999);
    cr_assert_eq(times_asked(), 1);
    world_origin_answers(asked_anywhere(), 200, NULL, "body");
    settle();
    cr_assert(world_got(fleet[1]->clients[0], 200, "body", "hit"));
}

Test(herd, who_has_waited_long_enough_fetches_alone)
{
    world_gets(fleet[0], "/items/1");
    for (size_t i = 0; i < 3; i++)
        world_gets(fleet[1], "/items/1");
    for (size_t i = 0; i < 10; i++)
        pass_time(500); /* flight_wait */
    cr_assert_eq(world_times_asked(fleet[1]), 3);
    cr_assert_eq(world_times_asked(fleet[0]), 1);
    for (size_t i = 0; i < 3; i++)
        world_origin_answers(world_asked(fleet[1]), 200, NULL, "own");
    for (size_t i = 0; i < 3; i++)
        cr_assert(world_got(fleet[1]->clients[i], 200, "own", NULL));
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "late");
}

Test(herd, nobody_waits_for_a_fetch_from_before_a_write)
{
    struct world_client *old = world_gets(fleet[0], "/items/1");
    cr_assert_eq(times_asked(), 1);
    struct world_client *write = world_asks(fleet[1], "PUT", "/items/1", NULL, "x");
    world_origin_answers(world_asked(fleet[1]), 200, NULL, "written");
    cr_assert(world_got(write, 200, NULL, NULL));
    struct world_client *reader = world_gets(fleet[2], "/items/1");
    cr_assert_eq(world_times_asked(fleet[2]), 1, "its versions differ from the leader's");
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "before");
    cr_assert(world_got(old, 200, "before", NULL));
    world_origin_answers(world_asked(fleet[2]), 200, NULL, "after");
    cr_assert(world_got(reader, 200, "after", NULL));
    settle();
    cr_assert(world_got(world_gets(fleet[1], "/items/1"), 200, "after", "hit"));
}

/* What its groups are nobody knows yet: the counter alone tells the two fetches apart. */
Test(herd, nobody_waits_for_a_fetch_from_before_a_purge_of_groups)
{
    struct world_client *old = world_gets(fleet[0], "/grouped/1");
    world_gets(fleet[1], "/grouped/1");
    cr_assert_eq(times_asked(), 1);
    struct world_client *write = world_asks(fleet[2], "POST", "/elsewhere", NULL, "x");
    world_origin_answers(world_asked(fleet[2]), 200, "cache-group-invalidation: \"a\"", "written");
    cr_assert(world_got(write, 200, NULL, NULL));
    size_t before = world_times_asked(fleet[2]);
    struct world_client *reader = world_gets(fleet[2], "/grouped/1");
    cr_assert_eq(world_times_asked(fleet[2]), before + 1, "the counter differs from the leader's");
    world_origin_answers(world_asked(fleet[0]), 200, "surrogate-key: a", "before");
    cr_assert(world_got(old, 200, "before", NULL));
    world_origin_answers(world_asked(fleet[2]), 200, "surrogate-key: a", "after");
    cr_assert(world_got(reader, 200, "after", NULL));
    settle();
    cr_assert_eq(times_asked(), before + 2, "who waited for the first waits for the second");
    for (size_t i = 0; i < GATEWAYS; i++)
        cr_assert(world_got(world_gets(fleet[i], "/grouped/1"), 200, "after", "hit"));
}

Test(herd, who_leaves_while_waiting_leaves_nothing_behind)
{
    world_gets(fleet[0], "/items/1");
    struct world_client *waiting = world_gets(fleet[1], "/items/1");
    world_client_leaves(waiting);
    cr_assert_eq(fleet[1]->machine.live, 0);
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "body");
}

Test(herd, a_route_may_keep_its_fetches_to_itself)
{
    world_gets(fleet[0], "/apart/1");
    world_gets(fleet[0], "/apart/1");
    world_gets(fleet[1], "/apart/1");
    cr_assert_eq(world_times_asked(fleet[0]), 1);
    cr_assert_eq(world_times_asked(fleet[1]), 1);
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "one");
    world_origin_answers(world_asked(fleet[1]), 200, NULL, "two");
}

/* ---- what cannot be shared ---- */

Test(herd, followers_of_an_answer_that_is_not_shared_go_all_at_once)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        for (size_t j = 0; j < 4; j++)
            world_gets(fleet[i], "/items/1");
    cr_assert_eq(times_asked(), 1);
    world_origin_head(asked_anywhere(), 200, "cache-control: private", 7);
    settle();
    cr_assert_eq(times_asked(), GATEWAYS * 4, "each for itself, before the first has ended");
    for (size_t i = 0; i < GATEWAYS; i++)
        for (size_t j = 0; j < fleet[i]->exchange_count; j++) {
            struct world_exchange *exchange = fleet[i]->exchanges[j];
            char body[] = {'f', 'o', 'r', ' ', (char)('0' + i), (char)('0' + j), '\0'};
            if (!exchange->headed)
                world_origin_head(exchange, 200, "cache-control: private", 6);
            world_origin_body(exchange, exchange == fleet[0]->exchanges[0] ? "for 000" : body);
            world_origin_end(exchange, CG_ORIGIN_COMPLETE);
        }
    for (size_t i = 0; i < GATEWAYS; i++)
        for (size_t j = 0; j < 4; j++)
            for (size_t k = 0; k < i * 4 + j; k++) /* nobody has anybody else's */
                cr_assert_not(cg_str_eq(cg_buf_str(&fleet[i]->clients[j]->body),
                                        cg_buf_str(&fleet[k / 4]->clients[k % 4]->body)));
}

Test(herd, what_could_not_be_stored_is_remembered_for_a_while)
{
    world_gets(fleet[0], "/items/1");
    world_origin_answers(asked_anywhere(), 200, "cache-control: no-store", "mine");
    struct world_client *one = world_gets(fleet[1], "/items/1");
    struct world_client *two = world_gets(fleet[1], "/items/1");
    cr_assert_eq(world_times_asked(fleet[1]), 2, "nobody waits");
    world_origin_answers(world_asked(fleet[1]), 200, "cache-control: no-store", "one");
    world_origin_answers(world_asked(fleet[1]), 200, "cache-control: no-store", "two");
    cr_assert(world_got(one, 200, "one", NULL));
    cr_assert(world_got(two, 200, "two", NULL));
    pass_time(10000);
    world_gets(fleet[1], "/items/1");
    world_gets(fleet[2], "/items/1");
    cr_assert_eq(times_asked(), 4, "the second waits again");
    world_origin_answers(asked_anywhere(), 200, NULL, "shared");
    settle();
    cr_assert(world_got(fleet[2]->clients[0], 200, "shared", "hit"));
}

Test(herd, what_can_be_stored_again_is_stored_at_once)
{
    world_gets(fleet[0], "/items/1");
    world_origin_answers(asked_anywhere(), 200, "cache-control: no-store", "mine");
    world_gets(fleet[1], "/items/1");
    world_origin_answers(asked_anywhere(), 200, NULL, "shared");
    cr_assert(world_got(world_gets(fleet[2], "/items/1"), 200, "shared", "hit"));
}

Test(herd, a_write_ends_what_is_remembered)
{
    world_gets(fleet[0], "/items/1");
    world_origin_answers(asked_anywhere(), 200, "cache-control: no-store", "mine");
    world_asks(fleet[0], "PUT", "/items/1", NULL, "x");
    world_origin_answers(asked_anywhere(), 200, NULL, "written");
    world_gets(fleet[0], "/items/1");
    world_gets(fleet[1], "/items/1");
    cr_assert_eq(times_asked(), 3, "the second waits");
    world_origin_answers(asked_anywhere(), 200, NULL, "new");
    settle();
    cr_assert(world_got(fleet[1]->clients[0], 200, "new", NULL));
}

Test(herd, an_error_is_not_remembered)
{
    world_gets(fleet[0], "/items/1");
    world_origin_answers(asked_anywhere(), 500, NULL, "oops");
    world_gets(fleet[1], "/items/1");
    world_gets(fleet[2], "/items/1");
    cr_assert_eq(times_asked(), 2);
    world_origin_answers(asked_anywhere(), 200, NULL, "fine");
    settle();
    cr_assert(world_got(fleet[2]->clients[0], 200, "fine", "hit"));
}

/* ---- leaders that fail ---- */

Test(herd, of_those_who_wait_for_a_fetch_that_fails_one_tries_again)
{
    for (size_t i = 0; i < 10; i++)
        world_gets(fleet[0], "/items/1");
    world_origin_end(world_asked(fleet[0]), CG_ORIGIN_CUT);
    cr_assert(world_got(fleet[0]->clients[0], 502, NULL, NULL), "its own request has failed");
    cr_assert_eq(times_asked(), 2);
    cr_assert_not(fleet[0]->clients[1]->begun);
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "second");
    for (size_t i = 1; i < 10; i++)
        cr_assert(world_got(fleet[0]->clients[i], 200, "second", NULL), "%zu", i);
}

Test(herd, a_second_failure_is_told_to_all)
{
    for (size_t i = 0; i < 10; i++)
        world_gets(fleet[0], "/items/1");
    world_origin_end(world_asked(fleet[0]), CG_ORIGIN_REFUSED);
    world_origin_end(world_asked(fleet[0]), CG_ORIGIN_REFUSED);
    for (size_t i = 0; i < 10; i++)
        cr_assert(world_got(fleet[0]->clients[i], 502, NULL, NULL), "%zu", i);
    cr_assert_eq(times_asked(), 2);
}

Test(herd, of_other_gateways_one_takes_over_from_one_that_fails)
{
    for (size_t i = 0; i < 9; i++)
        world_gets(fleet[i % GATEWAYS], "/items/1");
    fleet[0]->machine.regime->limits.flight_takeovers_max = 0;
    world_origin_end(world_asked(fleet[0]), CG_ORIGIN_CUT);
    settle();
    cr_assert_eq(times_asked(), 2);
    world_origin_answers(asked_anywhere(), 200, NULL, "second");
    settle();
    cr_assert_eq(times_asked(), 2);
    for (size_t i = 1; i < GATEWAYS; i++)
        for (size_t j = 0; j < 3; j++)
            cr_assert(world_got(fleet[i]->clients[j], 200, "second", NULL));
}

/* ---- the upstream's own bound ---- */

Test(herd, a_cold_start_is_no_stampede_either)
{
    struct world *world = fleet[0];
    char target[] = "/items/a";
    cg_machine_cap(&world->machine, 0, 2);
    for (char c = 'a'; c < 'h'; c++) { /* 2 have a place, 5 wait */
        target[7] = c;
        world_gets(world, target);
    }
    struct world_client *joined = world_gets(world, "/items/g");
    cr_assert_eq(world_times_asked(world), 2);
    for (size_t done = 1; done <= 7; done++) {
        world_origin_answers(world_asked(world), 200, NULL, "body");
        cr_assert_eq(world_times_asked(world), done < 5 ? done + 2 : 7);
    }
    for (size_t i = 0; i < 7; i++)
        cr_assert(world_got(world->clients[i], 200, "body", NULL), "%zu", i);
    cr_assert(world_got(joined, 200, "body", NULL), "nobody waits twice for the same");
}

Test(herd, too_many_that_wait_are_told_to_come_again)
{
    struct world *world = fleet[0];
    char target[] = "/items/a";
    cg_machine_cap(&world->machine, 0, 1);
    for (char c = 'a'; c < 'k'; c++) { /* one is asked for, 8 wait */
        target[7] = c;
        world_gets(world, target);
    }
    cr_assert(world_got(world->clients[9], 503, NULL, "upstream-crowded"));
    cr_assert_str_eq(world_field(world->clients[9], "retry-after"), "10");
    struct world_client *write = world_asks(world, "PUT", "/items/z", NULL, "x");
    world_origin_answers(world->exchanges[1], 200, NULL, "written");
    cr_assert(world_got(write, 200, NULL, NULL), "writes do not queue");
    pass_time(10000);
    for (size_t i = 1; i < 9; i++)
        cr_assert(world_got(world->clients[i], 503, NULL, "upstream-crowded"), "%zu", i);
    world_origin_answers(world_asked(world), 200, NULL, "body");
    cr_assert(world_got(world->clients[0], 200, "body", NULL));
}

/* ---- refreshes ---- */

/* The world's random numbers are small, so every die says yes once the end is near enough. */
Test(herd, one_early_refresh_over_all_gateways)
{
    world_gets(fleet[0], "/keen/1");
    pass_time(100); /* the fetch costs that much */
    world_origin_answers(asked_anywhere(), 200, NULL, "old");
    cr_assert(world_got(world_gets(fleet[1], "/keen/1"), 200, "old", "hit"));
    cr_assert_eq(times_asked(), 1, "far from its end");
    pass_time(56500);
    for (size_t i = 0; i < 9; i++)
        cr_assert(world_got(world_gets(fleet[i % GATEWAYS], "/keen/1"), 200, "old", "hit"));
    cr_assert_eq(times_asked(), 2);
    world_origin_answers(asked_anywhere(), 200, NULL, "new");
    pass_time(10000);
    cr_assert(world_got(world_gets(fleet[2], "/keen/1"), 200, "new", "hit"));
}

Test(herd, no_early_refresh_where_the_origin_must_confirm_or_the_rule_says_off)
{
    static const char *const rows[][2] = {{"/keen/1", "cache-control: must-revalidate"},
                                          {"/items/1", NULL}};
    for (size_t i = 0; i < 2; i++) {
        world_gets(fleet[0], rows[i][0]);
        pass_time(100);
        world_origin_answers(asked_anywhere(), 200, rows[i][1], "old");
        pass_time(59500);
        cr_assert(world_got(world_gets(fleet[0], rows[i][0]), 200, "old", "hit"));
        cr_assert_eq(times_asked(), i + 1);
    }
}

Test(herd, one_refresh_over_all_gateways)
{
    world_gets(fleet[0], "/items/1");
    world_origin_answers(asked_anywhere(), 200, NULL, "old");
    pass_time(61000);
    for (size_t i = 0; i < 9; i++)
        cr_assert(world_got(world_gets(fleet[i % GATEWAYS], "/items/1"), 200, "old", "hit"));
    cr_assert_eq(times_asked(), 2);
    world_origin_answers(asked_anywhere(), 200, NULL, "new");
    cr_assert(world_got(world_gets(fleet[2], "/items/1"), 200, "new", "hit"));
    cr_assert_eq(times_asked(), 2);
}
