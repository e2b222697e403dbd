/* The contract of store.h, over a real Redis; then what only this driver does. */
#define CONTRACT_WITHOUT_STATISTICS
#include "tests/store_contract.h"

#include "redis_world.h"
#include "tests/store_contract_claims.h"
#include "tests/store_contract_entries.h"
#include "tests/store_contract_versions.h"

static void begin(void)
{
    world_begin();
    start_server(NULL);
}

static struct cg_store *open_handle(void)
{
    return open_handle_of(world.redis);
}

static void wait_until(const bool *done)
{
    WORLD_UNTIL(*done);
}

static int64_t now_ms(void)
{
    return atomic_load(world.now_ms);
}

static void pass_time(int64_t ms)
{
    atomic_fetch_add(world.now_ms, ms);
}

static const struct contract_factory contract_factory = {
    begin, world_end, open_handle, cg_redis_close, wait_until, now_ms, pass_time,
};

/* ---- what only this driver does ---- */

TestSuite(redis, .init = contract_setup, .fini = contract_teardown);

/* What the test asks Redis itself; integers and texts, "" for nothing. */
static void told_by_redis(char room[256], const char *one, const char *two, const char *three)
{
    redisReply *reply = three != NULL ? ask("%s %s %s", one, two, three)
                        : two != NULL ? ask("%s %s", one, two)
                                      : ask("%s", one);
    cr_assert_not_null(reply);
    room[0] = '\0';
    if (reply->type == REDIS_REPLY_INTEGER)
        snprintf(room, 256, "%lld", reply->integer);
    else if (reply->str != NULL)
        snprintf(room, 256, "%s", reply->str);
    freeReplyObject(reply);
}

static void on_result(void *owner, const struct cg_store_view *view)
{
    *(struct done *)owner = (struct done){true, view->result};
}

static enum cg_store_result try_to_look_up(struct cg_store *store)
{
    struct done done = {0};
    struct cg_key key = key_of(1);
    store->port->lookup(store, &key, NULL, 0, on_result, &done);
    WORLD_UNTIL(done.done);
    return done.result;
}

static enum cg_store_result try_to_purge(struct cg_store *store, uint8_t name)
{
    struct done done = {0};
    struct cg_instance instance = instance_of(name);
    store->port->purge(store, &instance, 1, on_done, &done);
    WORLD_UNTIL(done.done);
    return done.result;
}

static enum cg_store_result try_to_mark(uint8_t name)
{
    struct done done = {0};
    struct cg_instance instance = instance_of(name);
    struct cg_writer writer = writer_of(1);
    here->port->mark(here, &instance, 1, &writer, now_ms() + 60000, on_done, &done);
    WORLD_UNTIL(done.done);
    return done.result;
}

static void both_available(void)
{
    WORLD_UNTIL(is_available(here));
    WORLD_UNTIL(is_available(there));
}

Test(redis, keys_are_readable_and_all_of_them_expire)
{
    static const char *const expected[] = {
        "test:e:-:01000000000000000000000000000000",
        "test:v:00000000000000000000000000000001",
        "test:{bans}:epoch",
        "test:{bans}:list",
        "test:{bans}:members",
        "test:{bans}:rules",
    };
    char text[256];
    fill(here, 1, CG_STR("entry"), 60000);
    prepare(here, 1);
    ban_all(here, (const char *const[]){"/a"}, 1);
    told_by_redis(text, "DBSIZE", NULL, NULL);
    cr_expect_str_eq(text, "6");
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        told_by_redis(text, "PTTL", expected[i], NULL);
        cr_expect(text[0] != '\0' && text[0] != '-', "%s: %s", expected[i], text);
    }
}

Test(redis, lookup_is_one_command_however_much_it_depends_on)
{
    struct cg_instance instances[] = {instance_of(1), instance_of(2), instance_of(3)};
    char after[256];
    look_up(here, 1, instances, 3); /* from now on the epoch is known */
    redisReply *reply = ask("CONFIG RESETSTAT");
    freeReplyObject(reply);
    look_up(here, 1, instances, 3);
    reply = ask("INFO stats");
    const char *at = strstr(reply->str, "total_commands_processed:");
    cr_assert_not_null(at);
    snprintf(after, sizeof(after), "%.*s", (int)strcspn(at + 25, "\r"), at + 25);
    freeReplyObject(reply);
    cr_expect_str_eq(after, "2", "MGET and CONFIG RESETSTAT, which counts itself");
}

Test(redis, scripts_that_the_server_forgot_are_sent_again)
{
    char text[256];
    struct cg_version before = prepare(here, 1);
    told_by_redis(text, "SCRIPT", "FLUSH", NULL);
    purge(here, 1);
    expect_renewed(1, before, "purged");
    told_by_redis(text, "SCRIPT", "FLUSH", NULL);
    struct cg_epoch epoch = look_up(here, 1, NULL, 0).epoch;
    ban_all(there, (const char *const[]){"/a"}, 1);
    cr_expect_eq(look_up(here, 1, NULL, 0).epoch.counter, epoch.counter + 1);
}

