#include "gateway/store/memory_table.h"

#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"

enum { BUCKETS_MIN = 16 };

uint64_t cg_table_hash(const uint8_t id[CG_DIGEST_BYTES])
{
    uint64_t halves[2];
    memcpy(halves, id, sizeof(halves));
    uint64_t hash = (halves[0] ^ (halves[1] << 31 | halves[1] >> 33)) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static struct cg_slot **bucket_of(const struct cg_table *table, const uint8_t id[CG_DIGEST_BYTES])
{
    return &table->buckets[cg_table_hash(id) & (table->bucket_count - 1)];
}

void cg_table_fini(struct cg_table *table)
{
    CG_ASSERT(table->count == 0);
    free(table->buckets);
    *table = (struct cg_table){0};
}

struct cg_slot *cg_table_find(struct cg_table *table, const uint8_t id[CG_DIGEST_BYTES])
{
    if (table->bucket_count == 0)
        return NULL;
    for (struct cg_slot *slot = *bucket_of(table, id); slot != NULL; slot = slot->chain) {
        if (memcmp(slot->id, id, CG_DIGEST_BYTES) == 0) {
            slot->found_again = true;
            return slot;
        }
    }
    return NULL;
}

static void grow(struct cg_table *table)
{
    size_t bucket_count = table->bucket_count == 0 ? BUCKETS_MIN : table->bucket_count * 2;
    free(table->buckets);
    table->buckets = calloc(bucket_count, sizeof(*table->buckets));
    CG_ASSERT(table->buckets != NULL);
    table->bucket_count = bucket_count;
    for (struct cg_slot *slot = table->oldest; slot != NULL; slot = slot->newer) {
        struct cg_slot **bucket = bucket_of(table, slot->id);
        slot->chain = *bucket;
        *bucket = slot;
    }
}

void cg_table_add(struct cg_table *table, struct cg_slot *slot)
{
    if (table->count == table->bucket_count)
        grow(table);
    struct cg_slot **bucket = bucket_of(table, slot->id);
    slot->chain = *bucket;
    *bucket = slot;
    slot->found_again = false;
    slot->newer = NULL;
    slot->older = table->newest;
    if (table->newest != NULL)
        table->newest->newer = slot;
    else
        table->oldest = slot;
    table->newest = slot;
    table->count++;
}

void cg_table_remove(struct cg_table *table, struct cg_slot *slot)
{
    struct cg_slot **link = bucket_of(table, slot->id);
    while (*link != slot) {
        CG_ASSERT(*link != NULL);
        link = &(*link)->chain;
    }
    *link = slot->chain;
    if (table->hand == slot)
        table->hand = slot->newer;
    if (slot->newer != NULL)
        slot->newer->older = slot->older;
    else
        table->newest = slot->older;
    if (slot->older != NULL)
        slot->older->newer = slot->newer;
    else
        table->oldest = slot->newer;
    table->count--;
}

struct cg_slot *cg_table_victim(struct cg_table *table,
                                bool (*spared)(const struct cg_slot *slot, void *owner),
                                void *owner)
{
    /* One round clears the flags, the second finds somebody, unless all are spared. */
    for (size_t steps = 2 * table->count; steps > 0; steps--) {
        struct cg_slot *slot = table->hand != NULL ? table->hand : table->oldest;
        table->hand = slot->newer;
        if (slot->found_again) {
            slot->found_again = false;
            continue;
        }
        if (spared == NULL || !spared(slot, owner))
            return slot;
    }
    return NULL;
}
