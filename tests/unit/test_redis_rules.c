/*
 * Gateways with different rules on one Redis: who agrees on what, and what is dead afterwards
 * (redis_rules.c, CONSISTENCY row 14).
 */
#include "redis_world.h"

#include "cachegate/agreement.h"
#include "gateway/store/redis_parts.h"

enum { ROUTES = 4, GATEWAYS = 4 };

/* A gateway whose routes have digests of these letters. */
struct gateway {
    struct cg_route routes[ROUTES];
    struct cg_ruleset ruleset;
    struct cg_settings settings;
    struct cg_redis *redis;
    struct cg_store *store;
};

static struct gateway gateways[GATEWAYS];

static void set_rules(struct gateway *gateway, const char *letters)
{
    gateway->ruleset = (struct cg_ruleset){.routes = gateway->routes, .lifetime_max_ms = 3600000};
    for (size_t i = 0; letters[i] != '\0'; i++) {
        gateway->routes[i] = (struct cg_route){.cache = CG_CACHE_YES, .name = CG_STR("route")};
        memset(gateway->routes[i].digest, letters[i], CG_DIGEST_BYTES);
        gateway->ruleset.route_count++;
    }
}

static struct gateway *start(size_t index, const char *letters)
{
    struct gateway *gateway = &gateways[index];
    char *error = NULL;
    set_rules(gateway, letters);
    gateway->settings = world.settings;
    gateway->settings.ruleset = &gateway->ruleset;
    gateway->redis = cg_redis_create(&gateway->settings, &error);
    cr_assert_not_null(gateway->redis, "%s", error);
    gateway->store = open_handle_of(gateway->redis);
    return gateway;
}

static void stop(struct gateway *gateway)
{
    cg_redis_close(gateway->store);
    gateway->redis = cg_redis_destroy(gateway->redis);
}

static void begin(void)
{
    world_begin();
    start_server(NULL);
}

static void end(void)
{
    for (size_t i = 0; i < GATEWAYS; i++)
        if (gateways[i].redis != NULL)
            stop(&gateways[i]);
    world_end();
}

TestSuite(redis_rules, .init = begin, .fini = end);

struct seen {
    bool done;
    struct cg_bans *bans;
    struct cg_epoch epoch;
};

static void on_view(void *owner, const struct cg_store_view *view)
{
    struct seen *seen = owner;
    cr_assert_eq(view->result, CG_STORE_OK);
    seen->bans = cg_bans_ref(view->bans);
    seen->epoch = view->epoch;
    seen->done = true;
}

static struct seen look(struct gateway *gateway)
{
    struct seen seen = {0};
    struct cg_key key = {.id = {1}};
    gateway->store->port->lookup(gateway->store, &key, NULL, 0, on_view, &seen);
    WORLD_UNTIL(seen.done);
    return seen;
}

static bool agrees(struct gateway *gateway, char letter)
{
    struct seen seen = look(gateway);
    uint8_t digest[CG_DIGEST_BYTES];
    memset(digest, letter, sizeof(digest));
    bool result = cg_bans_agree(seen.bans, digest);
    cg_bans_unref(seen.bans);
    return result;
}

static struct cg_epoch epoch_of(struct gateway *gateway)
{
    struct seen seen = look(gateway);
    cg_bans_unref(seen.bans);
    return seen.epoch;
}

/* Whether what was stored under that epoch is dead for everybody. */
static bool is_flushed(struct gateway *gateway, struct cg_epoch stored)
{
    struct seen seen = look(gateway);
    struct cg_path path;
    struct cg_query query;
    struct cg_arena arena;
    cg_arena_init(&arena, 1 << 16);
    cr_assert_eq(cg_path_parse(CG_STR("/items"), &arena, &path, &query), CG_PATH_OK);
    bool result = cg_bans_cover(seen.bans, stored, &path, &query, CG_STR(""));
    cg_arena_fini(&arena);
    cg_bans_unref(seen.bans);
    return result;
}