Test(redis, value_of_an_unknown_format_is_replaced)
{
    char text[256];
    told_by_redis(text, "SET", "test:v:00000000000000000000000000000001", "from the future");
    cr_expect_eq(version_at(here, 1).state, CG_VERSION_ABSENT);
    purge(there, 1);
    cr_expect_eq(prepare(here, 1).state, CG_VERSION_CURRENT);
}

Test(redis, entries_are_dead_while_the_epoch_is_lost)
{
    char text[256];
    fill(here, 1, CG_STR("entry"), 60000);
    struct seen before = look_up(here, 1, NULL, 0);
    told_by_redis(text, "DEL", "test:{bans}:epoch", NULL);
    struct seen lost = look_up(there, 1, NULL, 0);
    cr_expect_not(lost.has_entry);
    cr_expect(covered(&lost, before.epoch, "/a"));
    prepare(here, 1);
    struct seen after = look_up(there, 1, NULL, 0);
    cr_expect(covered(&after, before.epoch, "/a"), "a new history");
}

Test(redis, bans_are_dead_weight_only_up_to_a_bound)
{
    static const char *const patterns[] = {"/1", "/2", "/3", "/4", "/5", "/6", "/7", "/8"};
    char text[256];
    struct cg_epoch before = look_up(here, 1, NULL, 0).epoch;
    for (size_t i = 0; i < CG_BANS_MAX / 8 + 1; i++)
        ban_all(here, patterns, 8);
    told_by_redis(text, "LLEN", "test:{bans}:list", NULL);
    cr_expect_str_eq(text, "1024");
    struct seen seen = look_up(there, 1, NULL, 0);
    cr_expect_eq(seen.epoch.counter, before.counter + CG_BANS_MAX + 8);
    cr_expect(covered(&seen, before, "/other"), "the list no longer reaches that far");
}

Test(redis, list_with_a_gap_acquits_nothing_from_before_it)
{
    struct cg_epoch before = look_up(here, 1, NULL, 0).epoch;
    ban_all(here, (const char *const[]){"/1", "/2", "/3"}, 3);
    redisReply *reply = ask("EVAL %s 1 test:{bans}:list", "return redis.call('LREM', KEYS[1], 1, "
                                                          "redis.call('LINDEX', KEYS[1], 1))");
    cr_assert_eq(reply->integer, 1);
    freeReplyObject(reply);
    struct seen seen = look_up(there, 1, NULL, 0);
    struct cg_epoch after_gap = {before.generation, before.counter + 2};
    cr_expect_eq(seen.epoch.counter, before.counter + 3);
    cr_expect(covered(&seen, before, "/other"), "its ban may be the one that is gone");
    cr_expect_not(covered(&seen, after_gap, "/other"));
    cr_expect(covered(&seen, after_gap, "/3"));
}

/* ---- faults ---- */

Test(redis, dead_server_leaves_nothing_to_trust_until_purges_were_delivered)
{
    struct cg_version before = prepare(here, 1);
    redisReply *reply = ask("CONFIG SET save 3600 1"); /* so that SHUTDOWN SAVE is sound */
    freeReplyObject(reply);
    reply = ask("SAVE");
    freeReplyObject(reply);
    struct cg_epoch epoch = look_up(here, 1, NULL, 0).epoch;
    end_server();
    WORLD_UNTIL(!is_available(here) && !is_available(there));
    cr_expect_eq(try_to_look_up(here), CG_STORE_UNAVAILABLE);
    cr_expect_eq(try_to_purge(here, 1), CG_STORE_UNAVAILABLE);
    cr_expect_eq(try_to_mark(1), CG_STORE_UNAVAILABLE);
    start_server(NULL); /* with the old versions from its file */
    both_available();
    expect_renewed(1, before, "delivered");
    struct seen seen = look_up(there, 1, NULL, 0);
    cr_expect(covered(&seen, epoch, "/any"), "a server that came back is flushed");
    cr_expect_neq(seen.epoch.generation, epoch.generation, "no old counter comes round again");
    char path[128];
    snprintf(path, sizeof(path), "%s/dump.rdb", world.directory);
    unlink(path);
}

Test(redis, epoch_of_another_server_is_not_believed_by_a_process_that_starts)
{
    char text[256];
    told_by_redis(text, "SET", "test:{bans}:epoch", "00000000000000aa:7:another-run-id");
    struct cg_redis *redis = make_redis();
    struct cg_store *store = open_handle_of(redis);
    struct cg_epoch old = {0xaa, 7};
    struct seen seen = look_up(store, 1, NULL, 0);
    cr_expect(covered(&seen, old, "/any"));
    struct cg_epoch made = seen.epoch;
    cg_redis_close(store);
    cg_redis_destroy(redis);
    redis = make_redis();
    store = open_handle_of(redis);
    seen = look_up(store, 1, NULL, 0);
    cr_expect(cg_epoch_eq(seen.epoch, made), "its own is kept");
    cg_redis_close(store);
    cg_redis_destroy(redis);
}

