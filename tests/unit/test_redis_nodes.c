/* The Redis driver on a Cluster: keys go where the map or the servers say, and maps change. */
#include "redis_fake_calls.h"

static void begin_cluster(void)
{
    begin();
    two = fake_start();
    fake_share((struct fake *[]){one, two}, 2);
    open_store("redis+cluster");
    WORLD_UNTIL(is_available(store));
}

TestSuite(cluster, .init = begin_cluster, .fini = end);

/* An instance whose version, with the namespace of this world, is in the half of `fake`. */
static uint8_t name_at(const struct fake *fake)
{
    struct cg_redis_address address = fake_address(fake);
    for (unsigned name = 1; name < 256; name++) {
        char key[64];
        snprintf(key, sizeof(key), "test:v:%02x%030d", name, 0);
        size_t owner = fake_map.owners[cg_redis_slot_of(cg_str_from(key))];
        if (cg_redis_address_eq(&fake_map.shards[owner], &address))
            return (uint8_t)name;
    }
    cr_assert(false);
    return 0;
}

static void redirect(struct fake *from, const char *command, unsigned times, const char *word,
                     const struct fake *to)
{
    char reply[128];
    snprintf(reply, sizeof(reply), "-%s 1 127.0.0.1:%u\r\n", word, to->port);
    fake_rule(from, command, times, reply);
}

static unsigned hellos(void)
{
    return fake_told(one, "EVALSHA") + fake_told(two, "EVALSHA");
}

Test(cluster, keys_are_asked_for_at_their_owners)
{
    struct cg_instance instances[] = {instance_of(name_at(one)), instance_of(name_at(two))};
    look_up(NULL, 0); /* from now on the epoch is known */
    unsigned before = fake_told(one, "GET") + fake_told(two, "GET");
    cr_expect_eq(look_up(instances, 2).result, CG_STORE_OK);
    cr_expect_eq(fake_told(one, "GET") + fake_told(two, "GET"), before + 4);
    cr_expect_geq(fake_told(one, "GET"), 1);
    cr_expect_geq(fake_told(two, "GET"), 1);
    cr_expect_eq(fake_told(one, "MGET") + fake_told(two, "MGET"), 0);
    cr_expect_eq(hellos(), 1, "one for all");
}

Test(cluster, moved_key_is_followed_and_the_map_doubted)
{
    unsigned before = hellos();
    redirect(one, "EVALSHA", 1, "MOVED", two);
    cr_expect_eq(purge(name_at(one)), CG_STORE_OK);
    cr_expect_eq(hellos(), before + 2);
    cr_expect_eq(fake_doubts, 1);
    cr_expect_eq(fake_told(two, "ASKING"), 0);
}

Test(cluster, asked_key_is_asked_for)
{
    redirect(one, "EVALSHA", 1, "ASK", two);
    cr_expect_eq(purge(name_at(one)), CG_STORE_OK);
    cr_expect_not_null(strstr(two->log, "|ASKING|EVALSHA"));
    cr_expect_eq(fake_doubts, 0, "the slot is where it was");
}

Test(cluster, keys_half_gone_are_tried_again)
{
    struct cg_instance instance = instance_of(name_at(one));
    fake_rule(one, "GET", 2, "-TRYAGAIN Multiple keys request during rehashing of slot\r\n");
    cr_expect_eq(look_up(&instance, 1).result, CG_STORE_OK);
    fake_rule(one, "GET", 1000, "-TRYAGAIN Multiple keys request during rehashing of slot\r\n");
    cr_expect_eq(look_up(&instance, 1).result, CG_STORE_UNAVAILABLE);
    cr_expect_lt(fake_told(one, "GET"), 30, "not for ever");
}

Test(cluster, circles_end)
{
    struct cg_instance instance = instance_of(name_at(one));
    redirect(one, "GET", 1000, "MOVED", two);
    redirect(two, "GET", 1000, "MOVED", one);
    cr_expect_eq(look_up(&instance, 1).result, CG_STORE_UNAVAILABLE);
    cr_expect_lt(fake_told(one, "GET") + fake_told(two, "GET"), 20);
}

Test(cluster, strangers_are_not_followed)
{
    struct fake *stranger = fake_start();
    struct cg_instance instance = instance_of(name_at(one));
    redirect(one, "GET", 1, "MOVED", stranger);
    cr_expect_eq(look_up(&instance, 1).result, CG_STORE_UNAVAILABLE);
    cr_expect_eq(stranger->accepted, 0);
    cr_expect_eq(fake_doubts, 1, "the next map may vouch for it");
    cr_expect_eq(look_up(&instance, 1).result, CG_STORE_OK);
}

Test(cluster, cluster_that_is_down_is_doubted)
{
    struct cg_instance instance = instance_of(name_at(one));
    fake_rule(one, "GET", 1, "-CLUSTERDOWN The cluster is down\r\n");
    cr_expect_eq(look_up(&instance, 1).result, CG_STORE_UNAVAILABLE);
    cr_expect_eq(fake_doubts, 1);
    cr_expect_eq(one->accepted, 1, "it is still who it was");
    cr_expect_eq(look_up(&instance, 1).result, CG_STORE_OK);
}

Test(cluster, slots_of_nobody_are_unknown)
{
    struct cg_instance lost = instance_of(name_at(two));
    struct cg_redis_address address = fake_address(two);
    for (size_t i = 0; i < CG_REDIS_SLOTS; i++)
        if (cg_redis_address_eq(&fake_map.shards[fake_map.owners[i]], &address))
            fake_map.owners[i] = CG_REDIS_NOBODY;
    fake_report();
    cr_expect_eq(look_up(&lost, 1).result, CG_STORE_UNAVAILABLE);
    cr_expect_eq(purge(name_at(one)), CG_STORE_OK);
}

