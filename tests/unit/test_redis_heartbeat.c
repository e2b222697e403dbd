/* Heartbeats on a Cluster of scripted servers: every primary must answer, with its replicas where
 * they are waited for. The owner of the epoch is answered by redis_fake.h. */
#include "redis_fake_calls.h"

static struct fake *other; /* the one that does not own the epoch */

static void begin_cluster(void)
{
    begin();
    two = fake_start();
    fake_share((struct fake *[]){one, two}, 2);
    struct cg_redis_address first = fake_address(one);
    size_t owner = fake_map.owners[cg_redis_slot_of(CG_STR("test:{bans}:epoch"))];
    other = cg_redis_address_eq(&fake_map.shards[owner], &first) ? two : one;
    world.settings.lease_ms = 600; /* heartbeats come every tenth of a second */
}

TestSuite(heartbeat, .init = begin_cluster, .fini = end);

static const char *why(void)
{
    struct cg_store_health health;
    store->port->health(store, &health);
    return health.why == NULL ? "" : health.why;
}

Test(heartbeat, every_primary_is_asked)
{
    open_store("redis+cluster");
    WORLD_UNTIL(is_available(store));
    WORLD_UNTIL(fake_told(other, "PING") >= 3);
    cr_expect_eq(fake_told(other, "WAIT"), 0);
}

Test(heartbeat, what_one_primary_does_not_answer_is_not_told)
{
    world.settings.on_unpurgeable = "lease";
    open_store("redis+cluster");
    WORLD_UNTIL(is_available(store));
    for (unsigned i = 0; i < 4; i++)
        fake_rule(other, "PING", 1000, "-ERR not now\r\n");
    WORLD_UNTIL(!is_available(store));
    cr_expect_str_eq(why(), "no heartbeat");
    for (size_t i = 0; i < FAKE_RULES_MAX; i++)
        other->rules[i].times = 0;
    WORLD_UNTIL(is_available(store));
}

Test(heartbeat, replicas_of_every_primary_must_have_it)
{
    world.settings.wait_replicas = 1;
    world.settings.failover_ms = 300;
    fake_rule(other, "WAIT", 4, ":0\r\n");
    open_store("redis+cluster");
    WORLD_UNTIL(fake_told(other, "WAIT") >= 2);
    cr_expect_str_eq(why(), "not replicated");
    WORLD_UNTIL(is_available(store));
    cr_expect_gt(fake_told(other, "SET"), 0, "what was written is what replicas are asked for");
    fake_rule(other, "WAIT", 1000, ":0\r\n");
    WORLD_UNTIL(!is_available(store));
    cr_expect_str_eq(why(), "not replicated");
}
