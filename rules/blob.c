#include "cachegate/blob.h"

#include <limits.h>
#include <stdlib.h>

#include "cachegate/assert.h"

struct cg_blob *cg_blob_alloc(size_t length)
{
    CG_ASSERT(length <= SIZE_MAX - sizeof(struct cg_blob));
    struct cg_blob *blob = malloc(sizeof(*blob) + length);
    CG_ASSERT(blob != NULL);
    atomic_init(&blob->references, 1);
    blob->length = length;
    return blob;
}

struct cg_blob *cg_blob_create(struct cg_str bytes)
{
    struct cg_blob *blob = cg_blob_alloc(bytes.length);
    if (bytes.length > 0)
        memcpy(blob->bytes, bytes.bytes, bytes.length);
    return blob;
}

struct cg_blob *cg_blob_ref(struct cg_blob *blob)
{
    unsigned before = atomic_fetch_add_explicit(&blob->references, 1, memory_order_relaxed);
    CG_ASSERT(before > 0 && before < UINT_MAX);
    return blob;
}

struct cg_blob *cg_blob_unref(struct cg_blob *blob)
{
    if (blob == NULL)
        return NULL;
    /* Whoever frees must have seen every other holder's last read. */
    unsigned before = atomic_fetch_sub_explicit(&blob->references, 1, memory_order_acq_rel);
    CG_ASSERT(before > 0);
    if (before == 1)
        free(blob);
    return NULL;
}
