/*
 * recycle: blocks of one size that are used again instead of being freed.
 *
 * For what each request needs: malloc gives blocks over a kilobyte back to its common heap, and
 * takes them out of there again, at many times the price. The block given back last is taken first,
 * while it is still in the processor's cache. A block has the bytes of its last use. Belongs to one
 * thread. Under the address sanitizer nothing is kept, so that use after the end is seen.
 */
#ifndef GATEWAY_BASE_RECYCLE_H
#define GATEWAY_BASE_RECYCLE_H

#include <stddef.h>

struct cg_recycler {
    void *first; /* owned: a list, linked through the blocks' first words */
    size_t count;
    size_t count_max;
    size_t block_bytes;
};

/* `block_bytes`: of each block, at least a pointer's. Keeps at most `count_max` of them. */
void cg_recycler_init(struct cg_recycler *recycler, size_t block_bytes, size_t count_max);
/* Frees what is kept; blocks that were taken must have been given back. */
void cg_recycler_fini(struct cg_recycler *recycler);
/* Aligned as malloc does. Never NULL. */
void *cg_recycler_take(struct cg_recycler *recycler);
void cg_recycler_give(struct cg_recycler *recycler, void *block);

#endif