static void on_done(void *owner, enum cg_store_result result)
{
    cr_assert_eq(result, CG_STORE_OK);
    *(bool *)owner = true;
}

static void change(struct gateway *gateway, const char *letters)
{
    bool done = false;
    set_rules(gateway, letters);
    gateway->store->port->announce(gateway->store, &gateway->ruleset, on_done, &done);
    WORLD_UNTIL(done);
}

Test(redis_rules, one_gateway_agrees_with_itself)
{
    struct gateway *a = start(0, "ab");
    cr_assert(agrees(a, 'a') && agrees(a, 'b') && agrees(a, 'z'));
}

Test(redis_rules, who_comes_with_other_rules_is_known_to_all_at_once)
{
    struct gateway *a = start(0, "ab");
    cr_assert(agrees(a, 'a') && agrees(a, 'b'));
    struct gateway *b = start(1, "bc");
    cr_assert_not(agrees(a, 'a'));
    cr_assert(agrees(a, 'b'));
    cr_assert_not(agrees(b, 'c'));
    cr_assert(agrees(b, 'b'));
}

Test(redis_rules, all_have_to_agree)
{
    struct gateway *a = start(0, "abc");
    start(1, "ab");
    start(2, "bc");
    cr_assert(agrees(a, 'b'));
    cr_assert_not(agrees(a, 'a') || agrees(a, 'c'));
}

Test(redis_rules, who_leaves_is_asked_no_more)
{
    struct gateway *a = start(0, "ab");
    struct gateway *b = start(1, "bc");
    cr_assert_not(agrees(a, 'a'));
    stop(b);
    cr_assert(agrees(a, 'a'));
}

Test(redis_rules, rules_that_come_and_go_leave_nothing_behind_that_is_believed)
{
    struct gateway *a = start(0, "ab");
    struct cg_epoch stored = epoch_of(a);
    struct gateway *b = start(1, "bc"); /* its writes do not purge a */
    cr_assert_not(is_flushed(a, stored));
    stop(b);
    cr_assert(is_flushed(a, stored));
}

Test(redis_rules, an_ordinary_change_of_rules_flushes_nothing)
{
    struct gateway *a = start(0, "ab");
    struct cg_epoch stored = epoch_of(a);
    struct gateway *b = start(1, "bc");
    stop(a);
    cr_assert(agrees(b, 'c'));
    cr_assert_not(is_flushed(b, stored));
}

Test(redis_rules, a_change_that_is_taken_back_flushes)
{
    struct gateway *a = start(0, "ab");
    struct cg_epoch stored = epoch_of(a);
    change(a, "bc");
    cr_assert_not(is_flushed(a, stored));
    change(a, "ab");
    cr_assert(is_flushed(a, stored));
}

Test(redis_rules, nobody_in_between_does_not_help_them)
{
    struct gateway *a = start(0, "ab");
    struct cg_epoch stored = epoch_of(a);
    stop(a);
    struct gateway *b = start(1, "bc");
    stop(b);
    a = start(0, "ab");
    cr_assert(is_flushed(a, stored));
}

Test(redis_rules, a_restart_with_the_same_rules_flushes_nothing)
{
    struct gateway *a = start(0, "ab");
    struct cg_epoch stored = epoch_of(a);
    stop(a);
    a = start(0, "ab");
    cr_assert_not(is_flushed(a, stored));
}

Test(redis_rules, who_comes_and_goes_with_the_same_rules_moves_no_epoch)
{
    struct gateway *a = start(0, "ab");
    struct cg_epoch before = epoch_of(a);
    struct gateway *b = start(1, "ab");
    stop(b);
    cr_assert(cg_epoch_eq(epoch_of(a), before));
}

Test(redis_rules, a_change_is_told_before_it_is_done)
{
    struct gateway *a = start(0, "ab");
    struct gateway *b = start(1, "ab");
    cr_assert(agrees(a, 'a'));
    change(b, "b");
    cr_assert_not(agrees(a, 'a'));
    change(a, "b");
    cr_assert(agrees(a, 'b') && agrees(b, 'b'));
}

