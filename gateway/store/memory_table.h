/*
 * memory_table: a hash table by 128-bit id that knows what to evict (SIEVE).
 *
 * Intrusive: a slot is the first member of what is kept, and belongs to the caller. Chained, grown
 * by doubling. Not thread-safe: each shard has one under its mutex. SIEVE keeps slots in the order
 * of their arrival; a hand walks from the oldest to the newest, spares what was found again since
 * it last came by, and takes the first that was not. A scan of things used once cannot push out
 * what is in use, and a hit writes one flag and no list.
 */
#ifndef GATEWAY_STORE_MEMORY_TABLE_H
#define GATEWAY_STORE_MEMORY_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cachegate/version.h"

struct cg_slot {
    struct cg_slot *chain; /* next in the bucket */
    struct cg_slot *newer;
    struct cg_slot *older;
    uint8_t id[CG_DIGEST_BYTES];
    bool found_again;
};

struct cg_table {
    struct cg_slot **buckets; /* owned; NULL while it is empty from the start */
    size_t bucket_count;      /* a power of two, or 0 */
    size_t count;
    struct cg_slot *newest;
    struct cg_slot *oldest;
    struct cg_slot *hand; /* where the next search for a victim begins; NULL: at the oldest */
};

/* Takes a zeroed table; every slot must have been removed. */
void cg_table_fini(struct cg_table *table);

/* Also notes the use. NULL when there is none. */
struct cg_slot *cg_table_find(struct cg_table *table, const uint8_t id[CG_DIGEST_BYTES]);
/* `slot` has its id, which must not be in the table. */
void cg_table_add(struct cg_table *table, struct cg_slot *slot);
void cg_table_remove(struct cg_table *table, struct cg_slot *slot);
/* What to evict next, still in the table; NULL when all is spared. `spared` may be NULL. */
struct cg_slot *cg_table_victim(struct cg_table *table,
                                bool (*spared)(const struct cg_slot *slot, void *owner),
                                void *owner);

/* Evenly spread over 64 bits. Shards take the high bits, buckets the low ones. */
uint64_t cg_table_hash(const uint8_t id[CG_DIGEST_BYTES]);

#endif
