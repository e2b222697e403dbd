/* Handles of one process that are not at the same point: one thread is ahead of another, or a
 * handle ends in the middle of something. */
#include "cachegate/redis_slot.h"
#include "redis_fake_calls.h"

TestSuite(handles, .init = begin, .fini = end);

static enum cg_store_result ask_at(struct cg_store *handle, bool purges)
{
    struct seen seen = {0};
    struct cg_instance instance = instance_of(1);
    if (purges)
        handle->port->purge(handle, &instance, 1, on_done, &seen);
    else
        handle->port->lookup(handle, NULL, &instance, 1, on_view, &seen);
    WORLD_UNTIL(seen.done);
    return seen.result;
}

static void report_to(struct cg_redis_topology *topology, struct fake *primary)
{
    fake_share(&primary, 1);
    topology->on_map(topology->owner, &fake_map);
}

/* `store` stays with the first server, and another handle goes on to the second one. */
static struct cg_store *go_ahead(const char *form, struct cg_redis_topology **ret_ahead,
                                 struct cg_redis_topology **ret_behind)
{
    two = fake_start();
    open_store(form);
    *ret_behind = fake_topology;
    WORLD_UNTIL(is_available(store));
    struct cg_store *ahead = open_handle_of(world.redis);
    *ret_ahead = fake_topology;
    report_to(*ret_ahead, two);
    WORLD_UNTIL(is_available(ahead));
    return ahead;
}

/* What is purged at the new primary is not seen at the old one. */
Test(handles, thread_that_is_behind_neither_reads_nor_purges)
{
    struct cg_redis_topology *to_ahead, *to_behind;
    struct cg_store *ahead = go_ahead("redis", &to_ahead, &to_behind);
    cr_expect_eq(ask_at(ahead, true), CG_STORE_OK);
    cr_expect_eq(ask_at(store, false), CG_STORE_UNAVAILABLE);
    cr_expect_not(is_available(store));
    cr_expect_eq(ask_at(store, true), CG_STORE_UNAVAILABLE, "the old one may be all that has it");
    WORLD_UNTIL(is_available(ahead));
    cr_expect_not(store->port->reachable(store));
    report_to(to_behind, two);
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(ask_at(store, false), CG_STORE_OK);
    cg_redis_close(ahead);
}

/* Its epoch is of its own record; what was purged at the other one it does not know. */
Test(handles, server_that_was_left_and_comes_back_begins_anew)
{
    two = fake_start();
    open_store("redis");
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(one->renewals, 0);
    report_to(fake_topology, two);
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(two->renewals, 1);
    report_to(fake_topology, one);
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(one->renewals, 1);
}

/* It asks which servers there are; when the others come back it needs no new map. */
Test(handles, thread_that_was_behind_catches_up)
{
    struct cg_redis_topology *to_ahead, *to_behind;
    world.settings.lease_ms = 400;
    struct cg_store *ahead = go_ahead("redis+cluster", &to_ahead, &to_behind);
    cr_expect_not(is_available(store));
    WORLD_UNTIL(fake_doubts > 0);
    report_to(to_ahead, one);
    WORLD_UNTIL(is_available(ahead));
    WORLD_UNTIL(is_available(store));
    cg_redis_close(ahead);
}

/* Its server may be believed, but only with a new history: the other one took purges meanwhile. */
Test(handles, hello_that_was_overtaken_is_said_again)
{
    two = fake_start();
    open_store("redis");
    WORLD_UNTIL(is_available(store));
    struct cg_redis_topology *to_ahead = fake_topology;
    struct cg_store *late = cg_redis_open(world.redis, &world.context, &world.clock);
    WORLD_UNTIL(fake_told(one, "INFO replication") == 2);
    one->held = true;
    WORLD_UNTIL(fake_told(one, "EVALSHA") == 2);
    report_to(to_ahead, two);
    WORLD_UNTIL(is_available(store));
    fake_let_go(one);
    WORLD_UNTIL(fake_told(one, "EVALSHA") == 3);
    cr_expect_eq(one->renewals, 1);
    cg_redis_close(late);
}

/* What one server said before another came is not said of both. */
Test(handles, hello_to_fewer_servers_is_not_taken)
{
    fake_share(&one, 1);
    open_store("redis+cluster");
    WORLD_UNTIL(fake_told(one, "INFO replication") == 1);
    one->held = true;
    WORLD_UNTIL(fake_told(one, "EVALSHA") == 1);
    two = fake_start();
    two->held = true;
    bool first = cg_redis_slot_of(CG_STR("test:{bans}:epoch")) < CG_REDIS_SLOTS / 2;
    fake_share((struct fake *[]){first ? one : two, first ? two : one}, 2);
    fake_report();
    fake_let_go(one);
    WORLD_UNTIL(fake_told(two, "INFO replication") == 1);
    for (unsigned i = 0; i < 4; i++)
        world_turn();
    struct seen seen = {0};
    store->port->lookup(store, NULL, NULL, 0, on_view, &seen); /* all of it at the first one */
    WORLD_UNTIL(seen.done);
    cr_expect_eq(seen.result, CG_STORE_UNAVAILABLE);
    fake_let_go(two);
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(look_up(NULL, 0).result, CG_STORE_OK);
}

/* A probe in flight is lost with its node, and arms nothing. */
Test(handles, probe_in_flight_leaves_no_timer_behind)
{
    struct cg_store_health health;
    open_store("redis");
    WORLD_UNTIL(is_available(store));
    one->held = one->trickling = true;
    for (unsigned i = 0; i < 3; i++)
        (void)look_up(NULL, 0);
    WORLD_UNTIL((store->port->health(store, &health), strcmp(health.breaker, "half-open") == 0));
    store = cg_redis_close(store);
    cr_expect_eq(cg_clock_wait_ms(world.timers, 60000), 60000, "a timer is still armed");
}
