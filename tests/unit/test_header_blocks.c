#include "cachegate/buf.h"
#include "gateway/front/header_blocks.h"

#include <criterion/criterion.h>

enum { DATA = 0, HEADERS = 1, CONTINUATION = 9 };
enum { END_HEADERS = 4, PADDED = 8, WITH_PRIORITY = 0x20 };
enum { LINES_MAX = 20 };

struct world {
    struct cg_header_blocks blocks;
    struct cg_buf block, frames;
};

static void open_world(struct world *world)
{
    cg_header_blocks_init(&world->blocks, LINES_MAX);
    cg_buf_init(&world->block, 1 << 20);
    cg_buf_init(&world->frames, 1 << 20);
}

static void close_world(struct world *world)
{
    cg_buf_fini(&world->block);
    cg_buf_fini(&world->frames);
}

static void add_frame(struct world *world, uint8_t type, uint8_t flags, struct cg_str payload)
{
    cg_buf_add_u8(&world->frames, (uint8_t)(payload.length >> 16));
    cg_buf_add_u8(&world->frames, (uint8_t)(payload.length >> 8));
    cg_buf_add_u8(&world->frames, (uint8_t)payload.length);
    cg_buf_add_u8(&world->frames, type);
    cg_buf_add_u8(&world->frames, flags);
    cg_buf_add(&world->frames, "\0\0\0\1", 4);
    cg_buf_add_str(&world->frames, payload);
}

/* Ends the block in one frame and walks it. */
static void walk_block(struct world *world)
{
    add_frame(world, HEADERS, END_HEADERS, cg_buf_str(&world->block));
    cr_expect_eq(cg_header_blocks_walk(&world->blocks, cg_buf_str(&world->frames)),
                 world->frames.length);
    cg_buf_clear(&world->block);
    cg_buf_clear(&world->frames);
}

static void add_reference(struct world *world, unsigned index)
{
    cg_buf_add_u8(&world->block, (uint8_t)(0x80 | index));
}

static void add_line(struct world *world, uint8_t form, const char *name, const char *value)
{
    cg_buf_add_u8(&world->block, form);
    cg_buf_add_u8(&world->block, (uint8_t)strlen(name));
    cg_buf_add_text(&world->block, name);
    cg_buf_add_u8(&world->block, (uint8_t)strlen(value));
    cg_buf_add_text(&world->block, value);
}

Test(header_blocks, every_representation_is_one_line)
{
    struct world world;
    open_world(&world);
    cg_buf_add_u8(&world.block, 0x3f); /* a table size of 4096 is none */
    cg_buf_add(&world.block, "\xe1\x1f", 2);
    add_reference(&world, 2);
    add_line(&world, 0x40, "name", "value");
    add_line(&world, 0x00, "name", "");
    add_line(&world, 0x10, "secret", "value");
    cg_buf_add(&world.block, "\x04\x02/a", 4);           /* name by index, not inserted */
    cg_buf_add(&world.block, "\x0f\x2f\x01x", 4);        /* the same, index in two bytes */
    cg_buf_add(&world.block, "\x41\x83\x9c\x50\x7f", 5); /* Huffman coded */
    cg_buf_add(&world.block, "\x01\x7f\xad\x01", 4);     /* a value of 300 bytes */
    for (int i = 0; i < 300; i++)
        cg_buf_add_char(&world.block, '\x82');
    walk_block(&world);
    cr_expect_eq(world.blocks.lines, 8);
    cr_expect_not(world.blocks.over);
    close_world(&world);
}

Test(header_blocks, a_block_is_the_same_in_any_number_of_frames)
{
    for (size_t cut = 0; cut < 40; cut++) {
        struct world world;
        open_world(&world);
        add_line(&world, 0x40, "a-longer-name", "and-a-longer-value");
        add_reference(&world, 62);
        cg_buf_add(&world.block, "\x0f\x2f\x03xyz", 6);
        struct cg_str block = cg_buf_str(&world.block);
        add_frame(&world, HEADERS, 0, cg_str_sub(block, 0, cut));
        add_frame(&world, CONTINUATION, 0, CG_STR(""));
        add_frame(&world, CONTINUATION, END_HEADERS, cg_str_skip(block, cut));
        cg_header_blocks_walk(&world.blocks, cg_buf_str(&world.frames));
        cr_expect_eq(world.blocks.lines, 3, "cut at %zu: %u lines", cut, world.blocks.lines);
        cr_expect_not(world.blocks.open || world.blocks.over, "cut at %zu", cut);
        close_world(&world);
    }
}

Test(header_blocks, padding_and_priority_are_not_part_of_a_block)
{
    struct world world;
    open_world(&world);
    add_frame(&world, HEADERS, END_HEADERS | PADDED | WITH_PRIORITY,
              cg_str_of("\x03"
                        "\0\0\0\0\x10"
                        "\x82\x84"
                        "\0\0\0",
                        11));
    cg_header_blocks_walk(&world.blocks, cg_buf_str(&world.frames));
    cr_expect_eq(world.blocks.lines, 2);
    close_world(&world);
}

