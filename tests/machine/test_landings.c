/* A write, or an operator's purge, between every two steps of a miss. */
#include <criterion/criterion.h>

#include "cachegate/purge.h"
#include "help_world.h"

static const char *const rules = "defaults: { ttl: 60s }\n"
                                 "routes:\n"
                                 "  - match: GET /items/**\n"
                                 "    scope: shared\n";

enum landing { LANDS_WRITE, LANDS_PURGE, LANDS_BAN, LANDS_FLUSH };

static void on_purged(void *owner, enum cg_store_result result)
{
    (void)result;
    *(bool *)owner = true;
}

/* As the admin API does it: straight at the store, from a handle of its own. */
static void land(struct world *world, enum landing landing)
{
    struct cg_arena arena;
    struct cg_purge_set set = {0};
    bool done = false;
    struct cg_problems problems = {.arena = &arena};
    const struct cg_store_port *port = world->inner->port;
    cg_arena_init(&arena, 1 << 20);
    switch (landing) {
    case LANDS_WRITE: {
        size_t before = world->exchange_count;
        struct world_client *writer = world_asks(world, "PUT", "/items/5", NULL, "x");
        world_origin_answers(world->exchanges[before], 204, NULL, "");
        done = world_got(writer, 204, NULL, NULL);
        break;
    }
    case LANDS_PURGE:
        cr_assert(cg_purge_of_pattern(world->ruleset, CG_STR("/items/5"), &arena, &problems, &set));
        cr_assert(set.instance_count > 0 && set.ban_count == 0);
        port->purge(world->inner, set.instances, set.instance_count, on_purged, &done);
        break;
    case LANDS_BAN:
        cr_assert(cg_purge_of_pattern(world->ruleset, CG_STR("/items/*"), &arena, &problems, &set));
        cr_assert(set.instance_count == 0 && set.ban_count == 1);
        port->ban(world->inner, set.bans, set.ban_count, on_purged, &done);
        break;
    case LANDS_FLUSH:
        port->flush(world->inner, on_purged, &done);
        break;
    }
    cg_arena_fini(&arena);
    cr_assert(done);
}

/* Steps of the miss, then the whole of it (its own store calls at once), then the rest. */
static int lands_after(enum landing landing, enum world_store_mode mode, int steps_before)
{
    struct world *world = world_create(rules);
    world->store_mode = mode;
    struct world_client *reader = world_gets(world, "/items/5");
    struct world_exchange *fetch = NULL;
    int steps = 0;
    bool written = false;
    for (;; steps++) {
        if (steps == steps_before) {
            world->store_mode = WORLD_STORE_AT_ONCE;
            land(world, landing);
            world->store_mode = mode;
            world->state = 1;
            written = true;
        }
        if (world_store_step(world))
            continue;
        if (fetch == NULL)
            fetch = world_asked(world);
        if (fetch != NULL && !fetch->headed)
            world_origin_head(fetch, 200, NULL, 3);
        else if (fetch != NULL && fetch->live && steps % 2 == 0)
            world_origin_body(fetch, ""); /* nothing new: a step all the same */
        else if (fetch != NULL && fetch->live) {
            /* The upstream reads its state when it is asked: the oldest that can be shown. */
            world_origin_body(fetch, fetch->tag == 0 ? "old" : "new");
            world_origin_end(fetch, CG_ORIGIN_COMPLETE);
        } else
            break;
    }
    cr_assert(world_got(reader, 200, NULL, NULL));
    world_reap(world);
    if (written) {
        world->store_mode = WORLD_STORE_AT_ONCE;
        struct world_client *after = world_gets(world, "/items/5");
        if (!after->begun)
            world_origin_answers(world_asked(world), 200, NULL, "new");
        cr_assert(world_got(after, 200, "new", NULL),
                  "mode %d: what came after step %d was forgotten (%d)", (int)mode, steps_before,
                  (int)landing);
    }
    world_destroy(world);
    return steps;
}

static void land_everywhere(enum landing landing)
{
    for (int mode = WORLD_STORE_AT_ONCE; mode <= WORLD_STORE_ACTS_LATE; mode++) {
        int steps = lands_after(landing, (enum world_store_mode)mode, 1000);
        cr_assert_geq(steps, 2);
        for (int before = 0; before <= steps - 1; before++)
            lands_after(landing, (enum world_store_mode)mode, before);
    }
}

Test(landings, write_between_any_two_steps_of_a_miss_is_seen_by_the_next_read)
{
    land_everywhere(LANDS_WRITE);
}

Test(landings, purge_by_an_operator_between_any_two_steps_is_seen_by_the_next_read)
{
    land_everywhere(LANDS_PURGE);
    land_everywhere(LANDS_BAN);
    land_everywhere(LANDS_FLUSH);
}

/* Who comes after it fetches anew, though a fetch from before it is still on its way. */
Test(landings, nobody_who_comes_after_it_joins_a_fetch_from_before_it)
{
    static const enum landing all[] = {LANDS_WRITE, LANDS_PURGE, LANDS_BAN, LANDS_FLUSH};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct world *world = world_create(rules);
        struct world_client *before = world_gets(world, "/items/5");
        struct world_exchange *fetch = world->exchanges[0];
        struct world_client *joined = world_gets(world, "/items/5");
        cr_assert_eq(world_times_asked(world), 1u);
        land(world, all[i]);
        size_t asked = world_times_asked(world);
        struct world_client *after = world_gets(world, "/items/5");
        cr_assert_eq(world_times_asked(world), asked + 1, "%d", (int)all[i]);
        world_origin_answers(world->exchanges[asked], 200, NULL, "new");
        cr_assert(world_got(after, 200, "new", "stored"));
        /* The old one ends last, and takes the place of the new one: as a miss. */
        world_origin_answers(fetch, 200, NULL, "old");
        cr_assert(world_got(before, 200, "old", NULL) && world_got(joined, 200, "old", NULL));
        world_reap(world);
        struct world_client *last = world_gets(world, "/items/5");
        cr_assert_not(last->begun, "%d", (int)all[i]);
        world_origin_answers(world_asked(world), 200, NULL, "new");
        world_destroy(world);
    }
}
