/* What is believed, and who is a member, on a real Redis. The clock of the server and the monotonic
 * clock of the processes are one number, which only the tests move; heartbeats are sent by hand. */
#define CONTRACT_WITHOUT_STATISTICS
#include "gateway/store/redis_journal.h"
#include "gateway/store/redis_parts.h"
#include "redis_world.h"

enum { LEASE = 600000, GONE_AFTER = 3600000, FAILOVER = 5000, PROCESSES_MAX = 4 };

/* One gateway, under a user of its own, so that it alone can be cut off. */
struct process {
    char name;
    char url[200];
    struct cg_settings settings;
    struct cg_redis *redis;
    struct cg_store *store;
};

static struct process processes[PROCESSES_MAX];
static char spool_path[96];

static int64_t virtual_now_ms(void)
{
    return atomic_load(world.now_ms);
}

static void pass_time(int64_t ms)
{
    atomic_fetch_add(world.now_ms, ms);
}

/* Words with a blank between. To be freed. */
static redisReply *ask_words(const char *command)
{
    const char *words[16];
    size_t lengths[16];
    int count = 0;
    redisContext *connection = redisConnectUnix(world.socket_path);
    cr_assert(connection != NULL && connection->err == 0);
    for (const char *at = command; *at != '\0'; at += lengths[count - 1], at += *at == ' ') {
        words[count] = at;
        lengths[count++] = strcspn(at, " ");
    }
    redisReply *reply = redisCommandArgv(connection, count, words, lengths);
    cr_assert(reply != NULL && reply->type != REDIS_REPLY_ERROR, "%s: %s", command,
              reply == NULL ? "lost" : reply->str);
    redisFree(connection);
    return reply;
}

#define TELL(...)                                                                                  \
    do {                                                                                           \
        char command_[128];                                                                        \
        snprintf(command_, sizeof(command_), __VA_ARGS__);                                         \
        freeReplyObject(ask_words(command_));                                                      \
    } while (0)

static struct process *make(char name, const char *mode, const char *spool)
{
    struct process *process = &processes[name - 'a'];
    char *error = NULL;
    TELL("ACL SETUSER %c on nopass ~* &* +@all", name);
    process->name = name;
    process->settings = world.settings;
    snprintf(process->url, sizeof(process->url), "unix://%c:x@%s", name, world.socket_path);
    process->settings.redis_url = process->url;
    process->settings.on_unpurgeable = (char *)mode;
    process->settings.spool_file = (char *)spool;
    process->redis = cg_redis_create(&process->settings, &error);
    cr_assert_not_null(process->redis, "%s", error);
    process->redis->trust.now_ms = virtual_now_ms;
    return process;
}

static struct cg_redis_handle *handle_of(const struct process *process)
{
    return (struct cg_redis_handle *)process->store;
}

static void until_quiet(const struct process *process)
{
    WORLD_UNTIL(process->store->port->reachable(process->store) &&
                handle_of(process)->heartbeat.remaining == 0);
}

static struct process *start(char name, const char *mode, const char *spool)
{
    struct process *process = make(name, mode, spool);
    process->store = cg_redis_open(process->redis, &world.context, &world.clock);
    until_quiet(process);
    return process;
}

static void beat(struct process *process)
{
    cg_redis_member_beat(handle_of(process));
    WORLD_UNTIL(handle_of(process)->heartbeat.remaining == 0);
}

static void finish(struct process *process)
{
    process->store = cg_redis_close(process->store);
    process->redis = cg_redis_destroy(process->redis);
}

/* It does not reach Redis any more. */
static void cut_off(struct process *process)
{
    TELL("ACL SETUSER %c off", process->name);
    TELL("CLIENT KILL USER %c", process->name);
    WORLD_UNTIL(!is_available(process->store));
}

static void let_back(struct process *process)
{
    TELL("ACL SETUSER %c on", process->name);
    until_quiet(process);
}

static void begin(void)
{
    world_begin();
    snprintf(spool_path, sizeof(spool_path), "%s/spool", world.directory);
    start_server(NULL);
}

static void end(void)
{
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (processes[i].redis != NULL)
            finish(&processes[i]);
    memset(processes, 0, sizeof(processes));
    unlink(spool_path);
    world_end();
}

TestSuite(redis_trust, .init = begin, .fini = end);

/* ---- what is looked at ---- */

