#include "cachegate/str.h"

#include <criterion/criterion.h>

static struct cg_str none(void)
{
    return (struct cg_str){NULL, 0};
}

Test(str, comparisons_are_of_bytes_and_take_null_slices)
{
    cr_expect(cg_str_eq(CG_STR("a\0b"), CG_STR("a\0b")));
    cr_expect_not(cg_str_eq(CG_STR("a\0b"), CG_STR("a\0c")));
    cr_expect_not(cg_str_eq(CG_STR("ab"), CG_STR("a")));
    cr_expect(cg_str_eq(none(), CG_STR("")));
    cr_expect(cg_str_eq_ci(CG_STR("Content-LENGTH"), CG_STR("content-length")));
    cr_expect_not(cg_str_eq_ci(CG_STR("a["), CG_STR("a{")), "only letters fold");
    cr_expect_not(cg_str_eq_ci(CG_STR("\xc4"), CG_STR("\xe4")), "only ASCII folds");
    cr_expect_lt(cg_str_cmp(CG_STR("a"), CG_STR("b")), 0);
    cr_expect_lt(cg_str_cmp(CG_STR("a"), CG_STR("ab")), 0);
    cr_expect_gt(cg_str_cmp(CG_STR("\xff"), CG_STR("a")), 0, "bytes are unsigned");
    cr_expect_eq(cg_str_cmp(none(), CG_STR("")), 0);
    cr_expect_lt(cg_str_cmp(none(), CG_STR("a")), 0);
    cr_expect(cg_str_starts_with(CG_STR("abc"), CG_STR("ab")));
    cr_expect_not(cg_str_starts_with(CG_STR("a"), CG_STR("ab")));
    cr_expect(cg_str_starts_with(none(), CG_STR("")));
    cr_expect(cg_str_ends_with(CG_STR("abc"), CG_STR("bc")));
    cr_expect_not(cg_str_ends_with(CG_STR("c"), CG_STR("bc")));
}

Test(str, parts_are_clamped_to_the_slice)
{
    cr_expect(cg_str_eq(cg_str_skip(CG_STR("abc"), 1), CG_STR("bc")));
    cr_expect(cg_str_empty(cg_str_skip(CG_STR("abc"), 9)));
    cr_expect(cg_str_empty(cg_str_skip(none(), 9)));
    cr_expect(cg_str_eq(cg_str_sub(CG_STR("abc"), 1, 1), CG_STR("b")));
    cr_expect(cg_str_eq(cg_str_sub(CG_STR("abc"), 1, SIZE_MAX), CG_STR("bc")));
    cr_expect(cg_str_eq(cg_str_trim(CG_STR(" \t a b \t")), CG_STR("a b")));
    cr_expect(cg_str_empty(cg_str_trim(CG_STR(" \t "))));
    cr_expect(cg_str_eq(cg_str_trim(CG_STR("\n")), CG_STR("\n")), "OWS has no line ends");
    cr_expect_eq(cg_str_find(CG_STR("abc"), 'c'), 2);
    cr_expect_eq(cg_str_find(CG_STR("abc"), 'x'), 3);
    cr_expect_eq(cg_str_find(none(), 'x'), 0);
}

Test(str, split_gives_empty_parts_and_then_ends)
{
    struct cg_str rest = CG_STR("a,,b,"), part;
    const char *parts[] = {"a", "", "b", ""};
    for (size_t i = 0; i < 4; i++) {
        cr_assert(cg_str_split(&rest, ',', &part));
        cr_expect(cg_str_eq(part, cg_str_from(parts[i])), "part %zu", i);
    }
    cr_expect_not(cg_str_split(&rest, ',', &part));
    cr_expect_null(rest.bytes);
    rest = CG_STR("");
    cr_expect(cg_str_split(&rest, ',', &part), "an empty text is one empty part");
    cr_expect_not(cg_str_split(&rest, ',', &part));
}

