/* What a fetch does with the answers to its claim, with versions that move meanwhile, and when it
 * fails. */
#include <criterion/criterion.h>

#include "cachegate/groups.h"
#include "gateway/request/machine.h"
#include "help_fleet.h"

static const char *const rules = "defaults: { ttl: 60s, scope: shared, early_refresh: off }\n"
                                 "routes:\n"
                                 "  - match: GET /items/**\n"
                                 "  - match: GET /grouped/**\n"
                                 "    groups: keep\n"
                                 "  - match: GET /stale/**\n"
                                 "    groups: keep\n"
                                 "    stale_while_revalidate: 30s\n"
                                 "  - match: PUT /items/{id}\n";

static void setup(void)
{
    fleet_create(rules);
}

TestSuite(claims, .init = setup, .fini = fleet_destroy);

/* ---- a store that says something else ---- */

static struct {
    struct cg_claims base;
    enum cg_claim_state state;
    uint32_t left_ms;
    size_t asked, ended;
} odd;

static void odd_claim(struct cg_claims *claims, struct cg_claim *claim, cg_claim_fn answer,
                      void *owner)
{
    struct cg_claim_answer said = {.state = odd.state, .left_ms = odd.left_ms};
    (void)claims;
    (void)claim;
    odd.asked++;
    memset(said.digest, (int)odd.asked, sizeof(said.digest)); /* never ours */
    answer(owner, &said);
}

static void odd_renew(struct cg_claims *claims, const struct cg_claim *claim)
{
    (void)claims;
    (void)claim;
}

static void odd_end(struct cg_claims *claims, struct cg_claim *claim, enum cg_claim_end how)
{
    (void)claims;
    (void)claim;
    (void)how;
    odd.ended++;
}

static struct cg_claims *odd_claims(struct cg_store *store)
{
    static const struct cg_claims_port port = {odd_claim, odd_renew, odd_end};
    (void)store;
    odd.base.port = &port;
    return &odd.base;
}

static void says(struct world *world, enum cg_claim_state state, uint32_t left_ms)
{
    odd.state = state;
    odd.left_ms = left_ms;
    world->port.claims = odd_claims;
}

Test(claims, where_the_store_does_not_say_everybody_fetches)
{
    for (size_t i = 0; i < 2; i++)
        says(fleet[i], CG_CLAIM_UNKNOWN, 0);
    for (size_t i = 0; i < 2; i++)
        for (size_t j = 0; j < 2; j++)
            world_gets(fleet[i], "/items/1");
    cr_assert_eq(world_times_asked(fleet[0]), 1);
    cr_assert_eq(world_times_asked(fleet[1]), 1, "nobody waits for a wake that will not come");
    for (size_t i = 0; i < 2; i++)
        world_origin_answers(world_asked(fleet[i]), 200, NULL, "body");
    cr_assert(fleet_all_got(200, "body"));
    cr_assert_eq(odd.ended, 0, "there is nothing to end");
}

/* The contract says that such a claim passes; whoever breaks it costs a wait, and no loop. */
Test(claims, a_holder_of_always_another_digest_is_waited_for)
{
    says(fleet[0], CG_CLAIM_HELD, 1000);
    struct world_client *client = world_gets(fleet[0], "/items/1");
    cr_assert_eq(odd.asked, 2, "once more, since the versions were not known before");
    cr_assert_not(client->begun);
    for (size_t i = 0; i < 10; i++)
        fleet_pass_time(500);
    cr_assert_eq(world_times_asked(fleet[0]), 1);
    world_origin_answers(fleet_asked(), 200, NULL, "body");
    cr_assert(world_got(client, 200, "body", NULL));
}

/* The store acknowledges the Vary marker at once, and the answer itself after that. */
Test(claims, the_fetch_of_a_variant_ends_when_the_variant_is_stored)
{
    const char *german = "accept-language: de";
    world_asks(fleet[0], "GET", "/items/1", german, NULL);
    fleet[1]->store_mode = WORLD_STORE_ANSWERS_LATE;
    struct world_client *late = world_asks(fleet[1], "GET", "/items/1", german, NULL);
    world_origin_answers(world_asked(fleet[0]), 200, "vary: accept-language", "hallo");
    fleet_settle(); /* it looked before, and claims only now */
    cr_assert(world_got(late, 200, "hallo", "hit"), "%s", world_field(late, "cache-status"));
    cr_assert_eq(fleet_times_asked(), 1);
}

/* ---- versions that move ---- */

/* The next lookup of that gateway finds the last version lost, as after an eviction. */
static struct {
    void (*lookup)(struct cg_store *store, const struct cg_key *key,
                   const struct cg_instance *instances, size_t count, cg_store_view_fn answer,
                   void *owner);
    cg_store_view_fn answer;
    void *owner;
    size_t last;
    bool loses_nothing;
} lossy;

static void lossy_answer(void *owner, const struct cg_store_view *view)
{
    struct cg_store_view seen = *view;
    (void)owner;
    if (!lossy.loses_nothing)
        seen.versions[lossy.last].state = CG_VERSION_ABSENT;
    lossy.answer(lossy.owner, &seen);
}