static void told(char room[256], const char *command)
{
    redisReply *reply = ask_words(command);
    room[0] = '\0';
    if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(room, 256, "%lld", reply->integer);
    else if (reply->str != NULL)
        snprintf(room, 256, "%s", reply->str);
    freeReplyObject(reply);
}

static void expect_told(const char *command, const char *expected)
{
    char text[256];
    told(text, command);
    cr_expect_str_eq(text, expected, "%s: %s", command, text);
}

static char generation[256];

static void note_history(void)
{
    told(generation, "GET test:{bans}:epoch");
    generation[16] = '\0';
}

static bool is_new_history(void)
{
    char now[256];
    told(now, "GET test:{bans}:epoch");
    return strncmp(now, generation, 16) != 0;
}

static void expect_why(const struct process *process, const char *why)
{
    struct cg_store_health health;
    process->store->port->health(process->store, &health);
    cr_expect_eq(health.available, why == NULL);
    if (why != NULL)
        cr_expect(health.why != NULL && strcmp(health.why, why) == 0, "%s, not %s", health.why,
                  why);
}

static void on_done(void *owner, enum cg_store_result result)
{
    *(int *)owner = (int)result;
}

static enum cg_store_result purge(const struct process *process, uint8_t name)
{
    int result = -1;
    struct cg_instance instance = {{name}};
    process->store->port->purge(process->store, &instance, 1, on_done, &result);
    WORLD_UNTIL(result >= 0);
    return (enum cg_store_result)result;
}

static void on_view(void *owner, const struct cg_store_view *view)
{
    memcpy(owner, view, sizeof(*view));
}

static struct cg_version prepare(const struct process *process, uint8_t name)
{
    struct cg_store_view view = {.result = CG_STORE_FULL};
    struct cg_instance instance = {{name}};
    process->store->port->prepare(process->store, &instance, 1, on_view, &view);
    WORLD_UNTIL(view.result != CG_STORE_FULL);
    cr_assert_eq(view.result, CG_STORE_OK);
    return view.versions[0];
}

static uint32_t hold_ms(const struct process *process)
{
    return process->store->port->unpurged_hold_ms(process->store);
}

/* ---- membership ---- */

Test(redis_trust, good_end_is_told_to_redis)
{
    struct process *a = start('a', "journal", NULL);
    expect_told("ZCARD test:{bans}:members", "1");
    note_history();
    finish(a);
    expect_told("ZCARD test:{bans}:members", "0");
    pass_time(LEASE + 1);
    start('b', "journal", NULL);
    cr_expect_not(is_new_history());
}

Test(redis_trust, who_owes_purges_at_the_end_does_not_leave)
{
    struct process *a = start('a', "journal", NULL);
    cg_redis_journal_add_flush(a->redis->journal);
    note_history();
    finish(a);
    expect_told("ZCARD test:{bans}:members", "1");
    pass_time(LEASE + 1);
    start('b', "journal", NULL);
    cr_expect(is_new_history());
}

Test(redis_trust, process_that_starts_after_an_unclean_end_begins_a_new_history)
{
    struct process *a = start('a', "journal", NULL);
    note_history();
    cut_off(a);
    finish(a);
    pass_time(LEASE - 1);
    start('b', "journal", NULL);
    cr_expect_not(is_new_history(), "its lease is not over");
    pass_time(1);
    cut_off(&processes[1]); /* one that runs already looks past it … */
    let_back(&processes[1]);
    cr_expect_not(is_new_history());
    start('c', "journal", NULL); /* … one that starts does not */
    cr_expect(is_new_history());
    note_history();
    start('d', "journal", NULL);
    cr_expect_not(is_new_history(), "once is enough");
    expect_told("ZCARD test:{bans}:members", "3");
}

Test(redis_trust, member_that_does_not_come_back_is_gone_after_a_while)
{
    struct process *b = start('b', "journal", NULL);
    struct process *a = start('a', "journal", NULL);
    note_history();
    cut_off(a);
    pass_time(LEASE + GONE_AFTER - 1);
    beat(b);
    cr_expect_not(is_new_history());
    expect_told("ZCARD test:{bans}:members", "2");
    pass_time(LEASE);
    beat(b);
    cr_expect(is_new_history());
    expect_told("ZCARD test:{bans}:members", "1");
    note_history();
    let_back(a);
    cr_expect_not(is_new_history());
    expect_told("ZCARD test:{bans}:members", "2");
}

