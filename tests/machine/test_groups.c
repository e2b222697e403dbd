/* Groups that answers name: what depends on them, who ends it, and who comes in between. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "cachegate/groups.h"
#include "cachegate/purge.h"
#include "gateway/request/machine.h"
#include "help_world.h"

static const char *const rules = "defaults: { ttl: 60s, scope: shared }\n"
                                 "routes:\n"
                                 "  - match: GET /items/**\n"
                                 "    groups: keep\n"
                                 "  - match: GET /hidden/**\n"
                                 "    groups: remove\n"
                                 "  - match: GET /plain/**\n"
                                 "  - match: GET /other/**\n"
                                 "    upstream: other\n"
                                 "    groups: keep\n";

static const char *const grouped = "cache-groups: \"a\", \"b\"\netag: \"1\"";

static void stored(struct world *world, const char *target, const char *fields)
{
    struct world_client *client = world_gets(world, target);
    world_origin_answers(world_asked(world), 200, fields, "body");
    cr_assert(world_got(client, 200, "body", "stored"), "%s", world_field(client, "cache-status"));
    world_reap(world);
}

static bool hits(struct world *world, const char *target)
{
    struct world_client *client = world_gets(world, target);
    bool hit = client->ended;
    if (!hit)
        world_origin_answers(world_asked(world), 200, "cache-control: no-store", "other");
    world_reap(world);
    return hit;
}

static void writes(struct world *world, const char *target, const char *fields)
{
    struct world_client *client = world_asks(world, "POST", target, NULL, "x");
    world_origin_answers(world_asked(world), 200, fields, "written");
    cr_assert(world_got(client, 200, "written", NULL));
    world_reap(world);
}

Test(groups, write_ends_all_answers_of_a_group)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", grouped);
    stored(world, "/items/2", "surrogate-key: x b");
    stored(world, "/items/3", "cache-tag: c");
    stored(world, "/items/4", NULL);
    stored(world, "/plain/1", grouped);
    stored(world, "/other/1", grouped);
    writes(world, "/write", "cache-group-invalidation: \"z\"");
    cr_assert(hits(world, "/items/1") && hits(world, "/items/2") && hits(world, "/items/3"));
    writes(world, "/write", "cache-group-invalidation: \"b\"");
    cr_assert_not(hits(world, "/items/1"));
    cr_assert_not(hits(world, "/items/2"));
    cr_assert(hits(world, "/items/3"), "it is in another group");
    cr_assert(hits(world, "/items/4"), "it is in none");
    cr_assert(hits(world, "/plain/1"), "its route knows no groups");
    cr_assert(hits(world, "/other/1"), "groups belong to one upstream");
    world_destroy(world);
}

/* RFC 9875 3, RFC 9111 4.4. */
Test(groups, only_unsafe_methods_that_succeed_end_a_group)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", grouped);
    struct world_client *client = world_gets(world, "/plain/2");
    world_origin_answers(world_asked(world), 200, "cache-group-invalidation: \"a\"", "read");
    client = world_asks(world, "POST", "/write", NULL, "x");
    world_origin_answers(world_asked(world), 409, "cache-group-invalidation: \"a\"", "no");
    cr_assert(world_got(client, 409, "no", NULL));
    cr_assert(hits(world, "/items/1"));
    world_destroy(world);
}

Test(groups, more_groups_than_can_be_named_end_everything)
{
    char fields[2048] = "cache-group-invalidation: \"0\"";
    for (int i = 1; i < 100; i++)
        snprintf(fields + strlen(fields), 16, ", \"%d\"", i);
    struct world *world = world_create(rules);
    stored(world, "/items/1", grouped);
    writes(world, "/write", fields);
    cr_assert_not(hits(world, "/items/1"));
    world_destroy(world);
}

Test(groups, answer_in_more_groups_than_can_be_watched_is_not_stored)
{
    char fields[2048] = "surrogate-key: 0";
    for (int i = 1; i < 100; i++)
        snprintf(fields + strlen(fields), 16, " %d", i);
    struct world *world = world_create(rules);
    struct world_client *client = world_gets(world, "/items/1");
    world_origin_answers(world_asked(world), 200, fields, "body");
    cr_assert(world_got(client, 200, "body", "too-complex"));
    cr_assert_not(hits(world, "/items/1"));
    world_destroy(world);
}

