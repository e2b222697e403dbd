#include "gateway/base/recycle.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define KEEPS_NOTHING 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(KEEPS_NOTHING)
static const size_t kept_at_most = 0;
#else
static const size_t kept_at_most = SIZE_MAX;
#endif

void cg_recycler_init(struct cg_recycler *recycler, size_t block_bytes, size_t count_max)
{
    CG_ASSERT(block_bytes >= sizeof(void *));
    *recycler = (struct cg_recycler){
        .block_bytes = block_bytes,
        .count_max = count_max < kept_at_most ? count_max : kept_at_most,
    };
}

void cg_recycler_fini(struct cg_recycler *recycler)
{
    while (recycler->first != NULL) {
        void *block = recycler->first;
        memcpy(&recycler->first, block, sizeof(void *));
        free(block);
    }
    recycler->count = 0;
}

void *cg_recycler_take(struct cg_recycler *recycler)
{
    void *block = recycler->first;
    if (block == NULL) {
        block = malloc(recycler->block_bytes);
        CG_ASSERT(block != NULL);
        return block;
    }
    memcpy(&recycler->first, block, sizeof(void *));
    recycler->count--;
    return block;
}

void cg_recycler_give(struct cg_recycler *recycler, void *block)
{
    if (recycler->count == recycler->count_max) {
        free(block);
        return;
    }
    memcpy(block, &recycler->first, sizeof(void *));
    recycler->first = block;
    recycler->count++;
}
