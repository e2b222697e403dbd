/* Who waits for what others fetch: how the wait ends, and what becomes of those who waited. */
#include <criterion/criterion.h>

#include "gateway/request/machine.h"
#include "help_fleet.h"

static const char *const rules = "defaults: { ttl: 60s, scope: shared, early_refresh: off }\n"
                                 "routes:\n"
                                 "  - match: GET /items/**\n"
                                 "    stale_while_revalidate: 30s\n"
                                 "    hit_for_miss: 10s\n"
                                 "  - match: GET /apart/**\n"
                                 "    coalesce: thread\n"
                                 "    stale_while_revalidate: 30s\n"
                                 "    hit_for_miss: 0s\n"
                                 "  - match: GET /unmarked/**\n"
                                 "    hit_for_miss: 0s\n"
                                 "  - match: GET /tough/**\n"
                                 "    stale_if_error: 1h\n"
                                 "  - match: GET /fresher/**\n"
                                 "    client: [no-cache]\n"
                                 "  - match: GET /grouped/**\n"
                                 "    groups: keep\n";

static void setup(void)
{
    fleet_create(rules);
}

TestSuite(followers, .init = setup, .fini = fleet_destroy);

/* ---- the end of the wait ---- */

static size_t operations(void)
{
    size_t count = 0;
    for (size_t i = 0; i < GATEWAYS; i++)
        count += fleet[i]->operations_asked;
    return count;
}

/* How fast they are is CPU time alone: nothing is asked while they wait, each looks once more, and
 * no timer is between the leader's end and theirs. */
Test(followers, all_end_in_the_moment_in_which_the_leader_ends)
{
    enum { EACH = 333 };
    for (size_t i = 0; i < GATEWAYS * EACH; i++)
        world_gets(fleet[i % GATEWAYS], "/items/1");
    size_t before = operations();
    fleet_pass_time(2999); /* the leader renews */
    cr_expect_eq(operations(), before, "who waits does not ask the store");
    int64_t now_ms = fleet[0]->now_ms;
    world_origin_answers(fleet_asked(), 200, NULL, "body");
    for (size_t i = 0; i < EACH; i++)
        cr_assert(world_got(fleet[0]->clients[i], 200, "body", NULL), "streamed to, %zu", i);
    fleet_settle(); /* the wakes; no time passes */
    cr_assert(fleet_all_got(200, "body"));
    cr_expect_eq(fleet[0]->now_ms, now_ms);
    cr_expect_eq(operations(), before + 1 + (GATEWAYS - 1) * EACH, "a fill, and one look for each");
    cr_expect_eq(fleet_times_asked(), 1);
}

Test(followers, nobody_is_woken_before_the_answer_is_in_the_store)
{
    world_gets(fleet[0], "/items/1");
    struct world_client *waiting = world_gets(fleet[1], "/items/1");
    fleet[0]->store_mode = WORLD_STORE_ACTS_LATE;
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "body");
    cr_expect_not(world_store_step(fleet[1]), "there is no news");
    cr_assert_not(waiting->begun);
    fleet_settle();
    cr_assert(world_got(waiting, 200, "body", "hit"));
    cr_expect_eq(fleet_times_asked(), 1);
}

/* A Vary marker is filled first; the answer itself is what they wait for. */
Test(followers, nobody_is_woken_by_half_of_an_answer)
{
    world_asks(fleet[0], "GET", "/items/1", "accept-language: de", NULL);
    struct world_client *waiting =
        world_asks(fleet[1], "GET", "/items/1", "accept-language: de", NULL);
    fleet[0]->store_mode = WORLD_STORE_ACTS_LATE;
    world_origin_answers(world_asked(fleet[0]), 200, "vary: accept-language", "hallo");
    cr_assert(world_store_step(fleet[0]), "the marker");
    cr_expect_not(world_store_step(fleet[1]));
    fleet_settle();
    cr_assert(world_got(waiting, 200, "hallo", "hit"), "%s", world_field(waiting, "cache-status"));
    cr_expect_eq(fleet_times_asked(), 1);
}

Test(followers, who_gave_up_waiting_while_the_claim_was_asked_for_does_not_wait_for_it)
{
    fleet[1]->store_mode = WORLD_STORE_ANSWERS_LATE;
    struct world_client *late = world_gets(fleet[1], "/items/1");
    world_gets(fleet[0], "/items/1");
    world_store_step(fleet[1]); /* nothing was there */
    for (size_t i = 0; i < 10; i++)
        fleet_pass_time(500); /* flight_wait, while it asks for versions */
    fleet_settle();
    cr_assert_eq(world_times_asked(fleet[1]), 1, "it fetches for itself");
    world_origin_answers(world_asked(fleet[1]), 200, NULL, "own");
    cr_assert(world_got(late, 200, "own", "flight-left"), "%s", world_field(late, "cache-status"));
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "late");
}

