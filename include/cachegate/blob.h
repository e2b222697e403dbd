/*
 * blob: immutable, reference-counted bytes. Stored entries are blobs, so a hit is served from the
 * store's own memory: whoever delivers it holds a reference, on any thread.
 */
#ifndef CACHEGATE_BLOB_H
#define CACHEGATE_BLOB_H

#include <stdatomic.h>

#include "cachegate/str.h"

struct cg_blob {
    atomic_uint references;
    size_t length;
    char bytes[];
};

/* With one reference and bytes that the caller writes before it shares the blob. */
struct cg_blob *cg_blob_alloc(size_t length);
/* A copy of the bytes with one reference. */
struct cg_blob *cg_blob_create(struct cg_str bytes);
struct cg_blob *cg_blob_ref(struct cg_blob *blob);
/* Takes NULL; returns NULL. */
struct cg_blob *cg_blob_unref(struct cg_blob *blob);

/* Whether the caller, who has a reference, has the only one: then the bytes are its own to change,
 * since nobody else can come to hold them. */
static inline bool cg_blob_is_own(struct cg_blob *blob)
{
    return atomic_load_explicit(&blob->references, memory_order_acquire) == 1;
}

static inline struct cg_str cg_blob_str(const struct cg_blob *blob)
{
    return (struct cg_str){blob->bytes, blob->length};
}

#endif
