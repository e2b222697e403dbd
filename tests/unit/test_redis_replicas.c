/* store.wait_replicas, with a real replica: what it does not have is not acknowledged. */
#include "redis_fleet.h"

enum { MANY = 50 };

static struct fleet_server *primary, *replica;
static struct cg_store *store;

struct done {
    bool done;
    enum cg_store_result result;
};

static void on_done(void *owner, enum cg_store_result result)
{
    struct done *done = owner;
    cr_assert_not(done->done, "answered twice");
    *done = (struct done){true, result};
}

static void on_view(void *owner, const struct cg_store_view *view)
{
    on_done(owner, view->result);
}

static struct cg_instance instance_of(uint8_t name)
{
    return (struct cg_instance){.id = {name}};
}

static void prepare(uint8_t name)
{
    struct done done = {0};
    struct cg_instance instance = instance_of(name);
    store->port->prepare(store, &instance, 1, on_view, &done);
    WORLD_UNTIL(done.done);
    cr_assert_eq(done.result, CG_STORE_OK);
}

static enum cg_store_result purge(uint8_t name)
{
    struct done done = {0};
    struct cg_instance instance = instance_of(name);
    store->port->purge(store, &instance, 1, on_done, &done);
    WORLD_UNTIL(done.done);
    return done.result;
}

static void begin(void)
{
    struct fleet_server like = {0};
    world_begin();
    primary = fleet_start(like);
    snprintf(like.more, sizeof(like.more), "replicaof 127.0.0.1 %u\n", primary->port);
    replica = fleet_start(like);
    WORLD_UNTIL(fleet_says(replica, "INFO replication", "master_link_status:up"));
    world.settings.wait_replicas = 1;
    world.settings.store_timeout_ms = 2000;
    fleet_use_url("redis://127.0.0.1:%u", primary->port);
    store = open_handle_of(world.redis);
}

static void end(void)
{
    kill(replica->pid, SIGCONT);
    cg_redis_close(store);
    fleet_end_all();
    world_end();
}

TestSuite(replicas, .init = begin, .fini = end);

/* The version of that name as a server has it, in hexadecimal. */
static void read_version(const struct fleet_server *server, uint8_t name, char room[64])
{
    redisReply *reply = fleet_ask(server, "GET test:v:%02x%030d", name, 0);
    cr_assert_not_null(reply);
    room[0] = '\0';
    for (size_t i = 0; reply->type == REDIS_REPLY_STRING && i < (size_t)reply->len && i < 31; i++)
        snprintf(room + 2 * i, 3, "%02x", (unsigned char)reply->str[i]);
    freeReplyObject(reply);
}

Test(replicas, acknowledged_purge_is_on_the_replica)
{
    char before[64], here[64], there[64];
    prepare(1);
    read_version(primary, 1, before);
    cr_assert_eq(purge(1), CG_STORE_OK);
    read_version(replica, 1, there);
    read_version(primary, 1, here);
    cr_expect_str_neq(there, before);
    cr_expect_str_eq(there, here);
}

Test(replicas, purge_that_the_replica_does_not_have_is_kept)
{
    char before[64], after[64];
    prepare(1);
    read_version(replica, 1, before);
    kill(replica->pid, SIGSTOP);
    cr_expect_eq(purge(1), CG_STORE_UNAVAILABLE);
    cr_expect_not(is_available(store), "nothing is trusted before it was delivered");
    kill(replica->pid, SIGCONT);
    WORLD_UNTIL(is_available(store));
    read_version(replica, 1, after);
    cr_expect_str_neq(before, after);
}

/* Since its statistics were reset. */
static uint64_t count_waits(void)
{
    char room[FLEET_TEXT_MAX];
    uint64_t count = 0;
    const char *line =
        strstr(fleet_text_of(fleet_ask(primary, "INFO commandstats"), room), "cmdstat_wait:calls=");
    cr_assert_not_null(line);
    cr_assert(cg_str_to_u64(cg_str_of(line + 19, strcspn(line + 19, ",")), MANY * 2, &count));
    return count;
}

Test(replicas, purges_of_one_turn_wait_together)
{
    struct done done[MANY] = {{0}};
    struct cg_instance instances[MANY];
    FLEET_DO(primary, "CONFIG RESETSTAT");
    for (size_t i = 0; i < MANY; i++) {
        instances[i] = instance_of((uint8_t)i);
        store->port->purge(store, &instances[i], 1, on_done, &done[i]);
    }
    for (size_t i = 0; i < MANY; i++) {
        WORLD_UNTIL(done[i].done);
        cr_expect_eq(done[i].result, CG_STORE_OK);
    }
    cr_expect_lt(count_waits(), MANY / 2);
}

/* After a failover the others would believe what this process does not purge any more. */
Test(replicas, rules_that_only_the_primary_has_were_not_told)
{
    struct done told = {0}, untold = {0};
    store->port->announce(store, &world.ruleset, on_done, &told);
    WORLD_UNTIL(told.done);
    cr_expect_eq(told.result, CG_STORE_OK);
    kill(replica->pid, SIGSTOP);
    store->port->announce(store, &world.ruleset, on_done, &untold);
    WORLD_UNTIL(untold.done);
    cr_expect_eq(untold.result, CG_STORE_UNAVAILABLE);
    cr_expect_not(is_available(store));
    kill(replica->pid, SIGCONT);
    WORLD_UNTIL(is_available(store));
}
