#include "cachegate/arena.h"

#include "cachegate/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_BLOCK_BYTES = 4096, BLOCK_BYTES_MAX = 1 << 20 };

struct cg_arena_block {
    struct cg_arena_block *next;
    size_t size; /* of `bytes` */
    _Alignas(CG_ARENA_ALIGNMENT) char bytes[];
};

static size_t round_down(size_t size)
{
    return size / CG_ARENA_ALIGNMENT * CG_ARENA_ALIGNMENT;
}

void cg_arena_init(struct cg_arena *arena, size_t ceiling)
{
    *arena = (struct cg_arena){.ceiling = ceiling};
}

void cg_arena_init_with(struct cg_arena *arena, size_t ceiling, void *block, size_t length)
{
    struct cg_arena_block *first = block;
    CG_ASSERT(length >= sizeof *first && (uintptr_t)block % CG_ARENA_ALIGNMENT == 0);
    first->next = NULL;
    first->size = round_down(length - sizeof *first);
    *arena = (struct cg_arena){.blocks = first,
                               .lent = first,
                               .next = first->bytes,
                               .left = first->size,
                               .ceiling = ceiling};
}

void cg_arena_fini(struct cg_arena *arena)
{
    struct cg_arena_block *block = arena->blocks;
    while (block != NULL) {
        struct cg_arena_block *next = block->next;
        if (block != arena->lent)
            free(block);
        block = next;
    }
    *arena = (struct cg_arena){.ceiling = arena->ceiling};
}

/* Blocks double, so that a large arena needs few of them and a small one little memory. */
static void add_block(struct cg_arena *arena, size_t size)
{
    size_t block_size = arena->blocks == NULL ? FIRST_BLOCK_BYTES : arena->blocks->size * 2;
    if (block_size > BLOCK_BYTES_MAX)
        block_size = BLOCK_BYTES_MAX;
    if (block_size < size)
        block_size = size;
    CG_ASSERT(block_size < SIZE_MAX - sizeof(struct cg_arena_block) - CG_ARENA_ALIGNMENT);
    block_size = round_down(block_size + CG_ARENA_ALIGNMENT - 1);
    struct cg_arena_block *block = malloc(sizeof *block + block_size);
    CG_ASSERT(block != NULL);
    block->size = block_size;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->next = block->bytes;
    arena->left = block_size;
}

void *cg_arena_raw_slow(struct cg_arena *arena, size_t size)
{
    CG_ASSERT(arena->used <= arena->ceiling && size <= arena->ceiling - arena->used);
    if (size > arena->left)
        add_block(arena, size);
    return cg_arena_raw(arena, size);
}

struct cg_str cg_arena_copy(struct cg_arena *arena, struct cg_str s)
{
    CG_ASSERT(s.length < SIZE_MAX);
    char *copy = cg_arena_raw(arena, s.length + 1);
    if (s.length > 0)
        memcpy(copy, s.bytes, s.length);
    copy[s.length] = '\0';
    return cg_str_of(copy, s.length);
}

struct cg_str cg_arena_printf(struct cg_arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    CG_ASSERT(length >= 0);
    char *text = cg_arena_alloc(arena, (size_t)length + 1);
    va_start(arguments, format);
    int written = vsnprintf(text, (size_t)length + 1, format, arguments);
    va_end(arguments);
    CG_ASSERT(written == length);
    return cg_str_of(text, (size_t)length);
}
