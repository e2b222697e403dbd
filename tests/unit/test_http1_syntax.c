#include "cachegate/http1_syntax.h"

#include <criterion/criterion.h>

Test(http1_syntax, lines_end_with_cr_lf_within_the_limit)
{
    static const struct {
        const char *input;
        size_t bytes_max;
        enum cg_http1_line outcome;
        const char *line;
    } rows[] = {
        {"ab\r\ncd", 4, CG_HTTP1_LINE_FOUND, "ab"},  {"\r\n", 2, CG_HTTP1_LINE_FOUND, ""},
        {"ab\r\n", 3, CG_HTTP1_LINE_TOO_LONG, NULL}, {"ab", 3, CG_HTTP1_LINE_INCOMPLETE, NULL},
        {"ab\r", 3, CG_HTTP1_LINE_TOO_LONG, NULL},   {"", 3, CG_HTTP1_LINE_INCOMPLETE, NULL},
        {"ab\n", 9, CG_HTTP1_LINE_BARE_LF, NULL},    {"\n", 9, CG_HTTP1_LINE_BARE_LF, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str line = CG_STR("untouched");
        enum cg_http1_line outcome =
            cg_http1_line_find(cg_str_from(rows[i].input), rows[i].bytes_max, &line);
        cr_expect_eq(outcome, rows[i].outcome, "row %zu: %d", i, outcome);
        cr_expect(
            cg_str_eq(line, rows[i].line == NULL ? CG_STR("untouched") : cg_str_from(rows[i].line)),
            "row %zu", i);
    }
}

Test(http1_syntax, heads_end_with_an_empty_line_within_the_limit)
{
    struct cg_str input = CG_STR("GET /\r\na: b\r\n\r\nbody"), head, line;
    cr_assert_eq(cg_http1_head_find(input, 15, &head), CG_HTTP1_LINE_FOUND);
    cr_expect_eq(head.length, 15);
    cr_expect_eq(cg_http1_head_find(input, 14, &head), CG_HTTP1_LINE_TOO_LONG);
    cr_expect_eq(cg_http1_head_find(cg_str_sub(input, 0, 14), 15, &head), CG_HTTP1_LINE_INCOMPLETE);
    cr_expect_eq(cg_http1_head_find(CG_STR("a\r\nb\n\r\n"), 99, &head), CG_HTTP1_LINE_BARE_LF);
    cr_assert_eq(cg_http1_head_find(input, 15, &head), CG_HTTP1_LINE_FOUND);
    const char *lines[] = {"GET /", "a: b", ""};
    for (size_t i = 0; i < 3; i++) {
        cr_assert(cg_http1_line_next(&head, &line));
        cr_expect(cg_str_eq(line, cg_str_from(lines[i])), "line %zu", i);
    }
    cr_expect_not(cg_http1_line_next(&head, &line));
}

Test(http1_syntax, field_lines_are_a_token_a_colon_and_a_value)
{
    static const struct {
        const char *line, *name, *value; /* name NULL: refused */
    } rows[] = {
        {"a:b", "a", "b"},       {"A-b: \tc d \t", "A-b", "c d"}, {"a:", "a", ""},
        {"a:b:c", "a", "b:c"},   {"a: \xff", "a", "\xff"},        {"a : b", NULL, NULL},
        {": b", NULL, NULL},     {" a: b", NULL, NULL},           {"a", NULL, NULL},
        {"", NULL, NULL},        {"a: b\rc", NULL, NULL},         {"a: \x7f", NULL, NULL},
        {"a: \x1f", NULL, NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str name, value;
        bool split = cg_http1_field_split(cg_str_from(rows[i].line), &name, &value);
        cr_assert_eq(split, rows[i].name != NULL, "'%s'", rows[i].line);
        if (split) {
            cr_expect(cg_str_eq(name, cg_str_from(rows[i].name)), "'%s'", rows[i].line);
            cr_expect(cg_str_eq(value, cg_str_from(rows[i].value)), "'%s'", rows[i].line);
        }
    }
}
