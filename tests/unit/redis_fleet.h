/*
 * redis_fleet: several real redis-servers on loopback: a Cluster, or sentinels with what they
 * watch.
 *
 * Beside redis_world.h, whose loop and clock it uses. Ports are free ones; who finds its port taken
 * starts again on another. All end by process id, at the latest with the test.
 */
#ifndef TESTS_UNIT_REDIS_FLEET_H
#define TESTS_UNIT_REDIS_FLEET_H

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "redis_world.h"

enum { FLEET_MAX = 12, FLEET_TRIES = 20, FLEET_PRIMARIES = 3 };

struct fleet_server {
    pid_t pid;
    unsigned port, bus_port;
    char directory[96];
    bool cluster, sentinel, frozen;
    char more[512];          /* lines of its configuration */
    const char *certificate; /* redis_certificates.h: TLS on the port */
};

static struct {
    struct fleet_server servers[FLEET_MAX];
    size_t count;
    char url[1024];
    int log, stderr_was; /* what was logged, when it is caught */
} fleet;

/* ---- asking ---- */

__attribute__((unused)) static redisReply *fleet_ask(const struct fleet_server *server,
                                                     const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static redisReply *fleet_ask(const struct fleet_server *server, const char *format, ...)
{
    va_list arguments;
    struct timeval second = {1, 0}, longer = {20, 0};
    char path[128];
    snprintf(path, sizeof(path), "%s/socket", server->directory);
    redisContext *connection =
        !server->sentinel || server->certificate != NULL
            ? redisConnectUnixWithTimeout(path, second)
            : redisConnectWithTimeout("127.0.0.1", (int)server->port, second);
    redisReply *reply = NULL;
    if (connection != NULL && connection->err == 0) {
        redisSetTimeout(connection, longer);
        va_start(arguments, format);
        reply = redisvCommand(connection, format, arguments);
        va_end(arguments);
    }
    if (connection != NULL)
        redisFree(connection);
    return reply;
}

/* Integers too; "" for nothing. Long ones are cut. */
enum { FLEET_TEXT_MAX = 4096 };
static const char *fleet_text_of(redisReply *reply, char room[FLEET_TEXT_MAX])
{
    room[0] = '\0';
    if (reply == NULL)
        return room;
    if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(room, FLEET_TEXT_MAX, "%lld", reply->integer);
    else if (reply->str != NULL)
        snprintf(room, FLEET_TEXT_MAX, "%s", reply->str);
    freeReplyObject(reply);
    return room;
}

/* What must succeed. */
#define FLEET_DO(server, ...)                                                                      \
    do {                                                                                           \
        redisReply *reply_ = fleet_ask(server, __VA_ARGS__);                                       \
        cr_assert_not_null(reply_);                                                                \
        cr_assert_neq(reply_->type, REDIS_REPLY_ERROR, "%s", reply_->str);                         \
        freeReplyObject(reply_);                                                                   \
    } while (0)

/* Whether the answer to some words holds a text. */
static bool fleet_says(const struct fleet_server *server, const char *command, const char *expected)
{
    char room[FLEET_TEXT_MAX], words[4][32] = {{0}};
    size_t count = 0;
    for (struct cg_str rest = cg_str_from(command), word;
         count < 4 && cg_str_split(&rest, ' ', &word); count++)
        snprintf(words[count], sizeof(words[0]), "%.*s", CG_STR_ARG(word));
    redisReply *reply =
        count == 1   ? fleet_ask(server, "%s", words[0])
        : count == 2 ? fleet_ask(server, "%s %s", words[0], words[1])
        : count == 3 ? fleet_ask(server, "%s %s %s", words[0], words[1], words[2])
                     : fleet_ask(server, "%s %s %s %s", words[0], words[1], words[2], words[3]);
    return strstr(fleet_text_of(reply, room), expected) != NULL;
}

/* ---- what is logged ---- */

__attribute__((unused)) static void fleet_catch_log(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/stderr", world.directory);
    fflush(stderr);
    fleet.stderr_was = dup(2);
    fleet.log = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0600);
    unlink(path);
    dup2(fleet.log, 2);
    cg_log_set_level(CG_LOG_WARN);
}

__attribute__((unused)) static bool fleet_logged(const char *words)
{
    char text[16384];
    ssize_t length = pread(fleet.log, text, sizeof(text) - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    return strstr(text, words) != NULL;
}

__attribute__((unused)) static void fleet_release_log(void)
{
    dup2(fleet.stderr_was, 2);
    cg_log_set_level(CG_LOG_ERROR);
}

/* ---- starting and ending ---- */

/* Of those that the kernel gives to nobody: a thousand clients of another test, or its port 0,
 * would take one of the others sooner or later. */
static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    bool bound = false;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    while (!bound) {
        uint16_t chance;
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_eq(getrandom(&chance, sizeof(chance), 0), (ssize_t)sizeof(chance));
        address.sin_port = htons((uint16_t)(10000 + chance % 22000));
        bound = bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0;
        close(listener);
    }
    return ntohs(address.sin_port);
}

