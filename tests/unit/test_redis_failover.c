/* Primaries that die and slots that move, under load: no acknowledged purge is lost to a reader,
 * and every call is answered. */
#include "redis_load.h"

#include "cachegate/redis_slot.h"

/* Marks are judged by the servers' clock: ours is the same. */
static int64_t real_now(struct cg_clock *clock)
{
    (void)clock;
    return cg_clock_wall_ms();
}

static const struct cg_clock_port real_clock_port = {real_now, world_arm, world_disarm};

static void begin(void)
{
    world_begin();
    world.clock.port = &real_clock_port;
    world.settings.store_timeout_ms = 1000;
    world.settings.failover_ms = 1000; /* what the sentinels are told */
}

static void end(void)
{
    fleet_end_all();
    world_end();
}

TestSuite(failover, .init = begin, .fini = end);

static void use_cluster(void)
{
    fleet_use_url("redis+cluster://127.0.0.1:%u,127.0.0.1:%u", fleet.servers[0].port,
                  fleet.servers[1].port);
}

static void use_sentinels(void)
{
    const struct fleet_server *sentinels = &fleet.servers[FLEET_SENTINEL];
    fleet_use_url("redis+sentinel://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u/main", sentinels[0].port,
                  sentinels[1].port, sentinels[2].port);
}

static void expect_noticed(void)
{
    cr_expect_gt(load.gateways[0].unavailable + load.gateways[1].unavailable, 0,
                 "nobody noticed that a primary was gone");
}

/* Until that server is a primary. */
static void load_until_promoted(const struct fleet_server *server)
{
    LOAD_UNTIL(fleet_says(server, "INFO replication", "role:master"));
}

Test(failover, cluster_primary_dies_under_load)
{
    fleet_start_cluster(true, false, NULL);
    use_cluster();
    load_start();
    load_until_busy(200, 20);
    fleet_end(&fleet.servers[2]); /* it has the bans, too */
    load_until_promoted(&fleet.servers[5]);
    load_until_busy(200, 20);
    expect_noticed();
    load_end();
}

Test(failover, primary_of_sentinels_dies_under_load)
{
    fleet_start_sentinels(3, false, NULL, NULL);
    use_sentinels();
    load_start();
    load_until_busy(200, 20);
    fleet_end(&fleet.servers[FLEET_PRIMARY]);
    load_until_promoted(&fleet.servers[FLEET_REPLICA]);
    load_until_busy(200, 20);
    expect_noticed();
    load_end();
}

/* It comes back as one who believes to be the primary, until a sentinel tells it otherwise. */
Test(failover, primary_of_sentinels_freezes_under_load)
{
    fleet_start_sentinels(3, false, NULL, NULL);
    use_sentinels();
    load_start();
    load_until_busy(200, 20);
    kill(fleet.servers[FLEET_PRIMARY].pid, SIGSTOP);
    load_until_promoted(&fleet.servers[FLEET_REPLICA]);
    load_until_busy(200, 20);
    kill(fleet.servers[FLEET_PRIMARY].pid, SIGCONT);
    LOAD_UNTIL(fleet_says(&fleet.servers[FLEET_PRIMARY], "INFO replication", "role:slave"));
    load_until_busy(200, 20);
    expect_noticed();
    load_end();
}

/* No more TCP for sentinels, replicas and gateways; a UNIX socket remains. */
static void cut_off(const struct fleet_server *server)
{
    FLEET_DO(server, "CONFIG SET port 0");
    FLEET_DO(server, "CLIENT KILL TYPE replica");
    FLEET_DO(server, "CLIENT KILL TYPE pubsub");
    FLEET_DO(server, "CLIENT KILL TYPE normal");
}

/*
 * One gateway keeps the primary that was replaced, the other one goes with the sentinels. The old
 * primary still answers, on its UNIX socket; but no replica acknowledges heartbeats there.
 */
Test(failover, gateway_that_stays_with_the_old_primary_does_not_believe_it)
{
    static struct cg_settings settings[LOAD_GATEWAYS];
    char url[160];
    struct fleet_server *primary = &fleet.servers[FLEET_PRIMARY];
    fleet_start_sentinels(3, false, NULL, NULL);
    use_sentinels();
    settings[0] = settings[1] = world.settings;
    snprintf(url, sizeof(url), "unix://%s/socket", primary->directory);
    settings[0].redis_url = url;
    settings[0].wait_replicas = 1;
    settings[0].failover_ms = 500; /* it takes the sentinels a second to notice */
    settings[0].lease_ms = 1000;
    load_start_with(settings);
    load_until_busy(200, 20);
    cut_off(primary);
    LOAD_UNTIL(fleet_says(&fleet.servers[FLEET_REPLICA], "INFO replication", "role:master"));
    size_t hits = load.gateways[0].hits, before = load.gateways[1].hits;
    LOAD_UNTIL(load.gateways[1].hits >= before + 200);
    cr_expect_eq(load.gateways[0].hits, hits);
    load_end();
}