Test(groups, what_names_groups_is_removed_where_the_route_says_so)
{
    static const char *const all = "surrogate-key: a\ncache-tag: b\ncache-groups: \"c\"\nx-end: 1";
    struct world *world = world_create(rules);
    for (int i = 0; i < 2; i++) {
        struct world_client *shown = world_gets(world, "/items/1");
        if (i == 0)
            world_origin_answers(world_asked(world), 200, all, "body");
        struct world_client *hidden = world_gets(world, "/hidden/1");
        if (i == 0)
            world_origin_answers(world_asked(world), 200, all, "body");
        cr_assert_str_eq(world_field(shown, "surrogate-key"), "a");
        cr_assert_str_eq(world_field(shown, "cache-tag"), "b");
        cr_assert_str_eq(world_field(shown, "cache-groups"), "\"c\"");
        cr_assert_str_eq(world_field(hidden, "surrogate-key"), "");
        cr_assert_str_eq(world_field(hidden, "cache-tag"), "");
        cr_assert_str_eq(world_field(hidden, "cache-groups"), "");
        cr_assert_str_eq(world_field(hidden, "x-end"), "1");
        cr_assert_str_eq(world_field(shown, CG_GROUP_NOTE), "", "what we note is ours");
        cr_assert_str_eq(world_field(hidden, CG_GROUP_NOTE), "");
        world_reap(world);
    }
    cr_assert_eq(world_times_asked(world), 2);
    struct world_client *told = world_asks(world, "GET", "/items/1", "if-none-match: *", NULL);
    cr_assert(world_got(told, 304, "", "hit"));
    cr_assert_str_eq(world_field(told, CG_GROUP_NOTE), "");
    world_destroy(world);
}

/* An origin that sends a field of that name would otherwise take its answer out of its groups. */
Test(groups, nobody_else_writes_our_note)
{
    struct world *world = world_create(rules);
    struct world_client *client = world_gets(world, "/items/1");
    world_origin_answers(world_asked(world), 200, CG_GROUP_NOTE ": 00\nsurrogate-key: a", "body");
    cr_assert_str_eq(world_field(client, CG_GROUP_NOTE), "");
    cr_assert(hits(world, "/items/1"));
    writes(world, "/write", "cache-group-invalidation: \"a\"");
    cr_assert_not(hits(world, "/items/1"));
    world_destroy(world);
}

/* ---- CONSISTENCY row 1 ---- */

Test(groups, purge_during_the_fetch_wins)
{
    struct world *world = world_create(rules);
    struct world_client *reader = world_gets(world, "/items/1");
    struct world_exchange *asked = world_asked(world);
    asked->headed = true; /* so that the write is what is asked next */
    writes(world, "/write", "cache-group-invalidation: \"a\"");
    struct world_client *after = world_gets(world, "/items/1");
    struct world_exchange *fresh = world_asked(world);
    cr_assert_not_null(fresh, "who comes after the write joins no fetch from before it");
    asked->headed = false;
    world_origin_answers(asked, 200, grouped, "old");
    cr_assert(world_got(reader, 200, "old", NULL));
    world_origin_answers(fresh, 200, grouped, "new");
    cr_assert(world_got(after, 200, "new", NULL));
    cr_assert(world_got(world_gets(world, "/items/1"), 200, "new", "hit"));
    world_destroy(world);
}

Test(groups, purge_of_another_group_is_taken_for_one_of_ours)
{
    struct world *world = world_create(rules);
    world_gets(world, "/items/1");
    struct world_exchange *asked = world_asked(world);
    asked->headed = true;
    writes(world, "/write", "cache-group-invalidation: \"z\"");
    asked->headed = false;
    world_origin_answers(asked, 200, grouped, "old");
    world_reap(world);
    cr_assert_not(hits(world, "/items/1"));
    world_destroy(world);
}

static void ignore(void *owner, enum cg_store_result result)
{
    (void)owner;
    cr_assert_eq(result, CG_STORE_OK);
}

