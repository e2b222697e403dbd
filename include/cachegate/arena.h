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

struct cg_arena_block;
struct cg_arena {
    struct cg_arena_block *blocks; /* owned but for `lent`, newest first */
    struct cg_arena_block *lent;   /* the first one, where it is the caller's; else NULL */
    size_t used;                   /* bytes handed out */
    size_t ceiling;
};

void cg_arena_init(struct cg_arena *arena, size_t ceiling);
/* The same, with a first block that the caller lends until cg_arena_fini: of `length` bytes,
 * aligned to 16. What fits there costs no allocation. */
void cg_arena_init_with(struct cg_arena *arena, size_t ceiling, void *block, size_t length);
void cg_arena_fini(struct cg_arena *arena);

void *cg_arena_alloc(struct cg_arena *arena, size_t size);
#define CG_ARENA_NEW(arena, type) ((type *)cg_arena_alloc((arena), sizeof(type)))
#define CG_ARENA_ARRAY(arena, type, count)                                                         \
    ((type *)cg_arena_alloc((arena), sizeof(type) * (size_t)(count)))

/* A copy of the bytes, followed by a NUL that the length does not count. */
struct cg_str cg_arena_copy(struct cg_arena *arena, struct cg_str s);
/* The formatted text, NUL-terminated as above. */
struct cg_str cg_arena_printf(struct cg_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
