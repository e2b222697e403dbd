/*
 * store_contract: what every driver of gateway/store/store.h must do. A test program includes this
 * once and defines `contract_factory`; the tests below then run over its store. Answers may come
 * late: after each call the suite waits through the factory. Included tests see at least two
 * handles of one store, since most promises are about the other gateway thread.
 */
#ifndef TESTS_STORE_CONTRACT_H
#define TESTS_STORE_CONTRACT_H

#include <criterion/criterion.h>

#include "gateway/store/store.h"

struct contract_factory {
    void (*begin)(void); /* an empty store */
    void (*end)(void);
    struct cg_store *(*open)(void);
    struct cg_store *(*close)(struct cg_store *store);
    void (*wait)(const bool *done); /* runs what must run until *done */
    int64_t (*now_ms)(void);
    void (*pass_time)(int64_t ms); /* moves the clock of all handles */
};
static const struct contract_factory contract_factory;

/* ---- calls that wait for their answer ---- */

enum { CONTRACT_SNAPSHOTS_MAX = 64, CONTRACT_HORIZON_MS = 3600000 };

static struct cg_store *here, *there; /* two handles */
static struct cg_bans *contract_snapshots[CONTRACT_SNAPSHOTS_MAX];
static size_t contract_snapshot_count;

/* A view that outlives its callback. */
struct seen {
    bool done;
    size_t count;
    enum cg_store_result result;
    bool has_entry;
    char entry[64];
    struct cg_version versions[CG_INSTANCES_MAX];
    struct cg_epoch epoch;
    const struct cg_bans *bans; /* lives until the test ends */
};

static void contract_setup(void)
{
    contract_factory.begin();
    here = contract_factory.open();
    there = contract_factory.open();
}

static void contract_teardown(void)
{
    while (contract_snapshot_count > 0)
        cg_bans_unref(contract_snapshots[--contract_snapshot_count]);
    contract_factory.close(here);
    contract_factory.close(there);
    contract_factory.end();
}

TestSuite(store, .init = contract_setup, .fini = contract_teardown);

static void on_view(void *owner, const struct cg_store_view *view)
{
    struct seen *seen = owner;
    cr_assert_not(seen->done, "a call was answered twice");
    seen->done = true;
    seen->result = view->result;
    seen->has_entry = view->entry != NULL;
    if (view->entry != NULL) {
        cr_assert_lt(view->entry->length, sizeof seen->entry);
        memcpy(seen->entry, view->entry->bytes, view->entry->length);
    }
    memcpy(seen->versions, view->versions, seen->count * sizeof view->versions[0]);
    seen->epoch = view->epoch;
    cr_assert_lt(contract_snapshot_count, CONTRACT_SNAPSHOTS_MAX);
    contract_snapshots[contract_snapshot_count++] = cg_bans_ref(view->bans);
    seen->bans = view->bans;
}

struct done {
    bool done;
    enum cg_store_result result;
};

static void on_done(void *owner, enum cg_store_result result)
{
    struct done *done = owner;
    cr_assert_not(done->done, "a call was answered twice");
    *done = (struct done){true, result};
}

static struct cg_key key_of(uint8_t name)
{
    struct cg_key key = {.pushed = true}; /* counts where the store watches at all */
    key.id[0] = name;
    return key;
}

static struct cg_instance instance_of(uint8_t name)
{
    struct cg_instance instance = {{0}};
    instance.id[CG_DIGEST_BYTES - 1] = name;
    return instance;
}

static struct cg_writer writer_of(uint8_t name)
{
    struct cg_writer writer = {{0}};
    writer.id[7] = name;
    return writer;
}

static struct seen look_up(struct cg_store *store, uint8_t key_name,
                           const struct cg_instance *instances, size_t count)
{
    struct seen seen = {.count = count};
    struct cg_key key = key_of(key_name);
    store->port->lookup(store, &key, instances, count, on_view, &seen);
    contract_factory.wait(&seen.done);
    cr_assert_eq(seen.result, CG_STORE_OK);
    return seen;
}

static struct cg_version version_at(struct cg_store *store, uint8_t name)
{
    struct cg_instance instance = instance_of(name);
    return look_up(store, 0, &instance, 1).versions[0];
}

static struct seen prepare_all(struct cg_store *store, const struct cg_instance *instances,
                               size_t count)
{
    struct seen seen = {.count = count};
    store->port->prepare(store, instances, count, on_view, &seen);
    contract_factory.wait(&seen.done);
    cr_assert_eq(seen.result, CG_STORE_OK);
    cr_assert_not(seen.has_entry, "prepare answers no entry");
    return seen;
}