Test(redis_trust, process_with_a_spool_is_the_same_one_and_delivers_first)
{
    struct process *a = start('a', "journal", spool_path);
    struct cg_version before = prepare(a, 1);
    note_history();
    cut_off(a);
    cr_expect_eq(purge(a, 1), CG_STORE_UNAVAILABLE);
    char *error = NULL;
    cr_expect_null(cg_redis_create(&a->settings, &error), "one process for a spool");
    cr_expect(error != NULL && strstr(error, "another process") != NULL, "%s", error);
    free(error);
    finish(a);
    pass_time(LEASE + 1);
    a = start('a', "journal", spool_path);
    WORLD_UNTIL(is_available(a->store));
    cr_expect_not(is_new_history());
    struct cg_version after = prepare(a, 1);
    cr_expect_not(cg_token_eq(&before.token, &after.token));
    expect_told("ZCARD test:{bans}:members", "1");
}

Test(redis_trust, write_without_a_mark_and_a_crash_are_a_flush)
{
    struct process *a = start('a', "journal", spool_path);
    struct cg_instance instance = {{1}};
    struct cg_writer writer = {{1}};
    int result = -1;
    cut_off(a);
    a->store->port->mark(a->store, &instance, 1, &writer, virtual_now_ms() + 1000, on_done,
                         &result);
    WORLD_UNTIL(result >= 0);
    note_history();
    /* As if killed: what is on the disk is another's to find. */
    char copy[112];
    snprintf(copy, sizeof(copy), "%s.copy", spool_path);
    char command[256];
    snprintf(command, sizeof(command), "cp %s %s", spool_path, copy);
    cr_assert_eq(system(command), 0);
    struct process *b = start('b', "journal", copy);
    WORLD_UNTIL(is_available(b->store));
    char epoch[256];
    told(epoch, "GET test:{bans}:epoch");
    cr_expect(strncmp(epoch + 16, ":1:", 3) == 0, "an open purge of everything: %s", epoch);
    unlink(copy);
}

Test(redis_trust, heartbeats_leave_the_epoch_alone_until_it_is_half_expired)
{
    const long long life_ms = 4 * 3600000LL; /* an hour and the margin */
    char text[256];
    struct process *a = start('a', "journal", NULL);
    pass_time(life_ms / 2);
    beat(a);
    told(text, "PTTL test:{bans}:epoch");
    cr_expect_eq(strtoll(text, NULL, 10), life_ms / 2, "nobody was pushed anything: %s", text);
    pass_time(LEASE);
    beat(a);
    told(text, "PTTL test:{bans}:epoch");
    cr_expect_eq(strtoll(text, NULL, 10), life_ms, "%s", text);
}

/* ---- lease ---- */

Test(redis_trust, nothing_is_believed_while_the_lease_of_another_is_over)
{
    struct process *a = start('a', "lease", NULL);
    struct process *b = start('b', "lease", NULL);
    struct cg_version before = prepare(b, 1);
    note_history();
    expect_why(a, NULL);
    expect_why(b, NULL);
    cut_off(a);
    cr_expect_eq(purge(a, 1), CG_STORE_UNAVAILABLE);
    pass_time(LEASE / 3 - 1);
    expect_why(b, NULL);
    pass_time(1);
    expect_why(b, "no heartbeat"); /* what it was told is too old */
    beat(b);
    expect_why(b, NULL);
    pass_time(LEASE);
    beat(b);
    expect_why(b, "lapsed member");
    cr_expect(b->store->port->reachable(b->store), "its own purges are acknowledged");
    cr_expect_eq(purge(b, 2), CG_STORE_OK);
    struct process *c = start('c', "lease", NULL);
    expect_why(c, "lapsed member"); /* who starts forgives nothing */
    let_back(a);
    WORLD_UNTIL(!cg_redis_journal_owes(a->redis->journal));
    until_quiet(a);
    pass_time(LEASE / 6);
    beat(b);
    expect_why(b, NULL);
    struct cg_version after = prepare(b, 1);
    cr_expect_not(cg_token_eq(&before.token, &after.token), "delivered before that");
    cr_expect_not(is_new_history());
}

