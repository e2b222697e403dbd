#include "cachegate/json_text.h"

#include <criterion/criterion.h>

enum { VALUES_MAX = 4, DEPTH_MAX = 6 };

struct row {
    const char *body;
    const char *path;
    enum cg_json_outcome outcome;
    const char *values[VALUES_MAX];
};

static void run(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        struct cg_arena arena;
        struct cg_json json;
        struct cg_str values[VALUES_MAX];
        size_t found = 4711, expected = 0;
        cg_arena_init(&arena, 1 << 16);
        cr_assert_eq(cg_json_parse(cg_str_from(row->body), DEPTH_MAX, &json), CG_JSON_FOUND, "%s",
                     row->body);
        enum cg_json_outcome outcome =
            cg_json_select(&json, cg_str_from(row->path), &arena, values, VALUES_MAX, &found);
        cg_json_free(&json); /* the values live on */
        cr_expect_eq(outcome, row->outcome, "%s of %s: %s", row->path, row->body,
                     cg_json_outcome_text(outcome));
        while (expected < VALUES_MAX && row->values[expected] != NULL)
            expected++;
        cr_assert_eq(found, expected, "%s of %s: %zu values", row->path, row->body, found);
        for (size_t k = 0; k < found; k++)
            cr_expect(cg_str_eq(values[k], cg_str_from(row->values[k])), "%s of %s: '%.*s'",
                      row->path, row->body, CG_STR_ARG(values[k]));
        cg_arena_fini(&arena);
    }
}
#define RUN(rows) run(rows, sizeof rows / sizeof rows[0])

Test(json_text, scalars_come_out_as_text)
{
    static const struct row rows[] = {
        {"{\"a\":\"x y\"}", "a", CG_JSON_FOUND, {"x y"}},
        {"{\"a\":\"\"}", "a", CG_JSON_FOUND, {""}},
        {"{\"a\":\"\\u00e4\\n\"}", "a", CG_JSON_FOUND, {"\xc3\xa4\n"}},
        {"{\"a\":42}", "a", CG_JSON_FOUND, {"42"}},
        {"{\"a\":-9223372036854775808}", "a", CG_JSON_FOUND, {"-9223372036854775808"}},
        {"{\"a\":1.5}", "a", CG_JSON_UNCLEAR, {NULL}},
        {"{\"a\":1e2}", "a", CG_JSON_UNCLEAR, {NULL}},
        {"{\"a\":true,\"b\":false}", "b", CG_JSON_FOUND, {"false"}},
        {"{\"a\":true,\"b\":false}", "a", CG_JSON_FOUND, {"true"}},
        {"{\"a\":null}", "a", CG_JSON_NOT_FOUND, {NULL}},
        {"{\"a\":{}}", "a", CG_JSON_UNCLEAR, {NULL}},
        {"{\"a\":[1]}", "a", CG_JSON_UNCLEAR, {NULL}},
        {"{\"a\":1}", "b", CG_JSON_NOT_FOUND, {NULL}},
        {"\"x\"", "a", CG_JSON_NOT_FOUND, {NULL}},
    };
    RUN(rows);
}

Test(json_text, paths_lead_through_members_and_elements)
{
    static const struct row rows[] = {
        {"{\"a\":{\"b\":{\"c\":7}}}", "a.b.c", CG_JSON_FOUND, {"7"}},
        {"{\"a\":{\"b\":1}}", "a.b.c", CG_JSON_NOT_FOUND, {NULL}},
        {"{\"items\":[{\"id\":1},{\"id\":2}]}", "items[1].id", CG_JSON_FOUND, {"2"}},
        {"{\"items\":[{\"id\":1}]}", "items[1].id", CG_JSON_NOT_FOUND, {NULL}},
        {"{\"items\":[{\"id\":1},{\"id\":\"b\"}]}", "items[*].id", CG_JSON_FOUND, {"1", "b"}},
        {"[{\"id\":3},{\"id\":4}]", "[*].id", CG_JSON_FOUND, {"3", "4"}},
        {"[5,6]", "[*]", CG_JSON_FOUND, {"5", "6"}},
        {"[5,6]", "[0]", CG_JSON_FOUND, {"5"}},
        {"[[1,2],[],[3]]", "[*][*]", CG_JSON_FOUND, {"1", "2", "3"}},
        {"{\"items\":[]}", "items[*].id", CG_JSON_FOUND, {NULL}},
        {"{\"items\":[{\"id\":1},{}]}", "items[*].id", CG_JSON_UNCLEAR, {NULL}},
        {"{\"items\":[{\"id\":1},{\"id\":null}]}", "items[*].id", CG_JSON_UNCLEAR, {NULL}},
        {"[{},{\"id\":1}]", "[*].id", CG_JSON_UNCLEAR, {NULL}},
        {"{\"items\":{}}", "items[*].id", CG_JSON_UNCLEAR, {NULL}},
        {"{\"items\":null}", "items[*].id", CG_JSON_NOT_FOUND, {NULL}},
        {"{}", "items[*].id", CG_JSON_NOT_FOUND, {NULL}},
        {"{\"items\":{\"0\":1}}", "items[0]", CG_JSON_NOT_FOUND, {NULL}},
        {"[1,2,3,4]", "[*]", CG_JSON_FOUND, {"1", "2", "3", "4"}},
        {"[1,2,3,4,5]", "[*]", CG_JSON_TOO_MANY, {NULL}},
        {"{\"a-b\":{\"c_$\":1}}", "a-b.c_$", CG_JSON_FOUND, {"1"}},
        {"{\"a\":1}", "a..b", CG_JSON_NOT_FOUND, {NULL}},
    };
    RUN(rows);
}