static struct cg_version prepare(struct cg_store *store, uint8_t name)
{
    struct cg_instance instance = instance_of(name);
    return prepare_all(store, &instance, 1).versions[0];
}

static enum cg_store_result fill(struct cg_store *store, uint8_t key_name, struct cg_str bytes,
                                 uint64_t lifetime_ms)
{
    struct done done = {0};
    struct cg_key key = key_of(key_name);
    struct cg_blob *blob = cg_blob_create(bytes);
    store->port->fill(store, &key, blob, lifetime_ms, on_done, &done);
    contract_factory.wait(&done.done);
    cg_blob_unref(blob); /* the store has a reference of its own */
    return done.result;
}

static void purge(struct cg_store *store, uint8_t name)
{
    struct done done = {0};
    struct cg_instance instance = instance_of(name);
    store->port->purge(store, &instance, 1, on_done, &done);
    contract_factory.wait(&done.done);
    cr_assert_eq(done.result, CG_STORE_OK);
}

static void mark_for(struct cg_store *store, uint8_t name, uint8_t writer_name, int64_t ms)
{
    struct done done = {0};
    struct cg_instance instance = instance_of(name);
    struct cg_writer writer = writer_of(writer_name);
    store->port->mark(store, &instance, 1, &writer, contract_factory.now_ms() + ms, on_done, &done);
    contract_factory.wait(&done.done);
    cr_assert_eq(done.result, CG_STORE_OK);
}

static void release(struct cg_store *store, uint8_t name, uint8_t writer_name, bool renew)
{
    struct done done = {0};
    struct cg_instance instance = instance_of(name);
    struct cg_writer writer = writer_of(writer_name);
    store->port->release(store, &instance, &renew, 1, &writer, on_done, &done);
    contract_factory.wait(&done.done);
    cr_assert_eq(done.result, CG_STORE_OK);
}

static void ban_all(struct cg_store *store, const char *const *patterns, size_t count)
{
    struct done done = {0};
    struct cg_ban bans[8];
    cr_assert_leq(count, 8);
    for (size_t i = 0; i < count; i++)
        bans[i] = (struct cg_ban){cg_str_from(patterns[i]), {NULL, 0}};
    store->port->ban(store, bans, count, on_done, &done);
    contract_factory.wait(&done.done);
    cr_assert_eq(done.result, CG_STORE_OK);
}

static void flush(struct cg_store *store)
{
    struct done done = {0};
    store->port->flush(store, on_done, &done);
    contract_factory.wait(&done.done);
    cr_assert_eq(done.result, CG_STORE_OK);
}

/* Whether the snapshot says that an answer to `target`, stored under `epoch`, is dead. */
static bool covered(const struct seen *seen, struct cg_epoch epoch, const char *target)
{
    struct cg_arena arena;
    struct cg_path path;
    struct cg_query query;
    cg_arena_init(&arena, 1 << 16);
    cr_assert_eq(cg_path_parse(cg_str_from(target), &arena, &path, &query), CG_PATH_OK);
    bool result = cg_bans_cover(seen->bans, epoch, &path, &query, CG_STR(""));
    cg_arena_fini(&arena);
    return result;
}

static void expect_busy(uint8_t name, const char *when)
{
    cr_expect_eq(version_at(here, name).state, CG_VERSION_BUSY, "%s, here", when);
    cr_expect_eq(version_at(there, name).state, CG_VERSION_BUSY, "%s, there", when);
}

/* What was stored under `before` must be dead on both handles, and stay dead. */
static void expect_renewed(uint8_t name, struct cg_version before, const char *when)
{
    struct cg_store *const handles[] = {here, there};
    cr_assert_eq(before.state, CG_VERSION_CURRENT);
    for (size_t i = 0; i < 2; i++) {
        struct cg_version now = version_at(handles[i], name);
        cr_expect_neq(now.state, CG_VERSION_BUSY, "%s", when);
        cr_expect(now.state == CG_VERSION_ABSENT || !cg_token_eq(&now.token, &before.token), "%s",
                  when);
    }
    struct cg_version now = prepare(here, name);
    cr_expect_eq(now.state, CG_VERSION_CURRENT, "%s", when);
    cr_expect_not(cg_token_eq(&now.token, &before.token), "%s", when);
}

static void expect_kept(uint8_t name, struct cg_version before, const char *when)
{
    struct cg_version now = version_at(there, name);
    cr_expect_eq(now.state, CG_VERSION_CURRENT, "%s", when);
    cr_expect(cg_token_eq(&now.token, &before.token), "%s", when);
}

#endif