/* ---- what the replica had not received ---- */

struct seen {
    bool done;
    enum cg_store_result result;
    bool has_entry;
    struct cg_version version;
    struct cg_epoch epoch;
    bool covers; /* what was stored under `before` */
    struct cg_epoch before;
};

static void on_view(void *owner, const struct cg_store_view *view)
{
    struct seen *seen = owner;
    seen->done = true;
    seen->result = view->result;
    seen->has_entry = view->entry != NULL;
    seen->version = view->versions[0];
    seen->epoch = view->epoch;
    seen->covers = view->bans != NULL &&
                   cg_bans_cover(view->bans, seen->before, &load.path, &load.query, CG_STR(""));
}

static void on_result(void *owner, enum cg_store_result result)
{
    struct seen *seen = owner;
    seen->done = true;
    seen->result = result;
}

static const struct cg_key key = {.id = {7}};
static const struct cg_instance instance = {{7}};

static struct seen look(struct cg_store *store, struct cg_epoch before)
{
    struct seen seen = {.before = before};
    store->port->lookup(store, &key, &instance, 1, on_view, &seen);
    WORLD_UNTIL(seen.done);
    return seen;
}

/* The replica is frozen while a purge is acknowledged, and becomes the primary without it. */
static void expect_purge_survives(struct fleet_server *primary, struct fleet_server *replica)
{
    struct seen seen = {0}, filled = {0}, purged = {0};
    struct cg_blob *blob = cg_blob_create(CG_STR("old"));
    load_start();
    load.ending = true; /* all is quiet here */
    struct cg_store *store = load.gateways[0].store, *other = load.gateways[1].store;
    store->port->prepare(store, &instance, 1, on_view, &seen);
    WORLD_UNTIL(seen.done);
    struct cg_version version = seen.version;
    struct cg_epoch epoch = seen.epoch;
    store->port->fill(store, &key, blob, 600000, on_result, &filled);
    cg_blob_unref(blob);
    WORLD_UNTIL(filled.done);
    redisReply *reply = fleet_ask(primary, "WAIT 1 60000");
    cr_assert(reply != NULL && reply->integer == 1);
    freeReplyObject(reply);
    kill(replica->pid, SIGSTOP);
    FLEET_DO(primary, "CLIENT KILL TYPE replica"); /* or it finds the purge in its socket */
    store->port->purge(store, &instance, 1, on_result, &purged);
    WORLD_UNTIL(purged.done);
    cr_assert_eq(purged.result, CG_STORE_OK, "acknowledged");
    fleet_end(primary);
    kill(replica->pid, SIGCONT);
    WORLD_UNTIL(fleet_says(replica, "INFO replication", "role:master"));
    /* Whoever is answered, sooner or later, does not see it as it was. */
    bool lost = false;
    for (unsigned answers = 0; answers < 20;) {
        seen = look(answers % 2 == 0 ? store : other, epoch);
        bool as_before = seen.version.state == CG_VERSION_CURRENT &&
                         cg_token_eq(&seen.version.token, &version.token);
        if (seen.result != CG_STORE_OK) {
            world_turn();
            continue;
        }
        answers++;
        lost |= as_before;
        cr_expect(!as_before || seen.covers, "an acknowledged purge was lost");
    }
    cr_expect(lost, "the replica knew of the purge: nothing was shown");
    load_end();
}

Test(failover, acknowledged_purge_that_did_not_reach_the_replica_holds_with_sentinels)
{
    fleet_start_sentinels(3, false, NULL, NULL);
    use_sentinels();
    expect_purge_survives(&fleet.servers[FLEET_PRIMARY], &fleet.servers[FLEET_REPLICA]);
}

Test(failover, acknowledged_purge_that_did_not_reach_the_replica_holds_in_a_cluster)
{
    char slot[FLEET_TEXT_MAX];
    fleet_start_cluster(true, false, NULL);
    use_cluster();
    fleet_text_of(fleet_ask(&fleet.servers[0], "CLUSTER KEYSLOT %s",
                            "test:v:07000000000000000000000000000000"),
                  slot);
    uint64_t number = 0;
    cr_assert(cg_str_to_u64(cg_str_from(slot), CG_REDIS_SLOTS, &number));
    size_t owner = number < 5461 ? 0 : number < 10923 ? 1 : 2;
    expect_purge_survives(&fleet.servers[owner], &fleet.servers[owner + FLEET_PRIMARIES]);
}

/* ---- slots that move ---- */

static void move_keys(const struct fleet_server *from, const struct fleet_server *to, unsigned slot,
                      unsigned count)
{
    redisReply *keys = fleet_ask(from, "CLUSTER GETKEYSINSLOT %u %u", slot, count);
    cr_assert(keys != NULL && keys->type == REDIS_REPLY_ARRAY);
    for (size_t i = 0; i < keys->elements; i++)
        FLEET_DO(from, "MIGRATE 127.0.0.1 %u %s 0 20000 REPLACE", to->port, keys->element[i]->str);
    freeReplyObject(keys);
}

