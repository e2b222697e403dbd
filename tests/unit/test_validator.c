/* Rows name the section of RFC 9110. */
#include "cachegate/validator.h"

#include <criterion/criterion.h>

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

Test(validator, entity_tags_are_read_as_a_whole_or_not_at_all)
{
    static const struct {
        const char *clause, *text, *opaque;
        bool weak;
    } rows[] = {
        {"8.8.3 strong", "\"abc\"", "\"abc\"", false},
        {"8.8.3 weak", "W/\"abc\"", "\"abc\"", true},
        {"8.8.3 empty", "\"\"", "\"\"", false},
        {"8.8.3 commas and spaces are no spaces", "\"a,b\"", "\"a,b\"", false},
        {"8.8.3 a backslash is a character", "\"a\\\"", "\"a\\\"", false},
        {"8.8.3 obs-text", "\"\xe4\"", "\"\xe4\"", false},
        {"8.8.3 case matters", "w/\"abc\"", NULL, false},
        {"no quotes", "abc", NULL, false},
        {"one quote", "\"abc", NULL, false},
        {"only a quote", "\"", NULL, false},
        {"only W/", "W/", NULL, false},
        {"a space inside", "\"a b\"", NULL, false},
        {"a control byte", "\"a\x7f\"", NULL, false},
        {"two of them", "\"a\", \"b\"", NULL, false},
        {"something behind", "\"a\"x", NULL, false},
        {"nothing", "", NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_etag etag;
        bool read = cg_etag_parse(cg_str_from(rows[i].text), &etag);
        cr_assert_eq(read, rows[i].opaque != NULL, "%s", rows[i].clause);
        if (!read)
            continue;
        cr_expect(cg_str_eq(etag.opaque, cg_str_from(rows[i].opaque)), "%s", rows[i].clause);
        cr_expect(cg_str_eq(etag.text, cg_str_from(rows[i].text)), "%s", rows[i].clause);
        cr_expect_eq(etag.weak, rows[i].weak, "%s", rows[i].clause);
    }
}

/* The table of 8.8.3.2. */
Test(validator, weak_tags_compare_weakly_only)
{
    static const struct {
        const char *a, *b;
        bool strong_eq, weak_eq;
    } rows[] = {
        {"W/\"1\"", "W/\"1\"", false, true}, {"W/\"1\"", "W/\"2\"", false, false},
        {"W/\"1\"", "\"1\"", false, true},   {"\"1\"", "\"1\"", true, true},
        {"\"1\"", "\"2\"", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_etag a, b;
        cr_assert(cg_etag_parse(cg_str_from(rows[i].a), &a));
        cr_assert(cg_etag_parse(cg_str_from(rows[i].b), &b));
        cr_expect_eq(cg_etag_strong_eq(&a, &b), rows[i].strong_eq, "%zu", i);
        cr_expect_eq(cg_etag_strong_eq(&b, &a), rows[i].strong_eq, "%zu", i);
        cr_expect_eq(cg_etag_weak_eq(&a, &b), rows[i].weak_eq, "%zu", i);
        cr_expect_eq(cg_etag_weak_eq(&b, &a), rows[i].weak_eq, "%zu", i);
    }
}

Test(validator, answer_has_one_when_it_came_once_and_can_be_read)
{
    static const struct {
        const char *clause;
        struct cg_field items[2];
        size_t count;
        bool has;
    } rows[] = {
        {"8.8.3", {{CG_STR("etag"), CG_STR("\"a\"")}}, 1, true},
        {"8.8.2", {{CG_STR("last-modified"), CG_STR(DATE)}}, 1, true},
        {"neither", {{CG_STR("date"), CG_STR(DATE)}}, 1, false},
        {"malformed tag", {{CG_STR("etag"), CG_STR("a")}}, 1, false},
        {"malformed date", {{CG_STR("last-modified"), CG_STR("yesterday")}}, 1, false},
        {"malformed tag, but a date",
         {{CG_STR("etag"), CG_STR("a")}, {CG_STR("last-modified"), CG_STR(DATE)}},
         2,
         true},
        {"two tags",
         {{CG_STR("etag"), CG_STR("\"a\"")}, {CG_STR("etag"), CG_STR("\"a\"")}},
         2,
         false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields fields = {
            .items = (struct cg_field *)rows[i].items, .count = rows[i].count, .capacity = 2};
        cr_expect_eq(cg_has_validator(&fields, 0), rows[i].has, "%s", rows[i].clause);
    }
}