static void fleet_configure(const struct fleet_server *server)
{
    char path[128];
    const char *at = server->directory, *tls = server->certificate;
    snprintf(path, sizeof(path), "%s/redis.conf", at);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    fprintf(file, "bind 127.0.0.1\ndir %s\nlogfile %s/log\n", at, at);
    fprintf(file, "%s %u\n", tls == NULL ? "port" : "tls-port", server->port);
    if (!server->sentinel || tls != NULL)
        fprintf(file, "unixsocket %s/socket\n", at);
    if (tls != NULL)
        fprintf(file,
                "port 0\ntls-cert-file %s/%s.pem\ntls-key-file %s/%s.key\n"
                "tls-ca-cert-file %s/ca.pem\ntls-replication yes\n",
                world.directory, tls, world.directory, tls, world.directory);
    /* jemalloc's own thread would wait for a time that never comes, in a circle. */
    if (!server->sentinel)
        fprintf(file, "save \"\"\nrepl-diskless-sync-delay 0\njemalloc-bg-thread no\n");
    if (server->cluster)
        fprintf(file, "cluster-enabled yes\ncluster-port %u\n%s", server->bus_port,
                tls == NULL ? "" : "tls-cluster yes\n");
    fputs(server->more, file);
    cr_assert_eq(fclose(file), 0);
}

static void fleet_exec(const struct fleet_server *server)
{
    char conf[128], clock[96];
    snprintf(conf, sizeof(conf), "%s/redis.conf", server->directory);
    snprintf(clock, sizeof(clock), "%s/clock", world.directory);
    if (server->frozen) {
        setenv("FROZEN_CLOCK", clock, 1);
        setenv("LD_PRELOAD", FROZEN_CLOCK_LIBRARY, 1);
    }
    int nowhere = open("/dev/null", O_WRONLY);
    dup2(nowhere, 1);
    dup2(nowhere, 2);
    execlp(server_binary(), server_binary(), conf, server->sentinel ? "--sentinel" : NULL, NULL);
    _exit(127);
}

/* False when it ended, as one does that finds its port taken. */
static bool fleet_try(struct fleet_server *server)
{
    pid_t parent = getpid();
    server->pid = fork();
    cr_assert_geq(server->pid, 0);
    if (server->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        fleet_exec(server);
    }
    int64_t started_ms = cg_clock_monotonic_ms();
    while (fleet_text_of(fleet_ask(server, "PING"), (char[FLEET_TEXT_MAX]){0})[0] == '\0') {
        cr_assert_lt(cg_clock_monotonic_ms() - started_ms, 60000, "redis-server does not answer");
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
            return false;
        world_turn();
    }
    return true;
}

static void fleet_end(struct fleet_server *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}

/* On the ports it had. */
__attribute__((unused)) static void fleet_start_again(struct fleet_server *server)
{
    int64_t started_ms = cg_clock_monotonic_ms();
    while (!fleet_try(server))
        cr_assert_lt(cg_clock_monotonic_ms() - started_ms, 60000, "its port was taken");
}

static struct fleet_server *fleet_start(struct fleet_server like)
{
    cr_assert_lt(fleet.count, FLEET_MAX);
    struct fleet_server *server = &fleet.servers[fleet.count];
    *server = like;
    snprintf(server->directory, sizeof(server->directory), "%s/%zu", world.directory,
             fleet.count++);
    cr_assert_eq(mkdir(server->directory, 0700), 0);
    for (unsigned tries = 0; tries < FLEET_TRIES; tries++) {
        server->port = free_port();
        server->bus_port = free_port();
        fleet_configure(server);
        if (server->port != server->bus_port && fleet_try(server))
            return server;
    }
    cr_assert_fail("redis-server does not start");
    return NULL;
}

