/* The list of open purges, and what is read with it: of servers that move, refuse and forget. */
#include "cachegate/redis_slot.h"
#include "redis_fake_calls.h"

TestSuite(bans, .init = begin, .fini = end);

static void on_epoch(void *owner, const struct cg_store_view *view)
{
    int64_t *counter = owner;
    *counter = view->result == CG_STORE_OK ? (int64_t)view->epoch.counter : 0;
}

/* The epoch's slot is `fake`'s. */
static void give_epoch_to(struct fake *fake, struct fake *other)
{
    bool first = cg_redis_slot_of(CG_STR("test:{bans}:epoch")) < CG_REDIS_SLOTS / 2;
    fake_share((struct fake *[]){first ? fake : other, first ? other : fake}, 2);
}

/* The list that is on its way was read before: it lacks a purge that the epoch already counts. */
Test(bans, list_is_no_older_than_the_epoch_of_the_lookup)
{
    int64_t before = -1, after = -1;
    two = fake_start();
    give_epoch_to(one, two);
    open_store("redis+cluster");
    WORLD_UNTIL(is_available(store));
    fake_rule(one, "GET test:{bans}:epoch", 1000, "$23\r\n0000000000000001:1:made\r\n");
    fake_rule(two, "GET test:{bans}:epoch", 1000, "$23\r\n0000000000000001:5:made\r\n");
    store->port->lookup(store, NULL, NULL, 0, on_epoch, &before);
    WORLD_UNTIL(fake_told(one, "GET") == 1);
    one->held = true;
    WORLD_UNTIL(fake_told(one, "LRANGE") == 1);
    give_epoch_to(two, one);
    fake_report();
    store->port->lookup(store, NULL, NULL, 0, on_epoch, &after);
    WORLD_UNTIL(fake_told(two, "GET") == 1);
    for (unsigned i = 0; i < 4; i++)
        world_turn();
    fake_let_go(one);
    WORLD_UNTIL(before >= 0 && after >= 0);
    cr_expect_eq(before, 1);
    cr_expect_eq(after, 5);
}

Test(bans, open_purge_that_was_not_acknowledged_is_owed_as_a_flush)
{
    static const struct cg_ban ban = {.pattern = {"/a/**", 5}};
    struct cg_store_health health;
    struct seen seen = {0};
    open_store("redis");
    WORLD_UNTIL(is_available(store));
    one->held = true;
    store->port->ban(store, &ban, 1, on_done, &seen);
    WORLD_UNTIL(fake_told(one, "EVALSHA") == 2); /* after the hello */
    fake_hang_up(one);
    WORLD_UNTIL(seen.done);
    cr_expect_eq(seen.result, CG_STORE_UNAVAILABLE);
    store->port->health(store, &health);
    cr_expect_eq(health.journal, 1);
    fake_let_go(one);
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(fake_told(one, "EVALSHA"), 4, "another hello, and the flush");
}

static int64_t look_up_epoch(void)
{
    int64_t counter = -1;
    store->port->lookup(store, NULL, NULL, 0, on_epoch, &counter);
    WORLD_UNTIL(counter >= 0);
    return counter;
}

/* Whether it failed, or lacks its end: nothing that it does not acquit is believed. */
Test(bans, list_that_is_not_whole_acquits_nobody)
{
    open_store("redis");
    WORLD_UNTIL(is_available(store));
    fake_rule(one, "MGET", 2, "*1\r\n$23\r\n0000000000000001:2:made\r\n");
    fake_rule(one, "GET test:{bans}:epoch", 2, "$23\r\n0000000000000001:2:made\r\n");
    fake_rule(one, "LRANGE", 1, "-ERR not now\r\n");
    cr_expect_eq(look_up_epoch(), 0, "not available");
    fake_rule(one, "LRANGE", 1, "*1\r\n$20\r\n0000000000000001:1:x\r\n");
    cr_expect_eq(look_up_epoch(), 2);
}

/* Of who moved the epoch after that was read, what was read with it cannot tell. */
Test(bans, list_that_reaches_further_is_as_good_as_the_epoch)
{
    static const char epoch[] = "$23\r\n0000000000000001:5:made\r\n";
    open_store("redis");
    WORLD_UNTIL(is_available(store));
    fake_rule(one, "MGET", 1, "*1\r\n$23\r\n0000000000000001:5:made\r\n");
    fake_rule(one, "GET test:{bans}:epoch", 1, epoch);
    fake_rule(one, "LRANGE", 1,
              "*2\r\n$20\r\n0000000000000001:5:x\r\n$20\r\n0000000000000001:6:x\r\n");
    cr_expect_eq(look_up_epoch(), 5);
}

Test(bans, without_the_sets_of_routes_nothing_is_believed)
{
    open_store("redis");
    WORLD_UNTIL(is_available(store));
    fake_rule(one, "MGET", 1, "*1\r\n$23\r\n0000000000000001:2:made\r\n");
    fake_rule(one, "GET test:{bans}:epoch", 1, "$23\r\n0000000000000001:2:made\r\n");
    one->rules_reply = "-ERR not now\r\n";
    cr_expect_eq(look_up_epoch(), 0, "not available");
}

/* The others would go on to believe what this process does not purge any more. */
Test(bans, rules_that_cannot_be_told_are_told_before_anything_is_believed_again)
{
    struct seen seen = {0};
    open_store("redis");
    WORLD_UNTIL(is_available(store));
    one->rules_reply = "-ERR not now\r\n";
    store->port->announce(store, &world.ruleset, on_done, &seen);
    WORLD_UNTIL(seen.done);
    cr_expect_eq(seen.result, CG_STORE_UNAVAILABLE);
    cr_expect_not(is_available(store));
    for (unsigned hellos = one->accepted + 2; one->accepted < hellos;)
        world_turn();
    cr_expect_not(is_available(store), "greeted, and refused");
    one->rules_reply = NULL;
    WORLD_UNTIL(is_available(store));
}