Test(header_blocks, more_lines_than_allowed_are_over)
{
    struct world world;
    open_world(&world);
    for (int i = 0; i < LINES_MAX; i++)
        add_reference(&world, 2);
    walk_block(&world);
    cr_expect_not(world.blocks.over, "references to the static table may repeat");
    for (int i = 0; i < LINES_MAX + 1; i++)
        add_line(&world, 0x00, "", "");
    add_frame(&world, HEADERS, END_HEADERS, cg_buf_str(&world.block));
    cg_header_blocks_walk(&world.blocks, cg_buf_str(&world.frames));
    cr_expect(world.blocks.over);
    close_world(&world);
}

Test(header_blocks, one_entry_may_be_referenced_a_few_times_in_each_block)
{
    struct world world;
    open_world(&world);
    add_line(&world, 0x40, "large", "value");
    for (int block = 0; block < 3; block++) {
        for (int i = 0; i < CG_HEADER_REPEATS_MAX; i++)
            add_reference(&world, 62);
        walk_block(&world);
        cr_expect_not(world.blocks.over, "block %d", block);
    }
    for (int i = 0; i < CG_HEADER_REPEATS_MAX + 1; i++)
        add_reference(&world, 62);
    add_frame(&world, HEADERS, END_HEADERS, cg_buf_str(&world.block));
    cg_header_blocks_walk(&world.blocks, cg_buf_str(&world.frames));
    cr_expect(world.blocks.over);
    close_world(&world);
}

Test(header_blocks, an_entry_keeps_its_count_when_others_are_inserted_before_it)
{
    struct world world;
    open_world(&world);
    add_line(&world, 0x40, "large", "value");
    for (unsigned i = 0; i < CG_HEADER_REPEATS_MAX + 1; i++) {
        add_reference(&world, 62 + i);
        add_line(&world, 0x40, "small", "");
    }
    add_frame(&world, HEADERS, END_HEADERS, cg_buf_str(&world.block));
    cg_header_blocks_walk(&world.blocks, cg_buf_str(&world.frames));
    cr_expect(world.blocks.over);
    close_world(&world);
}

Test(header_blocks, what_stands_before_an_open_block_is_settled)
{
    struct world world;
    open_world(&world);
    add_frame(&world, DATA, 0, CG_STR("body"));
    size_t settled = world.frames.length;
    add_frame(&world, HEADERS, 0, CG_STR("\x82"));
    size_t whole = world.frames.length;
    cg_buf_add(&world.frames, "\0\0\1\x09", 4); /* part of the next frame */
    cr_expect_eq(cg_header_blocks_walk(&world.blocks, cg_buf_str(&world.frames)), whole);
    cr_expect(world.blocks.open);
    cr_expect_eq(world.blocks.settled, settled);
    cg_buf_clear(&world.frames);
    add_frame(&world, CONTINUATION, END_HEADERS, CG_STR("\x84"));
    cg_header_blocks_walk(&world.blocks, cg_buf_str(&world.frames));
    cr_expect_not(world.blocks.open);
    cr_expect_eq(world.blocks.settled, world.frames.length);
    cr_expect_eq(world.blocks.lines, 2);
    close_world(&world);
}

Test(header_blocks, unknown_frames_are_taken_out_but_not_from_inside_a_block)
{
    struct world world;
    open_world(&world);
    add_frame(&world, 10, 0, CG_STR("unknown"));
    add_frame(&world, DATA, 0, CG_STR("body"));
    add_frame(&world, 255, 0, CG_STR(""));
    add_frame(&world, HEADERS, 0, CG_STR("\x82"));
    add_frame(&world, 11, 0, CG_STR("stays"));
    add_frame(&world, CONTINUATION, END_HEADERS, CG_STR("\x84"));
    add_frame(&world, 12, END_HEADERS, CG_STR("unknown"));
    cg_buf_add(&world.frames, "\0\0\1\x20", 4); /* not whole: nothing is known about it yet */
    size_t left = cg_header_blocks_strip(&world.blocks, world.frames.bytes, world.frames.length);
    static const char types[] = {DATA, HEADERS, 11, CONTINUATION};
    size_t at = 0;
    for (size_t i = 0; i < sizeof(types); i++) {
        cr_expect_eq(world.frames.bytes[at + 3], types[i], "frame %zu", i);
        at += 9u + (size_t)world.frames.bytes[at + 2];
    }
    cr_expect_eq(left, at + 4);
    cr_expect_eq(world.frames.bytes[at + 3], 0x20);
    close_world(&world);
}

Test(header_blocks, numbers_without_end_are_over)
{
    struct world world;
    open_world(&world);
    add_frame(&world, HEADERS, END_HEADERS, CG_STR("\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
    cg_header_blocks_walk(&world.blocks, cg_buf_str(&world.frames));
    cr_expect(world.blocks.over);
    close_world(&world);
}