Test(followers, more_than_may_wait_for_one_fetch_cost_no_more_fetches)
{
    fleet[0]->machine.regime->limits.flight_waiters_max = 2;
    for (size_t i = 0; i < 5; i++)
        world_gets(fleet[0], "/items/1");
    const struct cg_flight *first = fleet[0]->clients[0]->request->flight;
    cr_assert_eq(fleet[0]->clients[1]->request->flight, first);
    cr_assert_neq(fleet[0]->clients[2]->request->flight, first);
    cr_assert_eq(fleet_times_asked(), 1);
    world_origin_answers(fleet_asked(), 200, NULL, "body");
    fleet_settle();
    cr_assert(fleet_all_got(200, "body"));
    cr_assert_eq(fleet_times_asked(), 1);
}

/* ---- variants ---- */

static const char *const languages[] = {"accept-language: de", "accept-language: en"};

static void know_variants(void)
{
    world_asks(fleet[2], "GET", "/items/1", "accept-language: fr", NULL);
    world_origin_answers(fleet_asked(), 200, "vary: accept-language", "salut");
}

Test(followers, nobody_waits_for_another_variant)
{
    know_variants();
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++)
            world_asks(fleet[i], "GET", "/items/1", languages[j], NULL);
    cr_assert_eq(world_times_asked(fleet[0]), 2, "each variant is fetched, at the same time");
    cr_assert_eq(world_times_asked(fleet[1]), 0, "… once");
    world_origin_answers(world_asked(fleet[0]), 200, "vary: accept-language", "hallo");
    world_origin_answers(world_asked(fleet[0]), 200, "vary: accept-language", "hello");
    fleet_settle();
    for (size_t i = 0; i < 2; i++) {
        cr_assert(world_got(fleet[i]->clients[0], 200, "hallo", NULL));
        cr_assert(world_got(fleet[i]->clients[1], 200, "hello", NULL));
    }
    cr_assert_eq(fleet_times_asked(), 3);
}

/* Before anybody knows that there are variants. */
Test(followers, who_wants_another_variant_goes_on_when_that_is_known)
{
    struct world_client *one = world_asks(fleet[0], "GET", "/items/1", languages[0], NULL);
    struct world_client *other = world_asks(fleet[0], "GET", "/items/1", languages[1], NULL);
    struct world_client *far = world_asks(fleet[1], "GET", "/items/1", languages[1], NULL);
    cr_assert_eq(fleet_times_asked(), 1);
    world_origin_head(world_asked(fleet[0]), 200, "vary: accept-language", 5);
    cr_assert_eq(world_times_asked(fleet[0]), 2, "at once");
    world_origin_body(fleet[0]->exchanges[0], "hallo");
    world_origin_end(fleet[0]->exchanges[0], CG_ORIGIN_COMPLETE);
    fleet_settle();
    for (size_t i = 0; i < 2; i++)
        if (world_asked(fleet[i]) != NULL)
            world_origin_answers(world_asked(fleet[i]), 200, "vary: accept-language", "hello");
    fleet_settle();
    cr_assert(world_got(one, 200, "hallo", NULL));
    cr_assert(world_got(other, 200, "hello", NULL));
    cr_assert(world_got(far, 200, "hello", NULL));
}

/* ---- what is not shared ---- */

/* With a marker and without, whose end would end the wait too. */
static void expect_too_large_is_not_waited_for(const char *target, size_t asked_by_a_later_one)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        fleet[i]->machine.regime->limits.entry_bytes_max = 8;
    for (size_t i = 0; i < GATEWAYS; i++)
        world_gets(fleet[i], target);
    world_origin_head(world_asked(fleet[0]), 200, NULL, -1);
    world_origin_body(fleet[0]->exchanges[0], "12345678");
    fleet_settle();
    cr_expect_eq(fleet_times_asked(), 1);
    world_origin_body(fleet[0]->exchanges[0], "9");
    fleet_settle();
    cr_assert_geq(fleet_times_asked(), 2, "before it has ended");
    size_t before = fleet_times_asked();
    struct world_client *later = world_gets(fleet[1], target);
    cr_assert_eq(fleet_times_asked(), before + asked_by_a_later_one);
    world_client_leaves(later);
    world_origin_end(fleet[0]->exchanges[0], CG_ORIGIN_COMPLETE);
    cr_assert(world_got(fleet[0]->clients[0], 200, "123456789", NULL));
    while (fleet_asked() != NULL) {
        world_origin_answers(fleet_asked(), 200, NULL, "123456789");
        fleet_settle();
    }
}