Test(redis, server_that_came_back_empty_matches_nothing_from_before)
{
    struct cg_version before = prepare(here, 1);
    struct cg_epoch epoch = look_up(here, 1, NULL, 0).epoch;
    end_server();
    start_server(NULL);
    WORLD_UNTIL(!is_available(here));
    both_available();
    expect_renewed(1, before, "empty");
    struct seen seen = look_up(there, 1, NULL, 0);
    cr_expect(covered(&seen, epoch, "/any"));
}

Test(redis, frozen_server_is_given_up_and_gets_its_purges_later)
{
    world.settings.store_timeout_ms = 200;
    struct cg_store *hasty = open_handle_of(world.redis);
    struct cg_version before = prepare(here, 1);
    kill(world.server, SIGSTOP);
    cr_expect_eq(try_to_purge(hasty, 1), CG_STORE_UNAVAILABLE);
    cr_expect_not(is_available(here), "no thread trusts what it reads");
    cr_expect_eq(try_to_look_up(here), CG_STORE_UNAVAILABLE, "at once, not after its timeout");
    kill(world.server, SIGCONT);
    both_available();
    expect_renewed(1, before, "delivered");
    cg_redis_close(hasty);
}

Test(redis, more_purges_than_fit_become_a_flush)
{
    enum { MANY = 5000 };
    static struct cg_instance instances[MANY];
    struct done done = {0};
    for (size_t i = 0; i < MANY; i++) {
        instances[i] = instance_of(1);
        memcpy(instances[i].id, &i, sizeof(i));
    }
    struct cg_epoch epoch = look_up(here, 1, NULL, 0).epoch;
    kill(world.server, SIGSTOP);
    world.settings.store_timeout_ms = 200;
    struct cg_store *hasty = cg_redis_open(world.redis, &world.context, &world.clock);
    here->port->purge(hasty, instances, MANY, on_done, &done);
    WORLD_UNTIL(done.done);
    cr_expect_eq(done.result, CG_STORE_UNAVAILABLE);
    kill(world.server, SIGCONT);
    both_available();
    struct seen seen = look_up(here, 1, NULL, 0);
    cr_expect(covered(&seen, epoch, "/any"));
    cg_redis_close(hasty);
}

Test(redis, full_server_forgets_rather_than_keeps)
{
    char text[256];
    struct cg_version before = prepare(here, 1);
    struct cg_epoch epoch = look_up(here, 1, NULL, 0).epoch;
    fill(here, 1, CG_STR("entry"), 60000);
    redisReply *reply = ask("CONFIG SET maxmemory 1");
    freeReplyObject(reply);
    cr_expect_eq(fill(here, 2, CG_STR("more"), 60000), CG_STORE_FULL);
    cr_expect_eq(try_to_mark(2), CG_STORE_UNAVAILABLE);
    purge(here, 1);
    cr_expect_neq(version_at(there, 1).state, CG_VERSION_CURRENT);
    struct seen seen = look_up(here, 1, NULL, 0);
    cr_expect(seen.has_entry, "what it holds can be read");
    ban_all(there, (const char *const[]){"/a"}, 1);
    seen = look_up(here, 1, NULL, 0);
    cr_expect(!seen.has_entry && covered(&seen, epoch, "/any"), "the epoch had to go");
    reply = ask("CONFIG SET maxmemory 0");
    freeReplyObject(reply);
    expect_renewed(1, before, "there is room again");
    told_by_redis(text, "EXISTS", "test:{bans}:epoch", NULL);
    cr_expect_str_eq(text, "1");
}

/* ---- who we are to the server ---- */

static void expect_greeting(const char *credentials, const char *query, bool good)
{
    char url[256];
    world.settings.redis_url = url;
    snprintf(url, sizeof(url), "unix://%s%s%s", credentials, world.socket_path, query);
    struct cg_redis *redis = make_redis();
    struct cg_store *store = cg_redis_open(redis, &world.context, &world.clock);
    if (good) {
        WORLD_UNTIL(is_available(store));
    } else {
        char text[256] = "";
        /* Refused several times by now, and still nobody believes it. */
        for (unsigned tries = 0; tries < 3; tries++) {
            told_by_redis(text, "PING", NULL, NULL);
            for (unsigned i = 0; i < 10; i++)
                world_turn();
        }
        cr_expect_not(is_available(store), "%s", credentials);
        cr_expect_eq(try_to_look_up(store), CG_STORE_UNAVAILABLE);
    }
    cg_redis_close(store);
    cg_redis_destroy(redis);
    world.settings.redis_url = world.url;
}

Test(redis, user_password_and_database_are_those_of_the_url)
{
    redisReply *reply = ask("ACL SETUSER gate on >s3c@ret ~* &* +@all");
    freeReplyObject(reply);
    reply = ask("CONFIG SET requirepass other");
    freeReplyObject(reply);
    expect_greeting("gate:s3c%40ret@", "?db=3", true);
    expect_greeting(":other@", "", true);
    expect_greeting("gate:wrong@", "", false);
    expect_greeting(":s3c%40ret@", "", false);
    expect_greeting("", "", false);
    expect_greeting("gate:s3c%40ret@", "?db=4000", false);
}
