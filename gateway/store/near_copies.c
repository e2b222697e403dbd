#include "gateway/store/near_copies.h"

#include <pthread.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "cachegate/seal.h"
#include "gateway/store/memory_table.h"

enum {
    SHARDS = 64,
    SHARD_SHIFT = 58, /* the top 6 bits of a hash */
    LINE = 64,
    SHARE = 4,          /* one copy may take at most that part of the bound */
    SLOT_OVERHEAD = 80, /* buckets, and what the allocator adds to three blocks, about */
};

struct copy_slot {
    struct cg_slot slot;
    struct cg_near_copy *copy; /* one reference */
};

struct shard {
    _Alignas(LINE) pthread_mutex_t lock;
    struct cg_table table; /* under the lock, with all in it */
};

struct cg_near_copies {
    size_t bytes_max;
    _Alignas(LINE) _Atomic size_t bytes_used;
    _Atomic uint64_t entries;
    _Atomic size_t next_shard; /* where the next eviction looks */
    struct shard shards[SHARDS];
};

/* ---- one copy ---- */

static size_t cost_of(const struct cg_near_copy *copy)
{
    return copy->blob->length + sizeof(struct cg_blob) + sizeof(*copy) +
           copy->count * sizeof(copy->stamps[0]) + sizeof(struct copy_slot) + SLOT_OVERHEAD;
}

struct cg_near_copy *cg_near_copy_unref(struct cg_near_copy *copy)
{
    if (copy == NULL || atomic_fetch_sub_explicit(&copy->references, 1, memory_order_acq_rel) > 1)
        return NULL;
    cg_blob_unref(copy->blob);
    free(copy);
    return NULL;
}

bool cg_near_copy_is_for(const struct cg_near_copy *copy, const struct cg_instance *instances,
                         size_t count)
{
    if (copy->count > count)
        return false;
    for (size_t i = 0; i < copy->count; i++)
        if (!cg_instance_eq(&copy->stamps[i].instance, &instances[i]))
            return false;
    return true;
}

/* When its age reaches its lifetime (freshness.h), for a clock that runs on. */
static int64_t fresh_until(const struct cg_entry *entry)
{
    if (entry->initial_age_ms >= entry->lifetime_ms || entry->stored_at_ms < 0)
        return INT64_MIN;
    uint64_t left_ms = entry->lifetime_ms - entry->initial_age_ms;
    if (left_ms > (uint64_t)(INT64_MAX - entry->stored_at_ms))
        return INT64_MAX;
    return entry->stored_at_ms + (int64_t)left_ms;
}

static bool read_head(struct cg_str bytes, bool sealed, struct cg_seal_clear *ret_clear)
{
    if (sealed)
        return cg_seal_inspect(bytes, ret_clear);
    return cg_entry_decode_head(bytes, &ret_clear->entry) > 0;
}

struct cg_near_copy *cg_near_copy_create(struct cg_blob *blob, bool sealed,
                                         const struct cg_epoch *seen_at)
{
    struct cg_seal_clear clear;
    if (!read_head(cg_blob_str(blob), sealed, &clear))
        return NULL;
    const struct cg_entry *entry = &clear.entry;
    struct cg_near_copy *copy =
        malloc(sizeof(*copy) + entry->instance_count * sizeof(copy->stamps[0]));
    CG_ASSERT(copy != NULL);
    atomic_init(&copy->references, 1);
    copy->blob = cg_blob_ref(blob);
    copy->seen_at = seen_at == NULL ? entry->epoch : *seen_at;
    copy->stored_at_ms = entry->stored_at_ms;
    copy->fresh_until_ms = fresh_until(entry);
    copy->count = entry->instance_count;
    for (size_t i = 0; i < copy->count; i++)
        copy->stamps[i] = (struct cg_near_stamp){entry->instances[i], entry->tokens[i]};
    return copy;
}

/* ---- shards ---- */

static struct copy_slot *slot_of(struct cg_slot *slot)
{
    return (struct copy_slot *)slot;
}

static struct shard *lock_shard(struct cg_near_copies *copies, const uint8_t id[CG_DIGEST_BYTES])
{
    struct shard *shard = &copies->shards[cg_table_hash(id) >> SHARD_SHIFT];
    CG_ASSERT(pthread_mutex_lock(&shard->lock) == 0);
    return shard;
}

static void unlock_shard(struct shard *shard)
{
    CG_ASSERT(pthread_mutex_unlock(&shard->lock) == 0);
}

static struct cg_near_copy *detach(struct cg_near_copies *copies, struct shard *shard,
                                   struct cg_slot *slot)
{
    struct cg_near_copy *copy = slot_of(slot)->copy;
    cg_table_remove(&shard->table, slot);
    free(slot_of(slot));
    atomic_fetch_sub(&copies->bytes_used, cost_of(copy));
    atomic_fetch_sub(&copies->entries, 1);
    return copy;
}

/* Shards take turns, so that all of them together behave about as one large SIEVE. */
static bool evict_one(struct cg_near_copies *copies)
{
    size_t first = atomic_fetch_add(&copies->next_shard, 1);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &copies->shards[(first + i) % SHARDS];
        struct cg_near_copy *evicted = NULL;
        CG_ASSERT(pthread_mutex_lock(&shard->lock) == 0);
        struct cg_slot *victim = cg_table_victim(&shard->table, NULL, NULL);
        if (victim != NULL)
            evicted = detach(copies, shard, victim);
        unlock_shard(shard);
        if (evicted != NULL) {
            cg_near_copy_unref(evicted);
            return true;
        }
    }
    return false;
}

