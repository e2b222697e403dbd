/*
 * near_world: near copies in front of a store double that answers when the test says so.
 *
 * The double keeps every call until the test answers it; what it answers with is what the test set:
 * one token for each instance, one epoch, one entry. Entries are real ones, so that copies know
 * their heads.
 */
#ifndef TESTS_UNIT_NEAR_WORLD_H
#define TESTS_UNIT_NEAR_WORLD_H

#include <criterion/criterion.h>
#include <stdio.h>

#include "cachegate/entry.h"
#include "gateway/base/clock.h"
#include "gateway/store/near.h"

enum { CALLS_MAX = 1024, STRICT = 0, PUSHED = 1, INSTANCES = 3, FOREVER_MS = 3600000 };

struct call {
    bool answered;
    bool full; /* a lookup with a key */
    struct cg_instance instances[CG_INSTANCES_MAX];
    size_t count;
    cg_store_view_fn answer_view;
    cg_store_done_fn answer_done;
    void *owner;
};

/* What somebody was told. */
struct told {
    unsigned times;
    enum cg_store_result result;
    bool has_entry;
    char body[64];
    struct cg_version versions[CG_INSTANCES_MAX];
    struct cg_epoch epoch;
};

struct near_world {
    struct cg_store base;
    struct cg_store_port port;
    int64_t now_ms;
    struct cg_clock clock;
    struct call calls[CALLS_MAX];
    size_t call_count;
    bool reachable;
    char server[CG_NEAR_SERVER_MAX];
    /* The state of the store, of which answers are made. */
    struct cg_version versions[256]; /* by the instance's first byte */
    struct cg_epoch epoch;
    struct cg_blob *entry; /* NULL: there is none */
    struct cg_route routes[2];
    struct cg_ruleset ruleset;
    struct cg_settings settings;
    struct cg_book *book;
    struct cg_near *near;
    struct cg_near_watch *watch;
    struct cg_store *store; /* one handle of it */
};
static struct near_world world;

/* ---- the double ---- */

static struct call *note(void)
{
    cr_assert_lt(world.call_count, CALLS_MAX);
    struct call *call = &world.calls[world.call_count++];
    *call = (struct call){0};
    return call;
}

static void note_instances(struct call *call, const struct cg_instance *instances, size_t count)
{
    if (count > 0)
        memcpy(call->instances, instances, count * sizeof(*instances));
    call->count = count;
}

static void double_lookup(struct cg_store *store, const struct cg_key *key,
                          const struct cg_instance *instances, size_t count,
                          cg_store_view_fn answer, void *owner)
{
    (void)store;
    struct call *call = note();
    note_instances(call, instances, count);
    call->full = key != NULL;
    call->answer_view = answer;
    call->owner = owner;
}

static void double_prepare(struct cg_store *store, const struct cg_instance *instances,
                           size_t count, cg_store_view_fn answer, void *owner)
{
    double_lookup(store, NULL, instances, count, answer, owner);
}

static void note_change(cg_store_done_fn answer, void *owner)
{
    struct call *call = note();
    call->answer_done = answer;
    call->owner = owner;
}

static void double_fill(struct cg_store *store, const struct cg_key *key, struct cg_blob *entry,
                        uint64_t lifetime_ms, cg_store_done_fn answer, void *owner)
{
    (void)store, (void)key, (void)entry, (void)lifetime_ms;
    note_change(answer, owner);
}

static void double_purge(struct cg_store *store, const struct cg_instance *instances, size_t count,
                         cg_store_done_fn answer, void *owner)
{
    (void)store, (void)instances, (void)count;
    note_change(answer, owner);
}

static void double_mark(struct cg_store *store, const struct cg_instance *instances, size_t count,
                        const struct cg_writer *writer, int64_t deadline_ms,
                        cg_store_done_fn answer, void *owner)
{
    (void)store, (void)instances, (void)count, (void)writer, (void)deadline_ms;
    note_change(answer, owner);
}

