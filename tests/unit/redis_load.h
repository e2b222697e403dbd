/*
 * redis_load: readers and writers of two gateways on one Redis, for as long as a test wants.
 *
 * An item is a number that the upstream would hold. A writer marks, writes, and releases; only when
 * that was acknowledged must every read that starts afterwards show the write. A reader takes a hit
 * only under the rules of the machines (versions CURRENT and equal, no ban); else it prepares,
 * reads the upstream and fills. What was not acknowledged binds the gateway that knows of it, and
 * nobody else. Every call is answered once, or the test does not end.
 */
#ifndef TESTS_UNIT_REDIS_LOAD_H
#define TESTS_UNIT_REDIS_LOAD_H

#include "redis_fleet.h"

enum {
    LOAD_GATEWAYS = 2,
    LOAD_ITEMS = 12,
    LOAD_READERS = 4, /* of each gateway */
    LOAD_WRITERS = 1,
    LOAD_ACTORS = LOAD_GATEWAYS * (LOAD_READERS + LOAD_WRITERS),
    LOAD_MARK_MS = 5000,
};

struct load_gateway {
    struct cg_redis *redis;
    struct cg_store *store;
    uint64_t known[LOAD_ITEMS]; /* what its own writes, acknowledged or not, have made */
    size_t hits, fills, unavailable, writes;
};

struct load_entry {
    uint64_t value;
    struct cg_token token;
    struct cg_epoch epoch;
};

struct load_actor {
    struct load_gateway *gateway;
    bool writes, busy, fetched;
    size_t item;
    uint64_t must; /* what a read has to show at least */
    uint64_t value;
    struct load_entry entry;
    struct cg_writer writer;
    struct cg_key key;
    struct cg_instance instance;
};

static struct {
    struct load_gateway gateways[LOAD_GATEWAYS];
    struct load_actor actors[LOAD_ACTORS];
    uint64_t upstream[LOAD_ITEMS], acknowledged[LOAD_ITEMS];
    uint64_t random;
    bool ending;
    size_t acknowledged_count, busy_count, bans, bans_failed;
    struct cg_arena arena;
    struct cg_path path;
    struct cg_query query;
} load;

static uint64_t load_random(uint64_t below)
{
    load.random ^= load.random << 13;
    load.random ^= load.random >> 7;
    load.random ^= load.random << 17;
    return load.random % below;
}

static void load_done(struct load_actor *actor)
{
    cr_assert(actor->busy, "a call was answered twice");
    actor->busy = false;
    load.busy_count--;
}

/* ---- reading ---- */

static void load_on_filled(void *owner, enum cg_store_result result)
{
    struct load_actor *actor = owner;
    actor->gateway->fills += result == CG_STORE_OK;
    load_done(actor);
}

/* The upstream was read a turn ago: a write may have come in between. */
static void load_fill(struct load_actor *actor)
{
    struct cg_store *store = actor->gateway->store;
    struct cg_blob *blob =
        cg_blob_create(cg_str_of((const char *)&actor->entry, sizeof(actor->entry)));
    actor->fetched = false;
    store->port->fill(store, &actor->key, blob, 600000, load_on_filled, actor);
    cg_blob_unref(blob);
}

static void load_on_prepared(void *owner, const struct cg_store_view *view)
{
    struct load_actor *actor = owner;
    actor->gateway->unavailable += view->result != CG_STORE_OK;
    if (view->result != CG_STORE_OK || view->versions[0].state != CG_VERSION_CURRENT) {
        load_done(actor);
        return;
    }
    actor->entry = (struct load_entry){
        .value = load.upstream[actor->item],
        .token = view->versions[0].token,
        .epoch = view->epoch,
    };
    actor->fetched = true;
}

static bool load_is_hit(const struct cg_store_view *view, const struct load_entry *entry)
{
    return view->versions[0].state == CG_VERSION_CURRENT &&
           cg_token_eq(&view->versions[0].token, &entry->token) &&
           !cg_bans_cover(view->bans, entry->epoch, &load.path, &load.query, CG_STR(""));
}

static void load_on_view(void *owner, const struct cg_store_view *view)
{
    struct load_actor *actor = owner;
    struct load_gateway *gateway = actor->gateway;
    struct load_entry entry;
    if (view->result != CG_STORE_OK) {
        gateway->unavailable++;
        load_done(actor);
        return;
    }
    if (view->entry != NULL) {
        cr_assert_eq(view->entry->length, sizeof(entry));
        memcpy(&entry, view->entry->bytes, sizeof(entry));
        if (load_is_hit(view, &entry)) {
            cr_assert_geq(entry.value, actor->must, "a stale hit: item %zu of gateway %zu",
                          actor->item, (size_t)(gateway - load.gateways));
            gateway->hits++;
            load_done(actor);
            return;
        }
    }
    if (view->versions[0].state == CG_VERSION_BUSY)
        load_done(actor);
    else
        gateway->store->port->prepare(gateway->store, &actor->instance, 1, load_on_prepared, actor);
}

static void load_read(struct load_actor *actor)
{
    struct load_gateway *gateway = actor->gateway;
    actor->must = load.acknowledged[actor->item];
    if (gateway->known[actor->item] > actor->must)
        actor->must = gateway->known[actor->item];
    gateway->store->port->lookup(gateway->store, &actor->key, &actor->instance, 1, load_on_view,
                                 actor);
}

/* ---- writing ---- */