static bool is_empty(const struct fleet_server *server, unsigned slot)
{
    char text[FLEET_TEXT_MAX];
    return strcmp(fleet_text_of(fleet_ask(server, "CLUSTER COUNTKEYSINSLOT %u", slot), text),
                  "0") == 0;
}

static void move_slot(size_t from, size_t to, unsigned slot)
{
    const struct fleet_server *source = &fleet.servers[from], *target = &fleet.servers[to];
    char source_id[FLEET_TEXT_MAX], target_id[FLEET_TEXT_MAX];
    fleet_text_of(fleet_ask(source, "CLUSTER MYID"), source_id);
    fleet_text_of(fleet_ask(target, "CLUSTER MYID"), target_id);
    FLEET_DO(target, "CLUSTER SETSLOT %u IMPORTING %s", slot, source_id);
    FLEET_DO(source, "CLUSTER SETSLOT %u MIGRATING %s", slot, target_id);
    /* Some keys are here and some there. */
    for (unsigned i = 0; i < 3; i++) {
        if (slot == cg_redis_slot_of(CG_STR("bans")))
            for (unsigned turn = 0; turn < 10; turn++)
                load_turn(); /* nobody need get through */
        else
            load_until_busy(2, 1);
        move_keys(source, target, slot, 1);
    }
    do {
        load_turn();
        move_keys(source, target, slot, 100);
    } while (!is_empty(source, slot));
    FLEET_DO(target, "CLUSTER SETSLOT %u NODE %s", slot, target_id);
    FLEET_DO(source, "CLUSTER SETSLOT %u NODE %s", slot, target_id);
    load_until_busy(10, 1);
}

/* Redirections of that kind that the servers have sent. */
static size_t count_redirections(const char *kind)
{
    size_t sum = 0;
    for (size_t i = 0; i < FLEET_PRIMARIES; i++) {
        char text[FLEET_TEXT_MAX], line[64];
        snprintf(line, sizeof(line), "errorstat_%s:count=", kind);
        const char *at =
            strstr(fleet_text_of(fleet_ask(&fleet.servers[i], "INFO errorstats"), text), line);
        uint64_t count = 0;
        if (at != NULL) {
            struct cg_str number = cg_str_from(at + strlen(line));
            number.length = strspn(number.bytes, "0123456789");
            (void)cg_str_to_u64(number, UINT64_MAX, &count);
        }
        sum += count;
    }
    return sum;
}

static void expect_to_follow(void)
{
    use_cluster();
    load_start();
    load_until_busy(100, 10);
    size_t unavailable = load.gateways[0].unavailable + load.gateways[1].unavailable;
    /* Versions and entries of some items. */
    for (unsigned item = 0; item < 4; item++) {
        char name[64];
        snprintf(name, sizeof(name), "test:%s:%02x000000000000000000000000000000",
                 item % 2 == 0 ? "v" : "e:-", item / 2 + 1);
        unsigned slot = cg_redis_slot_of(cg_str_from(name));
        size_t owner = slot < 5461 ? 0 : slot < 10923 ? 1 : 2;
        move_slot(owner, (owner + 1) % FLEET_PRIMARIES, slot);
    }
    cr_expect_gt(count_redirections("MOVED"), 0);
    cr_expect_gt(count_redirections("ASK"), 0);
    cr_expect_eq(load.bans_failed, 0);
    cr_expect_eq(load.gateways[0].unavailable + load.gateways[1].unavailable, unavailable,
                 "redirections are followed");
    load_end();
}

Test(failover, slots_move_under_load)
{
    fleet_start_cluster(false, false, NULL);
    expect_to_follow();
}

/* Redirections give a port only: the host is the one that was asked. */
Test(failover, slots_move_under_load_where_nodes_do_not_tell_their_hosts)
{
    fleet_start_cluster(false, false, NULL);
    for (size_t i = 0; i < FLEET_PRIMARIES; i++)
        FLEET_DO(&fleet.servers[i], "CONFIG SET cluster-preferred-endpoint-type unknown-endpoint");
    expect_to_follow();
}

/* The epoch and its list are apart for a while, and no script can have both (TRYAGAIN). */
Test(failover, slot_of_the_bans_moves_under_load)
{
    fleet_start_cluster(false, false, NULL);
    use_cluster();
    load_start();
    load_until_busy(100, 10);
    move_slot(2, 0, cg_redis_slot_of(CG_STR("bans")));
    size_t failed = load.bans_failed, bans = load.bans;
    LOAD_UNTIL(load.bans >= bans + 5);
    cr_expect_eq(load.bans_failed, failed, "all is well again");
    load_until_busy(100, 10);
    load_end();
}
