#include "cachegate/arena.h"
#include "cachegate/assert.h"

#include <criterion/criterion.h>
#include <signal.h>

Test(arena, memory_is_aligned_zeroed_and_apart)
{
    struct cg_arena arena;
    cg_arena_init(&arena, 1 << 24);
    unsigned char *last = NULL;
    for (size_t size = 0; size < 3000; size += 7) {
        unsigned char *bytes = cg_arena_alloc(&arena, size);
        cr_assert_eq((uintptr_t)bytes % 16, 0);
        cr_assert_neq(bytes, last);
        for (size_t i = 0; i < size; i++)
            cr_assert_eq(bytes[i], 0);
        memset(bytes, 0xaa, size);
        last = bytes;
    }
    unsigned char *large = cg_arena_alloc(&arena, 5 << 20);
    memset(large, 1, 5 << 20);
    cg_arena_fini(&arena);
    cr_expect_null(arena.blocks);
    cr_expect_eq(arena.used, 0);
    cg_arena_fini(&arena);
}

Test(arena, copies_and_texts_end_with_a_nul)
{
    struct cg_arena arena;
    cg_arena_init(&arena, 10000);
    struct cg_str copy = cg_arena_copy(&arena, CG_STR("a\0b"));
    cr_expect(cg_str_eq(copy, CG_STR("a\0b")));
    cr_expect_eq(copy.bytes[3], '\0');
    copy = cg_arena_copy(&arena, (struct cg_str){NULL, 0});
    cr_expect_eq(copy.length, 0);
    cr_expect_str_eq(copy.bytes, "");
    struct cg_str text = cg_arena_printf(&arena, "%s/%05d", "x", 42);
    cr_expect_str_eq(text.bytes, "x/00042");
    cr_expect_eq(text.length, 7);
    cg_arena_fini(&arena);
}

Test(arena, ceiling_itself_may_be_used)
{
    struct cg_arena arena;
    cg_arena_init(&arena, 100);
    (void)cg_arena_alloc(&arena, 60);
    (void)cg_arena_alloc(&arena, 40);
    cr_expect_eq(arena.used, 100);
    cg_arena_fini(&arena);
}

Test(arena, past_the_ceiling_the_program_aborts, .signal = SIGABRT)
{
    struct cg_arena arena;
    cg_arena_init(&arena, 100);
    (void)cg_arena_alloc(&arena, 60);
    (void)cg_arena_alloc(&arena, 41);
}

Test(assert, failed_assertion_aborts, .signal = SIGABRT)
{
    CG_ASSERT(1 + 1 == 3);
}

Test(assert, held_assertion_does_nothing)
{
    CG_ASSERT(1 + 1 == 2);
}

Test(arena, a_lent_block_is_used_first_and_not_freed)
{
    _Alignas(16) unsigned char block[256];
    struct cg_arena arena;
    memset(block, 0xaa, sizeof block);
    cg_arena_init_with(&arena, 1 << 20, block, sizeof block);
    unsigned char *small = cg_arena_alloc(&arena, 100);
    cr_expect(small > block && small + 100 <= block + sizeof block);
    for (size_t i = 0; i < 100; i++)
        cr_assert_eq(small[i], 0);
    unsigned char *large = cg_arena_alloc(&arena, 1000);
    cr_expect(large < block || large >= block + sizeof block);
    memset(large, 1, 1000);
    cg_arena_fini(&arena);
    cr_expect_null(arena.blocks);
}