static void load_on_released(void *owner, enum cg_store_result result)
{
    struct load_actor *actor = owner;
    struct load_gateway *gateway = actor->gateway;
    if (result == CG_STORE_OK && load.acknowledged[actor->item] < actor->value)
        load.acknowledged[actor->item] = actor->value;
    if (gateway->known[actor->item] < actor->value)
        gateway->known[actor->item] = actor->value;
    load.acknowledged_count += result == CG_STORE_OK;
    gateway->writes++;
    load_done(actor);
}

static void load_on_marked(void *owner, enum cg_store_result result)
{
    static const bool renew = true;
    struct load_actor *actor = owner;
    struct cg_store *store = actor->gateway->store;
    (void)result; /* the write goes out all the same */
    actor->value = ++load.upstream[actor->item];
    store->port->release(store, &actor->instance, &renew, 1, &actor->writer, load_on_released,
                         actor);
}

static void load_write(struct load_actor *actor)
{
    struct cg_store *store = actor->gateway->store;
    for (size_t i = 0; i < sizeof(actor->writer.id); i++)
        actor->writer.id[i] = (uint8_t)load_random(256);
    store->port->mark(store, &actor->instance, 1, &actor->writer,
                      world.clock.port->now_ms(&world.clock) + LOAD_MARK_MS, load_on_marked, actor);
}

static void load_on_banned(void *owner, enum cg_store_result result)
{
    load.bans_failed += result != CG_STORE_OK;
    load.bans++;
    load_done(owner);
}

/* A pattern that matches nothing here: the list and the epoch move all the same. */
static void load_ban(struct load_actor *actor)
{
    static const struct cg_ban ban = {{"/none", 5}, {NULL, 0}};
    struct cg_store *store = actor->gateway->store;
    store->port->ban(store, &ban, 1, load_on_banned, actor);
}

/* ---- */

static void load_begin(struct load_actor *actor)
{
    actor->busy = true;
    load.busy_count++;
    actor->item = load_random(LOAD_ITEMS);
    actor->key = (struct cg_key){0};
    actor->key.id[0] = (uint8_t)(actor->item + 1);
    actor->instance = (struct cg_instance){{(uint8_t)(actor->item + 1)}};
    if (actor->writes && load_random(4) == 0)
        load_ban(actor);
    else if (actor->writes)
        load_write(actor);
    else
        load_read(actor);
}

/* One turn of the loop, with something to do for everybody. Writers rest now and then, so that
 * there are hits. */
static void load_turn(void)
{
    for (size_t i = 0; i < LOAD_ACTORS; i++) {
        struct load_actor *actor = &load.actors[i];
        if (actor->fetched)
            load_fill(actor);
        else if (!actor->busy && !load.ending && (!actor->writes || load_random(40) == 0))
            load_begin(actor);
    }
    world_turn();
}

#define LOAD_UNTIL(condition)                                                                      \
    do {                                                                                           \
        int64_t started_ms_ = cg_clock_monotonic_ms();                                             \
        while (!(condition)) {                                                                     \
            cr_assert_lt(cg_clock_monotonic_ms() - started_ms_, 60000, "never: %s", #condition);   \
            load_turn();                                                                           \
        }                                                                                          \
    } while (0)

/* `settings` of each gateway, with its URL. */
static void load_start_with(const struct cg_settings settings[LOAD_GATEWAYS])
{
    char *error = NULL;
    memset(&load, 0, sizeof(load));
    load.random = 88172645463325252u;
    cg_arena_init(&load.arena, 1 << 16);
    cr_assert_eq(cg_path_parse(CG_STR("/any"), &load.arena, &load.path, &load.query), CG_PATH_OK);
    for (size_t i = 0; i < LOAD_GATEWAYS; i++) {
        load.gateways[i].redis = cg_redis_create(&settings[i], &error);
        cr_assert_not_null(load.gateways[i].redis, "%s", error);
        load.gateways[i].store = open_handle_of(load.gateways[i].redis);
    }
    for (size_t i = 0; i < LOAD_ACTORS; i++) {
        load.actors[i].gateway = &load.gateways[i % LOAD_GATEWAYS];
        load.actors[i].writes = i < (size_t)LOAD_GATEWAYS * LOAD_WRITERS;
    }
}

/* On the servers of fleet.url. */
static void load_start(void)
{
    static struct cg_settings settings[LOAD_GATEWAYS];
    for (size_t i = 0; i < LOAD_GATEWAYS; i++)
        settings[i] = world.settings;
    load_start_with(settings);
}

/* Everybody is answered, or this does not return. */
static void load_end(void)
{
    load.ending = true;
    LOAD_UNTIL(load.busy_count == 0);
    for (size_t i = 0; i < LOAD_GATEWAYS; i++) {
        cg_redis_close(load.gateways[i].store);
        cg_redis_destroy(load.gateways[i].redis);
    }
    cg_arena_fini(&load.arena);
}

/* Hits and acknowledged writes from now on, on both gateways. */
static void load_until_busy(size_t hits, size_t writes)
{
    size_t before[LOAD_GATEWAYS];
    size_t acknowledged = load.acknowledged_count;
    for (size_t i = 0; i < LOAD_GATEWAYS; i++)
        before[i] = load.gateways[i].hits;
    LOAD_UNTIL(load.gateways[0].hits >= before[0] + hits &&
               load.gateways[1].hits >= before[1] + hits &&
               load.acknowledged_count >= acknowledged + writes);
}

#endif
