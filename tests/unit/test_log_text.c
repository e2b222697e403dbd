#include "cachegate/log_text.h"

#include <criterion/criterion.h>

static struct cg_buf out;

static void setup(void)
{
    cg_buf_init(&out, 1 << 16);
}

static void teardown(void)
{
    cg_buf_fini(&out);
}

TestSuite(log_text, .init = setup, .fini = teardown);

static void expect(const char *wanted)
{
    cr_expect(cg_str_eq(cg_buf_str(&out), cg_str_from(wanted)), "%.*s is not %s", (int)out.length,
              out.bytes, wanted);
    cg_buf_clear(&out);
}

static void expect_json(struct cg_str text, const char *wanted)
{
    cg_json_string_print(&out, text, 200);
    expect(wanted);
}

Test(log_text, json_gives_back_what_is_text)
{
    expect_json(CG_STR(""), "\"\"");
    expect_json((struct cg_str){NULL, 0}, "\"\"");
    expect_json(CG_STR("/a b?c=~"), "\"/a b?c=~\"");
    expect_json(CG_STR("a\"b\\c"), "\"a\\\"b\\\\c\"");
    expect_json(CG_STR("a\nb\rc\td\0e\x7f"), "\"a\\u000ab\\u000dc\\u0009d\\u0000e\\u007f\"");
    expect_json(CG_STR("\xc3\xa4\xe2\x80\xa8\xf0\x9f\x98\x80"), "\"\\u00e4\\u2028\\ud83d\\ude00\"");
}

Test(log_text, json_shows_what_is_no_text)
{
    expect_json(CG_STR("\xff"), "\"\\\\xff\"");
    expect_json(CG_STR("a\xc3"), "\"a\\\\xc3\"");
    expect_json(CG_STR("\xc3("), "\"\\\\xc3(\"");
    expect_json(CG_STR("\xc0\xaf"), "\"\\\\xc0\\\\xaf\"");
    expect_json(CG_STR("\xe0\x80\xaf"), "\"\\\\xe0\\\\x80\\\\xaf\"");
    expect_json(CG_STR("\xed\xa0\x80"), "\"\\\\xed\\\\xa0\\\\x80\"");
    expect_json(CG_STR("\xf4\x90\x80\x80"), "\"\\\\xf4\\\\x90\\\\x80\\\\x80\"");
    expect_json(CG_STR("\xf5\x80\x80\x80"), "\"\\\\xf5\\\\x80\\\\x80\\\\x80\"");
}

Test(log_text, quoted_text_is_printable)
{
    cg_quoted_print(&out, CG_STR("a\"\\\n\xc3\xa4\x7f z"), 200);
    expect("\"a\\x22\\x5c\\x0a\\xc3\\xa4\\x7f z\"");
}

Test(log_text, what_is_too_long_is_cut_between_escapes)
{
    cg_json_string_print(&out, CG_STR("12345678901"), 10);
    expect("\"1234567...\"");
    cg_json_string_print(&out, CG_STR("1234567"), 10);
    expect("\"1234567\"");
    cg_json_string_print(&out, CG_STR("12345\"\"\""), 10);
    expect("\"12345\\\"...\"");
    cg_json_string_print(&out, CG_STR("12\n4"), 10);
    expect("\"12...\"");
    cg_json_string_print(&out, CG_STR("\xf0\x9f\x98\x80\xf0\x9f\x98\x80"), 20);
    expect("\"\\ud83d\\ude00...\"");
    cg_quoted_print(&out, CG_STR("12345\n7"), 10);
    expect("\"12345...\"");
}

Test(log_text, numbers)
{
    cg_decimal_print(&out, 0);
    expect("0");
    cg_decimal_print(&out, UINT64_MAX);
    expect("18446744073709551615");
    cg_milliseconds_print(&out, 7);
    expect("0.007");
    cg_milliseconds_print(&out, 1234567);
    expect("1234.567");
    cg_hex_print(&out, (const uint8_t[]){0x00, 0xaf, 0x91}, 3);
    expect("00af91");
}

Test(log_text, times)
{
    struct cg_log_second second = {0};
    cg_rfc3339_print(&out, &second, 0);
    expect("1970-01-01T00:00:00.000Z");
    cg_rfc3339_print(&out, &second, INT64_C(1767323045678));
    expect("2026-01-02T03:04:05.678Z");
    cg_rfc3339_print(&out, &second, INT64_C(1767323045009));
    expect("2026-01-02T03:04:05.009Z");
    cg_clf_date_print(&out, &second, INT64_C(1767323045009));
    expect("02/Jan/2026:03:04:05 +0000");
    cg_clf_date_print(&out, &second, INT64_C(1798761599999));
    expect("31/Dec/2026:23:59:59 +0000");
    cg_rfc3339_print(&out, &second, INT64_MAX);
    cr_expect_eq(out.length, 24);
}
