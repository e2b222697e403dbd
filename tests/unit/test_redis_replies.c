/* What sentinels and nodes of a Cluster may say, sense and nonsense: servers are scripts. */
#define FAKE_WITHOUT_TOPOLOGY
#include "redis_fake.h"

static struct cg_redis_peer peer;
static struct cg_redis_topology *topology;
static struct fake *one, *two;
static struct cg_redis_map map;
static unsigned maps;
static char url[256];

static void begin(void)
{
    world_begin();
    world_hook = fakes_turn;
    one = fake_start();
    two = fake_start();
    maps = 0;
}

static void end(void)
{
    fakes_end();
    world_end();
}

TestSuite(replies, .init = begin, .fini = end);

static void on_map(void *owner, const struct cg_redis_map *news)
{
    (void)owner;
    maps++;
    map = *news;
}

static void open_topology(uint32_t timeout_ms, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void open_topology(uint32_t timeout_ms, const char *format, ...)
{
    va_list arguments;
    char *error = NULL;
    va_start(arguments, format);
    vsnprintf(url, sizeof(url), format, arguments);
    va_end(arguments);
    maps = 0;
    cr_assert(cg_redis_peer_init(&peer, url, &error), "%s: %s", url, error);
    topology =
        cg_redis_topology_create(&peer, &world.context, &world.clock, timeout_ms, on_map, NULL);
}

static void close_topology(void)
{
    topology = cg_redis_topology_destroy(topology);
    cg_redis_peer_fini(&peer);
}

static void forget_rules(struct fake *fake)
{
    memset(fake->rules, 0, sizeof(fake->rules));
    fake->log[0] = '\0';
}

/* ---- Cluster ---- */

#define BULK_A  "$9\r\n127.0.0.1\r\n"
#define NODE_A  "*3\r\n" BULK_A ":7000\r\n$1\r\na\r\n"
#define ALL_A   "*3\r\n:0\r\n:16383\r\n" NODE_A
#define NODE_B  "*4\r\n" BULK_A ":7001\r\n$1\r\nb\r\n*2\r\n$8\r\nhostname\r\n$1\r\nh\r\n"
#define OK_INFO "$43\r\ncluster_state:ok\r\ncluster_current_epoch:3\r\n\r\n"

Test(replies, slots_that_make_no_sense_are_no_map)
{
    static const char *const rows[] = {
        "+OK\r\n",
        ":1\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*0\r\n",
        "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n" NODE_A,
        "*1\r\n*3\r\n:-1\r\n:5\r\n" NODE_A,
        "*1\r\n*3\r\n:5\r\n:4\r\n" NODE_A,
        "*1\r\n*3\r\n$1\r\n0\r\n:5\r\n" NODE_A,
        "*1\r\n*3\r\n:0\r\n:5\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*1\r\n" BULK_A,
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n" BULK_A ":0\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n" BULK_A ":65536\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n" BULK_A ":-1\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n" BULK_A "$4\r\n7000\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n$1\r\n?\r\n:7000\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n$3\r\na\nb\r\n:7000\r\n",
        "*2\r\n*3\r\n:0\r\n:5\r\n" NODE_A "*3\r\n:5\r\n:6\r\n" NODE_B,
        "*3\r\n" ALL_A ALL_A ALL_A,
        "*1\r\n*3\r\n:0\r\n:9223372036854775807\r\n" NODE_A,
        "*1\r\n*2147483647\r\n:0\r\n",
        "*1\r\n*3\r\n-ERR a\r\n-ERR b\r\n-ERR c\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n$13\r\na\x1b[2J.example\r\n:7000\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n$14\r\n../../redis.so\r\n:7000\r\n",
        "-NOPERM no\r\n",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        forget_rules(one);
        fake_rule(one, "CLUSTER SLOTS", 1000, rows[i]);
        open_topology(30000, "redis+cluster://127.0.0.1:%u", one->port);
        WORLD_UNTIL(fake_told(one, "CLUSTER SLOTS") >= 3);
        cr_expect_eq(maps, 0, "%s", rows[i]);
        close_topology();
    }
}

Test(replies, slots_that_make_sense_are_a_map)
{
    static const struct {
        const char *info, *slots;
        size_t shards;
        const char *host; /* of the first; NULL: the one that was asked */
    } rows[] = {
        {OK_INFO, "*1\r\n*3\r\n:0\r\n:16383\r\n" NODE_A, 1, "127.0.0.1"},
        {OK_INFO, "*1\r\n*4\r\n:0\r\n:16383\r\n" NODE_A NODE_B, 1, "127.0.0.1"},
        {OK_INFO, "*2\r\n*3\r\n:9\r\n:9\r\n" NODE_B "*3\r\n:0\r\n:8\r\n" NODE_A, 2, "127.0.0.1"},
        {OK_INFO, "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$-1\r\n:7000\r\n", 1, NULL},
        {OK_INFO, "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$0\r\n\r\n:7000\r\n", 1, NULL},
        {OK_INFO, "*1\r\n*3\r\n:0\r\n:1\r\n*2\r\n$3\r\n::1\r\n:7000\r\n", 1, "::1"},
        {"-NOPERM no\r\n", "*1\r\n*3\r\n:0\r\n:1\r\n" NODE_A, 1, "127.0.0.1"},
        {"$7\r\nnothing\r\n", "*1\r\n*3\r\n:0\r\n:1\r\n" NODE_A, 1, "127.0.0.1"},
        {":5\r\n", "*1\r\n*3\r\n:0\r\n:1\r\n" NODE_A, 1, "127.0.0.1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        forget_rules(one);
        fake_rule(one, "CLUSTER INFO", 1000, rows[i].info);
        fake_rule(one, "CLUSTER SLOTS", 1000, rows[i].slots);
        open_topology(30000, "redis+cluster://localhost:%u", one->port);
        WORLD_UNTIL(maps == 1);
        cr_expect_eq(map.shard_count, rows[i].shards, "%s", rows[i].slots);
        cr_expect_eq(map.shards[0].port, 7000, "%s", rows[i].slots);
        cr_expect_str_eq(map.shards[0].host, rows[i].host == NULL ? "localhost" : rows[i].host);
        close_topology();
    }
}

Test(replies, node_that_does_not_answer_is_passed_over)
{
    one->held = true;
    fake_rule(one, "CLUSTER SLOTS", 1000, "*1\r\n*3\r\n:0\r\n:1\r\n" NODE_A);
    fake_rule(two, "CLUSTER SLOTS", 1000, "*1\r\n*3\r\n:0\r\n:1\r\n" NODE_B);
    open_topology(200, "redis+cluster://127.0.0.1:%u,127.0.0.1:%u", one->port, two->port);
    WORLD_UNTIL(maps == 1);
    cr_expect_eq(map.shards[0].port, 7001);
    close_topology();
}

/* Epochs: the second node has a newer view, and the first one is never believed again. */
Test(replies, node_that_is_behind_is_not_believed)
{
    fake_rule(one, "CLUSTER INFO", 1000, OK_INFO);
    fake_rule(one, "CLUSTER SLOTS", 1000, "*1\r\n*3\r\n:0\r\n:1\r\n" NODE_A);
    fake_rule(two, "CLUSTER INFO", 1000, "$23\r\ncluster_current_epoch:4\r\n");
    fake_rule(two, "CLUSTER SLOTS", 1000, "*1\r\n*3\r\n:0\r\n:1\r\n" NODE_B);
    open_topology(30000, "redis+cluster://127.0.0.1:%u,127.0.0.1:%u", one->port, two->port);
    WORLD_UNTIL((cg_redis_topology_doubt(topology), maps > 0 && map.shards[0].port == 7001));
    unsigned before = maps, asked = fake_told(one, "CLUSTER SLOTS");
    WORLD_UNTIL((cg_redis_topology_doubt(topology), fake_told(one, "CLUSTER SLOTS") >= asked + 3));
    cr_expect_eq(maps, before);
    close_topology();
}

/* ---- Sentinel ---- */

static void expect_sentinel(const char *address, const char *master, const char *role, bool good)
{
    forget_rules(one);
    forget_rules(two);
    fake_rule(one, "SENTINEL GET-MASTER-ADDR-BY-NAME main", 1000, address);
    fake_rule(one, "SENTINEL MASTER main", 1000, master);
    fake_rule(two, "ROLE", 1000, role);
    open_topology(30000, "redis+sentinel://127.0.0.1:%u/main", one->port);
    if (good)
        WORLD_UNTIL(maps == 1 && map.shards[0].port == two->port);
    else
        WORLD_UNTIL(fake_told(one, "SENTINEL GET-MASTER-ADDR-BY-NAME main") >= 3);
    cr_expect_eq(maps, good ? 1 : 0, "%s %s %s", address, master, role);
    close_topology();
}

Test(replies, sentinels_are_believed_as_far_as_they_make_sense)
{
    static const char *const nonsense[] = {
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "+OK\r\n",
        "*1\r\n" BULK_A,
        "*2\r\n" BULK_A ":7000\r\n",
        "*2\r\n" BULK_A "$1\r\nx\r\n",
        "*2\r\n" BULK_A "$1\r\n0\r\n",
        "*2\r\n" BULK_A "$5\r\n65536\r\n",
        "*2\r\n$0\r\n\r\n$4\r\n7000\r\n",
        "*2\r\n$3\r\na b\r\n$4\r\n7000\r\n",
        "-ERR unknown command\r\n",
    };
    static const char epoch[] =
        "*4\r\n$4\r\nname\r\n$4\r\nmain\r\n$12\r\nconfig-epoch\r\n$1\r\n7\r\n";
    static const char primary[] = "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n";
    char address[64], port[8];
    int digits = snprintf(port, sizeof(port), "%u", two->port);
    snprintf(address, sizeof(address), "*2\r\n" BULK_A "$%d\r\n%s\r\n", digits, port);
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
        expect_sentinel(nonsense[i], epoch, primary, false);
    expect_sentinel(address, epoch, primary, true);
    expect_sentinel(address, "-ERR no\r\n", primary, true);
    expect_sentinel(address, "*1\r\n:1\r\n", primary, true);
    expect_sentinel(address, "*2\r\n$12\r\nconfig-epoch\r\n$1\r\nx\r\n", primary, true);
    expect_sentinel(address, epoch, "*5\r\n$5\r\nslave\r\n" BULK_A ":1\r\n$4\r\nsync\r\n:1\r\n",
                    false);
    expect_sentinel(address, epoch, "*0\r\n", false);
    expect_sentinel(address, epoch, "+master\r\n", false);
    expect_sentinel(address, epoch, "-NOPERM no\r\n", false);
}
