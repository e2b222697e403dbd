/* The Redis driver against one server that is late, dead, full, or no primary. */
#include "redis_fake_calls.h"

static void begin_single(void)
{
    begin();
    open_store("redis");
    WORLD_UNTIL(is_available(store));
}

TestSuite(single, .init = begin_single, .fini = end);

/* ---- late and dead ---- */

/* Long enough to trickle for seconds. */
static void add_long_reply(const char *command)
{
    char reply[256];
    snprintf(reply, sizeof(reply), "$220\r\n%0220d\r\n", 0);
    fake_rule(one, command, 1, reply);
}

Test(single, late_reply_is_nobodys)
{
    add_long_reply("MGET");
    fake_rule(one, "MGET", 1, "*2\r\n$5\r\nright\r\n$23\r\n0000000000000001:0:made\r\n");
    one->held = one->trickling = true;
    cr_expect_eq(look_up(NULL, 0).result, CG_STORE_UNAVAILABLE, "late");
    fake_let_go(one);
    struct seen seen = look_up(NULL, 0);
    cr_expect_eq(seen.result, CG_STORE_OK);
    cr_expect_str_eq(seen.entry, "right", "the late one was swallowed");
    cr_expect_eq(one->accepted, 1, "on the same connection");
}

Test(single, frozen_server_is_given_up)
{
    one->held = true;
    cr_expect_eq(look_up(NULL, 0).result, CG_STORE_UNAVAILABLE);
    cr_expect_eq(one->accepted, 1, "not at once");
    WORLD_UNTIL(one->accepted == 2);
    fake_let_go(one);
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(look_up(NULL, 0).result, CG_STORE_OK);
}

/* The connection lives on, but nobody would greet again on it. */
Test(single, greeting_that_was_late_is_begun_again)
{
    struct cg_store_stats stats = {0};
    add_long_reply("INFO server");
    fake_hang_up(one);
    one->held = one->trickling = true;
    WORLD_UNTIL((store->port->stats(store, &stats), stats.lost_commands > 0));
    fake_let_go(one);
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(look_up(NULL, 0).result, CG_STORE_OK);
}

Test(single, breaker_opens_after_losses_and_one_probe_closes_it)
{
    struct seen seen[3] = {{0}};
    struct cg_store_health health;
    struct cg_store_stats stats;
    add_long_reply("MGET");
    one->held = one->trickling = true;
    for (size_t i = 0; i < 3; i++)
        ask_for(&seen[i], NULL, 0);
    for (size_t i = 0; i < 3; i++) {
        WORLD_UNTIL(seen[i].done);
        cr_expect_eq(seen[i].result, CG_STORE_UNAVAILABLE);
    }
    store->port->health(store, &health);
    cr_expect_str_eq(health.breaker, "open");
    store->port->stats(store, &stats);
    cr_expect(stats.lost_commands >= 3 && stats.breaker_openings == 1);
    unsigned told = fake_told(one, "MGET");
    cr_expect_not(store->port->reachable(store));
    seen[0].done = false;
    ask_for(&seen[0], NULL, 0);
    cr_expect(seen[0].done && seen[0].result == CG_STORE_UNAVAILABLE, "at once");
    cr_expect_eq(purge(1), CG_STORE_UNAVAILABLE);
    WORLD_UNTIL(fake_told(one, "PING") == 1);
    cr_expect_eq(fake_told(one, "MGET"), told, "nothing was sent meanwhile");
    cr_expect_eq(fake_told(one, "EVALSHA"), 1, "only the hello");
    store->port->health(store, &health);
    cr_expect_str_eq(health.breaker, "half-open");
    fake_let_go(one);
    WORLD_UNTIL(is_available(store)); /* the purge, which was kept, delivered */
    cr_expect_eq(fake_told(one, "EVALSHA"), 2);
    cr_expect_eq(look_up(NULL, 0).result, CG_STORE_OK);
    cr_expect_eq(one->accepted, 1);
}

Test(single, lost_connection_opens_the_breaker_and_a_greeting_closes_it)
{
    struct cg_store_health health;
    struct seen seen = {0};
    one->held = true;
    ask_for(&seen, NULL, 0);
    fake_hang_up(one);
    WORLD_UNTIL(seen.done);
    cr_expect_eq(seen.result, CG_STORE_UNAVAILABLE);
    store->port->health(store, &health);
    cr_expect_str_eq(health.breaker, "open");
    fake_let_go(one);
    WORLD_UNTIL(is_available(store));
    store->port->health(store, &health);
    cr_expect_str_eq(health.breaker, "closed");
    cr_expect_gt(fake_doubts, 0, "the topology looks again");
}

/* ---- no primary ---- */

