/*
 * redis_fake_calls: one handle over the servers of redis_fake.h, and calls that wait for their
 * answer.
 */
#ifndef TESTS_UNIT_REDIS_FAKE_CALLS_H
#define TESTS_UNIT_REDIS_FAKE_CALLS_H

#include "redis_fake.h"

enum { LATE_MS = 400 };

static struct cg_store *store;

struct seen {
    bool done;
    enum cg_store_result result;
    bool has_entry;
    char entry[64];
};

static void on_view(void *owner, const struct cg_store_view *view)
{
    struct seen *seen = owner;
    cr_assert_not(seen->done, "answered twice");
    *seen = (struct seen){.done = true, .result = view->result, .has_entry = view->entry != NULL};
    if (view->entry != NULL)
        memcpy(seen->entry, view->entry->bytes, view->entry->length);
}

static void on_done(void *owner, enum cg_store_result result)
{
    struct seen *seen = owner;
    cr_assert_not(seen->done, "answered twice");
    *seen = (struct seen){.done = true, .result = result};
}

static struct cg_instance instance_of(uint8_t name)
{
    return (struct cg_instance){.id = {name}};
}

/* ---- calls ---- */

static void ask_for(struct seen *seen, const struct cg_instance *instances, size_t count)
{
    static const struct cg_key key = {.id = {7}};
    store->port->lookup(store, &key, instances, count, on_view, seen);
}

__attribute__((unused)) static struct seen look_up(const struct cg_instance *instances,
                                                   size_t count)
{
    struct seen seen = {0};
    ask_for(&seen, instances, count);
    WORLD_UNTIL(seen.done);
    return seen;
}

__attribute__((unused)) static enum cg_store_result purge(uint8_t name)
{
    struct seen seen = {0};
    struct cg_instance instance = instance_of(name);
    store->port->purge(store, &instance, 1, on_done, &seen);
    WORLD_UNTIL(seen.done);
    return seen.result;
}

__attribute__((unused)) static enum cg_store_result mark(uint8_t name)
{
    struct seen seen = {0};
    struct cg_instance instance = instance_of(name);
    struct cg_writer writer = {{1}};
    store->port->mark(store, &instance, 1, &writer, world_now(NULL) + 1000, on_done, &seen);
    WORLD_UNTIL(seen.done);
    return seen.result;
}

__attribute__((unused)) static enum cg_store_result fill(void)
{
    static const struct cg_key key = {.id = {7}};
    struct seen seen = {0};
    struct cg_blob *blob = cg_blob_create(CG_STR("entry"));
    store->port->fill(store, &key, blob, 1000, on_done, &seen);
    WORLD_UNTIL(seen.done);
    cg_blob_unref(blob);
    return seen.result;
}

/* ---- worlds ---- */

__attribute__((unused)) static struct fake *one, *two;

static void open_store(const char *form)
{
    snprintf(world.url, sizeof(world.url), "%s://127.0.0.1:%u", form, one->port);
    cg_redis_destroy(world.redis);
    world.redis = make_redis();
    store = cg_redis_open(world.redis, &world.context, &world.clock);
}

static void begin(void)
{
    world_begin();
    world_hook = fakes_turn;
    world.settings.breaker_failures = 3;
    world.settings.store_timeout_ms = LATE_MS;
    fake_doubts = 0;
    one = fake_start();
    fake_share(&one, 1);
}

static void end(void)
{
    cg_redis_close(store);
    fakes_end();
    world_end();
}

#endif
