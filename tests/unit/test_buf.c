#include "cachegate/buf.h"

#include <criterion/criterion.h>

static void expect_text(const struct cg_buf *buf, const char *text)
{
    cr_expect(cg_str_eq(cg_buf_str(buf), cg_str_from(text)), "'%.*s', not '%s'",
              CG_STR_ARG(cg_buf_str(buf)), text);
}

Test(buf, appends_grow_it_and_consume_drops_the_front)
{
    struct cg_buf buf;
    cg_buf_init(&buf, 1000);
    cg_buf_add_text(&buf, "ab");
    cg_buf_add_char(&buf, 'c');
    cg_buf_add_str(&buf, (struct cg_str){NULL, 0});
    cg_buf_printf(&buf, "%d-%s", 42, "x");
    expect_text(&buf, "abc42-x");
    cg_buf_consume(&buf, 0);
    cg_buf_consume(&buf, 3);
    expect_text(&buf, "42-x");
    cg_buf_consume(&buf, 99);
    expect_text(&buf, "");
    for (size_t i = 0; i < 1000; i++)
        cg_buf_add_char(&buf, 'y');
    cr_expect_eq(buf.length, 1000);
    cr_expect_not(buf.overflowed);
    cg_buf_fini(&buf);
}

Test(buf, ceiling_refuses_the_append_that_passes_it_and_all_later_ones)
{
    struct cg_buf buf;
    cg_buf_init(&buf, 5);
    cg_buf_add_text(&buf, "abcd");
    cg_buf_add_text(&buf, "ef");
    cr_expect(buf.overflowed);
    cg_buf_add_char(&buf, 'e');
    expect_text(&buf, "abcd");
    cg_buf_clear(&buf);
    cr_expect_not(buf.overflowed);
    cg_buf_add_text(&buf, "12345");
    expect_text(&buf, "12345");
    cr_expect_not(buf.overflowed, "exactly the ceiling fits");
    cg_buf_clear(&buf);
    cg_buf_printf(&buf, "%s", "12345");
    cr_expect_not(buf.overflowed, "the NUL of a printed text does not count");
    expect_text(&buf, "12345");
    cg_buf_clear(&buf);
    cg_buf_add_prefixed(&buf, CG_STR("ab"));
    cr_expect(buf.overflowed);
    cr_expect_eq(buf.length, 0, "no length without its bytes");
    cg_buf_fini(&buf);
    cr_expect_eq(buf.ceiling, 5);
}

Test(buf, long_printed_texts_are_whole_or_refused)
{
    struct cg_buf buf;
    char text[600];
    memset(text, 'z', sizeof text);
    text[sizeof text - 1] = '\0';
    cg_buf_init(&buf, 599);
    cg_buf_printf(&buf, "%s", text);
    expect_text(&buf, text);
    cg_buf_clear(&buf);
    cg_buf_printf(&buf, "%s!", text);
    cr_expect(buf.overflowed);
    expect_text(&buf, "");
    cg_buf_fini(&buf);
}

Test(buf, zeroed_buf_can_be_finished_and_refuses_everything)
{
    struct cg_buf buf = {0};
    cg_buf_add_char(&buf, 'a');
    cr_expect(buf.overflowed);
    cg_buf_fini(&buf);
    cg_buf_fini(&buf);
}

Test(buf, numbers_are_little_endian)
{
    struct cg_buf buf;
    cg_buf_init(&buf, 100);
    cg_buf_add_u8(&buf, 0xfe);
    cg_buf_add_u32(&buf, 0x01020304);
    cg_buf_add_u64(&buf, 0x1122334455667788);
    cr_expect(cg_str_eq(cg_buf_str(&buf),
                        CG_STR("\xfe\x04\x03\x02\x01\x88\x77\x66\x55\x44\x33\x22\x11")));
    cg_buf_fini(&buf);
}

Test(buf, reader_fails_for_good_at_the_first_read_behind_the_end)
{
    struct cg_reader reader = {.rest = CG_STR("\x05\0\0\0abc")};
    struct cg_str bytes = cg_read_prefixed(&reader);
    cr_expect(reader.failed);
    cr_expect(cg_str_empty(bytes));
    cr_expect_eq(cg_read_u8(&reader), 0, "bytes that are left are not given any more");
    reader = (struct cg_reader){.rest = CG_STR("\x01\x02\x03")};
    cr_expect_eq(cg_read_u32(&reader), 0);
    cr_expect(reader.failed);
    reader = (struct cg_reader){.rest = CG_STR("ab")};
    cr_expect(cg_str_eq(cg_read_bytes(&reader, 2), CG_STR("ab")));
    cr_expect(cg_str_empty(cg_read_bytes(&reader, 0)));
    cr_expect_not(reader.failed);
    cr_expect_eq(cg_read_u64(&reader), 0);
    cr_expect(reader.failed);
}

Test(buf, room_made_ahead_is_used_and_never_beyond_the_ceiling)
{
    struct cg_buf buf;
    cg_buf_init(&buf, 100);
    cg_buf_reserve(&buf, 1000);
    cr_expect_null(buf.bytes, "more than the ceiling is not made room for");
    cr_expect_not(buf.overflowed);
    cg_buf_reserve(&buf, 90);
    const char *bytes = buf.bytes;
    for (size_t i = 0; i < 90; i++)
        cg_buf_add_char(&buf, 'x');
    cr_expect_eq(buf.bytes, bytes);
    cg_buf_fini(&buf);
    cg_buf_init(&buf, 10); /* below the least that is ever allocated */
    cg_buf_add_char(&buf, 'x');
    cr_expect_leq(buf.capacity, 10);
    cg_buf_add(&buf, "0123456789", 10);
    cr_expect(buf.overflowed);
    cr_expect_eq(buf.length, 1);
    cg_buf_fini(&buf);
}
