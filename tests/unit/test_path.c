#include "cachegate/path.h"

#include <criterion/criterion.h>

static struct cg_arena arena;

static void init(void)
{
    cg_arena_init(&arena, 1 << 20);
}

static void fini(void)
{
    cg_arena_fini(&arena);
}

TestSuite(path, .init = init, .fini = fini);

/* Segments in brackets, then name=value pairs: `[a][b] x=1 y` */
static struct cg_str print(const struct cg_path *path, const struct cg_query *query)
{
    struct cg_str text = CG_STR("");
    for (size_t i = 0; i < path->count; i++)
        text =
            cg_arena_printf(&arena, "%.*s[%.*s]", CG_STR_ARG(text), CG_STR_ARG(path->segments[i]));
    for (size_t i = 0; i < query->count; i++)
        text = cg_arena_printf(
            &arena, "%.*s %.*s%s%.*s", CG_STR_ARG(text), CG_STR_ARG(query->params[i].name),
            query->params[i].has_value ? "=" : "", CG_STR_ARG(query->params[i].value));
    return text;
}

Test(path, targets_are_taken_apart)
{
    static const struct {
        const char *name, *target, *expected;
    } rows[] = {
        {"root", "/", ""},
        {"segments", "/a/b", "[a][b]"},
        {"empty segments are dropped", "//a///b/", "[a][b]"},
        {"decoded", "/%61%2e%2Db", "[a.-b]"},
        {"an encoded slash stays inside its segment", "/a%2Fb/c", "[a/b][c]"},
        {"plus is plus in a path", "/a+b", "[a+b]"},
        {"dots inside a name", "/a..b/...", "[a..b][...]"},
        {"query", "/a?x=1&y=2", "[a] x=1 y=2"},
        {"empty pieces are dropped", "/a?&&x=1&", "[a] x=1"},
        {"no value and an empty one differ", "/a?x&y=", "[a] x y="},
        {"plus and %20 are spaces in a query", "/a?x=b+c%20d", "[a] x=b c d"},
        {"an encoded plus is a plus", "/a?x=%2B", "[a] x=+"},
        {"only the first = splits", "/a?x=b=c", "[a] x=b=c"},
        {"an empty name", "/a?=b", "[a] =b"},
        {"a question mark in a query", "/a?b?c=d", "[a] b?c=d"},
        {"encoded & and = do not split", "/a?x%3D=y%26z", "[a] x==y&z"},
        {"dots and backslashes in a query are text", "/a?x=../b\\c%5c", "[a] x=../b\\c\\"},
        {"empty query", "/a?", "[a]"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_path path;
        struct cg_query query;
        enum cg_path_error error =
            cg_path_parse(cg_str_from(rows[i].target), &arena, &path, &query);
        struct cg_str printed = error == CG_PATH_OK ? print(&path, &query) : CG_STR("refused");
        cr_expect(cg_str_eq(printed, cg_str_from(rows[i].expected)), "%s: %.*s", rows[i].name,
                  CG_STR_ARG(printed));
    }
}

Test(path, targets_that_two_parsers_read_differently_are_refused)
{
    static const struct {
        const char *target;
        enum cg_path_error error;
    } rows[] = {
        {"", CG_PATH_BAD_ENCODING},
        {"a", CG_PATH_BAD_ENCODING},
        {"*", CG_PATH_BAD_ENCODING},
        {"/.", CG_PATH_DOT_SEGMENT},
        {"/a/../b", CG_PATH_DOT_SEGMENT},
        {"/a/%2e%2E/b", CG_PATH_DOT_SEGMENT},
        {"/a/.%2e", CG_PATH_DOT_SEGMENT},
        {"/a/..;x=1/b", CG_PATH_DOT_SEGMENT},
        {"/a%2f..%2fb", CG_PATH_DOT_SEGMENT},
        {"/a%", CG_PATH_BAD_ENCODING},
        {"/a%4", CG_PATH_BAD_ENCODING},
        {"/a%zz", CG_PATH_BAD_ENCODING},
        {"/a%00", CG_PATH_BAD_ENCODING},
        {"/a\\b", CG_PATH_BAD_ENCODING},
        {"/%c0%ae%C0%AE/b", CG_PATH_BAD_ENCODING},
        {"/a%c0%af..", CG_PATH_BAD_ENCODING},
        {"/%e0%80%ae", CG_PATH_BAD_ENCODING},
        {"/%f0%80%80%ae", CG_PATH_BAD_ENCODING},
        {"/a%5Cb", CG_PATH_BAD_ENCODING},
        {"/a#b", CG_PATH_BAD_ENCODING},
        {"/a b", CG_PATH_BAD_ENCODING},
        {"/a\r\nb", CG_PATH_BAD_ENCODING},
        {"/a?x=%", CG_PATH_BAD_ENCODING},
        {"/a?x=%00", CG_PATH_BAD_ENCODING},
        {"/a?x=1#y", CG_PATH_BAD_ENCODING},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_path path;
        struct cg_query query;
        cr_expect_eq(cg_path_parse(cg_str_from(rows[i].target), &arena, &path, &query),
                     rows[i].error, "%s", rows[i].target);
    }
}

static struct cg_str repeat(const char *start, const char *piece, size_t times)
{
    struct cg_str text = cg_arena_copy(&arena, cg_str_from(start));
    for (size_t i = 0; i < times; i++)
        text = cg_arena_printf(&arena, "%.*s%s", CG_STR_ARG(text), piece);
    return text;
}

Test(path, parts_are_counted_up_to_the_limit)
{
    struct cg_path path;
    struct cg_query query;
    struct cg_str fits = repeat("", "/a", CG_PATH_SEGMENTS_MAX);
    struct cg_str over = repeat("", "/a", CG_PATH_SEGMENTS_MAX + 1);
    cr_expect_eq(cg_path_parse(fits, &arena, &path, &query), CG_PATH_OK);
    cr_expect_eq(path.count, CG_PATH_SEGMENTS_MAX);
    cr_expect_eq(cg_path_parse(over, &arena, &path, &query), CG_PATH_TOO_COMPLEX);
    cr_expect_eq(cg_path_parse(repeat("", "/", 500), &arena, &path, &query), CG_PATH_OK,
                 "empty segments do not count");
    fits = repeat("/?", "a&", CG_QUERY_PARAMS_MAX);
    over = repeat("/?", "a&", CG_QUERY_PARAMS_MAX + 1);
    cr_expect_eq(cg_path_parse(fits, &arena, &path, &query), CG_PATH_OK);
    cr_expect_eq(query.count, CG_QUERY_PARAMS_MAX);
    cr_expect_eq(cg_path_parse(over, &arena, &path, &query), CG_PATH_TOO_COMPLEX);
}

Test(path, a_target_is_split_at_its_first_question_mark)
{
    struct cg_str path, query;
    bool has_query;
    cg_target_split(CG_STR("/a?b?c"), &path, &query, &has_query);
    cr_expect(cg_str_eq(path, CG_STR("/a")) && cg_str_eq(query, CG_STR("b?c")) && has_query);
    cg_target_split(CG_STR("/a?"), &path, &query, &has_query);
    cr_expect(cg_str_empty(query) && has_query);
    cg_target_split(CG_STR("/a"), &path, &query, &has_query);
    cr_expect(cg_str_eq(path, CG_STR("/a")) && cg_str_empty(query) && !has_query);
}

Test(path, everything_but_unreserved_characters_is_encoded)
{
    cr_expect(cg_str_eq(cg_percent_encode(&arena, CG_STR("aZ09-._~")), CG_STR("aZ09-._~")));
    cr_expect(cg_str_eq(cg_percent_encode(&arena, CG_STR("a*{}/?&=+ %\xff")),
                        CG_STR("a%2A%7B%7D%2F%3F%26%3D%2B%20%25%FF")));
    cr_expect(cg_str_empty(cg_percent_encode(&arena, CG_STR(""))));
}