static void expect_greeted_again(const char *error)
{
    fake_rule(one, "EVALSHA", 1, error);
    cr_expect_eq(purge(1), CG_STORE_UNAVAILABLE, "%s", error);
    WORLD_UNTIL(one->accepted == 2);
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(fake_told(one, "EVALSHA"), 4, "hello, purge, hello, and the purge again");
    cr_expect_gt(fake_doubts, 0);
    cr_expect_eq(look_up(NULL, 0).result, CG_STORE_OK);
}

Test(single, read_only_server_is_left)
{
    expect_greeted_again("-READONLY You can't write against a read only replica.\r\n");
}

Test(single, read_only_server_is_left_when_a_script_says_so)
{
    expect_greeted_again("-ERR Error running script (call to f_1): @user_script:40: -READONLY You "
                         "can't write against a read only replica.\r\n");
}

Test(single, loading_server_is_left)
{
    expect_greeted_again("-LOADING Redis is loading the dataset in memory\r\n");
}

Test(single, server_that_forgot_us_is_left)
{
    expect_greeted_again("-NOAUTH Authentication required.\r\n");
}

Test(single, server_without_its_primary_is_left)
{
    expect_greeted_again("-MASTERDOWN Link with MASTER is down\r\n");
}

Test(single, replica_is_never_believed)
{
    snprintf(one->role, sizeof(one->role), "slave");
    fake_hang_up(one);
    WORLD_UNTIL(one->accepted == 4);
    cr_expect_not(is_available(store));
    cr_expect_eq(fake_told(one, "EVALSHA"), 1, "no hello since it is one");
    cr_expect_eq(look_up(NULL, 0).result, CG_STORE_UNAVAILABLE);
    snprintf(one->role, sizeof(one->role), "master");
    WORLD_UNTIL(is_available(store));
}

Test(single, nothing_is_believed_before_the_hello)
{
    fake_hang_up(one);
    fake_rule(one, "EVALSHA", 2, "-ERR not now\r\n");
    WORLD_UNTIL(fake_told(one, "EVALSHA") == 2);
    cr_expect_eq(look_up(NULL, 0).result, CG_STORE_UNAVAILABLE);
    cr_expect_eq(fake_told(one, "MGET"), 0);
    WORLD_UNTIL(is_available(store));
    cr_expect_eq(fake_told(one, "EVALSHA"), 4);
}

Test(single, full_server_takes_no_fill_and_no_mark)
{
    fake_rule(one, "SET", 1, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    cr_expect_eq(fill(), CG_STORE_FULL);
    fake_rule(one, "EVALSHA", 1, "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    cr_expect_eq(mark(1), CG_STORE_UNAVAILABLE);
    cr_expect_eq(one->accepted, 1, "it is a primary all the same");
    cr_expect(is_available(store));
}

/* ---- replicas ---- */

static void begin_waiting(void)
{
    begin();
    world.settings.wait_replicas = 2;
    fake_rule(one, "WAIT", 1000, ":2\r\n");
    open_store("redis");
    WORLD_UNTIL(is_available(store));
}

TestSuite(waiting, .init = begin_waiting, .fini = end);

Test(waiting, purge_is_acknowledged_when_replicas_have_it)
{
    cr_expect_eq(one->accepted, 2, "one connection for reads, one for changes");
    cr_expect_eq(purge(1), CG_STORE_OK);
    cr_expect_eq(mark(1), CG_STORE_OK);
    cr_expect_eq(fake_told(one, "WAIT 2"), 2);
    one->rules[0].times = 0;
    fake_rule(one, "WAIT", 1, ":1\r\n");
    cr_expect_eq(mark(1), CG_STORE_UNAVAILABLE);
    fake_rule(one, "WAIT", 1, ":1\r\n");
    fake_rule(one, "WAIT", 1000, ":2\r\n");
    cr_expect_eq(purge(1), CG_STORE_UNAVAILABLE);
    cr_expect_not(is_available(store), "it is kept");
    WORLD_UNTIL(is_available(store));
}

Test(waiting, reads_do_not_wait)
{
    unsigned before = fake_told(one, "WAIT");
    cr_expect_eq(look_up(NULL, 0).result, CG_STORE_OK);
    cr_expect_eq(fill(), CG_STORE_OK);
    cr_expect_eq(fake_told(one, "WAIT"), before);
}

Test(waiting, both_connections_lead_to_one_server)
{
    fake_hang_up(one);
    WORLD_UNTIL(!is_available(store));
    /* The next two greetings differ. */
    char reply[128];
    snprintf(reply, sizeof(reply), "$51\r\n# Server\r\nrun_id:%032d\r\n\r\n", 7);
    fake_rule(one, "INFO server", 1, reply);
    unsigned before = one->accepted;
    WORLD_UNTIL(is_available(store));
    cr_expect_geq(one->accepted, before + 4, "given up once");
}