static void fleet_remove(const char *directory)
{
    char path[400];
    DIR *listing = opendir(directory);
    for (struct dirent *at; listing != NULL && (at = readdir(listing)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", directory, at->d_name);
        if (strcmp(at->d_name, ".") != 0 && strcmp(at->d_name, "..") != 0 && unlink(path) != 0)
            fleet_remove(path);
    }
    if (listing != NULL)
        closedir(listing);
    rmdir(directory);
}

/* Before world_end. */
static void fleet_end_all(void)
{
    for (size_t i = 0; i < fleet.count; i++) {
        if (fleet.servers[i].pid > 0)
            kill(fleet.servers[i].pid, SIGCONT);
        fleet_end(&fleet.servers[i]);
        fleet_remove(fleet.servers[i].directory);
    }
    fleet.count = 0;
}

/* The handles of the world are for these servers from now on. */
__attribute__((unused)) static void fleet_use_url(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
static void fleet_use_url(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(fleet.url, sizeof(fleet.url), format, arguments);
    va_end(arguments);
    world.redis = cg_redis_destroy(world.redis);
    world.settings.redis_url = fleet.url;
    world.redis = make_redis();
}

/* ---- a Cluster ---- */

static bool fleet_formed(size_t count)
{
    char known[32];
    snprintf(known, sizeof(known), "cluster_known_nodes:%zu", count);
    for (size_t i = 0; i < count; i++)
        if (!fleet_says(&fleet.servers[i], "CLUSTER INFO", known) ||
            !fleet_says(&fleet.servers[i], "CLUSTER INFO", "cluster_state:ok") ||
            (i >= FLEET_PRIMARIES &&
             !fleet_says(&fleet.servers[i], "INFO replication", "master_link_status:up")))
            return false;
    return true;
}

/* A frozen clock moves while the nodes meet: they wait some seconds before they call it a cluster.
 */
static void fleet_until_formed(size_t count)
{
    int64_t started_ms = cg_clock_monotonic_ms();
    while (!fleet_formed(count)) {
        cr_assert_lt(cg_clock_monotonic_ms() - started_ms, 60000, "no cluster");
        if (fleet.servers[0].frozen)
            atomic_fetch_add(world.now_ms, 5000);
        world_turn();
    }
}

/*
 * Servers 0 to 2 are primaries of a third of the slots each, 3 to 5 their replicas, if any. With a
 * frozen clock nobody is ever taken for dead.
 */
__attribute__((unused)) static void fleet_start_cluster(bool replicas, bool frozen,
                                                        const char *certificate)
{
    static const unsigned first[FLEET_PRIMARIES + 1] = {0, 5461, 10923, 16384};
    struct fleet_server like = {.cluster = true, .frozen = frozen, .certificate = certificate};
    size_t count = replicas ? 2 * FLEET_PRIMARIES : FLEET_PRIMARIES;
    char id[FLEET_TEXT_MAX];
    snprintf(like.more, sizeof(like.more),
             "cluster-node-timeout %u\ncluster-replica-validity-factor 0\n",
             frozen ? 2000000000u : 2000u);
    for (size_t i = 0; i < count; i++)
        fleet_start(like);
    struct fleet_server *servers = fleet.servers;
    for (unsigned i = 0; i < FLEET_PRIMARIES; i++) {
        FLEET_DO(&servers[i], "CLUSTER SET-CONFIG-EPOCH %u", i + 1);
        FLEET_DO(&servers[i], "CLUSTER ADDSLOTSRANGE %u %u", first[i], first[i + 1] - 1);
    }
    /* All pairs: rumours take a second for each step. */
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            FLEET_DO(&servers[i], "CLUSTER MEET 127.0.0.1 %u %u", servers[j].port,
                     servers[j].bus_port);
    for (size_t i = FLEET_PRIMARIES; i < count; i++) {
        fleet_text_of(fleet_ask(&servers[i - FLEET_PRIMARIES], "CLUSTER MYID"), id);
        WORLD_UNTIL(fleet_says(&servers[i], "CLUSTER NODES", id));
        FLEET_DO(&servers[i], "CLUSTER REPLICATE %s", id);
    }
    fleet_until_formed(count);
}

/* ---- sentinels ---- */

enum { FLEET_PRIMARY = 0, FLEET_REPLICA = 1, FLEET_SENTINEL = 2 };

static bool fleet_watched(size_t sentinels)
{
    for (size_t i = 0; i < sentinels; i++) {
        char room[FLEET_TEXT_MAX];
        const struct fleet_server *sentinel = &fleet.servers[FLEET_SENTINEL + i];
        snprintf(room, sizeof(room), "status=ok,address=127.0.0.1:%u,slaves=1,sentinels=%zu",
                 fleet.servers[FLEET_PRIMARY].port, sentinels);
        if (!fleet_says(sentinel, "INFO sentinel", room))
            return false;
    }
    return fleet_says(&fleet.servers[FLEET_REPLICA], "INFO replication", "master_link_status:up");
}

/* Server 0 is the primary, 1 its replica, the others sentinels, who call the primary `main`. */
__attribute__((unused)) static void
fleet_start_sentinels(size_t sentinels, bool frozen, const char *certificate, const char *password)
{
    struct fleet_server data = {.frozen = frozen, .certificate = certificate};
    struct fleet_server sentinel = {.sentinel = true, .certificate = certificate};
    unsigned port = fleet_start(data)->port;
    snprintf(data.more, sizeof(data.more), "replicaof 127.0.0.1 %u\n", port);
    fleet_start(data);
    int length = snprintf(sentinel.more, sizeof(sentinel.more),
                          "sentinel monitor main 127.0.0.1 %u %zu\n"
                          "sentinel down-after-milliseconds main %u\n"
                          "sentinel failover-timeout main 6000\n",
                          port, sentinels / 2 + 1, frozen ? 600000u : 1000u);
    if (password != NULL)
        snprintf(sentinel.more + length, sizeof(sentinel.more) - (size_t)length,
                 "requirepass %s\nsentinel sentinel-pass %s\n", password, password);
    for (size_t i = 0; i < sentinels; i++)
        fleet_start(sentinel);
    if (password == NULL)
        WORLD_UNTIL(fleet_watched(sentinels));
}

#endif