Test(followers, what_turns_out_too_large_is_waited_for_no_longer)
{
    expect_too_large_is_not_waited_for("/items/1", 1);
}

Test(followers, what_turns_out_too_large_is_waited_for_no_longer_without_a_marker)
{
    expect_too_large_is_not_waited_for("/unmarked/1", 0);
}

Test(followers, an_error_is_waited_for_until_its_head)
{
    static const char *const targets[] = {"/items/1", "/unmarked/1"};
    for (size_t i = 0; i < 2; i++) {
        size_t before = fleet_times_asked();
        world_gets(fleet[0], targets[i]);
        struct world_client *waiting = world_gets(fleet[1], targets[i]);
        struct world_exchange *asked = world_asked(fleet[0]);
        world_origin_head(asked, 500, NULL, 4);
        fleet_settle();
        cr_assert_eq(fleet_times_asked(), before + 2, "its body may take long");
        world_origin_answers(world_asked(fleet[1]), 200, NULL, "fine");
        cr_assert(world_got(waiting, 200, "fine", NULL));
        world_origin_body(asked, "oops");
        world_origin_end(asked, CG_ORIGIN_COMPLETE);
    }
}

Test(followers, a_refusal_is_not_remembered)
{
    static const unsigned statuses[] = {401, 403, 503, 408, 429};
    static const char *const targets[] = {"/items/1", "/items/2", "/items/3", "/items/4",
                                          "/items/5"};
    for (size_t i = 0; i < 5; i++) {
        size_t before = fleet_times_asked();
        world_asks(fleet[0], "GET", targets[i], NULL, NULL);
        world_origin_answers(world_asked(fleet[0]), statuses[i], NULL, "no");
        world_gets(fleet[1], targets[i]);
        world_gets(fleet[2], targets[i]);
        cr_assert_eq(fleet_times_asked(), before + 2, "%u: the second waits", statuses[i]);
        world_origin_answers(fleet_asked(), 200, NULL, "fine");
        fleet_settle();
    }
}

/* A thousand of them would be a thousand fills. */
Test(followers, who_goes_alone_remembers_nothing)
{
    for (size_t i = 0; i < 3; i++)
        world_gets(fleet[0], "/items/1");
    world_origin_answers(world_asked(fleet[0]), 200, "cache-control: private", "mine");
    cr_assert_eq(world_times_asked(fleet[0]), 3);
    size_t before = operations();
    world_origin_answers(world_asked(fleet[0]), 200, "cache-control: private", "one");
    world_origin_answers(world_asked(fleet[0]), 200, "cache-control: private", "two");
    cr_expect_eq(operations(), before);
}

/* ---- a marker and what is kept to be asked about stand under one key ---- */

static const char *const kept = "cache-control: no-cache\netag: \"1\"";

static bool is_asked_about(const struct world_exchange *exchange)
{
    return cg_fields_find(exchange->request->fields, CG_STR("if-none-match")) != NULL;
}

Test(followers, an_error_leaves_what_is_kept)
{
    static const unsigned statuses[] = {500, 503, 408, 429};
    world_gets(fleet[0], "/items/1");
    world_origin_answers(fleet_asked(), 200, kept, "body");
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        world_gets(fleet[1], "/items/1");
        cr_assert(is_asked_about(fleet_asked()), "after %u", i == 0 ? 200 : statuses[i - 1]);
        world_origin_answers(fleet_asked(), statuses[i], NULL, "oops");
    }
    struct world_client *client = world_gets(fleet[2], "/items/1");
    world_origin_answers(fleet_asked(), 304, "etag: \"1\"", "");
    cr_assert(world_got(client, 200, "body", "fwd-status=304"));
}

/* A refresh that is told to come later has not learned that the answer is gone. */
Test(followers, an_error_leaves_what_is_stale)
{
    world_gets(fleet[0], "/items/1");
    world_origin_answers(fleet_asked(), 200, NULL, "old");
    fleet_pass_time(61000);
    for (size_t i = 0; i < 3; i++) {
        cr_assert(world_got(world_gets(fleet[i], "/items/1"), 200, "old", "hit"));
        world_origin_answers(fleet_asked(), 429, NULL, "later");
    }
    cr_assert(world_got(world_gets(fleet[0], "/items/1"), 200, "old", "hit"));
    world_origin_answers(fleet_asked(), 200, NULL, "new");
    cr_assert(world_got(world_gets(fleet[1], "/items/1"), 200, "new", "hit"));
}

