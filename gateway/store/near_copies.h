/*
 * near_copies: entries of another store, kept in the gateway's own memory. Private to near*.c.
 *
 * A copy is what that store holds, sealed or not, with its clear head (entry.h) taken apart once.
 * It is immutable and reference-counted. The table is shared by all threads, sharded, and bounded
 * in bytes with everything that it keeps; what was not used again goes first (SIEVE). It knows
 * nothing of what is current: a copy that is found may be dead by version. What is past its
 * lifetime is not found, stale windows or not: another gateway may have refreshed it.
 */
#ifndef GATEWAY_STORE_NEAR_COPIES_H
#define GATEWAY_STORE_NEAR_COPIES_H

#include <stdatomic.h>

#include "gateway/store/store.h"

struct cg_near_stamp {
    struct cg_instance instance;
    struct cg_token token;
};

struct cg_near_copy {
    atomic_uint references;
    struct cg_blob *blob; /* one reference */
    /* The store answered with this very entry when its history stood there. */
    struct cg_epoch seen_at;
    int64_t stored_at_ms;
    int64_t fresh_until_ms;
    size_t count;
    struct cg_near_stamp stamps[];
};

struct cg_near_copies;

struct cg_near_copies *cg_near_copies_create(size_t bytes_max);
/* Takes NULL; returns NULL. */
struct cg_near_copies *cg_near_copies_destroy(struct cg_near_copies *copies);

/* With a reference for the caller; NULL when there is none that is fresh. */
struct cg_near_copy *cg_near_copies_find(struct cg_near_copies *copies, const struct cg_key *key,
                                         int64_t now_ms);
/*
 * Takes the caller's reference. NULL, past its lifetime, or larger than a quarter of all: it is not
 * kept, and neither is what it would have replaced. One that was stored later under the same tokens
 * stays: the answer of a slow lookup does not undo a refresh.
 */
void cg_near_copies_put(struct cg_near_copies *copies, const struct cg_key *key,
                        struct cg_near_copy *copy, int64_t now_ms);
/* If it still is this one. */
void cg_near_copies_drop(struct cg_near_copies *copies, const struct cg_key *key,
                         const struct cg_near_copy *copy);
void cg_near_copies_count(struct cg_near_copies *copies, uint64_t *ret_entries,
                          uint64_t *ret_bytes);

/* With one reference, and one to `blob`; NULL when it has no head. `seen_at` NULL: the epoch in the
 * entry. */
struct cg_near_copy *cg_near_copy_create(struct cg_blob *blob, bool sealed,
                                         const struct cg_epoch *seen_at);
/* Stored for these instances, in this order; those behind are watched for something else (the
 * counter of groups), and say nothing about it. */
bool cg_near_copy_is_for(const struct cg_near_copy *copy, const struct cg_instance *instances,
                         size_t count);
/* Takes NULL; returns NULL. */
struct cg_near_copy *cg_near_copy_unref(struct cg_near_copy *copy);

#endif
