#include "cachegate/ruleset.h"

#include <criterion/criterion.h>

static struct cg_arena arena;
static struct cg_problems problems;

static void setup(void)
{
    cg_arena_init(&arena, 16 << 20);
    problems = (struct cg_problems){.arena = &arena};
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(pattern, .init = setup, .fini = teardown);

static struct cg_pattern *compile(const char *text)
{
    return cg_pattern_compile(cg_str_from(text), true, &arena, &problems, NULL);
}

static bool is(struct cg_str s, const char *text)
{
    return cg_str_eq(s, cg_str_from(text));
}

static bool match(const char *pattern_text, const char *target,
                  struct cg_str captures[CG_HOLES_MAX])
{
    struct cg_path path;
    struct cg_query query;
    const struct cg_pattern *pattern = compile(pattern_text);
    cr_assert_not_null(pattern, "%s", pattern_text);
    cr_assert_eq(cg_path_parse(cg_str_from(target), &arena, &path, &query), CG_PATH_OK);
    return cg_pattern_match_path(pattern, &path, captures);
}

Test(pattern, paths_match_segment_by_segment)
{
    static const struct {
        const char *pattern, *target;
        bool matches;
    } rows[] = {
        {"/", "/", true},           {"/", "/a", false},
        {"/a", "/a", true},         {"/a", "/a/", true},
        {"/a/", "/a", true},        {"/a", "//a", true},
        {"/a", "/b", false},        {"/a", "/a/b", false},
        {"/a", "/A", false},        {"/a/b", "/a", false},
        {"/a/{x}", "/a/1", true},   {"/a/{x}", "/a", false},
        {"/a/{x}", "/a/", false},   {"/a/{x}", "/a/1/2", false},
        {"/a/*", "/a/1", true},     {"/a/*", "/a", false},
        {"/a/*/c", "/a/b/c", true}, {"/a/**", "/a", true},
        {"/a/**", "/a/b/c", true},  {"/a/**", "/ab", false},
        {"/**", "/", true},         {"/**", "/a/b", true},
        {"/a%20b", "/a%20b", true}, {"/caf\xc3\xa9", "/caf%c3%A9", true},
        {"/a%2Fb", "/a%2fb", true}, {"/a%2Fb", "/a/b", false},
        {"/%2A", "/*", true},       {"/%2A", "/x", false},
        {"/a", "/%61", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cg_str captures[CG_HOLES_MAX];
        cr_expect_eq(match(rows[i].pattern, rows[i].target, captures), rows[i].matches, "%s on %s",
                     rows[i].pattern, rows[i].target);
    }
}

Test(pattern, holes_capture_decoded_text)
{
    struct cg_str captures[CG_HOLES_MAX];
    cr_assert(match("/{a}/x/{b:int}/**", "/%41%2Fb/x/7/y/z", captures));
    cr_expect(is(captures[0], "A/b"));
    cr_expect(is(captures[1], "7"));
}

Test(pattern, parts_are_taken_apart)
{
    struct cg_pattern *pattern =
        compile("/u/{user}/{path.id:uuid}?z={query.z:nocase}&a=b+c%26&q=*");
    cr_assert_not_null(pattern);
    cr_expect_eq(pattern->segment_count, 3);
    cr_expect_eq(pattern->hole_count, 3);
    cr_expect(is(pattern->hole_names[0], "user"));
    cr_expect(is(pattern->hole_names[1], "path.id"));
    cr_expect(is(pattern->hole_names[2], "query.z"));
    cr_expect_eq(pattern->hole_types[0], CG_HOLE_TEXT);
    cr_expect_eq(pattern->hole_types[1], CG_HOLE_UUID);
    cr_expect_eq(pattern->hole_types[2], CG_HOLE_NOCASE);
    cr_assert_eq(pattern->term_count, 2, "a=* constrains nothing");
    cr_expect(is(pattern->terms[0].name, "a"));
    cr_expect(is(pattern->terms[0].text, "b c&"));
    cr_expect_not(pattern->terms[0].is_hole);
    cr_expect(is(pattern->terms[1].name, "z"));
    cr_expect(pattern->terms[1].is_hole);
    cr_expect_eq(pattern->terms[1].hole, 2);
    cr_expect(is(pattern->text, "/u/{user}/{path.id:uuid}?z={query.z:nocase}&a=b+c%26&q=*"));
}

Test(pattern, terms_are_numbered_in_the_order_of_their_names)
{
    struct cg_pattern *a = compile("/x?b={one}&a={two}"), *b = compile("/x?a={two}&b={one}");
    cr_expect(is(a->hole_names[0], "two"));
    cr_expect(is(b->hole_names[0], "two"));
    cr_expect(is(a->terms[0].name, "a"));
}

Test(pattern, literal_values_may_be_empty)
{
    struct cg_pattern *pattern = compile("/x?a=&&");
    cr_assert_not_null(pattern);
    cr_expect_eq(pattern->term_count, 1);
    cr_expect(is(pattern->terms[0].text, ""));
}

Test(pattern, what_cannot_work_is_refused_with_a_reason)
{
    static const struct {
        const char *text, *problem;
    } rows[] = {
        {"", "begins with `/`"},
        {"a/b", "begins with `/`"},
        {"http://x/a", "begins with `/`"},
        {"/a b", "a space"},
        {"/a#b", "`#`"},
        {"/a\x01", "control"},
        {"/a{x}", "whole segment"},
        {"/{x}a", "whole segment"},
        {"/{x}{y}", "whole segment"},
        {"/{", "whole segment"},
        {"/}", "whole segment"},
        {"/a*", "whole segment"},
        {"/***", "whole segment"},
        {"/{}", "no placeholder"},
        {"/{a b}", "a space"},
        {"/{a$b}", "no placeholder"},
        {"/{a:str}", "unknown type `str`"},
        {"/{a:itn}", "did you mean int"},
        {"/**/a", "nothing can follow"},
        {"/**/**", "nothing can follow"},
        {"/%", "two hexadecimal digits"},
        {"/%4", "two hexadecimal digits"},
        {"/%zz", "two hexadecimal digits"},
        {"/%00", "NUL"},
        {"/%5c", "backslash"},
        {"/a\\b", "backslash"},
        {"/a/../b", "dot segments"},
        {"/a/%2e", "dot segments"},
        {"/a?b", "query term"},
        {"/a?=b", "literal text"},
        {"/a?{x}=b", "literal text"},
        {"/a?b=x*", "whole value"},
        {"/a?b={x}y", "whole value"},
        {"/a?b=1&b=2", "twice"},
        {"/a?b=1&%62={x}", "twice"},
        {"/a?b=%0", "two hexadecimal digits"},
        {"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", "more than 8 placeholders"},
        {"/x?a=1&b=1&c=1&d=1&e=1&f=1&g=1&h=1&i=1", "more than 8 query terms"},
        {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30/31/32/"
         "33",
         "more than 32 segments"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t before = problems.count;
        cr_expect_null(compile(rows[i].text), "%s", rows[i].text);
        cr_assert_eq(problems.count, before + 1, "%s", rows[i].text);
        const char *message = problems.items[before].message.bytes;
        cr_expect_not_null(strstr(message, rows[i].problem), "%s: %s", rows[i].text, message);
    }
    char text[CG_PATTERN_BYTES_MAX + 1];
    memset(text, 'a', sizeof text);
    text[0] = '/';
    cr_expect_not_null(
        cg_pattern_compile(cg_str_of(text, sizeof text - 1), true, &arena, &problems, NULL));
    cr_expect_null(cg_pattern_compile(cg_str_of(text, sizeof text), true, &arena, &problems, NULL));
}

Test(pattern, expressions_only_where_they_are_allowed)
{
    static const char *const texts[] = {"/{response.id}", "/{items[0]}", "/{a.b:int}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cr_expect_not_null(compile(texts[i]));
        cr_expect_null(cg_pattern_compile(cg_str_from(texts[i]), false, &arena, &problems, NULL));
    }
    cr_expect_not_null(cg_pattern_compile(CG_STR("/{a_b-c}"), false, &arena, &problems, NULL));
}

Test(pattern, overlap_means_that_some_path_matches_both)
{
    static const struct {
        const char *a, *b;
        bool overlap;
    } rows[] = {
        {"/", "/", true},
        {"/a", "/a", true},
        {"/a", "/b", false},
        {"/a", "/a/b", false},
        {"/a/{x}", "/a/1", true},
        {"/a/{x}", "/{y}/1", true},
        {"/a/*", "/b/*", false},
        {"/a/**", "/a", true},
        {"/a/**", "/a/b/c", true},
        {"/a/**", "/b", false},
        {"/**", "/", true},
        {"/**", "/x/y", true},
        {"/a/b/**", "/a", false},
        {"/a/b/**", "/a/**", true},
        {"/*", "/", false},
        {"/{x}/**", "/", false},
        {"/a/{x}/c", "/a/b/d", false},
        {"/a?x={y}", "/a", true},
        {"/%61", "/a", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct cg_pattern *a = compile(rows[i].a), *b = compile(rows[i].b);
        cr_expect_eq(cg_patterns_overlap(a, b), rows[i].overlap, "%s %s", rows[i].a, rows[i].b);
        cr_expect_eq(cg_patterns_overlap(b, a), rows[i].overlap, "%s %s", rows[i].b, rows[i].a);
    }
}

Test(pattern, values_are_normalised_by_type)
{
    static const struct {
        enum cg_hole_type type;
        const char *value, *normal;
    } rows[] = {
        {CG_HOLE_TEXT, "07", "07"},
        {CG_HOLE_TEXT, "A", "A"},
        {CG_HOLE_TEXT, "", ""},
        {CG_HOLE_INT, "42", "42"},
        {CG_HOLE_INT, "007", "7"},
        {CG_HOLE_INT, "000", "0"},
        {CG_HOLE_INT, "-07", "-7"},
        {CG_HOLE_INT, "-0", "0"},
        {CG_HOLE_INT, "+7", "7"},
        {CG_HOLE_INT, " 7", "7"},
        {CG_HOLE_INT, "99999999999999999999999999", "99999999999999999999999999"},
        {CG_HOLE_INT, "7a", "7a"},
        {CG_HOLE_INT, "7.0", "7.0"},
        {CG_HOLE_INT, "-", "-"},
        {CG_HOLE_INT, "", ""},
        {CG_HOLE_NOCASE, "AbC-1", "abc-1"},
        {CG_HOLE_NOCASE, "", ""},
        {CG_HOLE_UUID, "0F8FAD5B-D9CB-469F-A165-70867728950E",
         "0f8fad5b-d9cb-469f-a165-70867728950e"},
        {CG_HOLE_UUID, "0f8fad5bd9cb469fa16570867728950e", "0f8fad5b-d9cb-469f-a165-70867728950e"},
        {CG_HOLE_UUID, "{0f8fad5b-d9cb-469f-a165-70867728950E}",
         "0f8fad5b-d9cb-469f-a165-70867728950e"},
        {CG_HOLE_UUID, "URN:uuid:0f8fad5b-d9cb-469f-a165-70867728950e",
         "0f8fad5b-d9cb-469f-a165-70867728950e"},
        {CG_HOLE_UUID, "0f8fad5b-d9cb-469f-a165-70867728950",
         "0f8fad5b-d9cb-469f-a165-70867728950"},
        {CG_HOLE_UUID, "0f8fad5b-d9cb-469f-a165-70867728950e0",
         "0f8fad5b-d9cb-469f-a165-70867728950e0"},
        {CG_HOLE_UUID, "Me", "Me"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct cg_str normal = cg_hole_normalise(rows[i].type, cg_str_from(rows[i].value), &arena);
        cr_expect(is(normal, rows[i].normal), "%s gives %.*s", rows[i].value, CG_STR_ARG(normal));
    }
}