Test(json_text, bodies_that_can_be_read_in_two_ways_or_not_at_all_are_refused)
{
    static const struct {
        const char *body;
        enum cg_json_outcome outcome;
    } rows[] = {
        {"", CG_JSON_NOT_JSON},
        {" ", CG_JSON_NOT_JSON},
        {"{", CG_JSON_NOT_JSON},
        {"{} x", CG_JSON_NOT_JSON},
        {"{}{}", CG_JSON_NOT_JSON},
        {"{'a':1}", CG_JSON_NOT_JSON},
        {"{\"a\":01}", CG_JSON_NOT_JSON},
        {"{\"a\":1,\"a\":2}", CG_JSON_NOT_JSON},
        {"{\"a\":1,\"\\u0061\":2}", CG_JSON_NOT_JSON},
        {"{\"a\":99999999999999999999}", CG_JSON_NOT_JSON},
        {"{\"a\":1e999}", CG_JSON_NOT_JSON},
        {"\"\xff\"", CG_JSON_NOT_JSON},
        {"\"\\u0000\"", CG_JSON_NOT_JSON},
        {"[[[[[[1]]]]]]", CG_JSON_FOUND},
        {"[[[[[[[1]]]]]]]", CG_JSON_TOO_DEEP},
        {"[{\"a\":[{\"a\":[{\"a\":[1]}]}]}]", CG_JSON_TOO_DEEP},
        {"[\"[[[[[[[[\",\"\\\"[[[[[[[\"]", CG_JSON_FOUND},
        {"[[],[],[],[],[],[],[],[]]", CG_JSON_FOUND},
        {"1", CG_JSON_FOUND},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_json json;
        enum cg_json_outcome outcome = cg_json_parse(cg_str_from(rows[i].body), DEPTH_MAX, &json);
        cr_expect_eq(outcome, rows[i].outcome, "%s: %s", rows[i].body,
                     cg_json_outcome_text(outcome));
        cr_expect_eq(json.root != NULL, outcome == CG_JSON_FOUND, "%s", rows[i].body);
        cg_json_free(&json);
        cg_json_free(&json);
    }
    struct cg_json json;
    cr_expect_eq(cg_json_parse(CG_STR("{}\0"), DEPTH_MAX, &json), CG_JSON_NOT_JSON);
}

Test(json_text, nothing_can_be_selected_from_what_was_not_parsed)
{
    struct cg_arena arena;
    struct cg_json json = {NULL};
    struct cg_str value;
    size_t count = 4711;
    cg_arena_init(&arena, 1000);
    cr_expect_eq(cg_json_select(&json, CG_STR("a"), &arena, &value, 1, &count), CG_JSON_NOT_FOUND);
    cr_expect_eq(count, 0);
    cg_json_free(&json);
    cg_arena_fini(&arena);
}

Test(json_text, paths_have_one_spelling)
{
    static const struct {
        const char *path;
        bool valid;
    } rows[] = {
        {"a", true},
        {"a.b", true},
        {"a[0]", true},
        {"a[*].b", true},
        {"[*]", true},
        {"[*].a", true},
        {"[0][1]", true},
        {"a-b_c$@:", true},
        {"\xc3\xa4", true},
        {"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p", true},
        {"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", false},
        {"", false},
        {".", false},
        {"a.", false},
        {".a", false},
        {"a..b", false},
        {"a[]", false},
        {"a[", false},
        {"a[0", false},
        {"a]", false},
        {"a.[0]", false},
        {"a[0]b", false},
        {"a[-1]", false},
        {"a[x]", false},
        {"a[**]", false},
        {"a b", false},
        {"a{b}", false},
        {"a\"", false},
        {"a\\b", false},
        {"a[0000000001]", false},
        {"[*].", false},
        {"*", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(cg_json_path_valid(cg_str_from(rows[i].path)), rows[i].valid, "'%s'",
                     rows[i].path);
}

Test(json_text, every_outcome_has_a_sentence)
{
    for (int outcome = CG_JSON_FOUND; outcome <= CG_JSON_TOO_MANY; outcome++)
        cr_expect_gt(strlen(cg_json_outcome_text((enum cg_json_outcome)outcome)), 5);
}
