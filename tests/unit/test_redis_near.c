/*
 * Near copies in front of a real server, and the connection on which it tells of changes.
 *
 * `here` and `there` are two handles of one process, as two threads have them; `elsewhere` is
 * another gateway, which keeps no copies.
 */
#include "tests/unit/redis_fleet.h"

#include "cachegate/seal.h"
#include "gateway/store/redis_near.h"

enum { STRICT, PUSHED, FOREVER_MS = 3600000, INSTANCES = 3 };

static struct cg_book *book;
static struct cg_redis_near *near;
static struct cg_store *here, *there, *elsewhere;
static struct cg_redis *other;
static struct cg_route routes[2];
static struct cg_key keys[2];
static struct cg_instance instances[INSTANCES];

static void open_all(uint32_t tracking_timeout_ms)
{
    world.settings.near_bytes = 1 << 20;
    world.settings.tracking_timeout_ms = tracking_timeout_ms;
    routes[PUSHED].pushed = true;
    routes[STRICT].name = CG_STR("strict");
    routes[PUSHED].name = CG_STR("pushed");
    for (uint32_t i = 0; i < 2; i++)
        keys[i] = (struct cg_key){.id = {(uint8_t)(i + 1)}, .route = i, .pushed = i == PUSHED};
    for (uint8_t i = 0; i < INSTANCES; i++)
        instances[i] = (struct cg_instance){{i, 9}};
    world.ruleset.routes = routes;
    world.ruleset.route_count = 2;
    world.redis = cg_redis_destroy(world.redis); /* made before there were routes */
    world.redis = make_redis();
    other = make_redis();
    book = cg_book_create(2);
    near = cg_redis_near_create(&world.settings, world.redis, book);
    here = cg_redis_near_open(near, &world.context, &world.clock);
    there = cg_redis_near_open(near, &world.context, &world.clock);
    elsewhere = open_handle_of(other);
    WORLD_UNTIL(is_available(here) && is_available(there));
}

/* NULL: nobody asks for it. */
static const char *tracking_word(void)
{
    struct cg_store_health health;
    here->port->health(here, &health);
    return health.tracking;
}

static bool is_tracking(bool up)
{
    return (strcmp(tracking_word(), "up") == 0) == up;
}

static void begin(void)
{
    world_begin();
    start_server(NULL);
    open_all(FOREVER_MS);
    WORLD_UNTIL(is_tracking(true));
}

static void end(void)
{
    here = cg_redis_near_close(near, here);
    there = cg_redis_near_close(near, there);
    elsewhere = cg_redis_close(elsewhere);
    near = cg_redis_near_destroy(near);
    other = cg_redis_destroy(other);
    book = cg_book_destroy(book);
    world_end();
}

TestSuite(redis_near, .init = begin, .fini = end);

/* ---- calls that wait for their answer ---- */

struct seen {
    bool done;
    enum cg_store_result result;
    bool has_entry;
    size_t length;
    struct cg_version versions[INSTANCES];
    struct cg_epoch epoch;
};

static void on_view(void *owner, const struct cg_store_view *view)
{
    struct seen *seen = owner;
    *seen = (struct seen){.done = true, .result = view->result, .has_entry = view->entry != NULL};
    if (view->result != CG_STORE_OK)
        return;
    seen->length = view->entry == NULL ? 0 : view->entry->length;
    memcpy(seen->versions, view->versions, sizeof(seen->versions));
    seen->epoch = view->epoch;
}

static void on_done(void *owner, enum cg_store_result result)
{
    struct seen *seen = owner;
    seen->done = true;
    seen->result = result;
}

static struct seen look_up(struct cg_store *store, unsigned route)
{
    struct seen seen = {0};
    store->port->lookup(store, &keys[route], instances, INSTANCES, on_view, &seen);
    WORLD_UNTIL(seen.done);
    return seen;
}

static void purge(struct cg_store *store, unsigned instance)
{
    struct seen seen = {0};
    store->port->purge(store, &instances[instance], 1, on_done, &seen);
    WORLD_UNTIL(seen.done);
    cr_assert_eq(seen.result, CG_STORE_OK);
}