static void double_release(struct cg_store *store, const struct cg_instance *instances,
                           const bool *renew, size_t count, const struct cg_writer *writer,
                           cg_store_done_fn answer, void *owner)
{
    (void)store, (void)instances, (void)count, (void)writer, (void)renew;
    note_change(answer, owner);
}

static void double_ban(struct cg_store *store, const struct cg_ban *bans, size_t count,
                       cg_store_done_fn answer, void *owner)
{
    (void)store, (void)bans, (void)count;
    note_change(answer, owner);
}

static void double_flush(struct cg_store *store, cg_store_done_fn answer, void *owner)
{
    (void)store;
    note_change(answer, owner);
}

static bool double_reachable(struct cg_store *store)
{
    (void)store;
    return world.reachable;
}

static void double_stats(struct cg_store *store, struct cg_store_stats *ret_stats)
{
    (void)store;
    *ret_stats = (struct cg_store_stats){.bans = 7};
}

static void double_health(struct cg_store *store, struct cg_store_health *ret_health)
{
    (void)store;
    *ret_health = (struct cg_store_health){.backend = "double", .available = true};
}

static const char *server_of(struct cg_store *inner)
{
    (void)inner;
    return world.server;
}

static int64_t read_clock(struct cg_clock *clock)
{
    (void)clock;
    return world.now_ms;
}

/* ---- answers ---- */

/* Answers the call of that number with what the store holds now. */
static void answer_as(size_t number, enum cg_store_result result)
{
    struct call *call = &world.calls[number];
    cr_assert_lt(number, world.call_count, "call %zu was never made", number);
    cr_assert_not(call->answered);
    call->answered = true;
    if (call->answer_done != NULL) {
        call->answer_done(call->owner, result);
        return;
    }
    struct cg_store_view view = {.result = result};
    if (result == CG_STORE_OK) {
        for (size_t i = 0; i < call->count; i++)
            view.versions[i] = world.versions[call->instances[i].id[0]];
        view.epoch = world.epoch;
        view.bans = cg_bans_restore(world.epoch, NULL, 0, world.now_ms);
        view.entry = call->full ? world.entry : NULL;
    }
    call->answer_view(call->owner, &view);
    cg_bans_unref(view.bans);
}

static void answer(size_t number)
{
    answer_as(number, CG_STORE_OK);
}

/* ---- the state of the store ---- */

static struct cg_instance instance_of(uint8_t name)
{
    return (struct cg_instance){{name, 1}};
}

static struct cg_version version_of(uint8_t number)
{
    return (struct cg_version){.state = CG_VERSION_CURRENT, .token = {{number}}};
}

/* Fresh for a minute, stale for another hour, under the tokens and the epoch that are current. */
static struct cg_blob *make_entry(const char *body, size_t instance_count)
{
    struct cg_entry entry = {
        .kind = CG_ENTRY_ANSWER,
        .stored_at_ms = world.now_ms,
        .lifetime_ms = 60000,
        .stale_while_revalidate_ms = FOREVER_MS,
        .epoch = world.epoch,
        .instance_count = instance_count,
        .status = 200,
        .body = cg_str_from(body),
    };
    for (size_t i = 0; i < instance_count; i++) {
        entry.instances[i] = instance_of((uint8_t)i);
        entry.tokens[i] = world.versions[i].token;
    }
    return cg_entry_encode(&entry);
}

/* The store holds such an entry from now on. */
static void store_holds(const char *body)
{
    cg_blob_unref(world.entry);
    world.entry = body == NULL ? NULL : make_entry(body, INSTANCES);
}

/* ---- asking ---- */

static void on_view(void *owner, const struct cg_store_view *view)
{
    struct told *told = owner;
    told->times++;
    told->result = view->result;
    told->has_entry = view->entry != NULL;
    told->body[0] = '\0';
    if (view->result != CG_STORE_OK)
        return;
    if (view->entry != NULL) {
        struct cg_arena arena;
        struct cg_entry entry;
        cg_arena_init(&arena, 1 << 16);
        if (cg_entry_decode(cg_blob_str(view->entry), &arena, &entry))
            (void)snprintf(told->body, sizeof(told->body), "%.*s", CG_STR_ARG(entry.body));
        cg_arena_fini(&arena);
    }
    memcpy(told->versions, view->versions, INSTANCES * sizeof(told->versions[0]));
    told->epoch = view->epoch;
    cr_expect(cg_epoch_eq(cg_bans_epoch(view->bans), view->epoch));
}