static struct cg_redis_handle *handle_of(struct gateway *gateway)
{
    return (struct cg_redis_handle *)(void *)gateway->store;
}

static void on_told(void *owner, size_t index, const redisReply *reply)
{
    (void)index;
    cr_assert(reply != NULL && reply->type == REDIS_REPLY_INTEGER);
    *(bool *)owner = true;
}

/* What a connection that was slow brings: a set that the process had then. */
static void tell_late(struct gateway *gateway, const char *letters, uint64_t number)
{
    struct cg_redis_rules *rules = &gateway->redis->rules;
    uint64_t now = rules->number;
    bool done = false;
    set_rules(gateway, letters);
    cg_buf_clear(&rules->set);
    cg_route_set_write(&gateway->ruleset, &rules->set);
    rules->number = number;
    cr_assert(cg_redis_rules_tell(handle_of(gateway), false, true, on_told, &done, 0));
    rules->number = now;
    WORLD_UNTIL(done);
}

Test(redis_rules, what_is_told_late_counts_for_nothing)
{
    struct gateway *a = start(0, "ab");
    struct gateway *b = start(1, "ab");
    change(b, "b");
    cr_assert_not(agrees(a, 'a'));
    tell_late(b, "ab", 1);
    cr_assert_not(agrees(a, 'a'), "its writes leave that alone by now");
}

Test(redis_rules, what_is_told_late_counts_for_nothing_after_a_way_there_and_back)
{
    struct gateway *a = start(0, "ab");
    struct gateway *b = start(1, "b");
    change(b, "b");
    change(b, "b");
    tell_late(b, "ab", 2);
    cr_assert_not(agrees(a, 'a'));
}

/* The same name, from the spool, and another count. */
Test(redis_rules, another_life_of_a_process_is_believed)
{
    struct gateway *a = start(0, "ab");
    struct gateway *b = start(1, "ab");
    change(b, "ab");
    b->redis->rules.life++;
    tell_late(b, "b", 1);
    cr_assert_not(agrees(a, 'a'));
}

Test(redis_rules, rules_that_change_during_a_greeting_are_told_before_it_counts)
{
    struct gateway *a = start(0, "ab");
    struct cg_store *store = cg_redis_open(a->redis, &world.context, &world.clock);
    struct cg_redis_handle *handle = (struct cg_redis_handle *)(void *)store;
    bool done = false;
    WORLD_UNTIL(handle->told_number == 1);
    cr_assert_not(handle->trusted);
    set_rules(a, "b");
    a->store->port->announce(a->store, &a->ruleset, on_done, &done);
    WORLD_UNTIL(handle->trusted);
    cr_assert_eq(handle->told_number, 2);
    WORLD_UNTIL(done);
    cg_redis_close(store);
}

static void lose_sets(void)
{
    freeReplyObject(ask("DEL test:{bans}:rules"));
}

static void move_epoch(struct gateway *gateway)
{
    static const struct cg_ban ban = {.pattern = {"/elsewhere", 10}};
    bool done = false;
    gateway->store->port->ban(gateway->store, &ban, 1, on_done, &done);
    WORLD_UNTIL(done);
}

/* Whoever hears of the loss by it has told again, too. */
static void beat(struct gateway *gateway)
{
    struct cg_redis_handle *handle = handle_of(gateway);
    atomic_fetch_add(world.now_ms, 1);
    handle->redis->trust.due_ms = 0;
    cg_redis_member_beat(handle);
    WORLD_UNTIL(handle->heartbeat.remaining == 0);
    move_epoch(gateway); /* its answer comes after that of what was told */
}

Test(redis_rules, sets_that_redis_lost_are_told_again)
{
    struct gateway *a = start(0, "ab");
    struct gateway *b = start(1, "bc");
    cr_assert_not(agrees(a, 'a'));
    lose_sets();
    beat(a);
    beat(b);
    cr_assert_not(agrees(a, 'a'));
    cr_assert(agrees(a, 'b') && agrees(b, 'b'));
}