/* An entry as a gateway would store it: under the versions of now, fresh for an hour. */
static size_t store_entry(struct cg_store *store, unsigned route, size_t body_length)
{
    static const struct cg_secret secret = {{1}};
    static const uint8_t salt[CG_SEAL_SALT_BYTES];
    struct seen seen = {0};
    store->port->prepare(store, instances, INSTANCES, on_view, &seen);
    WORLD_UNTIL(seen.done);
    cr_assert_eq(seen.result, CG_STORE_OK);
    char *body = calloc(1, body_length);
    struct cg_entry entry = {
        .kind = CG_ENTRY_ANSWER,
        .stored_at_ms = atomic_load(world.now_ms),
        .lifetime_ms = FOREVER_MS,
        .epoch = seen.epoch,
        .instance_count = INSTANCES,
        .status = 200,
        .body = cg_str_of(body, body_length),
    };
    for (size_t i = 0; i < INSTANCES; i++) {
        cr_assert_eq(seen.versions[i].state, CG_VERSION_CURRENT);
        entry.instances[i] = instances[i];
        entry.tokens[i] = seen.versions[i].token;
    }
    struct cg_sealer *sealer = cg_sealer_create(&secret, NULL);
    struct cg_blob *encoded = cg_entry_encode(&entry);
    struct cg_blob *sealed = cg_seal_close(sealer, cg_blob_str(encoded), NULL, salt);
    size_t length = sealed->length;
    seen.done = false;
    store->port->fill(store, &keys[route], sealed, FOREVER_MS, on_done, &seen);
    WORLD_UNTIL(seen.done);
    cr_assert_eq(seen.result, CG_STORE_OK);
    cg_blob_unref(sealed);
    cg_blob_unref(encoded);
    cg_sealer_destroy(sealer);
    free(body);
    return length;
}

/* ---- what the server counted ---- */

static uint64_t told_by_info(const char *section, const char *name)
{
    redisReply *reply = ask("INFO %s", section);
    cr_assert(reply != NULL && reply->type == REDIS_REPLY_STRING);
    const char *at = strstr(reply->str, name);
    uint64_t number = at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
    freeReplyObject(reply);
    return number;
}

static uint64_t count_mgets(void)
{
    return told_by_info("commandstats", "cmdstat_mget:calls=");
}

/* Whether `store` answers without asking the server. */
static bool is_pushed(struct cg_store *store)
{
    uint64_t before = cg_book_sum(book, CG_METRIC_PUSHED_HITS);
    (void)look_up(store, PUSHED);
    return cg_book_sum(book, CG_METRIC_PUSHED_HITS) > before;
}

/* Fills, confirms, and is pushed from then on. */
static void warm(struct cg_store *store)
{
    store_entry(store, PUSHED, 100);
    WORLD_UNTIL(is_pushed(store)); /* the pushes of our own changes may still be under way */
}

static void set_memory(const char *bytes)
{
    redisReply *reply = ask("CONFIG SET maxmemory %s", bytes);
    cr_assert(reply != NULL && reply->type == REDIS_REPLY_STATUS);
    freeReplyObject(reply);
}

/* ---- strict ---- */

Test(redis_near, a_strict_hit_moves_no_body)
{
    enum { BODY = 100000, LOOKUPS = 20 };
    size_t length = store_entry(elsewhere, STRICT, BODY);
    cr_expect_eq(look_up(here, STRICT).length, length, "in full, once");
    uint64_t bytes = told_by_info("stats", "total_net_output_bytes:");
    for (unsigned i = 0; i < LOOKUPS; i++)
        cr_expect_eq(look_up(i % 2 == 0 ? here : there, STRICT).length, length);
    bytes = told_by_info("stats", "total_net_output_bytes:") - bytes;
    cr_expect_lt(bytes, BODY, "%llu bytes for %d lookups", (unsigned long long)bytes, LOOKUPS);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_NEAR_HITS), LOOKUPS);
    bytes = told_by_info("stats", "total_net_output_bytes:");
    (void)look_up(elsewhere, STRICT);
    cr_expect_gt(told_by_info("stats", "total_net_output_bytes:") - bytes, BODY,
                 "without copies it does");
}

Test(redis_near, a_strict_read_always_sees_what_another_gateway_did)
{
    for (unsigned i = 0; i < 50; i++) {
        store_entry(here, STRICT, 100);
        struct seen before = look_up(here, STRICT);
        purge(elsewhere, i % INSTANCES);
        struct seen after = look_up(here, STRICT);
        cr_assert_eq(after.result, CG_STORE_OK);
        cr_assert_not(cg_token_eq(&after.versions[i % INSTANCES].token,
                                  &before.versions[i % INSTANCES].token));
    }
    cr_expect_geq(cg_book_sum(book, CG_METRIC_NEAR_HITS), 50);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_PUSHED_HITS), 0);
}