static void on_done(void *owner, enum cg_store_result result)
{
    struct told *told = owner;
    told->times++;
    told->result = result;
}

static struct cg_key keys[2];
static struct cg_instance instances[CG_INSTANCES_MAX];

/* Asks for the entry of that route; the answer comes into *told. Returns the number of the call
 * that it made, or what the next would have. */
static size_t look_up(unsigned route, struct told *told)
{
    *told = (struct told){0};
    size_t number = world.call_count;
    world.store->port->lookup(world.store, &keys[route], instances, INSTANCES, on_view, told);
    return number;
}

/* It was answered, with that body (NULL: no entry), and made so many calls. */
static void expect_told(const struct told *told, const char *body, const char *when)
{
    cr_assert_eq(told->times, 1, "%s: told %u times", when, told->times);
    cr_expect_eq(told->result, CG_STORE_OK, "%s", when);
    if (body == NULL)
        cr_expect_not(told->has_entry, "%s: found %s", when, told->body);
    else
        cr_expect_str_eq(told->body, body, "%s", when);
}

/* A copy of what the store holds, by a lookup in full. */
static void keep_near(unsigned route)
{
    struct told told;
    size_t number = look_up(route, &told);
    answer(number);
    cr_assert_eq(told.times, 1);
    cr_assert(told.has_entry);
}

static bool asks_in_full(unsigned route)
{
    struct told told;
    size_t number = look_up(route, &told);
    cr_assert_eq(world.call_count, number + 1);
    bool full = world.calls[number].full;
    answer(number);
    return full;
}

/* ---- begin and end ---- */

static void world_begin(void)
{
    memset(&world, 0, sizeof(world));
    static const struct cg_clock_port clock_port = {.now_ms = read_clock};
    world.port = (struct cg_store_port){
        .lookup = double_lookup,
        .prepare = double_prepare,
        .fill = double_fill,
        .purge = double_purge,
        .mark = double_mark,
        .release = double_release,
        .ban = double_ban,
        .flush = double_flush,
        .reachable = double_reachable,
        .stats = double_stats,
        .health = double_health,
    };
    world.base.port = &world.port;
    world.now_ms = INT64_C(1700000000000);
    world.clock.port = &clock_port;
    world.reachable = true;
    (void)snprintf(world.server, sizeof(world.server), "primary");
    world.epoch = (struct cg_epoch){.generation = 42, .counter = 1};
    for (unsigned i = 0; i < 256; i++)
        world.versions[i] = version_of((uint8_t)(i + 1));
    for (uint8_t i = 0; i < CG_INSTANCES_MAX; i++)
        instances[i] = instance_of(i);
    for (unsigned i = 0; i < 2; i++)
        keys[i] = (struct cg_key){.id = {(uint8_t)(i + 1)}, .route = i, .pushed = i == PUSHED};
    world.routes[PUSHED].pushed = true;
    world.ruleset = (struct cg_ruleset){.routes = world.routes, .route_count = 2};
    world.settings = (struct cg_settings){
        .near_bytes = 1 << 20, .tracking_timeout_ms = FOREVER_MS, .ruleset = &world.ruleset};
    world.book = cg_book_create(2);
    world.near = cg_near_create(&world.settings, world.book, server_of);
    world.watch = cg_near_watch_of(world.near);
    world.store = cg_near_open(world.near, &world.base, &world.clock);
    store_holds("one");
}

static void world_end(void)
{
    world.store = cg_near_close(world.store);
    world.near = cg_near_destroy(world.near);
    world.book = cg_book_destroy(world.book);
    world.entry = cg_blob_unref(world.entry);
}

static uint64_t counted(enum cg_metric metric)
{
    return cg_book_sum(world.book, metric);
}

#endif