/* As any gateway does, with acknowledgement: the counter first. */
static void purge_tag(struct world *world, const char *tag)
{
    struct cg_arena arena;
    struct cg_purge_set set = {0};
    cg_arena_init(&arena, 1 << 20);
    cg_purge_of_tag(world->ruleset, cg_str_from(tag), &arena, &set);
    cr_assert(set.counter_count == 2 && set.instance_count == 2, "one for each upstream");
    world->inner->port->purge(world->inner, set.counters, set.counter_count, ignore, NULL);
    world->inner->port->purge(world->inner, set.instances, set.instance_count, ignore, NULL);
    cg_arena_fini(&arena);
}

/* The purge lands after each answer of the store in turn; who reads afterwards never sees "old". */
Test(groups, purge_lands_between_any_two_steps)
{
    for (int mode = WORLD_STORE_ANSWERS_LATE; mode <= WORLD_STORE_ACTS_LATE; mode++)
        for (int landing = 0; landing < 12; landing++) {
            struct world *world = world_create(rules);
            int steps = 0;
            bool landed = false, answered = false;
            world->store_mode = (enum world_store_mode)mode;
            struct world_client *reader = world_gets(world, "/items/1");
            while (!reader->ended || world->operation_count > 0) {
                if (world_asked(world) != NULL && !answered) {
                    answered = true; /* the state that it tells is of before the purge */
                    world_origin_answers(world_asked(world), 200, grouped, "old");
                } else if (answered && !landed && steps++ == landing) {
                    purge_tag(world, "a");
                    landed = true;
                } else {
                    cr_assert(world_store_step(world));
                }
            }
            if (!landed)
                purge_tag(world, "a");
            cr_assert(world_got(reader, 200, "old", NULL));
            world->store_mode = WORLD_STORE_AT_ONCE;
            cr_assert_not(hits(world, "/items/1"), "mode %d, landing %d", mode, landing);
            world_destroy(world);
        }
}

static void keep_version(void *owner, const struct cg_store_view *view)
{
    *(struct cg_version *)owner = view->versions[0];
}

static struct cg_version counter_of(struct world *world)
{
    struct cg_arena arena;
    struct cg_instance counter;
    struct cg_version version;
    cg_arena_init(&arena, 1 << 20);
    cg_instance_of_group_counter(world->ruleset, 0, &arena, &counter);
    world->inner->port->lookup(world->inner, NULL, &counter, 1, keep_version, &version);
    cg_arena_fini(&arena);
    return version;
}

Test(groups, counter_moves_before_the_groups_and_the_groups_before_the_answer)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", grouped);
    world->store_mode = WORLD_STORE_ACTS_LATE;
    struct world_client *write = world_asks(world, "POST", "/write", NULL, "x");
    world_store_settle(world);
    struct world_exchange *asked = world_asked(world);
    world_origin_head(asked, 200, "cache-group-invalidation: \"a\"", -1);
    world_origin_body(asked, "written");
    cr_assert_eq(world->operation_count, 1, "the counter, and nothing else");
    struct cg_version before = counter_of(world);
    cr_assert(world_store_step(world));
    struct cg_version moved = counter_of(world);
    cr_assert(before.state == CG_VERSION_CURRENT && moved.state == CG_VERSION_CURRENT);
    cr_assert_not(cg_token_eq(&before.token, &moved.token));
    cr_assert_geq(world->operation_count, 1, "the groups");
    cr_assert_not(write->begun);
    world_store_settle(world);
    cr_assert(write->begun);
    world_origin_end(asked, CG_ORIGIN_COMPLETE);
    cr_assert_not(write->ended);
    cr_assert_eq(world->operation_count, 1, "the counter again");
    world_store_settle(world);
    cr_assert(world_got(write, 200, "written", NULL));
    world->store_mode = WORLD_STORE_AT_ONCE;
    cr_assert_not(hits(world, "/items/1"));
    world_destroy(world);
}