/* ---- pushed ---- */

Test(redis_near, a_pushed_hit_asks_nothing)
{
    warm(here);
    uint64_t mgets = count_mgets();
    for (unsigned i = 0; i < 20; i++)
        cr_expect(is_pushed(i % 2 == 0 ? here : there), "one table for all threads");
    cr_expect_eq(count_mgets(), mgets);
}

Test(redis_near, changes_of_other_gateways_are_pushed)
{
    for (unsigned i = 0; i < INSTANCES; i++) {
        warm(here);
        purge(elsewhere, i);
        WORLD_UNTIL(!is_pushed(here));
    }
    warm(here);
    struct seen seen = {0};
    const struct cg_ban everything = {0};
    elsewhere->port->ban(elsewhere, &everything, 1, on_done, &seen);
    WORLD_UNTIL(seen.done && !is_pushed(here));
    struct cg_epoch epoch = look_up(elsewhere, PUSHED).epoch;
    cr_expect(cg_epoch_eq(look_up(here, PUSHED).epoch, epoch));
    warm(here);
    const struct cg_writer writer = {{3}};
    seen.done = false;
    elsewhere->port->mark(elsewhere, instances, 1, &writer, atomic_load(world.now_ms) + 60000,
                          on_done, &seen);
    WORLD_UNTIL(seen.done && !is_pushed(here));
    cr_expect_eq(look_up(here, PUSHED).versions[0].state, CG_VERSION_BUSY);
    cr_expect_gt(cg_book_sum(book, CG_METRIC_PUSHES), 4);
}

Test(redis_near, changes_of_our_own_need_no_push)
{
    for (unsigned i = 0; i < 50; i++) {
        warm(here);
        struct seen before = look_up(there, PUSHED);
        purge(here, i % INSTANCES);
        /* Without a turn of the loop in between: no push can have arrived. */
        struct seen after = {0};
        there->port->lookup(there, &keys[PUSHED], instances, INSTANCES, on_view, &after);
        cr_assert_not(after.done, "served after its purge was acknowledged");
        WORLD_UNTIL(after.done);
        cr_assert_not(cg_token_eq(&after.versions[i % INSTANCES].token,
                                  &before.versions[i % INSTANCES].token));
    }
}

Test(redis_near, what_is_lost_is_pushed)
{
    warm(here);
    freeReplyObject(ask("FLUSHALL"));
    WORLD_UNTIL(!is_pushed(here));
    cr_expect_eq(look_up(here, PUSHED).versions[0].state, CG_VERSION_ABSENT);
    warm(here);
    redisReply *reply = ask("EVAL %s 0", "for _, key in ipairs(redis.call('KEYS', 'test:v:*')) do "
                                         "redis.call('UNLINK', key) end");
    cr_assert(reply != NULL && reply->type != REDIS_REPLY_ERROR);
    freeReplyObject(reply);
    WORLD_UNTIL(!is_pushed(here));
}

/* ---- the connection ---- */

static void expect_back(uint64_t lost)
{
    WORLD_UNTIL(cg_book_sum(book, CG_METRIC_TRACKING_LOST) >= lost && is_tracking(true));
    cr_expect_not(is_pushed(here), "nothing from before is believed");
    WORLD_UNTIL(is_pushed(here));
}

Test(redis_near, a_connection_that_was_lost_is_made_again)
{
    warm(here);
    redisReply *reply = ask("CLIENT KILL TYPE pubsub");
    cr_assert(reply != NULL && reply->type == REDIS_REPLY_INTEGER);
    cr_expect_eq(reply->integer, 1, "there is one for the process");
    freeReplyObject(reply);
    WORLD_UNTIL(cg_book_sum(book, CG_METRIC_TRACKING_LOST) == 1);
    cr_expect_not(is_pushed(here));
    expect_back(1);
    purge(elsewhere, 1);
    WORLD_UNTIL(!is_pushed(here));
}

Test(redis_near, another_server_tells_of_itself)
{
    warm(here);
    end_server();
    WORLD_UNTIL(!is_available(here) && is_tracking(false));
    start_server(NULL);
    WORLD_UNTIL(is_available(here) && is_available(there) && is_available(elsewhere));
    WORLD_UNTIL(is_tracking(true));
    warm(here);
    purge(elsewhere, 1);
    WORLD_UNTIL(!is_pushed(here));
}