Test(cluster, slot_that_moves_between_the_trusted_needs_no_hello)
{
    unsigned before = hellos();
    uint8_t moved = name_at(one);
    fake_share((struct fake *[]){two, one}, 2);
    fake_report();
    cr_expect(is_available(store), "at once");
    cr_expect_eq(hellos(), before);
    struct cg_instance instance = instance_of(moved);
    cr_expect_eq(look_up(&instance, 1).result, CG_STORE_OK);
    cr_expect(one->accepted == 1 && two->accepted == 1, "connections stay");
}

Test(cluster, primary_that_goes_takes_its_answers_along)
{
    struct cg_instance instance = instance_of(name_at(two));
    struct seen seen = {0};
    unsigned before = hellos();
    two->held = true;
    ask_for(&seen, &instance, 1);
    WORLD_UNTIL(fake_told(two, "GET") >= 1);
    fake_share((struct fake *[]){one}, 1);
    fake_report();
    cr_expect_not(is_available(store), "another set of servers: nothing before the hello");
    cr_expect_eq(look_up(&instance, 1).result, CG_STORE_UNAVAILABLE);
    WORLD_UNTIL(seen.done);
    cr_expect_eq(seen.result, CG_STORE_UNAVAILABLE);
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(hellos(), before + 1);
    cr_expect_eq(one->accepted, 1, "it stayed");
    cr_expect_eq(look_up(&instance, 1).result, CG_STORE_OK);
}

Test(cluster, primary_that_comes_is_greeted_before_anything_is_believed)
{
    struct fake *three = fake_start();
    struct fake *owners[] = {one, two, two};
    unsigned before = hellos();
    /* The epoch is not where the new one begins. */
    size_t epoch_third = cg_redis_slot_of(CG_STR("test:{bans}:epoch")) * 3u / CG_REDIS_SLOTS;
    owners[(epoch_third + 1) % 3] = three;
    owners[(epoch_third + 2) % 3] = two;
    owners[epoch_third] = one;
    three->held = true;
    fake_share(owners, 3);
    fake_report();
    WORLD_UNTIL(three->accepted == 1);
    struct seen seen = {0};
    store->port->lookup(store, NULL, NULL, 0, on_view, &seen);
    WORLD_UNTIL(seen.done);
    cr_expect_eq(seen.result, CG_STORE_UNAVAILABLE);
    fake_let_go(three);
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(hellos() + fake_told(three, "EVALSHA"), before + 1);
}

Test(cluster, primary_that_restarted_is_not_believed_before_the_hello)
{
    unsigned before = hellos();
    snprintf(two->run_id, sizeof(two->run_id), "%040d", 99);
    fake_hang_up(two);
    WORLD_UNTIL(!is_available(store));
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(hellos(), before + 1);
    cr_expect_eq(one->accepted, 1);
}

Test(cluster, one_dead_primary_leaves_the_others)
{
    struct cg_instance instance = instance_of(name_at(two));
    struct fake *epoch_owner = fake_told(one, "EVALSHA") > 0 ? one : two;
    struct fake *other = epoch_owner == one ? two : one;
    other->held = true;
    fake_hang_up(other);
    WORLD_UNTIL(other->accepted == 2);
    instance = instance_of(name_at(other));
    cr_expect_eq(look_up(&instance, 1).result, CG_STORE_UNAVAILABLE);
    instance = instance_of(name_at(epoch_owner));
    struct seen seen = {0};
    store->port->lookup(store, NULL, &instance, 1, on_view, &seen);
    WORLD_UNTIL(seen.done);
    cr_expect_eq(seen.result, CG_STORE_OK, "nothing of this is kept at the other");
}

/* ---- replicas in a Cluster ---- */

static void begin_waiting_cluster(void)
{
    begin();
    two = fake_start();
    fake_share((struct fake *[]){one, two}, 2);
    world.settings.wait_replicas = 1;
    open_store("redis+cluster");
    WORLD_UNTIL(is_available(store));
}

TestSuite(waiting_cluster, .init = begin_waiting_cluster, .fini = end);

Test(waiting_cluster, purge_waits_for_the_replicas_of_whom_it_was_sent_on_to)
{
    unsigned waits = fake_told(two, "WAIT");
    redirect(one, "EVALSHA", 1, "MOVED", two);
    cr_expect_eq(purge(name_at(one)), CG_STORE_OK);
    cr_expect_eq(fake_told(two, "WAIT"), waits + 1);
    redirect(one, "EVALSHA", 1, "ASK", two);
    fake_rule(two, "WAIT", 1, ":0\r\n");
    cr_expect_eq(purge(name_at(one)), CG_STORE_UNAVAILABLE);
    WORLD_UNTIL(is_available(store)); /* delivered again */
}

Test(waiting_cluster, each_owner_is_asked_for_its_replicas)
{
    struct cg_instance instances[] = {instance_of(name_at(one)), instance_of(name_at(two))};
    unsigned waits[] = {fake_told(one, "WAIT"), fake_told(two, "WAIT")};
    struct seen seen = {0};
    store->port->purge(store, instances, 2, on_done, &seen);
    WORLD_UNTIL(seen.done);
    cr_expect_eq(seen.result, CG_STORE_OK);
    cr_expect_eq(fake_told(one, "WAIT"), waits[0] + 1);
    cr_expect_eq(fake_told(two, "WAIT"), waits[1] + 1);
    fake_rule(two, "WAIT", 1, ":0\r\n");
    seen.done = false;
    store->port->purge(store, instances, 2, on_done, &seen);
    WORLD_UNTIL(seen.done);
    cr_expect_eq(seen.result, CG_STORE_UNAVAILABLE, "one without them is enough");
}
