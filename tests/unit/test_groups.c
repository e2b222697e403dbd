/* Rows name the section of RFC 9875, or of RFC 8941 where they say so. */
#include "cachegate/groups.h"

#include <criterion/criterion.h>

#include "unit/fields_of.h"

static struct cg_arena arena;

static void setup(void)
{
    cg_arena_init(&arena, 1 << 22);
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(groups, .init = setup, .fini = teardown);

static const char *show(const struct cg_groups *groups)
{
    struct cg_str text = cg_arena_printf(&arena, "%s", groups->malformed ? "malformed:" : "");
    for (size_t i = 0; i < groups->count; i++)
        text = cg_arena_printf(&arena, "%s[%.*s]", text.bytes, CG_STR_ARG(groups->names[i]));
    return groups->overflowed ? "overflowed" : text.bytes;
}

struct row {
    const char *clause, *answer, *expected;
};

Test(groups, answer_belongs_to_all_groups_that_it_names)
{
    static const struct row rows[] = {
        {"none", "etag: a\n", ""},
        {"2", "cache-groups: \"b\", \"a\"\n", "[a][b]"},
        {"2 lines together", "cache-groups: \"b\"\ncache-groups: \"a\"\n", "[a][b]"},
        {"2 once each", "cache-groups: \"a\", \"a\"\n", "[a]"},
        {"2.1 case matters", "cache-groups: \"a\", \"A\"\n", "[A][a]"},
        {"2 parameters are ignored", "cache-groups: \"a\";x=1\n", "[a]"},
        {"8941 3.3.3 escapes", "cache-groups: \"a\\\"b\"\n", "[a\"b]"},
        {"2 commas and spaces inside", "cache-groups: \"a, b\"\n", "[a, b]"},
        {"2 tokens are no strings", "cache-groups: a\n", "malformed:"},
        {"8941 4.2 ignored as a whole", "cache-groups: \"a\", b\n", "malformed:"},
        {"8941 4.2 malformed", "cache-groups: \"a\n", "malformed:"},
        {"empty", "cache-groups:\n", ""},
        {"the empty string is a name", "cache-groups: \"\"\n", "[]"},
        {"Surrogate-Key", "surrogate-key: a  b\tc\n", "[a][b][c]"},
        {"Surrogate-Key lines", "surrogate-key: b\nsurrogate-key: a\n", "[a][b]"},
        {"Surrogate-Key keeps commas", "surrogate-key: a,b\n", "[a,b]"},
        {"Cache-Tag", "cache-tag: a, b,,c\n", "[a][b][c]"},
        {"Cache-Tag keeps spaces", "cache-tag: a b, c\n", "[a b][c]"},
        {"one space of names", "cache-tag: a\nsurrogate-key: a\ncache-groups: \"a\"\n", "[a]"},
        {"the others count although one is malformed", "cache-groups: x\ncache-tag: a\n",
         "malformed:[a]"},
        {"3 is not for this", "cache-group-invalidation: \"a\"\n", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields fields = fields_of(rows[i].answer, &arena);
        struct cg_groups groups;
        cg_groups_of(&fields, &arena, &groups);
        cr_expect_str_eq(show(&groups), rows[i].expected, "%s", rows[i].clause);
    }
}

Test(groups, only_unsafe_methods_invalidate)
{
    static const struct {
        const char *method, *expected;
    } rows[] = {
        {"POST", "[a][b]"}, {"DELETE", "[a][b]"}, {"PURGE-IT", "[a][b]"}, {"GET", ""},
        {"HEAD", ""},       {"OPTIONS", ""},      {"TRACE", ""},
    };
    struct cg_fields fields =
        fields_of("cache-group-invalidation: \"a\", \"b\"\ncache-groups: \"c\"\n", &arena);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_groups groups;
        cg_groups_invalidated(cg_str_from(rows[i].method), &fields, &arena, &groups);
        cr_expect_str_eq(show(&groups), rows[i].expected, "3: %s", rows[i].method);
    }
}

/* A Surrogate-Key line of `count` names, each of `width` bytes. */
static struct cg_groups groups_of_many(unsigned count, unsigned width)
{
    struct cg_str line = CG_STR("surrogate-key:");
    for (unsigned i = 0; i < count; i++)
        line = cg_arena_printf(&arena, "%.*s %0*u", CG_STR_ARG(line), (int)width, i);
    struct cg_str text = cg_arena_printf(&arena, "%.*s\n", CG_STR_ARG(line));
    struct cg_fields fields = fields_of(text.bytes, &arena);
    struct cg_groups groups;
    cg_groups_of(&fields, &arena, &groups);
    return groups;
}

Test(groups, more_or_longer_names_than_can_be_watched_are_noticed)
{
    struct cg_groups groups = groups_of_many(CG_GROUPS_MAX, 32);
    cr_expect(!groups.overflowed && groups.count == CG_GROUPS_MAX, "2 asks for 32 of 32");
    groups = groups_of_many(CG_GROUPS_MAX + 1, 32);
    cr_expect(groups.overflowed && groups.count == CG_GROUPS_MAX);
    groups = groups_of_many(1, CG_GROUP_NAME_BYTES_MAX);
    cr_expect(!groups.overflowed && groups.count == 1);
    groups = groups_of_many(1, CG_GROUP_NAME_BYTES_MAX + 1);
    cr_expect(groups.overflowed && groups.count == 0);
}

/* What an entry notes of its groups is read back as it was; damage is no group of anybody. */
Test(groups, note_of_an_entry_tells_instances_and_tokens)
{
    enum { COUNT = 3 };
    struct cg_instance instances[CG_INSTANCES_MAX], read[CG_INSTANCES_MAX];
    struct cg_version versions[CG_INSTANCES_MAX];
    struct cg_token tokens[CG_INSTANCES_MAX];
    struct cg_fields fields = {0};
    cr_expect_eq(cg_group_note_read(&fields, read, tokens), 0);
    for (size_t i = 0; i < CG_INSTANCES_MAX; i++) {
        memset(instances[i].id, (int)(17 * i + 1), sizeof instances[i].id);
        memset(versions[i].token.bytes, (int)(255 - i), sizeof versions[i].token.bytes);
    }
    cr_assert(cg_group_note_add(instances, versions, COUNT, &arena, &fields));
    cr_assert_eq(cg_group_note_read(&fields, read, tokens), COUNT);
    for (size_t i = 0; i < COUNT; i++)
        cr_expect(cg_instance_eq(&read[i], &instances[i]) &&
                  cg_token_eq(&tokens[i], &versions[i].token));
    struct cg_fields full = {0};
    cr_assert(cg_group_note_add(instances, versions, CG_INSTANCES_MAX, &arena, &full));
    cr_expect_eq(cg_group_note_read(&full, read, tokens), CG_INSTANCES_MAX);
    struct cg_str cut = cg_str_sub(full.items[0].value, 0, full.items[0].value.length - 1);
    full.items[0].value = cut;
    cr_expect_eq(cg_group_note_read(&full, read, tokens), CG_INSTANCES_MAX - 1);
    char *longer = cg_arena_alloc(&arena, 2 * cut.length);
    memset(longer, 'x', 2 * cut.length);
    full.items[0].value = cg_str_of(longer, 2 * cut.length);
    cr_expect_eq(cg_group_note_read(&full, read, tokens), CG_INSTANCES_MAX);
}