Test(redis_trust, process_that_owes_purges_renews_nothing)
{
    struct process *a = start('a', "lease", NULL);
    struct process *b = start('b', "lease", NULL);
    /* It reaches the list of members, but no version. */
    TELL("ACL SETUSER %c resetkeys ~test:{bans}*", 'a');
    cr_expect_eq(purge(a, 1), CG_STORE_UNAVAILABLE);
    expect_why(a, "journal");
    for (unsigned i = 0; i < 8; i++) {
        pass_time(LEASE / 6);
        beat(a);
        beat(b);
    }
    expect_why(b, "lapsed member");
    TELL("ACL SETUSER %c allkeys", 'a');
    WORLD_UNTIL(!cg_redis_journal_owes(a->redis->journal));
    until_quiet(a);
    pass_time(LEASE / 6);
    beat(b);
    expect_why(b, NULL);
}

Test(redis_trust, answers_are_held_for_a_lease_and_refused_before_it_may_be_gone)
{
    struct process *a = start('a', "lease", NULL);
    struct process *j = start('b', "journal", NULL);
    const uint32_t whole = LEASE + LEASE / 3;
    cut_off(a);
    cut_off(j);
    cr_expect_eq(hold_ms(j), 0);
    cr_expect(hold_ms(a) >= whole && hold_ms(a) < whole + LEASE / 10, "%u", hold_ms(a));
    pass_time(LEASE);
    cr_expect(hold_ms(a) >= LEASE / 3 && hold_ms(a) < LEASE / 2, "%u", hold_ms(a));
    pass_time(LEASE / 2);
    cr_expect_eq(hold_ms(a), 0);
    pass_time(GONE_AFTER - LEASE - LEASE - LEASE / 2 - 1);
    cr_expect_eq(hold_ms(a), 0);
    pass_time(1);
    cr_expect_eq(hold_ms(a), CG_STORE_HOLD_REFUSE);
    let_back(a);
    cr_expect(hold_ms(a) >= whole && hold_ms(a) != CG_STORE_HOLD_REFUSE, "a member again");
}

Test(redis_trust, process_that_never_was_a_member_cannot_hold)
{
    struct process *a = make('a', "lease", NULL);
    TELL("ACL SETUSER %c off", 'a');
    a->store = cg_redis_open(a->redis, &world.context, &world.clock);
    cr_expect_eq(hold_ms(a), CG_STORE_HOLD_REFUSE);
    expect_why(a, "connecting");
    let_back(a);
    cr_expect_neq(hold_ms(a), CG_STORE_HOLD_REFUSE);
}

Test(redis_trust, late_heartbeat_brings_nobody_back)
{
    struct process *a = start('a', "lease", NULL);
    struct cg_redis_handle *handle = handle_of(a);
    pass_time(LEASE / 6);
    /* It leaves with this moment's lease, and is executed when that is over. */
    cg_redis_member_beat(handle);
    cr_assert_gt(handle->heartbeat.remaining, 0);
    pass_time(LEASE + 1);
    WORLD_UNTIL(handle->heartbeat.remaining == 0);
    cr_expect_lt(a->redis->trust.lease.renewed_ms, a->redis->trust.lease.sent_ms);
    struct process *b = start('b', "lease", NULL);
    expect_why(b, "lapsed member");
}

Test(redis_trust, lost_list_of_members_is_waited_for)
{
    struct process *a = start('a', "lease", NULL);
    struct process *b = start('b', "lease", NULL);
    cut_off(a);
    pass_time(LEASE / 6);
    beat(b);
    TELL("DEL test:{bans}:members");
    pass_time(LEASE / 6);
    beat(b);
    expect_why(b, "lapsed member");
    /* A heartbeat alone makes no member: it may be a late one of somebody who has left. */
    expect_told("ZCARD test:{bans}:members", "0");
    pass_time(LEASE / 6);
    beat(b);
    expect_told("ZCARD test:{bans}:members", "1");
    pass_time(GONE_AFTER + LEASE);
    beat(b);
    expect_why(b, NULL);
}

Test(redis_trust, server_that_came_back_empty_has_lost_the_list_too)
{
    struct process *a = start('a', "lease", NULL);
    struct process *b = start('b', "lease", NULL);
    pass_time(LEASE / 6);
    beat(a);
    beat(b);
    cut_off(a);
    cut_off(b);
    TELL("FLUSHALL");
    let_back(b);
    expect_why(b, "lapsed member"); /* a may be cut off, and nobody knows of it any more */
    pass_time(GONE_AFTER + LEASE);
    beat(b);
    expect_why(b, NULL);
}

