/*
 * redis_world: a real redis-server on a UNIX socket in a fresh directory, a loop, and handles.
 *
 * Wall time of the server and of the handles is one number that the test moves; timers of the
 * handles run on real time. Waiting is turning the loop until a condition holds.
 */
#ifndef TESTS_UNIT_REDIS_WORLD_H
#define TESTS_UNIT_REDIS_WORLD_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <h2o.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/net/lookup.h"
#include "gateway/store/redis_store.h"

enum { REDIS_ARGUMENTS_MAX = 32 };

struct redis_world {
    char directory[64];
    char url[160];
    char socket_path[108];
    _Atomic int64_t *now_ms; /* shared with the server */
    pid_t server;
    h2o_globalconf_t config;
    h2o_context_t context;
    struct cg_clock clock; /* now_ms is ours, timers are real */
    struct cg_clock *timers;
    struct cg_ruleset ruleset;
    struct cg_settings settings;
    struct cg_redis *redis;
};

static struct redis_world world;

static int64_t world_now(struct cg_clock *clock)
{
    (void)clock;
    return atomic_load(world.now_ms);
}

static void world_arm(struct cg_clock *clock, struct cg_timer *timer, uint32_t delay_ms)
{
    (void)clock;
    cg_timer_arm(world.timers, timer, delay_ms);
}

static void world_disarm(struct cg_clock *clock, struct cg_timer *timer)
{
    (void)clock;
    cg_timer_disarm(world.timers, timer);
}

/* More that turns with the loop. */
static void (*world_hook)(void);

static const struct cg_clock_port world_clock_port = {world_now, world_arm, world_disarm};

static void world_turn(void)
{
    h2o_evloop_run(world.context.loop, (int32_t)cg_clock_wait_ms(world.timers, 20));
    cg_clock_run(world.timers);
    if (world_hook != NULL)
        world_hook();
}

/* The bound is for broken code only. */
#define WORLD_UNTIL(condition)                                                                     \
    do {                                                                                           \
        int64_t started_ms_ = cg_clock_monotonic_ms();                                             \
        while (!(condition)) {                                                                     \
            cr_assert_lt(cg_clock_monotonic_ms() - started_ms_, 60000, "never: %s", #condition);   \
            world_turn();                                                                          \
        }                                                                                          \
    } while (0)

/* One command on a connection of the test's own. To be freed. */
__attribute__((unused)) static redisReply *ask(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
static redisReply *ask(const char *format, ...)
{
    va_list arguments;
    redisContext *connection = redisConnectUnix(world.socket_path);
    redisReply *reply = NULL;
    if (connection != NULL && connection->err == 0) {
        va_start(arguments, format);
        reply = redisvCommand(connection, format, arguments);
        va_end(arguments);
    }
    if (connection != NULL)
        redisFree(connection);
    return reply;
}

static bool server_answers(void)
{
    redisReply *reply = ask("PING");
    bool answers = reply != NULL;
    if (reply != NULL)
        freeReplyObject(reply);
    return answers;
}

/* CACHEGATE_REDIS_SERVER names another binary, such as valkey-server. */
static const char *server_binary(void)
{
    const char *named = getenv("CACHEGATE_REDIS_SERVER");
    return named == NULL ? "redis-server" : named;
}

/* `options`: more of redis-server's arguments, NULL at the end. */
__attribute__((unused)) static void start_server(const char *const *options)
{
    /* jemalloc's own thread would wait for a time that never comes, in a circle. */
    const char *arguments[REDIS_ARGUMENTS_MAX] = {
        server_binary(),
        "--port",
        "0",
        "--unixsocket",
        world.socket_path,
        "--save",
        "",
        "--dir",
        world.directory,
        "--loglevel",
        "warning",
        "--jemalloc-bg-thread",
        "no",
    };
    size_t count = 13;
    for (size_t i = 0; options != NULL && options[i] != NULL; i++)
        arguments[count++] = options[i];
    char clock[96];
    snprintf(clock, sizeof(clock), "%s/clock", world.directory);
    pid_t parent = getpid();
    world.server = fork();
    cr_assert_geq(world.server, 0);
    if (world.server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        int log = open("/dev/null", O_WRONLY);
        dup2(log, 1);
        dup2(log, 2);
        setenv("FROZEN_CLOCK", clock, 1);
        setenv("LD_PRELOAD", FROZEN_CLOCK_LIBRARY, 1);
        execvp(arguments[0], (char *const *)arguments);
        _exit(127);
    }
    WORLD_UNTIL(server_answers());
}

static void end_server(void)
{
    if (world.server <= 0)
        return;
    kill(world.server, SIGKILL);
    waitpid(world.server, NULL, 0);
    world.server = 0;
    unlink(world.socket_path);
}

static struct cg_redis *make_redis(void)
{
    char *error = NULL;
    struct cg_redis *redis = cg_redis_create(&world.settings, &error);
    cr_assert_not_null(redis, "%s", error);
    return redis;
}

static void world_begin(void)
{
    char path[96];
    signal(SIGPIPE, SIG_IGN);
    cg_log_set_level(CG_LOG_ERROR);
    memset(&world, 0, sizeof(world));
    snprintf(world.directory, sizeof(world.directory), "/tmp/cachegate_redis_XXXXXX");
    cr_assert_not_null(mkdtemp(world.directory));
    snprintf(world.socket_path, sizeof(world.socket_path), "%s/redis.sock", world.directory);
    snprintf(world.url, sizeof(world.url), "unix://%s", world.socket_path);
    snprintf(path, sizeof(path), "%s/clock", world.directory);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_eq(ftruncate(file, sizeof(int64_t)), 0);
    world.now_ms = mmap(NULL, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    cr_assert_neq((void *)world.now_ms, MAP_FAILED);
    close(file);
    atomic_store(world.now_ms, INT64_C(1700000000000));
    h2o_config_init(&world.config);
    h2o_config_register_host(&world.config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_context_init(&world.context, h2o_evloop_create(), &world.config);
    world.timers = cg_clock_create();
    world.clock.port = &world_clock_port;
    world.ruleset.lifetime_max_ms = 3600000;
    world.settings = (struct cg_settings){.redis_url = world.url,
                                          .store_namespace = "test",
                                          .store_timeout_ms = 30000,
                                          .breaker_failures = 5,
                                          .breaker_open_ms = 20,
                                          .breaker_open_longest_ms = 200,
                                          .journal_entries = 4096,
                                          .lease_ms = 600000,
                                          .gone_after_ms = 3600000,
                                          .failover_ms = 5000,
                                          .ruleset = &world.ruleset};
    world.redis = make_redis();
}

static void world_end(void)
{
    char path[96];
    world.redis = cg_redis_destroy(world.redis);
    end_server();
    for (unsigned i = 0; i < 4; i++)
        world_turn();
    world.timers = cg_clock_destroy(world.timers);
    munmap((void *)world.now_ms, sizeof(int64_t));
    snprintf(path, sizeof(path), "%s/clock", world.directory);
    unlink(path);
    rmdir(world.directory);
    cr_assert(cg_lookups_drain(&world.context, 60000));
    h2o_context_dispose(&world.context);
    h2o_evloop_destroy(world.context.loop);
    h2o_config_dispose(&world.config);
}

static bool is_available(struct cg_store *store)
{
    struct cg_store_health health;
    store->port->health(store, &health);
    return health.available;
}

__attribute__((unused)) static struct cg_store *open_handle_of(struct cg_redis *redis)
{
    struct cg_store *store = cg_redis_open(redis, &world.context, &world.clock);
    WORLD_UNTIL(is_available(store));
    return store;
}

#endif
