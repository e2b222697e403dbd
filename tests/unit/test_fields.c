#include "cachegate/fields.h"

#include <criterion/criterion.h>

static struct cg_arena arena;
static struct cg_fields fields;

static void setup(void)
{
    cg_arena_init(&arena, 1 << 20);
    fields = (struct cg_fields){0};
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(fields, .init = setup, .fini = teardown);

static void add(const char *name, const char *value)
{
    cr_assert(cg_fields_add(&fields, &arena, cg_str_from(name), cg_str_from(value)));
}

Test(fields, lines_of_one_name_stay_separate_and_in_order)
{
    add("vary", "a");
    add("etag", "x");
    add("vary", "b");
    cr_expect_eq(cg_fields_count(&fields, CG_STR("vary")), 2);
    cr_expect_eq(cg_fields_count(&fields, CG_STR("age")), 0);
    cr_expect_eq(cg_fields_find(&fields, CG_STR("vary")), &fields.items[0]);
    cr_expect_null(cg_fields_find(&fields, CG_STR("age")));
    cr_expect(cg_str_eq(cg_fields_value(&fields, CG_STR("vary")), CG_STR("a")));
    cr_expect(cg_str_empty(cg_fields_value(&fields, CG_STR("age"))));
}

Test(fields, list_is_full_at_its_limit)
{
    for (size_t i = 0; i < CG_FIELDS_MAX; i++)
        add(i % 2 == 0 ? "a" : "b", "x");
    cr_expect_not(cg_fields_add(&fields, &arena, CG_STR("c"), CG_STR("x")));
    cr_expect_eq(fields.count, CG_FIELDS_MAX);
    cr_expect_eq(cg_fields_count(&fields, CG_STR("b")), CG_FIELDS_MAX / 2);
}

Test(fields, members_are_split_at_commas_outside_of_quotes)
{
    static const struct {
        const char *value;
        const char *members[4];
    } rows[] = {
        {"a, b ,c", {"a", "b", "c"}},
        {" ,, a ,\t, b,", {"a", "b"}},
        {"", {NULL}},
        {", ,", {NULL}},
        {"a=\"x, y\", b", {"a=\"x, y\"", "b"}},
        {"a=\"x\\\", y\", b", {"a=\"x\\\", y\"", "b"}},
        {"a=\"open, b", {"a=\"open, b"}},
        {"a=\"end\\", {"a=\"end\\"}},
        {"a\\, b", {"a\\", "b"}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str rest = cg_str_from(rows[i].value), member;
        size_t count = 0;
        for (; cg_list_next(&rest, &member); count++) {
            cr_assert_lt(count, 4);
            cr_assert_not_null(rows[i].members[count], "'%s': too many", rows[i].value);
            cr_expect(cg_str_eq(member, cg_str_from(rows[i].members[count])), "'%s': %zu",
                      rows[i].value, count);
        }
        cr_expect_null(rows[i].members[count], "'%s': too few", rows[i].value);
    }
}

Test(fields, walk_goes_over_all_lines_of_the_name)
{
    const char *expected[] = {"a", "b", "c", "d"};
    add("vary", "a, b");
    add("other", "x");
    add("vary", "");
    add("vary", "c=\"open");
    add("vary", "d");
    expected[2] = "c=\"open";
    struct cg_list_walk walk = {0};
    struct cg_str member;
    size_t count = 0;
    while (cg_fields_next_member(&fields, CG_STR("vary"), &walk, &member)) {
        cr_assert_lt(count, 4);
        cr_expect(cg_str_eq(member, cg_str_from(expected[count])), "member %zu", count);
        count++;
    }
    cr_expect_eq(count, 4);
    cr_expect_not(cg_fields_next_member(&fields, CG_STR("vary"), &walk, &member), "it stays ended");
    cr_expect(cg_fields_has_member(&fields, CG_STR("vary"), CG_STR("B")));
    cr_expect_not(cg_fields_has_member(&fields, CG_STR("vary"), CG_STR("x")));
}

Test(fields, hop_by_hop_are_the_fixed_ones_and_those_connection_names)
{
    static const struct {
        const char *name;
        bool hop;
    } rows[] = {
        {"connection", true},
        {"keep-alive", true},
        {"proxy-connection", true},
        {"te", true},
        {"trailer", true},
        {"transfer-encoding", true},
        {"upgrade", true},
        {"http2-settings", true},
        {"x-hop", true},
        {"close", true},
        {"etag", false},
        {"proxy-authorization", false},
        {"proxy-authenticate", false},
    };
    add("connection", "close");
    add("connection", "X-Hop");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(cg_field_is_hop_by_hop(&fields, cg_str_from(rows[i].name)), rows[i].hop, "%s",
                     rows[i].name);
}

Test(fields, copy_borrows_nothing_and_has_place_for_ours)
{
    char name[] = "etag", value[] = "\"1\"";
    add(name, value);
    add("x-empty", "");
    struct cg_fields copy, none = {0}, empty;
    cg_fields_copy(&fields, &arena, &copy);
    memset(name, '#', sizeof(name));
    memset(value, '#', sizeof(value));
    cr_assert_eq(copy.count, 2);
    cr_expect(cg_str_eq(copy.items[0].name, CG_STR("etag")));
    cr_expect(cg_str_eq(copy.items[0].value, CG_STR("\"1\"")));
    cr_expect(cg_str_eq(copy.items[1].name, CG_STR("x-empty")));
    cr_expect(cg_str_empty(copy.items[1].value));
    struct cg_field *items = copy.items;
    for (size_t i = 0; i < CG_FIELDS_OWN; i++)
        cr_expect(cg_fields_add(&copy, &arena, CG_STR("a"), CG_STR("b")));
    cr_expect_eq(copy.items, items);
    cg_fields_copy(&none, &arena, &empty);
    cr_expect_eq(empty.count, 0);
    cr_expect(cg_fields_add(&empty, &arena, CG_STR("a"), CG_STR("b")));
}
