#include "gateway/store/memory.h"

#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/store/memory_parts.h"

/* Shares of the bound: versions get a quarter, one entry at most a quarter. */
enum { SHARE = 4, VERSION_SHARD_BYTES_MIN = 4096 };

/* A snapshot that was replaced while a callback of this handle could still look at it. */
struct retired {
    struct retired *next;
    struct cg_bans *bans;
};

struct handle {
    struct cg_store base;
    struct cg_memory *memory;            /* borrowed */
    struct cg_clock *clock;              /* borrowed */
    struct cg_bans *bans;                /* one reference, so that hits share no counter */
    uint64_t ban_stamp;                  /* of `bans` */
    unsigned depth;                      /* of callbacks */
    struct cg_memory_claimant *claimant; /* owned */
    struct retired *retired;
};

static struct handle *handle_of(struct cg_store *store)
{
    return (struct handle *)store;
}

static int64_t now_of(struct handle *handle)
{
    return handle->clock->port->now_ms(handle->clock);
}

/* ---- bans ---- */

/*
 * The stamp is raised before a ban is acknowledged, so a lookup that starts afterwards sees that
 * its snapshot is old. Only then does it take the lock.
 */
static void refresh_bans(struct handle *handle)
{
    struct cg_memory *memory = handle->memory;
    if (handle->bans != NULL && atomic_load(&memory->ban_stamp) == handle->ban_stamp)
        return;
    if (handle->bans != NULL && handle->depth > 0) {
        struct retired *retired = malloc(sizeof(*retired));
        CG_ASSERT(retired != NULL);
        *retired = (struct retired){.next = handle->retired, .bans = handle->bans};
        handle->retired = retired;
    } else {
        cg_bans_unref(handle->bans);
    }
    CG_ASSERT(pthread_mutex_lock(&memory->ban_lock) == 0);
    handle->bans = cg_bans_ref(memory->bans);
    handle->ban_stamp = atomic_load(&memory->ban_stamp);
    CG_ASSERT(pthread_mutex_unlock(&memory->ban_lock) == 0);
}

static void drop_retired(struct handle *handle)
{
    while (handle->retired != NULL) {
        struct retired *retired = handle->retired;
        handle->retired = retired->next;
        cg_bans_unref(retired->bans);
        free(retired);
    }
}

void cg_memory_outlive(struct cg_memory *memory, uint64_t lifetime_ms)
{
    CG_ASSERT(pthread_mutex_lock(&memory->ban_lock) == 0);
    if (lifetime_ms > memory->ban_horizon_ms)
        memory->ban_horizon_ms = lifetime_ms;
    CG_ASSERT(pthread_mutex_unlock(&memory->ban_lock) == 0);
}

static void append_bans(struct handle *handle, const struct cg_ban *bans, size_t count)
{
    struct cg_memory *memory = handle->memory;
    int64_t now_ms = now_of(handle);
    CG_ASSERT(pthread_mutex_lock(&memory->ban_lock) == 0);
    struct cg_bans *before = memory->bans;
    memory->bans = cg_bans_append(before, bans, count, now_ms, memory->ban_horizon_ms);
    atomic_fetch_add(&memory->ban_stamp, 1);
    CG_ASSERT(pthread_mutex_unlock(&memory->ban_lock) == 0);
    cg_bans_unref(before);
}

/* ---- the port ---- */

static void answer_view(struct handle *handle, struct cg_store_view *view, cg_store_view_fn answer,
                        void *owner)
{
    refresh_bans(handle);
    view->result = CG_STORE_OK;
    view->bans = handle->bans;
    view->epoch = cg_bans_epoch(handle->bans);
    view->stand_in = NULL;
    handle->depth++;
    answer(owner, view);
    if (--handle->depth == 0)
        drop_retired(handle);
}

/*
 * The entry, each version and the bans are read one after another, which is as good as one moment.
 * A purge that was acknowledged before the call is seen by the read of its version whenever that
 * happens, since tokens never come back; so an entry whose tokens all equal what is read here was
 * fetched after every purge that was acknowledged before the call. A purge that ends meanwhile may
 * be seen or not: it is concurrent. The bans come last, to be no older than the entry's epoch.
 */
