/*
 * arena: memory that dies together.
 *
 * Everything one request (or one compilation) derives from its bytes is taken from an arena and
 * never freed one by one. Memory is 16-byte aligned and zeroed. Past the ceiling, or out of memory,
 * the program aborts: callers check sizes that come from outside against their own limit first.
 */
#ifndef CACHEGATE_ARENA_H
#define CACHEGATE_ARENA_H

#include "cachegate/str.h"

enum { CG_ARENA_ALIGNMENT = 16 };

struct cg_arena_block;
struct cg_arena {
    struct cg_arena_block *blocks; /* owned but for `lent`, newest first */
    struct cg_arena_block *lent;   /* the first one, where it is the caller's; else NULL */
    char *next;                    /* free, in the newest block */
    size_t left;                   /* … so many bytes */
    size_t used;                   /* bytes handed out */
    size_t ceiling;
};

void cg_arena_init(struct cg_arena *arena, size_t ceiling);
/* The same, with a first block that the caller lends until cg_arena_fini: of `length` bytes,
 * aligned to 16. What fits there costs no allocation. */
void cg_arena_init_with(struct cg_arena *arena, size_t ceiling, void *block, size_t length);
void cg_arena_fini(struct cg_arena *arena);

/* With a new block, or an abort at the ceiling: for cg_arena_raw alone. */
void *cg_arena_raw_slow(struct cg_arena *arena, size_t size);

/* Not zeroed: for bytes that are written before anybody reads them. */
static inline void *cg_arena_raw(struct cg_arena *arena, size_t size)
{
    if (size == 0)
        size = 1; /* distinct addresses, never NULL */
    /* `left` is a multiple of the alignment, so what fits fits rounded up too. */
    if (size > arena->left || size > arena->ceiling - arena->used)
        return cg_arena_raw_slow(arena, size);
    size_t rounded = (size + CG_ARENA_ALIGNMENT - 1) / CG_ARENA_ALIGNMENT * CG_ARENA_ALIGNMENT;
    void *bytes = arena->next;
    arena->next += rounded;
    arena->left -= rounded;
    arena->used += size;
    return bytes;
}

static inline void *cg_arena_alloc(struct cg_arena *arena, size_t size)
{
    return memset(cg_arena_raw(arena, size), 0, size);
}
#define CG_ARENA_NEW(arena, type) ((type *)cg_arena_alloc((arena), sizeof(type)))
#define CG_ARENA_ARRAY(arena, type, count)                                                         \
    ((type *)cg_arena_alloc((arena), sizeof(type) * (size_t)(count)))
#define CG_ARENA_RAW_ARRAY(arena, type, count)                                                     \
    ((type *)cg_arena_raw((arena), sizeof(type) * (size_t)(count)))

/* A copy of the bytes, followed by a NUL that the length does not count. */
struct cg_str cg_arena_copy(struct cg_arena *arena, struct cg_str s);
/* The formatted text, NUL-terminated as above. */
struct cg_str cg_arena_printf(struct cg_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
