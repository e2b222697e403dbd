#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"
#include "gateway/store/memory_parts.h"

/*
 * A version is a base token and the marks of writers in flight (CONSISTENCY row 6): busy while a
 * mark lives. Every change of the base takes a token that was never used, so an entry stored under
 * an older one can never come back. Absent instances are not created by a purge: absent is as good.
 */
struct mark {
    struct cg_writer writer;
    int64_t deadline_ms; /* it lives before that */
};

struct version_slot {
    struct cg_slot slot;
    struct cg_token base;
    struct mark *marks; /* owned; NULL without marks */
    size_t mark_count;
    size_t mark_capacity;
};

static struct version_slot *version_of(struct cg_slot *slot)
{
    return (struct version_slot *)slot;
}

static struct cg_token new_token(struct cg_memory *memory)
{
    uint64_t halves[2] = {memory->generation, atomic_fetch_add(&memory->token_counter, 1)};
    struct cg_token token;
    _Static_assert(sizeof(token.bytes) == sizeof(halves), "a token is two words");
    memcpy(token.bytes, halves, sizeof(halves));
    return token;
}

/* ---- bytes ---- */

static size_t marks_cost(size_t capacity)
{
    return capacity == 0 ? 0 : capacity * sizeof(struct mark) + CG_MEMORY_BLOCK;
}

static size_t slot_cost(void)
{
    return sizeof(struct version_slot) + CG_MEMORY_BUCKETS + CG_MEMORY_BLOCK;
}

/* Versions are never refused: where every entry is gone already, they exceed the bound. What they
 * take is bounded by their own share and by the writes in flight. */
static void take(struct cg_memory *memory, struct cg_memory_shard *shard, size_t bytes,
                 int64_t now_ms)
{
    if (!cg_memory_reserve(memory, bytes, now_ms))
        atomic_fetch_add(&memory->bytes_used, bytes);
    shard->bytes += bytes;
}

static void give_back(struct cg_memory *memory, struct cg_memory_shard *shard, size_t bytes)
{
    CG_ASSERT(shard->bytes >= bytes);
    shard->bytes -= bytes;
    cg_memory_give_back(memory, bytes);
}

static void drop_marks(struct cg_memory *memory, struct cg_memory_shard *shard,
                       struct version_slot *version)
{
    give_back(memory, shard, marks_cost(version->mark_capacity));
    free(version->marks);
    version->marks = NULL;
    version->mark_count = 0;
    version->mark_capacity = 0;
}

static void drop_version(struct cg_memory *memory, struct cg_memory_shard *shard,
                         struct version_slot *version)
{
    cg_table_remove(&shard->table, &version->slot);
    drop_marks(memory, shard, version);
    free(version);
    give_back(memory, shard, slot_cost());
    atomic_fetch_sub(&memory->versions, 1);
}

/* ---- under the shard's lock ---- */

static bool has_live_mark(const struct cg_slot *slot, void *owner)
{
    const struct version_slot *version = (const struct version_slot *)slot;
    const int64_t *now_ms = owner;
    for (size_t i = 0; i < version->mark_count; i++)
        if (version->marks[i].deadline_ms > *now_ms)
            return true;
    return false;
}

static struct version_slot *create(struct cg_memory *memory, struct cg_memory_shard *shard,
                                   const struct cg_instance *instance, int64_t now_ms)
{
    while (shard->bytes + slot_cost() > memory->version_shard_bytes_max) {
        struct cg_slot *victim = cg_table_victim(&shard->table, has_live_mark, &now_ms);
        if (victim == NULL)
            break;
        drop_version(memory, shard, version_of(victim));
    }
    take(memory, shard, slot_cost(), now_ms);
    struct version_slot *version = calloc(1, sizeof(*version));
    CG_ASSERT(version != NULL);
    memcpy(version->slot.id, instance->id, CG_DIGEST_BYTES);
    version->base = new_token(memory);
    cg_table_add(&shard->table, &version->slot);
    atomic_fetch_add(&memory->versions, 1);
    return version;
}

static void remove_mark(struct cg_memory *memory, struct cg_memory_shard *shard,
                        struct version_slot *version, size_t index)
{
    version->marks[index] = version->marks[--version->mark_count];
    if (version->mark_count == 0)
        drop_marks(memory, shard, version);
}

/* A writer whose mark ran out may have changed anything: its end renews the base. */
static void settle(struct cg_memory *memory, struct cg_memory_shard *shard,
                   struct version_slot *version, int64_t now_ms)
{
    bool expired = false;
    for (size_t i = version->mark_count; i > 0; i--) {
        if (version->marks[i - 1].deadline_ms > now_ms)
            continue;
        remove_mark(memory, shard, version, i - 1);
        expired = true;
    }
    if (expired)
        version->base = new_token(memory);
}

static struct mark *find_mark(struct version_slot *version, const struct cg_writer *writer)
{
    for (size_t i = 0; i < version->mark_count; i++)
        if (memcmp(version->marks[i].writer.id, writer->id, CG_DIGEST_BYTES) == 0)
            return &version->marks[i];
    return NULL;
}