/* It is asked about by each on its own already, so there is nothing to remember. */
Test(followers, what_is_private_for_once_leaves_what_is_kept)
{
    world_gets(fleet[0], "/items/1");
    world_origin_answers(fleet_asked(), 200, kept, "body");
    world_gets(fleet[0], "/items/1");
    world_origin_answers(fleet_asked(), 200, "cache-control: private", "mine");
    struct world_client *client = world_gets(fleet[1], "/items/1");
    cr_assert(is_asked_about(fleet_asked()));
    world_origin_answers(fleet_asked(), 304, "etag: \"1\"", "");
    cr_assert(world_got(client, 200, "body", "fwd-status=304"));
}

Test(followers, what_is_kept_takes_the_place_of_a_marker)
{
    world_gets(fleet[0], "/items/1");
    world_origin_answers(fleet_asked(), 200, "cache-control: private", "mine");
    world_gets(fleet[1], "/items/1");
    cr_assert_not(is_asked_about(fleet_asked()));
    world_origin_answers(fleet_asked(), 200, kept, "body");
    struct world_client *client = world_gets(fleet[2], "/items/1");
    cr_assert(is_asked_about(fleet_asked()));
    world_origin_answers(fleet_asked(), 304, "etag: \"1\"", "");
    cr_assert(world_got(client, 200, "body", "fwd-status=304"));
    world_gets(fleet[0], "/items/1");
    world_origin_answers(fleet_asked(), 200, NULL, "fresh");
    cr_assert(world_got(world_gets(fleet[1], "/items/1"), 200, "fresh", "hit"));
}

/* The marker stands under the variant's own key. */
Test(followers, one_variant_that_is_private_leaves_the_others)
{
    world_asks(fleet[0], "GET", "/items/1", languages[0], NULL);
    world_origin_answers(fleet_asked(), 200, "vary: accept-language", "hallo");
    world_asks(fleet[0], "GET", "/items/1", languages[1], NULL);
    world_origin_answers(fleet_asked(), 200, "vary: accept-language\ncache-control: private",
                         "mine");
    cr_assert(world_got(world_asks(fleet[1], "GET", "/items/1", languages[0], NULL), 200, "hallo",
                        "hit"));
    world_asks(fleet[1], "GET", "/items/1", languages[1], NULL);
    world_asks(fleet[2], "GET", "/items/1", languages[1], NULL);
    cr_assert_eq(fleet_times_asked(), 4, "nobody waits for it");
    world_origin_answers(fleet_asked(), 200, "cache-control: private", "one");
    world_origin_answers(fleet_asked(), 200, "cache-control: private", "two");
}

Test(followers, what_is_too_large_to_be_kept_is_remembered)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        fleet[i]->machine.regime->limits.entry_bytes_max = 8;
    world_gets(fleet[0], "/items/1");
    world_origin_head(fleet_asked(), 200, kept, -1);
    world_origin_body(fleet[0]->exchanges[0], "123456789");
    world_origin_end(fleet[0]->exchanges[0], CG_ORIGIN_COMPLETE);
    world_gets(fleet[1], "/items/1");
    world_gets(fleet[2], "/items/1");
    cr_assert_eq(fleet_times_asked(), 3);
    world_origin_answers(fleet_asked(), 200, NULL, "short");
    world_origin_answers(fleet_asked(), 200, NULL, "short");
}

/* ---- a write or an outage meanwhile ---- */

/* Each is asked for once: nobody fetches twice because it once waited. */
static void expect_each_asked_for_once(struct world *world)
{
    cr_assert_eq(world_times_asked(world), 3);
    for (size_t i = 0; i < 3; i++)
        world_origin_answers(world_asked(world), 200, NULL, "past it");
    cr_assert_eq(world_times_asked(world), 3);
    for (size_t i = 0; i < 3; i++) {
        cr_assert(world_got(world->clients[i], 200, "past it", NULL));
        cr_assert_null(strstr(world_field(world->clients[i], "cache-status"), "collapsed"));
    }
}

static void found_one_and_join_two(struct world *world)
{
    world->store_mode = WORLD_STORE_ACTS_LATE;
    for (size_t i = 0; i < 3; i++)
        world_gets(world, "/items/1");
    for (size_t i = 0; i < 3; i++)
        world_store_step(world); /* all looked; the first asks for versions */
    cr_assert_eq(world->operation_count, 1);
}

