#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"
#include "gateway/store/memory_parts.h"

struct entry_slot {
    struct cg_slot slot;
    struct cg_blob *blob; /* one reference */
    int64_t expires_at_ms;
};

static struct entry_slot *entry_of(struct cg_slot *slot)
{
    return (struct entry_slot *)slot;
}

/* What keeping the blob costs, with its slot and what the allocator adds to both. */
static size_t cost_of(const struct cg_blob *blob)
{
    return sizeof(struct entry_slot) + CG_MEMORY_BUCKETS + sizeof(*blob) + blob->length +
           2 * (size_t)CG_MEMORY_BLOCK;
}

/* ---- room ---- */

void cg_memory_give_back(struct cg_memory *memory, size_t bytes)
{
    size_t before = atomic_fetch_sub(&memory->bytes_used, bytes);
    CG_ASSERT(before >= bytes);
}

/* Takes a slot's entry out, under the lock; the caller drops it afterwards, without. */
static struct cg_blob *detach(struct cg_memory *memory, struct cg_memory_shard *shard,
                              struct cg_slot *slot)
{
    struct cg_blob *blob = entry_of(slot)->blob;
    cg_table_remove(&shard->table, slot);
    free(slot);
    atomic_fetch_sub(&memory->entries, 1);
    atomic_fetch_sub(&memory->entry_bytes, cost_of(blob));
    return blob;
}

static void drop(struct cg_memory *memory, struct cg_blob *blob)
{
    cg_memory_give_back(memory, cost_of(blob));
    cg_blob_unref(blob);
}

static bool evict_from(struct cg_memory *memory, struct cg_memory_shard *shard, int64_t now_ms)
{
    struct cg_blob *blob = NULL;
    CG_ASSERT(pthread_mutex_lock(&shard->lock) == 0);
    struct cg_slot *victim = cg_table_victim(&shard->table, NULL, NULL);
    if (victim != NULL) {
        /* What was over anyway is no loss, and not counted as one. */
        if (entry_of(victim)->expires_at_ms > now_ms)
            atomic_fetch_add(&memory->evictions, 1);
        blob = detach(memory, shard, victim);
    }
    CG_ASSERT(pthread_mutex_unlock(&shard->lock) == 0);
    if (blob == NULL)
        return false;
    drop(memory, blob);
    return true;
}

/* Shards take turns, so that all of them together behave about as one large SIEVE. */
static bool evict_one(struct cg_memory *memory, int64_t now_ms)
{
    size_t first = atomic_fetch_add(&memory->next_shard, 1);
    for (size_t i = 0; i < CG_MEMORY_SHARDS; i++)
        if (evict_from(memory, &memory->entry_shards[(first + i) % CG_MEMORY_SHARDS], now_ms))
            return true;
    return false;
}

bool cg_memory_reserve(struct cg_memory *memory, size_t bytes, int64_t now_ms)
{
    if (bytes > memory->bytes_max)
        return false;
    size_t used = atomic_load(&memory->bytes_used);
    for (;;) {
        if (used <= memory->bytes_max - bytes) {
            if (atomic_compare_exchange_weak(&memory->bytes_used, &used, used + bytes))
                return true;
        } else {
            if (!evict_one(memory, now_ms))
                return false;
            used = atomic_load(&memory->bytes_used);
        }
    }
}

/* ---- entries ---- */

struct cg_blob *cg_memory_entry_find(struct cg_memory *memory, const struct cg_key *key,
                                     int64_t now_ms)
{
    struct cg_memory_shard *shard = cg_memory_shard_of(memory->entry_shards, key->id);
    struct cg_blob *found = NULL, *expired = NULL;
    CG_ASSERT(pthread_mutex_lock(&shard->lock) == 0);
    struct cg_slot *slot = cg_table_find(&shard->table, key->id);
    if (slot != NULL && entry_of(slot)->expires_at_ms > now_ms)
        found = cg_blob_ref(entry_of(slot)->blob);
    else if (slot != NULL)
        expired = detach(memory, shard, slot);
    CG_ASSERT(pthread_mutex_unlock(&shard->lock) == 0);
    if (expired != NULL)
        drop(memory, expired);
    return found;
}

static int64_t add_saturating(int64_t now_ms, uint64_t lifetime_ms)
{
    if (lifetime_ms > INT64_MAX || now_ms > INT64_MAX - (int64_t)lifetime_ms)
        return INT64_MAX;
    return now_ms + (int64_t)lifetime_ms;
}

enum cg_store_result cg_memory_entry_fill(struct cg_memory *memory, const struct cg_key *key,
                                          struct cg_blob *blob, uint64_t lifetime_ms,
                                          int64_t now_ms)
{
    size_t cost = cost_of(blob);
    if (cost > memory->entry_bytes_max || !cg_memory_reserve(memory, cost, now_ms))
        return CG_STORE_FULL;
    struct entry_slot *fresh = calloc(1, sizeof(*fresh));
    CG_ASSERT(fresh != NULL);
    memcpy(fresh->slot.id, key->id, CG_DIGEST_BYTES);
    struct cg_memory_shard *shard = cg_memory_shard_of(memory->entry_shards, key->id);
    struct cg_blob *replaced = NULL;
    CG_ASSERT(pthread_mutex_lock(&shard->lock) == 0);
    struct cg_slot *slot = cg_table_find(&shard->table, key->id);
    if (slot == NULL) {
        slot = &fresh->slot;
        fresh = NULL;
        cg_table_add(&shard->table, slot);
        atomic_fetch_add(&memory->entries, 1);
    } else {
        replaced = entry_of(slot)->blob;
        atomic_fetch_sub(&memory->entry_bytes, cost_of(replaced));
    }
    entry_of(slot)->blob = cg_blob_ref(blob);
    entry_of(slot)->expires_at_ms = add_saturating(now_ms, lifetime_ms);
    atomic_fetch_add(&memory->entry_bytes, cost);
    CG_ASSERT(pthread_mutex_unlock(&shard->lock) == 0);
    free(fresh);
    if (replaced != NULL)
        drop(memory, replaced);
    return CG_STORE_OK;
}

void cg_memory_entries_clear(struct cg_memory *memory)
{
    for (size_t i = 0; i < CG_MEMORY_SHARDS; i++) {
        struct cg_memory_shard *shard = &memory->entry_shards[i];
        CG_ASSERT(pthread_mutex_lock(&shard->lock) == 0);
        while (shard->table.oldest != NULL)
            drop(memory, detach(memory, shard, shard->table.oldest));
        CG_ASSERT(pthread_mutex_unlock(&shard->lock) == 0);
    }
}