Test(str, numbers_are_digits_within_the_limit)
{
    static const struct {
        const char *text;
        uint64_t max;
        bool valid;
        uint64_t value;
    } rows[] = {
        {"0", 0, true, 0},
        {"007", 10, true, 7},
        {"10", 10, true, 10},
        {"11", 10, false, 0},
        {"18446744073709551615", UINT64_MAX, true, UINT64_MAX},
        {"18446744073709551616", UINT64_MAX, false, 0},
        {"99999999999999999999999", UINT64_MAX, false, 0},
        {"", 10, false, 0},
        {"-1", 10, false, 0},
        {"+1", 10, false, 0},
        {" 1", 10, false, 0},
        {"1 ", 10, false, 0},
        {"0x1", 10, false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t value = 4711;
        bool valid = cg_str_to_u64(cg_str_from(rows[i].text), rows[i].max, &value);
        cr_expect_eq(valid, rows[i].valid, "'%s'", rows[i].text);
        cr_expect_eq(value, rows[i].valid ? rows[i].value : 4711, "'%s'", rows[i].text);
    }
}

Test(str, token_bytes_are_those_of_rfc_9110)
{
    struct cg_str others = CG_STR("!#$%&'*+-.^_`|~");
    for (int c = -128; c < 128; c++) {
        bool expected = cg_is_digit((char)c) || cg_is_alpha((char)c) ||
                        cg_str_find(others, (char)c) < others.length;
        cr_expect_eq(cg_is_tchar((char)c), expected, "byte %d", c);
    }
    cr_expect(cg_is_token(CG_STR("X-a_1")));
    cr_expect_not(cg_is_token(CG_STR("")));
    cr_expect_not(cg_is_token(CG_STR("a b")));
    cr_expect_eq(cg_hex_digit('f'), 15);
    cr_expect_eq(cg_hex_digit('F'), 15);
    cr_expect_eq(cg_hex_digit('9'), 9);
    cr_expect_eq(cg_hex_digit('g'), -1);
    cr_expect_eq(cg_hex_digit(' '), -1);
}

/* One of each class, in every place: what is read four bytes at a time has an end, too. */
Test(str, classes_of_bytes_are_found_wherever_they_are)
{
    static const struct {
        char byte;
        unsigned classes;
    } rows[] = {
        {'a', 0},
        {'\0', CG_BYTE_CONTROL | CG_BYTE_OTHER},
        {'\n', CG_BYTE_CONTROL | CG_BYTE_OTHER},
        {'\x1f', CG_BYTE_CONTROL | CG_BYTE_OTHER},
        {'\x7f', CG_BYTE_CONTROL | CG_BYTE_OTHER},
        {'\t', CG_BYTE_BLANK | CG_BYTE_OTHER},
        {' ', CG_BYTE_BLANK | CG_BYTE_OTHER},
        {'\x80', CG_BYTE_HIGH | CG_BYTE_OTHER},
        {'\xff', CG_BYTE_HIGH | CG_BYTE_OTHER},
        {'A', CG_BYTE_UPPER},
        {'Z', CG_BYTE_UPPER},
        {'(', CG_BYTE_OTHER},
        {'%', CG_BYTE_ESCAPING},
        {'+', CG_BYTE_ESCAPING},
        {'\\', CG_BYTE_ESCAPING | CG_BYTE_OTHER},
        {'#', CG_BYTE_FRAGMENT},
        {':', CG_BYTE_COLON | CG_BYTE_OTHER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t length = 1; length < 12; length++)
            for (size_t at = 0; at < length; at++) {
                char text[] = "aaaaaaaaaaaa";
                text[at] = rows[i].byte;
                cr_expect_eq(cg_str_classes(cg_str_of(text, length)), rows[i].classes,
                             "row %zu, %zu of %zu", i, at, length);
            }
    cr_expect_eq(cg_str_classes(none()), 0);
}

Test(str, glob_stars_stand_for_any_run)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"", "", true},         {"", "a", false},
        {"*", "", true},        {"*", "abc", true},
        {"a*", "abc", true},    {"*c", "abc", true},
        {"a*c", "abc", true},   {"a*c", "ac", true},
        {"a*c", "abcd", false}, {"abc", "abc", true},
        {"abc", "abd", false},  {"*a*b*", "xxaxxbxx", true},
        {"*ab", "aab", true},   {"*aab", "aaaab", true},
        {"**", "", true},       {"a*b*c", "abbb", false},
        {"a?c", "abc", false},  {"a", "A", false},
        {"a*", "", false},      {"utm_*", "utm_source", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(cg_str_glob(cg_str_from(rows[i].pattern), cg_str_from(rows[i].text)),
                     rows[i].matches, "'%s' on '%s'", rows[i].pattern, rows[i].text);
}

Test(str, numbers_are_printed_as_they_are_read)
{
    static const struct {
        uint64_t value;
        const char *text;
    } rows[] = {{0, "0"},
                {7, "7"},
                {10, "10"},
                {999, "999"},
                {1000, "1000"},
                {1700000000000, "1700000000000"},
                {UINT64_MAX, "18446744073709551615"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char room[CG_DECIMAL_MAX];
        uint64_t read = 1;
        struct cg_str text = cg_str_from_u64(rows[i].value, room);
        cr_expect(cg_str_eq(text, cg_str_from(rows[i].text)), "%s", rows[i].text);
        cr_expect(cg_str_to_u64(text, UINT64_MAX, &read) && read == rows[i].value);
    }
}