Test(redis_trust, who_was_alone_waits_for_nobody)
{
    struct process *b = start('b', "lease", NULL);
    cut_off(b);
    TELL("FLUSHALL");
    let_back(b);
    expect_why(b, NULL);
    cr_expect_neq(hold_ms(b), CG_STORE_HOLD_REFUSE);
    TELL("DEL test:{bans}:members");
    pass_time(LEASE / 6);
    beat(b);
    expect_why(b, NULL);
}

Test(redis_trust, who_was_declared_gone_comes_back_as_if_new)
{
    struct process *a = start('a', "lease", NULL);
    struct process *b = start('b', "lease", NULL);
    cut_off(a);
    pass_time(LEASE + GONE_AFTER);
    note_history();
    beat(b);
    cr_expect(is_new_history());
    expect_why(b, NULL);
    let_back(a);
    expect_why(a, NULL);
    cr_expect_neq(hold_ms(a), CG_STORE_HOLD_REFUSE);
}

Test(redis_trust, full_server_keeps_its_members)
{
    struct process *a = start('a', "lease", NULL);
    TELL("CONFIG SET maxmemory 1");
    pass_time(LEASE / 6);
    beat(a);
    expect_why(a, NULL);
    cr_expect_eq(a->redis->trust.lease.renewed_ms, virtual_now_ms());
    TELL("CONFIG SET maxmemory 0");
}

/* ---- servers that may have forgotten ---- */

/* Sentinel's word is not needed for what is looked at here: how such a server is greeted. */
static struct process *start_replicating(char name)
{
    struct process *process = make(name, "journal", NULL);
    process->redis->trust.lease.terms.replaceable = true;
    cg_redis_trust_publish(process->redis);
    process->store = cg_redis_open(process->redis, &world.context, &world.clock);
    until_quiet(process);
    return process;
}

Test(redis_trust, server_that_replicates_is_strange_unless_somebody_vouches_for_it)
{
    struct process *a = start('a', "journal", NULL);
    note_history();
    cut_off(a);
    pass_time(FAILOVER + 1);
    struct process *b = start_replicating('b');
    cr_expect(is_new_history(), "b does not know what became of it, and a was not heard of");
    note_history();
    struct process *c = start_replicating('c');
    cr_expect_not(is_new_history(), "b has believed it all the while");
    cut_off(c);
    let_back(c);
    cr_expect_not(is_new_history());
    cut_off(b);
    cut_off(c);
    pass_time(FAILOVER - 1);
    let_back(c);
    cr_expect_not(is_new_history(), "in less time nobody is promoted");
    cut_off(c);
    pass_time(FAILOVER);
    let_back(c);
    cr_expect(is_new_history());
}

Test(redis_trust, server_that_replicates_is_greeted_again_when_it_was_not_heard_for_long)
{
    struct process *a = start_replicating('a');
    struct process *b = start_replicating('b');
    expect_why(a, NULL);
    note_history();
    pass_time(FAILOVER - 1);
    beat(b);
    pass_time(1);
    expect_why(a, "no heartbeat");
    beat(a);
    WORLD_UNTIL(is_available(a->store));
    cr_expect_not(is_new_history(), "b vouches");
    pass_time(FAILOVER);
    expect_why(b, "no heartbeat");
    beat(a);
    WORLD_UNTIL(is_available(a->store));
    cr_expect(is_new_history());
}

Test(redis_trust, standalone_server_may_be_away_for_long_but_not_a_replica)
{
    struct process *a = start('a', "journal", NULL);
    prepare(a, 1);
    note_history();
    cut_off(a);
    pass_time(100 * FAILOVER);
    let_back(a);
    cr_expect_not(is_new_history());
    TELL("REPLICAOF 127.0.0.1 %s", "1");
    cr_expect_eq(purge(a, 1), CG_STORE_UNAVAILABLE);
    expect_why(a, "connecting");
    TELL("REPLICAOF NO %s", "ONE");
    until_quiet(a);
    cr_expect(is_new_history());
}

Test(redis_trust, without_replicas_nothing_is_believed_that_needs_them)
{
    world.settings.wait_replicas = 1;
    world.settings.store_timeout_ms = 400;
    struct process *a = start('a', "journal", NULL);
    expect_why(a, "not replicated");
    cr_expect(a->store->port->reachable(a->store));
}