static void memory_lookup(struct cg_store *store, const struct cg_key *key,
                          const struct cg_instance *instances, size_t count,
                          cg_store_view_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    struct cg_store_view view; /* large: only what was asked for is filled in */
    CG_ASSERT(count <= CG_INSTANCES_MAX);
    int64_t now_ms = now_of(handle);
    struct cg_blob *entry = key == NULL ? NULL : cg_memory_entry_find(handle->memory, key, now_ms);
    for (size_t i = 0; i < count; i++)
        cg_memory_version_read(handle->memory, &instances[i], now_ms, &view.versions[i]);
    view.entry = entry;
    view.given = NULL;
    answer_view(handle, &view, answer, owner);
    cg_blob_unref(entry);
}

static void memory_prepare(struct cg_store *store, const struct cg_instance *instances,
                           size_t count, cg_store_view_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    struct cg_store_view view;
    CG_ASSERT(count <= CG_INSTANCES_MAX);
    int64_t now_ms = now_of(handle);
    for (size_t i = 0; i < count; i++)
        cg_memory_version_prepare(handle->memory, &instances[i], now_ms, &view.versions[i]);
    view.entry = NULL;
    view.given = NULL;
    answer_view(handle, &view, answer, owner);
}

static void memory_fill(struct cg_store *store, const struct cg_key *key, struct cg_blob *entry,
                        uint64_t lifetime_ms, cg_store_done_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    answer(owner, cg_memory_entry_fill(handle->memory, key, entry, lifetime_ms, now_of(handle)));
}

static void memory_purge(struct cg_store *store, const struct cg_instance *instances, size_t count,
                         cg_store_done_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    int64_t now_ms = now_of(handle);
    for (size_t i = 0; i < count; i++)
        cg_memory_version_purge(handle->memory, &instances[i], now_ms);
    answer(owner, CG_STORE_OK);
}

static void memory_mark(struct cg_store *store, const struct cg_instance *instances, size_t count,
                        const struct cg_writer *writer, int64_t deadline_ms,
                        cg_store_done_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    int64_t now_ms = now_of(handle);
    for (size_t i = 0; i < count; i++)
        cg_memory_version_mark(handle->memory, &instances[i], writer, deadline_ms, now_ms);
    answer(owner, CG_STORE_OK);
}

static void memory_release(struct cg_store *store, const struct cg_instance *instances,
                           const bool *renew, size_t count, const struct cg_writer *writer,
                           cg_store_done_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    int64_t now_ms = now_of(handle);
    for (size_t i = 0; i < count; i++)
        cg_memory_version_release(handle->memory, &instances[i], writer, renew[i], now_ms);
    answer(owner, CG_STORE_OK);
}

static void memory_ban(struct cg_store *store, const struct cg_ban *bans, size_t count,
                       cg_store_done_fn answer, void *owner)
{
    append_bans(handle_of(store), bans, count);
    answer(owner, CG_STORE_OK);
}

/* The ban comes first: a fetch that began before it must not fill the emptied store for good. */
static void memory_flush(struct cg_store *store, cg_store_done_fn answer, void *owner)
{
    struct handle *handle = handle_of(store);
    append_bans(handle, &(struct cg_ban){0}, 1);
    cg_memory_entries_clear(handle->memory);
    answer(owner, CG_STORE_OK);
}

static void memory_stats(struct cg_store *store, struct cg_store_stats *ret_stats)
{
    struct cg_memory *memory = handle_of(store)->memory;
    CG_ASSERT(pthread_mutex_lock(&memory->ban_lock) == 0);
    size_t bans = cg_bans_count(memory->bans);
    CG_ASSERT(pthread_mutex_unlock(&memory->ban_lock) == 0);
    *ret_stats = (struct cg_store_stats){
        .entries = atomic_load(&memory->entries),
        .entry_bytes = atomic_load(&memory->entry_bytes),
        .versions = atomic_load(&memory->versions),
        .evictions = atomic_load(&memory->evictions),
        .bans = bans,
    };
}

static bool memory_reachable(struct cg_store *store)
{
    (void)store;
    return true;
}

static struct cg_claims *memory_claims(struct cg_store *store)
{
    return cg_memory_claimant_claims(handle_of(store)->claimant);
}