Test(redis_rules, sets_that_redis_lost_agree_on_nothing_until_all_have_told_again)
{
    struct gateway *a = start(0, "ab");
    struct gateway *b = start(1, "bc");
    cr_assert(agrees(a, 'b'));
    lose_sets();
    move_epoch(a); /* so that they are read */
    cr_assert_not(agrees(a, 'a') || agrees(a, 'b'));
    beat(a);
    cr_assert_not(agrees(a, 'a') || agrees(a, 'b'), "the other one has not told yet");
    cr_assert_not(agrees(b, 'b') && agrees(b, 'c'));
    beat(b);
    cr_assert(agrees(a, 'b') && agrees(b, 'b'));
}

/* As after a pause in which the others took it for gone. */
Test(redis_rules, who_was_forgotten_is_asked_again_as_soon_as_it_told)
{
    char name[2 * CG_DIGEST_BYTES + 1] = "";
    struct gateway *a = start(0, "ab");
    start(1, "ab");
    (void)cg_redis_process_name(a->redis, name);
    freeReplyObject(ask("HDEL test:{bans}:rules %s", name));
    move_epoch(a);
    cr_assert_not(agrees(a, 'a'), "the others do not count it in");
    struct cg_redis_handle *handle = handle_of(a);
    atomic_fetch_add(world.now_ms, 1);
    handle->redis->trust.due_ms = 0;
    cg_redis_member_beat(handle);
    WORLD_UNTIL(agrees(a, 'a'));
}

Test(redis_rules, what_was_stored_before_redis_lost_the_sets_is_flushed)
{
    struct gateway *a = start(0, "ab");
    struct cg_epoch stored = epoch_of(a);
    change(a, "bc"); /* its writes do not purge a from now on */
    lose_sets();
    stop(a);
    a = start(0, "ab");
    cr_assert(is_flushed(a, stored));
}

Test(redis_rules, what_is_no_set_agrees_on_nothing)
{
    struct gateway *a = start(0, "ab");
    redisReply *time = ask("TIME");
    freeReplyObject(ask("HSET test:{bans}:rules 00 %s000:junk", time->element[0]->str));
    freeReplyObject(time);
    struct gateway *b = start(1, "ab"); /* moves the epoch */
    cr_assert_not(agrees(a, 'a') || agrees(b, 'a'));
}

Test(redis_rules, who_never_joined_is_forgotten)
{
    struct gateway *a = start(0, "ab");
    freeReplyObject(ask("HSET test:{bans}:rules 00 1000:bbbbbbbb"));
    struct gateway *b = start(1, "abc");
    cr_assert(agrees(a, 'a') && agrees(b, 'a'));
}

Test(redis_rules, who_told_in_the_future_is_forgotten)
{
    struct gateway *a = start(0, "ab");
    freeReplyObject(ask("HSET test:{bans}:rules 00 999999999999999:bbbbbbbb"));
    struct gateway *b = start(1, "abc");
    cr_assert(agrees(a, 'a') && agrees(b, 'a'));
}

Test(redis_rules, what_is_no_list_of_bans_keeps_nothing_from_the_others)
{
    struct gateway *a = start(0, "ab");
    struct gateway *b = start(1, "ab");
    freeReplyObject(ask("DEL test:{bans}:list"));
    freeReplyObject(ask("SET test:{bans}:list none"));
    change(a, "bc");
    cr_assert(agrees(a, 'b') && agrees(b, 'b'));
    cr_assert_not(agrees(b, 'a') || agrees(a, 'c'));
}

Test(redis_rules, that_somebody_is_forgotten_is_told_to_all)
{
    struct gateway *a = start(0, "ab");
    freeReplyObject(ask("HSET test:{bans}:rules 00 1000:bbbbbbbb"));
    move_epoch(a);
    cr_assert_not(agrees(a, 'a'));
    start(1, "ab");
    cr_assert(agrees(a, 'a'));
}