/* Whatever went well afterwards: a fetch may have read the groups between the two. */
Test(groups, counter_that_did_not_move_at_first_holds_the_answer)
{
    struct world *world = world_create(rules);
    world->machine.unpurgeable = CG_UNPURGEABLE_REFUSE;
    stored(world, "/items/1", grouped);
    world->store_mode = WORLD_STORE_ANSWERS_LATE;
    struct world_client *write = world_asks(world, "POST", "/write", NULL, "x");
    world_store_settle(world);
    world_origin_answers(world_asked(world), 200, "cache-group-invalidation: \"a\"", "written");
    cr_assert_eq(world->operation_count, 1, "the counter");
    world_store_fails(world);
    world_store_settle(world);
    cr_assert_not(write->ended);
    world_time_passes(world, 1000);
    world_store_settle(world);
    cr_assert(world_got(write, 200, "written", NULL), "the next try went well");
    world->store_mode = WORLD_STORE_AT_ONCE;
    cr_assert_not(hits(world, "/items/1"));
    world_destroy(world);
}

/* CONSISTENCY row 4. */
Test(groups, answer_whose_group_was_purged_is_not_asked_about)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", grouped);
    world_time_passes(world, 61000);
    struct world_client *client = world_gets(world, "/items/1");
    struct world_exchange *asked = world_asked(world);
    cr_assert_not_null(cg_fields_find(asked->request->fields, CG_STR("if-none-match")));
    world_origin_answers(asked, 304, NULL, "");
    cr_assert(world_got(client, 200, "body", "validated"));
    cr_assert_str_eq(world_field(client, CG_GROUP_NOTE), "");
    cr_assert(hits(world, "/items/1"));
    world_time_passes(world, 61000);
    writes(world, "/write", "cache-group-invalidation: \"b\"");
    client = world_gets(world, "/items/1");
    asked = world_asked(world);
    cr_assert_null(cg_fields_find(asked->request->fields, CG_STR("if-none-match")));
    world_origin_answers(asked, 200, grouped, "new");
    cr_assert(world_got(client, 200, "new", "purged"));
    cr_assert(hits(world, "/items/1"));
    world_destroy(world);
}

Test(groups, who_wants_a_stored_answer_only_is_told_that_it_is_gone)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", grouped);
    const char *only = "cache-control: only-if-cached";
    cr_assert(world_got(world_asks(world, "GET", "/items/1", only, NULL), 200, "body", "hit"));
    writes(world, "/write", "cache-group-invalidation: \"b\"");
    cr_assert(world_got(world_asks(world, "GET", "/items/1", only, NULL), 504, NULL, NULL));
    world_destroy(world);
}

Test(groups, store_that_fails_at_the_second_question_is_an_outage)
{
    struct world *world = world_create(rules);
    stored(world, "/items/1", grouped);
    world->store_mode = WORLD_STORE_ANSWERS_LATE;
    struct world_client *client = world_gets(world, "/items/1");
    cr_assert(world_store_step(world));
    cr_assert_not(client->begun);
    world_store_fails(world);
    world_origin_answers(world_asked(world), 200, NULL, "asked");
    cr_assert(world_got(client, 200, "asked", "store-unavailable"));
    world_store_settle(world);
    world_destroy(world);
}

Test(groups, everybody_waits_for_one_fetch)
{
    struct world *world = world_create(rules);
    struct world_client *clients[8];
    for (int i = 0; i < 8; i++)
        clients[i] = world_gets(world, "/items/1");
    cr_assert_eq(world_times_asked(world), 1);
    world_origin_answers(world_asked(world), 200, grouped, "one");
    for (int i = 0; i < 8; i++)
        cr_assert(world_got(clients[i], 200, "one", i == 0 ? "stored" : "collapsed"));
    cr_assert(hits(world, "/items/1"));
    world_destroy(world);
}

/* Who leaves between the question and the answer, or while it is about groups. */
Test(groups, clients_may_leave_at_any_step)
{
    for (int leaves = 0; leaves < 8; leaves++) {
        struct world *world = world_create(rules);
        stored(world, "/items/1", grouped);
        world->store_mode = WORLD_STORE_ANSWERS_LATE;
        struct world_client *hit = world_gets(world, "/items/1");
        struct world_client *miss = world_gets(world, "/items/2");
        bool moves = true;
        for (int steps = 0; moves || hit != NULL; steps++) {
            if (steps == leaves) {
                world_client_leaves(hit);
                world_client_leaves(miss);
                hit = miss = NULL;
            }
            moves = world_asked(world) != NULL;
            if (moves)
                world_origin_answers(world_asked(world), 200, grouped, "two");
            else
                moves = world_store_step(world);
        }
        world_destroy(world);
    }
}