Test(followers, a_write_that_begins_meanwhile_sends_all_past_the_store_once)
{
    found_one_and_join_two(fleet[1]);
    world_asks(fleet[0], "PUT", "/items/1", NULL, "x");
    world_store_settle(fleet[1]);
    expect_each_asked_for_once(fleet[1]);
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "written");
}

Test(followers, an_outage_that_begins_meanwhile_sends_all_past_the_store_once)
{
    found_one_and_join_two(fleet[1]);
    fleet[1]->store_down = true;
    world_store_settle(fleet[1]);
    expect_each_asked_for_once(fleet[1]);
    fleet[1]->store_down = false;
}

/* Woken, they see a write in flight: what was at hand in case of an error is at hand no more. */
Test(followers, what_was_stale_before_the_wait_is_not_served_after_it)
{
    world_gets(fleet[0], "/tough/1");
    world_origin_answers(fleet_asked(), 200, NULL, "old");
    fleet_pass_time(61000);
    struct world_client *leader = world_gets(fleet[0], "/tough/1");
    struct world_client *waiting = world_gets(fleet[1], "/tough/1");
    cr_assert_eq(fleet_times_asked(), 2);
    world_asks(fleet[2], "PUT", "/tough/1", NULL, "x");
    world_client_leaves(leader);
    world_origin_answers(world_asked(fleet[0]), 200, "cache-control: no-store", "none");
    fleet_settle();
    world_origin_end(world_asked(fleet[1]), CG_ORIGIN_CUT);
    cr_assert(world_got(waiting, 502, NULL, NULL), "%u", waiting->status);
    world_origin_answers(world_asked(fleet[2]), 200, NULL, "written");
}

/* ---- refreshes ---- */

Test(followers, one_refresh_at_a_time_where_a_thread_shares_with_nobody)
{
    world_gets(fleet[0], "/apart/1");
    world_origin_answers(fleet_asked(), 200, NULL, "old");
    fleet_pass_time(61000);
    for (size_t i = 0; i < 5; i++)
        cr_assert(world_got(world_gets(fleet[0], "/apart/1"), 200, "old", "hit"));
    cr_assert_eq(fleet_times_asked(), 2);
    world_origin_answers(fleet_asked(), 200, NULL, "new");
    cr_assert(world_got(world_gets(fleet[0], "/apart/1"), 200, "new", "hit"));
}

/* What it brought could not be stored. */
Test(followers, head_refreshes_nothing)
{
    world_gets(fleet[0], "/items/1");
    world_origin_answers(fleet_asked(), 200, NULL, "old");
    fleet_pass_time(61000);
    cr_assert(world_got(world_asks(fleet[0], "HEAD", "/items/1", NULL, NULL), 200, NULL, "hit"));
    cr_assert_eq(fleet_times_asked(), 1);
}

/* Nobody waits for a refresh, and it is worth its place all the same. */
Test(followers, a_refresh_waits_for_its_place)
{
    cg_machine_cap(&fleet[0]->machine, 0, 1);
    world_gets(fleet[0], "/items/1");
    world_origin_answers(fleet_asked(), 200, NULL, "old");
    fleet_pass_time(61000);
    world_gets(fleet[0], "/items/busy");
    cr_assert(world_got(world_gets(fleet[0], "/items/1"), 200, "old", "hit"));
    cr_assert_eq(fleet_times_asked(), 2);
    world_origin_answers(fleet_asked(), 200, NULL, "busy");
    cr_assert_eq(fleet_times_asked(), 3);
    world_origin_answers(fleet_asked(), 200, NULL, "new");
    cr_assert(world_got(world_gets(fleet[0], "/items/1"), 200, "new", "hit"));
}

Test(followers, who_wants_a_newer_answer_does_not_wait_for_what_others_fetch)
{
    world_gets(fleet[0], "/fresher/1");
    world_origin_answers(fleet_asked(), 200, NULL, "old");
    const char *newer = "cache-control: no-cache";
    struct world_client *one = world_asks(fleet[0], "GET", "/fresher/1", newer, NULL);
    struct world_client *two = world_asks(fleet[1], "GET", "/fresher/1", newer, NULL);
    cr_assert_eq(fleet_times_asked(), 3);
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "one");
    world_origin_answers(world_asked(fleet[1]), 200, NULL, "two");
    cr_assert(world_got(one, 200, "one", NULL) && world_got(two, 200, "two", NULL));
}