static void lossy_lookup(struct cg_store *store, const struct cg_key *key,
                         const struct cg_instance *instances, size_t count, cg_store_view_fn answer,
                         void *owner)
{
    if (lossy.answer != NULL) {
        lossy.lookup(store, key, instances, count, answer, owner);
        return;
    }
    lossy.answer = answer;
    lossy.owner = owner;
    lossy.last = count - 1;
    lossy.lookup(store, key, instances, count, lossy_answer, NULL);
}

static void lose_next_lookup(struct world *world)
{
    lossy.lookup = world->port.lookup;
    world->port.lookup = lossy_lookup;
}

/* Who claims before it knows its versions tells them as soon as it does. */
Test(claims, what_the_holder_fetches_under_is_told_at_once)
{
    fleet[2]->store_mode = WORLD_STORE_ACTS_LATE;
    struct world_client *reader = world_gets(fleet[2], "/items/1");
    world_store_settle(fleet[2]);
    cr_assert_eq(world_times_asked(fleet[2]), 1);
    world_asks(fleet[1], "PUT", "/items/1", NULL, "x");
    world_origin_answers(world_asked(fleet[1]), 200, NULL, "written");
    struct world_client *later = world_gets(fleet[0], "/items/1");
    cr_assert_eq(world_times_asked(fleet[0]), 1, "that fetch is from before the write");
    world_origin_answers(world_asked(fleet[2]), 200, NULL, "before");
    world_store_settle(fleet[2]);
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "after");
    cr_assert(world_got(reader, 200, "before", NULL) && world_got(later, 200, "after", NULL));
}

/* The leader's fetch is from before a write; the claim is sent before that is known. */
Test(claims, who_claims_without_versions_claims_again_when_it_knows_better)
{
    world_gets(fleet[0], "/items/1"); /* under the versions from before the write */
    fleet[2]->store_mode = WORLD_STORE_ACTS_LATE;
    lose_next_lookup(fleet[2]);
    struct world_client *reader = world_gets(fleet[2], "/items/1");
    world_store_step(fleet[2]);
    cr_assert_eq(fleet[2]->operation_count, 1, "it asks for versions; its claim is held");
    world_asks(fleet[1], "PUT", "/items/1", NULL, "x");
    world_origin_answers(world_asked(fleet[1]), 200, NULL, "written");
    world_store_settle(fleet[2]);
    cr_assert_eq(world_times_asked(fleet[2]), 1);
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "before");
    world_origin_answers(world_asked(fleet[2]), 200, NULL, "after");
    cr_assert(world_got(reader, 200, "after", NULL));
}

static void forget(void *owner, enum cg_store_result result)
{
    *(enum cg_store_result *)owner = result;
}

static void flush(struct world *world)
{
    enum cg_store_result result = CG_STORE_UNAVAILABLE;
    world->inner->port->flush(world->inner, forget, &result);
    cr_assert_eq(result, CG_STORE_OK);
}

/* What is fetched after a flush is not dead because somebody looked before it. */
Test(claims, the_epoch_of_the_last_look_counts)
{
    fleet[0]->store_mode = WORLD_STORE_ANSWERS_LATE;
    world_gets(fleet[0], "/items/1");
    flush(fleet[1]);
    fleet_settle();
    fleet[0]->store_mode = WORLD_STORE_AT_ONCE;
    world_origin_answers(fleet_asked(), 200, NULL, "body");
    fleet_settle();
    cr_assert(world_got(world_gets(fleet[1], "/items/1"), 200, "body", "hit"));
}

/* A write makes the versions of its path, not the counter of the upstream's groups. */
Test(claims, a_counter_alone_that_is_absent_is_made)
{
    world_asks(fleet[0], "PUT", "/grouped/1", NULL, "x");
    world_origin_answers(fleet_asked(), 200, NULL, "written");
    world_gets(fleet[0], "/grouped/1");
    world_origin_answers(fleet_asked(), 200, "surrogate-key: a", "body");
    fleet_settle();
    cr_assert(world_got(world_gets(fleet[1], "/grouped/1"), 200, "body", "hit"));
}

/* ---- what is asked about ---- */

/* A stale answer, then a look that finds its counter lost; `meanwhile` happens before the refresh
 * asks for versions once more. Whether the origin is asked about the old answer. */
static bool is_asked_about(void (*meanwhile)(void))
{
    world_gets(fleet[0], "/stale/1");
    world_origin_answers(fleet_asked(), 200, "etag: \"1\"", "body");
    fleet_pass_time(61000);
    lose_next_lookup(fleet[0]);
    fleet[0]->store_mode = WORLD_STORE_ANSWERS_LATE;
    world_gets(fleet[0], "/stale/1");
    fleet[0]->store_mode = WORLD_STORE_AT_ONCE;
    meanwhile(); /* it has looked, and was not told yet */
    world_store_settle(fleet[0]);
    struct world_exchange *asked = world_asked(fleet[0]);
    bool about = cg_fields_find(asked->request->fields, CG_STR("if-none-match")) != NULL;
    world_origin_answers(asked, 200, NULL, "new");
    return about;
}