Test(redis_near, when_the_handle_that_listens_goes_another_takes_over)
{
    warm(there);
    here = cg_redis_near_close(near, here);
    here = there; /* for is_tracking */
    there = NULL;
    cr_expect(is_tracking(false), "nobody listens now");
    cr_expect_not(is_pushed(here));
}

Test(redis_near_quick, a_server_that_is_silent_is_not_believed, .init = world_begin)
{
    start_server(NULL);
    open_all(200);
    WORLD_UNTIL(is_tracking(true));
    warm(here);
    kill(world.server, SIGSTOP);
    WORLD_UNTIL(is_tracking(false));
    struct seen seen = {0};
    here->port->lookup(here, &keys[PUSHED], instances, INSTANCES, on_view, &seen);
    cr_expect_not(seen.done, "it must ask");
    kill(world.server, SIGCONT);
    WORLD_UNTIL(seen.done);
    WORLD_UNTIL(is_tracking(true));
    WORLD_UNTIL(is_pushed(here));
    here = cg_redis_near_close(near, here);
    here = there;
    there = NULL;
    WORLD_UNTIL(is_tracking(false));
    WORLD_UNTIL(is_tracking(true)); /* the other handle listens */
    WORLD_UNTIL(is_pushed(here));
    purge(elsewhere, 1);
    WORLD_UNTIL(!is_pushed(here));
    end();
}

Test(redis_near_quick, heartbeats_that_are_refused_count_as_silence, .init = world_begin)
{
    start_server(NULL);
    open_all(200);
    WORLD_UNTIL(is_tracking(true));
    set_memory("1");
    WORLD_UNTIL(is_tracking(false));
    set_memory("0");
    WORLD_UNTIL(is_tracking(true));
    warm(here);
    end();
}

/* ---- several servers ---- */

static void begin_sentinels(void)
{
    world_begin();
    fleet_start_sentinels(3, false, NULL, NULL);
    fleet_use_url("redis+sentinel://127.0.0.1:%u,127.0.0.1:%u/main",
                  fleet.servers[FLEET_SENTINEL].port, fleet.servers[FLEET_SENTINEL + 1].port);
    world.settings.store_timeout_ms = 1000;
    open_all(1000);
    WORLD_UNTIL(is_tracking(true));
}

static void end_fleet(void)
{
    fleet_end_all();
    end();
}

TestSuite(redis_near_sentinels, .init = begin_sentinels, .fini = end_fleet);

Test(redis_near_sentinels, the_new_primary_tells_of_changes)
{
    warm(here);
    purge(elsewhere, 1);
    WORLD_UNTIL(!is_pushed(here));
    warm(here);
    fleet_end(&fleet.servers[FLEET_PRIMARY]);
    WORLD_UNTIL(is_tracking(false));
    WORLD_UNTIL(fleet_says(&fleet.servers[FLEET_REPLICA], "INFO replication", "role:master"));
    WORLD_UNTIL(is_available(here) && is_available(there) && is_available(elsewhere));
    WORLD_UNTIL(is_tracking(true));
    warm(here);
    purge(elsewhere, 1);
    WORLD_UNTIL(!is_pushed(here));
    cr_expect_geq(cg_book_sum(book, CG_METRIC_TRACKING_LOST), 1);
}

static void begin_cluster(void)
{
    world_begin();
    fleet_start_cluster(false, true, NULL);
    fleet_use_url("redis+cluster://127.0.0.1:%u", fleet.servers[0].port);
    open_all(FOREVER_MS);
}

TestSuite(redis_near_cluster, .init = begin_cluster, .fini = end_fleet);

Test(redis_near_cluster, all_routes_are_strict)
{
    cr_expect_null(tracking_word());
    for (unsigned route = STRICT; route <= PUSHED; route++) {
        size_t length = store_entry(elsewhere, route, 1000);
        for (unsigned i = 0; i < 5; i++)
            cr_expect_eq(look_up(here, route).length, length);
        cr_expect_eq(cg_book_sum(book, CG_METRIC_NEAR_HITS), 4 + route * 5);
        struct seen before = look_up(here, route);
        purge(elsewhere, 2);
        cr_expect_not(
            cg_token_eq(&look_up(here, route).versions[2].token, &before.versions[2].token));
    }
    cr_expect_eq(cg_book_sum(book, CG_METRIC_PUSHED_HITS), 0);
}
