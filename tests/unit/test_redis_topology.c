/* Sentinel and Cluster as real servers show them: who is primary, which slots are whose. */
#include "gateway/store/redis_topology.h"

#include "redis_fleet.h"

static struct {
    struct cg_redis_peer peer;
    struct cg_clock clock;
    struct cg_redis_topology *topology;
    unsigned count; /* of maps */
    struct cg_redis_map map;
} t;

/* ---- a clock whose longest pause, the one between looks, is what the test wants ---- */

enum { LONG_MS = 7000 };
enum long_pauses { AS_THEY_ARE, NEVER_END, END_AT_ONCE };
static enum long_pauses long_pauses;

static void arm(struct cg_clock *clock, struct cg_timer *timer, uint32_t delay_ms)
{
    if (delay_ms >= LONG_MS && long_pauses == NEVER_END)
        world_disarm(clock, timer);
    else
        world_arm(clock, timer, delay_ms >= LONG_MS && long_pauses == END_AT_ONCE ? 50 : delay_ms);
}

static const struct cg_clock_port clock_port = {world_now, arm, world_disarm};

/* ---- */

static void on_map(void *owner, const struct cg_redis_map *map)
{
    (void)owner;
    cr_assert(t.count == 0 || !cg_redis_map_eq(&t.map, map), "the same map again");
    t.count++;
    t.map = *map;
}

static void begin(void)
{
    memset(&t, 0, sizeof(t));
    long_pauses = AS_THEY_ARE;
    world_begin();
    t.clock.port = &clock_port;
}

