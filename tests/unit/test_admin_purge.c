/*
 * What an operator purges while rules are exchanged: by both sets (gateway/admin/purge_body.c).
 */
#include "gateway/admin/parts.h"
#include "unit/help_ruleset.h"

#include <criterion/criterion.h>

static const char here[] = "groups: { one: [\"/a?id={id}\"], mine: [\"/a?id={id}\"] }\n"
                           "routes: [{ match: GET /a, ttl: 1m }]\n";
static const char there[] = "groups: { one: [\"/b?id={id}\"], mine: [\"/b?x={x}&y={y}\"] }\n"
                            "routes: [{ match: GET /b, ttl: 1m }]\n";

static struct cg_arena arena;

static void set_up(void)
{
    cg_arena_init(&arena, 16 << 20);
}

static void tear_down(void)
{
    cg_arena_fini(&arena);
}

TestSuite(admin_purge, .init = set_up, .fini = tear_down);

static struct cg_purge_set read_body(const struct cg_ruleset *rules, const struct cg_ruleset *other,
                                     const char *body)
{
    struct cg_purge_set set = {0};
    const char *remedy = NULL;
    const char *error = cg_admin_purge_read(rules, other, cg_str_from(body), &arena, &set, &remedy);
    cr_assert_null(error, "%s", error);
    return set;
}

static bool has(const struct cg_purge_set *set, const struct cg_purge_set *part)
{
    bool all = part->instance_count > 0;
    for (size_t i = 0; i < part->instance_count && all; i++) {
        all = false;
        for (size_t j = 0; j < set->instance_count && !all; j++)
            all = cg_instance_eq(&set->instances[j], &part->instances[i]);
    }
    return all;
}

Test(admin_purge, a_group_is_what_both_sets_call_so)
{
    struct cg_ruleset *one = help_ruleset(here), *other = help_ruleset(there);
    const char *body = "{\"groups\": [{\"group\": \"one\", \"id\": \"1\"}]}";
    struct cg_purge_set of_one = read_body(one, NULL, body),
                        of_other = read_body(other, NULL, body);
    struct cg_purge_set both = read_body(one, other, body);
    cr_assert(has(&both, &of_one));
    cr_assert(has(&both, &of_other));
    cr_assert_not(has(&of_one, &of_other));
    cg_ruleset_destroy(one);
    cg_ruleset_destroy(other);
}

Test(admin_purge, a_pattern_is_an_instance_to_one_and_open_to_the_other)
{
    struct cg_ruleset *one = help_ruleset(here), *other = help_ruleset(there);
    const char *body = "{\"patterns\": [\"/b?id=1\"]}";
    struct cg_purge_set of_other = read_body(other, NULL, body);
    struct cg_purge_set both = read_body(one, other, body);
    cr_assert_eq(of_other.ban_count, 0u);
    cr_assert(has(&both, &of_other));
    cr_assert_eq(both.ban_count, 1u);
    cg_ruleset_destroy(one);
    cg_ruleset_destroy(other);
}

/* The other set is asked as far as it knows the names; only ours can refuse. */
Test(admin_purge, names_that_mean_something_else_there_are_ours_alone)
{
    struct cg_ruleset *one = help_ruleset(here), *other = help_ruleset(there);
    const char *body = "{\"groups\": [{\"group\": \"mine\", \"id\": \"1\"}], \"users\": [\"u\"]}";
    struct cg_purge_set alone = read_body(one, NULL, body), both = read_body(one, other, body);
    cr_assert(has(&both, &alone));
    struct cg_ruleset *nothing = help_ruleset("routes: []\n");
    both = read_body(one, nothing, body);
    cr_assert(has(&both, &alone));
    cg_ruleset_destroy(one);
    cg_ruleset_destroy(other);
    cg_ruleset_destroy(nothing);
}