static void memory_health(struct cg_store *store, struct cg_store_health *ret_health)
{
    (void)store;
    *ret_health =
        (struct cg_store_health){.backend = "memory", .available = true, .breaker = "closed"};
}

static const struct cg_store_port memory_port = {
    .lookup = memory_lookup,
    .prepare = memory_prepare,
    .fill = memory_fill,
    .purge = memory_purge,
    .mark = memory_mark,
    .release = memory_release,
    .ban = memory_ban,
    .flush = memory_flush,
    .stats = memory_stats,
    .reachable = memory_reachable,
    .claims = memory_claims,
    .health = memory_health,
};

/* ---- life ---- */

/* splitmix64's finisher: a seed that is poor still gives two unrelated numbers. */
static uint64_t derive(uint64_t random, uint64_t which)
{
    uint64_t mixed = random + which * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

struct cg_memory *cg_memory_create(size_t bytes_max, uint64_t ban_horizon_ms, uint64_t random)
{
    struct cg_memory *memory = aligned_alloc(CG_MEMORY_LINE, sizeof(*memory));
    CG_ASSERT(memory != NULL);
    memset(memory, 0, sizeof(*memory));
    memory->bytes_max = bytes_max;
    memory->entry_bytes_max = bytes_max / SHARE;
    memory->version_shard_bytes_max = bytes_max / SHARE / CG_MEMORY_SHARDS;
    if (memory->version_shard_bytes_max < VERSION_SHARD_BYTES_MIN)
        memory->version_shard_bytes_max = VERSION_SHARD_BYTES_MIN;
    memory->ban_horizon_ms = ban_horizon_ms;
    memory->generation = derive(random, 1);
    memory->bans = cg_bans_create(derive(random, 2));
    memory->claims = cg_memory_claims_create();
    CG_ASSERT(pthread_mutex_init(&memory->ban_lock, NULL) == 0);
    for (size_t i = 0; i < CG_MEMORY_SHARDS; i++) {
        CG_ASSERT(pthread_mutex_init(&memory->entry_shards[i].lock, NULL) == 0);
        CG_ASSERT(pthread_mutex_init(&memory->version_shards[i].lock, NULL) == 0);
    }
    return memory;
}

struct cg_memory *cg_memory_destroy(struct cg_memory *memory)
{
    if (memory == NULL)
        return NULL;
    cg_memory_entries_clear(memory);
    cg_memory_versions_clear(memory);
    CG_ASSERT(atomic_load(&memory->bytes_used) == 0);
    for (size_t i = 0; i < CG_MEMORY_SHARDS; i++) {
        cg_table_fini(&memory->entry_shards[i].table);
        cg_table_fini(&memory->version_shards[i].table);
        CG_ASSERT(pthread_mutex_destroy(&memory->entry_shards[i].lock) == 0);
        CG_ASSERT(pthread_mutex_destroy(&memory->version_shards[i].lock) == 0);
    }
    cg_bans_unref(memory->bans);
    cg_memory_claims_destroy(memory->claims);
    CG_ASSERT(pthread_mutex_destroy(&memory->ban_lock) == 0);
    free(memory);
    return NULL;
}

struct cg_store *cg_memory_open(struct cg_memory *memory, struct cg_clock *clock)
{
    struct handle *handle = calloc(1, sizeof(*handle));
    CG_ASSERT(handle != NULL);
    handle->base.port = &memory_port;
    handle->memory = memory;
    handle->clock = clock;
    handle->claimant = cg_memory_claimant_create(memory->claims, clock);
    refresh_bans(handle);
    return &handle->base;
}

void *cg_memory_on_mail(struct cg_store *store, void (*notify)(void *owner), void *owner)
{
    return cg_memory_claimant_notify(handle_of(store)->claimant, notify, owner);
}

void cg_memory_deliver(struct cg_store *store)
{
    cg_memory_claimant_deliver(handle_of(store)->claimant);
}

struct cg_store *cg_memory_close(struct cg_store *store)
{
    if (store == NULL)
        return NULL;
    struct handle *handle = handle_of(store);
    CG_ASSERT(handle->depth == 0 && handle->retired == NULL);
    cg_memory_claimant_destroy(handle->claimant);
    cg_bans_unref(handle->bans);
    free(handle);
    return NULL;
}