static void nothing(void) {}

static void write_it(void)
{
    world_asks(fleet[1], "PUT", "/stale/1", NULL, "x");
    world_origin_answers(world_asked(fleet[1]), 200, NULL, "written");
}

static void flush_it(void)
{
    flush(fleet[1]);
}

static void end_a_group(void)
{
    world_asks(fleet[1], "POST", "/elsewhere", NULL, "x");
    world_origin_answers(world_asked(fleet[1]), 200, "cache-group-invalidation: \"a\"", "written");
}

/* CONSISTENCY row 4. */
Test(claims, what_a_write_made_wrong_after_the_look_is_not_asked_about)
{
    cr_assert_not(is_asked_about(write_it));
}

Test(claims, what_a_flush_made_wrong_after_the_look_is_not_asked_about)
{
    cr_assert_not(is_asked_about(flush_it));
}

Test(claims, what_may_be_in_a_group_that_was_purged_is_not_asked_about)
{
    cr_assert_not(is_asked_about(end_a_group));
}

/* The control: but for the loss, nothing speaks against it. */
Test(claims, what_nobody_changed_is_asked_about)
{
    lossy.loses_nothing = true;
    cr_assert(is_asked_about(nothing));
}

/* Perhaps by such a purge. */
Test(claims, what_has_lost_its_counter_is_not_asked_about)
{
    cr_assert_not(is_asked_about(nothing));
}

/* ---- HEAD ---- */

Test(claims, head_that_travels_asks_for_itself)
{
    world_gets(fleet[0], "/items/1");
    world_origin_answers(fleet_asked(), 200, "etag: \"1\"", "");
    fleet_pass_time(61000);
    world_asks(fleet[0], "HEAD", "/items/1", NULL, NULL);
    struct world_exchange *asked = fleet_asked();
    cr_assert_null(cg_fields_find(asked->request->fields, CG_STR("if-none-match")));
    world_origin_head(asked, 200, "etag: \"1\"", 0);
    world_origin_end(asked, CG_ORIGIN_COMPLETE);
}

/* The groups that HEAD names would have to be read first, as for a GET. */
Test(claims, head_renews_nothing_that_may_name_groups)
{
    world_gets(fleet[0], "/grouped/1");
    world_origin_answers(fleet_asked(), 200, "etag: \"1\"\nsurrogate-key: a", "body");
    fleet_pass_time(61000);
    size_t before = fleet[0]->operations_asked;
    struct world_client *head = world_asks(fleet[0], "HEAD", "/grouped/1", NULL, NULL);
    size_t looks = fleet[0]->operations_asked - before;
    world_origin_head(fleet_asked(), 200, "etag: \"1\"\nsurrogate-key: b", 4);
    world_origin_end(fleet[0]->exchanges[1], CG_ORIGIN_COMPLETE);
    cr_assert(world_got(head, 200, NULL, NULL));
    cr_assert_eq(fleet[0]->operations_asked, before + looks, "nothing is filled");
}

/* ---- leaders that fail ---- */

Test(claims, who_takes_over_says_so_itself)
{
    world_gets(fleet[0], "/items/1");
    struct world_client *next = world_gets(fleet[0], "/items/1");
    struct world_client *last = world_gets(fleet[0], "/items/1");
    world_origin_end(world_asked(fleet[0]), CG_ORIGIN_CUT);
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "body");
    /* The list of those who wait has no order: one of the two fetched. */
    bool first = strstr(world_field(next, "cache-status"), "collapsed") != NULL;
    bool second = strstr(world_field(last, "cache-status"), "collapsed") != NULL;
    cr_assert(world_got(next, 200, "body", NULL) && world_got(last, 200, "body", NULL));
    cr_assert_neq(first, second, "%s / %s", world_field(next, "cache-status"),
                  world_field(last, "cache-status"));
}

/* The upstream has said that it can take no more: nobody tries in the place of the one. */
Test(claims, a_crowded_upstream_is_not_tried_again)
{
    for (size_t i = 0; i < 4; i++)
        world_gets(fleet[0], "/items/1");
    world_origin_end(world_asked(fleet[0]), CG_ORIGIN_QUEUE_FULL);
    cr_assert_eq(fleet_times_asked(), 1);
    cr_assert(fleet_all_got(503, NULL) || fleet_all_got(502, NULL));
}

Test(claims, who_waits_for_a_fetch_that_gets_no_place_gets_none_either)
{
    cg_machine_cap(&fleet[0]->machine, 0, 1);
    world_gets(fleet[0], "/items/busy");
    for (size_t i = 0; i < 3; i++)
        world_gets(fleet[0], "/items/1");
    fleet_pass_time(10000); /* outage_wait */
    for (size_t i = 1; i < 4; i++)
        cr_assert(world_got(fleet[0]->clients[i], 503, NULL, "upstream-crowded"), "%zu", i);
    world_origin_answers(world_asked(fleet[0]), 200, NULL, "body");
    cr_assert_eq(fleet_times_asked(), 1);
}
