/*
 * memory_parts: what memory.c, memory_entries.c and memory_versions.c share. Private to them.
 *
 * Locks: an entry shard's, a version shard's and the ban lock. A version shard's may be held while
 * an entry shard's is taken (to make room), never the other way round; the ban lock is taken alone.
 */
#ifndef GATEWAY_STORE_MEMORY_PARTS_H
#define GATEWAY_STORE_MEMORY_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/store/memory.h"
#include "gateway/store/memory_claims.h"
#include "gateway/store/memory_table.h"

enum {
    CG_MEMORY_SHARDS = 64,
    CG_MEMORY_SHARD_SHIFT = 58, /* the top 6 bits of a hash */
    CG_MEMORY_LINE = 64,        /* a cache line: neighbours must not slow each other */
    CG_MEMORY_BLOCK = 16,       /* what the allocator adds to a block, about */
    CG_MEMORY_BUCKETS = 16,     /* a slot's share of the buckets */
};

struct cg_memory_shard {
    _Alignas(CG_MEMORY_LINE) pthread_mutex_t lock;
    struct cg_table table; /* under the lock, with all in it */
    size_t bytes;          /* of a version shard */
};

struct cg_memory {
    size_t bytes_max;
    size_t entry_bytes_max; /* of one entry: none may empty the store */
    size_t version_shard_bytes_max;
    uint64_t ban_horizon_ms;
    uint64_t generation;        /* the first half of every token */
    _Atomic uint64_t ban_stamp; /* grows with each new snapshot */

    _Alignas(CG_MEMORY_LINE) _Atomic uint64_t token_counter; /* the second half */
    _Alignas(CG_MEMORY_LINE) _Atomic size_t bytes_used;
    _Atomic uint64_t entries;
    _Atomic uint64_t entry_bytes;
    _Atomic uint64_t versions;
    _Atomic uint64_t evictions;
    _Atomic size_t next_shard; /* where the next eviction looks */

    _Alignas(CG_MEMORY_LINE) pthread_mutex_t ban_lock;
    struct cg_bans *bans; /* one reference; replaced under the lock */

    struct cg_memory_claims *claims; /* owned */

    struct cg_memory_shard entry_shards[CG_MEMORY_SHARDS];
    struct cg_memory_shard version_shards[CG_MEMORY_SHARDS];
};

static inline struct cg_memory_shard *cg_memory_shard_of(struct cg_memory_shard *shards,
                                                         const uint8_t id[CG_DIGEST_BYTES])
{
    return &shards[cg_table_hash(id) >> CG_MEMORY_SHARD_SHIFT];
}

/* ---- room ---- */

/* Takes bytes out of the bound, evicting entries; false when there is nothing left to evict. */
bool cg_memory_reserve(struct cg_memory *memory, size_t bytes, int64_t now_ms);
void cg_memory_give_back(struct cg_memory *memory, size_t bytes);

/* ---- entries ---- */

/* With a reference for the caller, or NULL. */
struct cg_blob *cg_memory_entry_find(struct cg_memory *memory, const struct cg_key *key,
                                     int64_t now_ms);
enum cg_store_result cg_memory_entry_fill(struct cg_memory *memory, const struct cg_key *key,
                                          struct cg_blob *blob, uint64_t lifetime_ms,
                                          int64_t now_ms);
void cg_memory_entries_clear(struct cg_memory *memory);

/* ---- versions, one instance at a time ---- */

void cg_memory_version_read(struct cg_memory *memory, const struct cg_instance *instance,
                            int64_t now_ms, struct cg_version *ret_version);
void cg_memory_version_prepare(struct cg_memory *memory, const struct cg_instance *instance,
                               int64_t now_ms, struct cg_version *ret_version);
void cg_memory_version_purge(struct cg_memory *memory, const struct cg_instance *instance,
                             int64_t now_ms);
void cg_memory_version_mark(struct cg_memory *memory, const struct cg_instance *instance,
                            const struct cg_writer *writer, int64_t deadline_ms, int64_t now_ms);
void cg_memory_version_release(struct cg_memory *memory, const struct cg_instance *instance,
                               const struct cg_writer *writer, bool renew, int64_t now_ms);
void cg_memory_versions_clear(struct cg_memory *memory);

#endif