static void open_topology(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void open_topology(const char *format, ...)
{
    va_list arguments;
    char *error = NULL;
    va_start(arguments, format);
    vsnprintf(fleet.url, sizeof(fleet.url), format, arguments);
    va_end(arguments);
    cr_assert(cg_redis_peer_init(&t.peer, fleet.url, &error), "%s: %s", fleet.url, error);
    t.topology = cg_redis_topology_create(&t.peer, &world.context, &t.clock, 20000, on_map, NULL);
    cr_assert_eq(t.count, 0, "from inside create");
}

static void end(void)
{
    if (t.topology != NULL) {
        cg_redis_topology_destroy(t.topology);
        cg_redis_peer_fini(&t.peer);
    }
    fleet_end_all();
    world_end();
}

TestSuite(topology, .init = begin, .fini = end);

static const struct cg_redis_address *owner_of(size_t slot)
{
    uint8_t owner = t.map.owners[slot];
    return owner == CG_REDIS_NOBODY ? NULL : &t.map.shards[owner];
}

static bool owns(const struct fleet_server *server, size_t slot)
{
    const struct cg_redis_address *owner = owner_of(slot);
    return owner != NULL && owner->port == server->port && strcmp(owner->host, "127.0.0.1") == 0;
}

/* ---- Cluster ---- */

Test(topology, cluster_is_found_from_any_seed_that_lives)
{
    fleet_start_cluster(false, false, NULL);
    open_topology("redis+cluster://127.0.0.1:1,127.0.0.1:%u", fleet.servers[1].port);
    WORLD_UNTIL(t.count == 1);
    cr_expect_eq(t.map.shard_count, 3);
    cr_expect(owns(&fleet.servers[0], 0) && owns(&fleet.servers[0], 5460));
    cr_expect(owns(&fleet.servers[1], 5461) && owns(&fleet.servers[1], 10922));
    cr_expect(owns(&fleet.servers[2], 10923) && owns(&fleet.servers[2], 16383));
}

static void tell_hosts_by(const char *type)
{
    for (size_t i = 0; i < FLEET_PRIMARIES; i++)
        FLEET_DO(&fleet.servers[i], "CONFIG SET cluster-preferred-endpoint-type %s", type);
}

Test(topology, nodes_may_be_named_by_hosts_or_not_at_all)
{
    fleet_start_cluster(false, false, NULL);
    tell_hosts_by("unknown-endpoint");
    open_topology("redis+cluster://localhost:%u", fleet.servers[0].port);
    WORLD_UNTIL(t.count == 1);
    cr_expect_str_eq(owner_of(0)->host, "localhost");
    cr_expect_str_eq(owner_of(16383)->host, "localhost", "the host that was asked");
    cr_expect_eq(owner_of(16383)->port, fleet.servers[2].port);
    for (size_t i = 0; i < FLEET_PRIMARIES; i++)
        FLEET_DO(&fleet.servers[i], "CONFIG SET cluster-announce-hostname node-%u.example",
                 (unsigned)i);
    tell_hosts_by("hostname");
    WORLD_UNTIL((cg_redis_topology_doubt(t.topology),
                 strcmp(owner_of(16383)->host, "node-2.example") == 0));
    cr_expect_str_eq(owner_of(0)->host, "node-0.example");
}

Test(topology, nodes_that_should_have_names_and_have_none_are_not_believed)
{
    fleet_start_cluster(false, false, NULL);
    tell_hosts_by("hostname");
    fleet_catch_log();
    open_topology("redis+cluster://127.0.0.1:%u", fleet.servers[0].port);
    WORLD_UNTIL(fleet_logged("CLUSTER SLOTS gave a list that makes no sense"));
    fleet_release_log();
    cr_expect_eq(t.count, 0);
}

static void give_slot(unsigned slot, const struct fleet_server *to)
{
    char id[FLEET_TEXT_MAX];
    fleet_text_of(fleet_ask(to, "CLUSTER MYID"), id);
    for (size_t i = 0; i < FLEET_PRIMARIES; i++)
        FLEET_DO(&fleet.servers[i], "CLUSTER SETSLOT %u NODE %s", slot, id);
}

Test(topology, slot_that_moved_is_found_on_doubt)
{
    long_pauses = NEVER_END;
    fleet_start_cluster(false, false, NULL);
    open_topology("redis+cluster://127.0.0.1:%u", fleet.servers[0].port);
    WORLD_UNTIL(t.count == 1);
    give_slot(100, &fleet.servers[2]);
    for (unsigned i = 0; i < 20; i++)
        world_turn();
    cr_expect_eq(t.count, 1, "nobody doubted");
    cg_redis_topology_doubt(t.topology);
    cg_redis_topology_doubt(t.topology);
    WORLD_UNTIL(t.count == 2);
    cr_expect(owns(&fleet.servers[2], 100) && owns(&fleet.servers[0], 101));
    cr_expect_eq(t.map.shard_count, 3);
}

Test(topology, slot_that_moved_is_found_in_time_without_doubt)
{
    long_pauses = END_AT_ONCE;
    fleet_start_cluster(false, false, NULL);
    open_topology("redis+cluster://127.0.0.1:%u", fleet.servers[0].port);
    WORLD_UNTIL(t.count == 1);
    give_slot(100, &fleet.servers[2]);
    WORLD_UNTIL(t.count == 2);
    cr_expect(owns(&fleet.servers[2], 100));
}

Test(topology, replica_that_was_promoted_is_found)
{
    fleet_start_cluster(true, false, NULL);
    open_topology("redis+cluster://127.0.0.1:%u", fleet.servers[0].port);
    WORLD_UNTIL(t.count == 1);
    cr_expect(owns(&fleet.servers[0], 0));
    fleet_end(&fleet.servers[0]); /* the only seed, too */
    WORLD_UNTIL((cg_redis_topology_doubt(t.topology), owns(&fleet.servers[3], 0)));
    cr_expect_eq(t.map.shard_count, 3);
    cr_expect(owns(&fleet.servers[1], 5461) && owns(&fleet.servers[2], 16383));
}

Test(topology, cluster_that_is_down_is_not_believed)
{
    fleet_start_cluster(false, false, NULL);
    fleet_end(&fleet.servers[1]);
    WORLD_UNTIL(fleet_says(&fleet.servers[0], "CLUSTER INFO", "cluster_state:fail"));
    fleet_catch_log();
    open_topology("redis+cluster://127.0.0.1:%u", fleet.servers[0].port);
    WORLD_UNTIL(fleet_logged("says that the cluster is down"));
    cr_expect_eq(t.count, 0);
    fleet_start_again(&fleet.servers[1]);
    WORLD_UNTIL(t.count == 1);
    fleet_release_log();
    cr_expect(owns(&fleet.servers[1], 5461));
}

Test(topology, cluster_may_come_later_than_we)
{
    struct fleet_server like = {.cluster = true};
    struct fleet_server *server = fleet_start(like);
    FLEET_DO(server, "CLUSTER ADDSLOTSRANGE 0 99");
    FLEET_DO(server, "CONFIG SET cluster-require-full-coverage no");
    fleet_end(server);
    fleet_catch_log();
    open_topology("redis+cluster://127.0.0.1:%u", server->port);
    WORLD_UNTIL(fleet_logged("Connection refused") || fleet_logged("connection"));
    fleet_start_again(server);
    FLEET_DO(server, "CONFIG SET cluster-require-full-coverage no");
    WORLD_UNTIL(t.count == 1);
    fleet_release_log();
    cr_expect(owns(server, 99));
    cr_expect_null(owner_of(100), "nobody serves it");
}

Test(topology, server_that_is_no_cluster_is_named)
{
    struct fleet_server like = {0};
    struct fleet_server *server = fleet_start(like);
    char line[128];
    fleet_catch_log();
    open_topology("redis+cluster://127.0.0.1:%u", server->port);
    snprintf(line, sizeof(line), "127.0.0.1:%u: refuses: ERR This instance has cluster support",
             server->port);
    WORLD_UNTIL(fleet_logged(line));
    fleet_release_log();
    cr_expect_eq(t.count, 0);
}

/* ---- Sentinel ---- */

Test(topology, sentinels_name_the_primary_and_those_that_are_gone_do_not_matter)
{
    fleet_start_sentinels(2, false, NULL, NULL);
    open_topology("redis+sentinel://127.0.0.1:1,127.0.0.1:%u/main",
                  fleet.servers[FLEET_SENTINEL].port);
    WORLD_UNTIL(t.count == 1);
    cr_expect_eq(t.map.shard_count, 1);
    cr_expect(owns(&fleet.servers[FLEET_PRIMARY], 0) && owns(&fleet.servers[FLEET_PRIMARY], 16383));
}

static void open_on_sentinels(size_t count)
{
    const struct fleet_server *sentinels = &fleet.servers[FLEET_SENTINEL];
    if (count == 1)
        open_topology("redis+sentinel://127.0.0.1:%u/main", sentinels[0].port);
    else
        open_topology("redis+sentinel://127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u/main",
                      sentinels[0].port, sentinels[1].port, sentinels[2].port);
    WORLD_UNTIL(t.count == 1);
}

Test(topology, switch_is_heard_without_a_doubt)
{
    long_pauses = NEVER_END;
    fleet_start_sentinels(1, false, NULL, NULL);
    open_on_sentinels(1);
    WORLD_UNTIL(
        fleet_says(&fleet.servers[FLEET_SENTINEL], "CLIENT LIST TYPE pubsub", "cmd=subscribe"));
    /* It may have to learn first that the replica is a good one. */
    WORLD_UNTIL(fleet_says(&fleet.servers[FLEET_SENTINEL], "SENTINEL FAILOVER main", "OK"));
    WORLD_UNTIL(owns(&fleet.servers[FLEET_REPLICA], 0));
}

Test(topology, primary_that_died_is_replaced)
{
    fleet_start_sentinels(3, false, NULL, NULL);
    open_on_sentinels(3);
    fleet_end(&fleet.servers[FLEET_PRIMARY]);
    WORLD_UNTIL((cg_redis_topology_doubt(t.topology), owns(&fleet.servers[FLEET_REPLICA], 0)));
    cr_expect_eq(t.count, 2);
}

Test(topology, ear_is_moved_to_a_sentinel_that_lives)
{
    fleet_start_sentinels(3, false, NULL, NULL);
    open_on_sentinels(3);
    const char *const list = "CLIENT LIST TYPE pubsub";
    struct fleet_server *sentinels = &fleet.servers[FLEET_SENTINEL];
    size_t heard = 3;
    WORLD_UNTIL((heard = fleet_says(&sentinels[0], list, "cmd=subscribe")   ? 0
                         : fleet_says(&sentinels[1], list, "cmd=subscribe") ? 1
                         : fleet_says(&sentinels[2], list, "cmd=subscribe") ? 2
                                                                            : 3) < 3);
    fleet_end(&sentinels[heard]);
    WORLD_UNTIL(fleet_says(&sentinels[(heard + 1) % 3], list, "cmd=subscribe") ||
                fleet_says(&sentinels[(heard + 2) % 3], list, "cmd=subscribe"));
}

Test(topology, server_that_is_no_primary_is_not_believed)
{
    fleet_start_sentinels(1, false, NULL, NULL);
    FLEET_DO(&fleet.servers[FLEET_PRIMARY], "REPLICAOF 127.0.0.1 %u",
             fleet.servers[FLEET_REPLICA].port);
    fleet_catch_log();
    open_topology("redis+sentinel://127.0.0.1:%u/main", fleet.servers[FLEET_SENTINEL].port);
    WORLD_UNTIL(fleet_logged("is not a primary, although a sentinel says so"));
    cr_expect_eq(t.count, 0);
    FLEET_DO(&fleet.servers[FLEET_PRIMARY], "REPLICAOF NO ONE");
    WORLD_UNTIL(t.count == 1);
    fleet_release_log();
}

Test(topology, unknown_name_and_wrong_passwords_are_logged)
{
    char line[160];
    fleet_start_sentinels(1, false, NULL, "opensesame");
    unsigned port = fleet.servers[FLEET_SENTINEL].port;
    const struct {
        const char *name, *options, *line;
    } rows[] = {
        {"other", "?sentinel_password=opensesame", "knows no primary with the name other"},
        {"main", "?sentinel_password=wrong", "refuses: WRONGPASS"},
        {"main", "", "refuses: NOAUTH"},
        {"main", "?sentinel_user=nobody&sentinel_password=opensesame", "refuses: WRONGPASS"},
        {"main", "?sentinel_password=opensesame", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool good = rows[i].line[0] == '\0';
        fleet_catch_log();
        open_topology("redis+sentinel://127.0.0.1:%u/%s%s", port, rows[i].name, rows[i].options);
        snprintf(line, sizeof(line), "sentinel 127.0.0.1:%u: %s", port, rows[i].line);
        WORLD_UNTIL(good ? t.count == 1 : fleet_logged(line));
        cr_expect_eq(t.count, good ? 1 : 0, "%s", line);
        cr_expect_not(fleet_logged("opensesame") || fleet_logged("wrong"), "a password was logged");
        fleet_release_log();
        t.topology = cg_redis_topology_destroy(t.topology);
        cg_redis_peer_fini(&t.peer);
    }
}

/* ---- one server ---- */

Test(topology, standalone_server_needs_no_look)
{
    open_topology("redis://127.0.0.1:1");
    WORLD_UNTIL(t.count == 1);
    cr_expect_eq(t.map.shard_count, 1);
    cr_expect_str_eq(owner_of(7)->host, "127.0.0.1");
    cg_redis_topology_doubt(t.topology);
    for (unsigned i = 0; i < 5; i++)
        world_turn();
    cr_expect_eq(t.count, 1);
}

static void expect_refusal(const struct fleet_server *server, const char *why)
{
    fleet_use_url("redis://127.0.0.1:%u", server->port);
    fleet_catch_log();
    struct cg_store *store = cg_redis_open(world.redis, &world.context, &world.clock);
    WORLD_UNTIL(fleet_logged(why));
    fleet_release_log();
    cr_expect_not(is_available(store));
    cg_redis_close(store);
}

Test(topology, server_of_another_kind_than_the_url_says_is_refused)
{
    struct fleet_server like = {.cluster = true};
    expect_refusal(fleet_start(like), "it is a node of a Cluster; name it in redis+cluster://");
    fleet_end_all();
    fleet_start_sentinels(1, false, NULL, NULL);
    expect_refusal(&fleet.servers[FLEET_SENTINEL],
                   "it is a sentinel; name it in redis+sentinel://");
}