static struct mark *add_mark(struct cg_memory *memory, struct cg_memory_shard *shard,
                             struct version_slot *version, const struct cg_writer *writer,
                             int64_t now_ms)
{
    if (version->mark_count == version->mark_capacity) {
        size_t capacity = version->mark_capacity == 0 ? 2 : version->mark_capacity * 2;
        take(memory, shard, marks_cost(capacity) - marks_cost(version->mark_capacity), now_ms);
        struct mark *marks = realloc(version->marks, capacity * sizeof(*marks));
        CG_ASSERT(marks != NULL);
        version->marks = marks;
        version->mark_capacity = capacity;
    }
    struct mark *mark = &version->marks[version->mark_count++];
    *mark = (struct mark){.writer = *writer, .deadline_ms = INT64_MIN};
    return mark;
}

static struct cg_version state_of(const struct version_slot *version)
{
    if (version == NULL)
        return (struct cg_version){.state = CG_VERSION_ABSENT};
    if (version->mark_count > 0)
        return (struct cg_version){.state = CG_VERSION_BUSY};
    return (struct cg_version){.state = CG_VERSION_CURRENT, .token = version->base};
}

/* ---- the operations ---- */

static struct cg_memory_shard *lock_shard(struct cg_memory *memory,
                                          const struct cg_instance *instance)
{
    struct cg_memory_shard *shard = cg_memory_shard_of(memory->version_shards, instance->id);
    CG_ASSERT(pthread_mutex_lock(&shard->lock) == 0);
    return shard;
}

static void unlock_shard(struct cg_memory_shard *shard)
{
    CG_ASSERT(pthread_mutex_unlock(&shard->lock) == 0);
}

/* NULL when absent; expired marks are gone from what it returns. */
static struct version_slot *find(struct cg_memory *memory, struct cg_memory_shard *shard,
                                 const struct cg_instance *instance, int64_t now_ms)
{
    struct cg_slot *slot = cg_table_find(&shard->table, instance->id);
    if (slot == NULL)
        return NULL;
    settle(memory, shard, version_of(slot), now_ms);
    return version_of(slot);
}

void cg_memory_version_read(struct cg_memory *memory, const struct cg_instance *instance,
                            int64_t now_ms, struct cg_version *ret_version)
{
    struct cg_memory_shard *shard = lock_shard(memory, instance);
    *ret_version = state_of(find(memory, shard, instance, now_ms));
    unlock_shard(shard);
}

void cg_memory_version_prepare(struct cg_memory *memory, const struct cg_instance *instance,
                               int64_t now_ms, struct cg_version *ret_version)
{
    struct cg_memory_shard *shard = lock_shard(memory, instance);
    struct version_slot *version = find(memory, shard, instance, now_ms);
    if (version == NULL)
        version = create(memory, shard, instance, now_ms);
    *ret_version = state_of(version);
    unlock_shard(shard);
}

void cg_memory_version_purge(struct cg_memory *memory, const struct cg_instance *instance,
                             int64_t now_ms)
{
    struct cg_memory_shard *shard = lock_shard(memory, instance);
    struct version_slot *version = find(memory, shard, instance, now_ms);
    if (version != NULL)
        version->base = new_token(memory);
    unlock_shard(shard);
}

void cg_memory_version_mark(struct cg_memory *memory, const struct cg_instance *instance,
                            const struct cg_writer *writer, int64_t deadline_ms, int64_t now_ms)
{
    struct cg_memory_shard *shard = lock_shard(memory, instance);
    struct version_slot *version = find(memory, shard, instance, now_ms);
    if (version == NULL)
        version = create(memory, shard, instance, now_ms);
    struct mark *mark = find_mark(version, writer);
    if (mark == NULL)
        mark = add_mark(memory, shard, version, writer, now_ms);
    /* A late retry of an earlier mark must not cut it short. */
    if (deadline_ms > mark->deadline_ms)
        mark->deadline_ms = deadline_ms;
    unlock_shard(shard);
}

void cg_memory_version_release(struct cg_memory *memory, const struct cg_instance *instance,
                               const struct cg_writer *writer, bool renew, int64_t now_ms)
{
    struct cg_memory_shard *shard = lock_shard(memory, instance);
    struct version_slot *version = find(memory, shard, instance, now_ms);
    struct mark *mark = version == NULL ? NULL : find_mark(version, writer);
    if (mark != NULL)
        remove_mark(memory, shard, version, (size_t)(mark - version->marks));
    if (version != NULL && renew)
        version->base = new_token(memory);
    unlock_shard(shard);
}

void cg_memory_versions_clear(struct cg_memory *memory)
{
    for (size_t i = 0; i < CG_MEMORY_SHARDS; i++) {
        struct cg_memory_shard *shard = &memory->version_shards[i];
        CG_ASSERT(pthread_mutex_lock(&shard->lock) == 0);
        while (shard->table.oldest != NULL)
            drop_version(memory, shard, version_of(shard->table.oldest));
        CG_ASSERT(pthread_mutex_unlock(&shard->lock) == 0);
    }
}