static bool reserve(struct cg_near_copies *copies, size_t bytes)
{
    size_t used = atomic_load(&copies->bytes_used);
    for (;;) {
        if (used <= copies->bytes_max - bytes) {
            if (atomic_compare_exchange_weak(&copies->bytes_used, &used, used + bytes))
                return true;
        } else {
            if (!evict_one(copies))
                return false;
            used = atomic_load(&copies->bytes_used);
        }
    }
}

/* ---- the table ---- */

struct cg_near_copies *cg_near_copies_create(size_t bytes_max)
{
    struct cg_near_copies *copies = aligned_alloc(LINE, sizeof(*copies));
    CG_ASSERT(copies != NULL);
    memset(copies, 0, sizeof(*copies));
    copies->bytes_max = bytes_max;
    for (size_t i = 0; i < SHARDS; i++)
        CG_ASSERT(pthread_mutex_init(&copies->shards[i].lock, NULL) == 0);
    return copies;
}

struct cg_near_copies *cg_near_copies_destroy(struct cg_near_copies *copies)
{
    if (copies == NULL)
        return NULL;
    while (evict_one(copies)) {
    }
    CG_ASSERT(atomic_load(&copies->bytes_used) == 0);
    for (size_t i = 0; i < SHARDS; i++) {
        cg_table_fini(&copies->shards[i].table);
        CG_ASSERT(pthread_mutex_destroy(&copies->shards[i].lock) == 0);
    }
    free(copies);
    return NULL;
}

struct cg_near_copy *cg_near_copies_find(struct cg_near_copies *copies, const struct cg_key *key,
                                         int64_t now_ms)
{
    struct cg_near_copy *found = NULL, *expired = NULL;
    struct shard *shard = lock_shard(copies, key->id);
    struct cg_slot *slot = cg_table_find(&shard->table, key->id);
    if (slot != NULL && slot_of(slot)->copy->fresh_until_ms > now_ms) {
        found = slot_of(slot)->copy;
        atomic_fetch_add_explicit(&found->references, 1, memory_order_relaxed);
    } else if (slot != NULL) {
        expired = detach(copies, shard, slot);
    }
    unlock_shard(shard);
    cg_near_copy_unref(expired);
    return found;
}

static bool is_refreshed(const struct cg_near_copy *kept, const struct cg_near_copy *copy)
{
    return kept->stored_at_ms > copy->stored_at_ms && kept->count == copy->count &&
           memcmp(kept->stamps, copy->stamps, copy->count * sizeof(copy->stamps[0])) == 0;
}

static void add(struct cg_near_copies *copies, const struct cg_key *key, struct cg_near_copy *copy)
{
    struct copy_slot *fresh = calloc(1, sizeof(*fresh));
    CG_ASSERT(fresh != NULL);
    memcpy(fresh->slot.id, key->id, CG_DIGEST_BYTES);
    struct cg_near_copy *replaced = NULL;
    struct shard *shard = lock_shard(copies, key->id);
    struct cg_slot *slot = cg_table_find(&shard->table, key->id);
    if (slot == NULL) {
        slot = &fresh->slot;
        fresh = NULL;
        cg_table_add(&shard->table, slot);
        atomic_fetch_add(&copies->entries, 1);
    } else {
        replaced = is_refreshed(slot_of(slot)->copy, copy) ? copy : slot_of(slot)->copy;
        atomic_fetch_sub(&copies->bytes_used, cost_of(replaced));
    }
    if (replaced != copy)
        slot_of(slot)->copy = copy;
    unlock_shard(shard);
    free(fresh);
    cg_near_copy_unref(replaced);
}

static void remove_key(struct cg_near_copies *copies, const struct cg_key *key,
                       const struct cg_near_copy *only)
{
    struct cg_near_copy *removed = NULL;
    struct shard *shard = lock_shard(copies, key->id);
    struct cg_slot *slot = cg_table_find(&shard->table, key->id);
    if (slot != NULL && (only == NULL || slot_of(slot)->copy == only))
        removed = detach(copies, shard, slot);
    unlock_shard(shard);
    cg_near_copy_unref(removed);
}

void cg_near_copies_put(struct cg_near_copies *copies, const struct cg_key *key,
                        struct cg_near_copy *copy, int64_t now_ms)
{
    if (copy != NULL && copy->fresh_until_ms > now_ms &&
        cost_of(copy) <= copies->bytes_max / SHARE && reserve(copies, cost_of(copy))) {
        add(copies, key, copy);
        return;
    }
    cg_near_copy_unref(copy);
    remove_key(copies, key, NULL);
}

void cg_near_copies_drop(struct cg_near_copies *copies, const struct cg_key *key,
                         const struct cg_near_copy *copy)
{
    remove_key(copies, key, copy);
}

void cg_near_copies_count(struct cg_near_copies *copies, uint64_t *ret_entries, uint64_t *ret_bytes)
{
    *ret_entries = atomic_load(&copies->entries);
    *ret_bytes = atomic_load(&copies->bytes_used);
}
