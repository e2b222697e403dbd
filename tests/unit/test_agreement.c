/*
 * Route sets: what gateways tell each other of their rules (agreement.h).
 */
#include "cachegate/agreement.h"
#include "cachegate/ban.h"

#include <criterion/criterion.h>

enum { ROUTES = 6 };

static struct cg_route routes[ROUTES];

/* Digests that begin with these letters, eight times each. */
static struct cg_ruleset rules_of(const char *letters)
{
    struct cg_ruleset ruleset = {.routes = routes};
    for (; letters[ruleset.route_count] != '\0'; ruleset.route_count++) {
        struct cg_route *route = &routes[ruleset.route_count];
        *route = (struct cg_route){.cache = CG_CACHE_YES};
        memset(route->digest, letters[ruleset.route_count], CG_DIGEST_BYTES);
    }
    return ruleset;
}

static void write_set(const char *letters, struct cg_buf *out)
{
    struct cg_ruleset ruleset = rules_of(letters);
    cg_buf_init(out, 1 << 16);
    cg_route_set_write(&ruleset, out);
    cr_assert(cg_route_set_is_valid(cg_buf_str(out)));
}

static bool has(struct cg_str set, char letter)
{
    uint8_t digest[CG_DIGEST_BYTES];
    memset(digest, letter, sizeof(digest));
    return cg_route_set_has(set, digest);
}

Test(agreement, a_set_is_ascending_and_has_each_route_once)
{
    struct cg_buf set;
    write_set("dabda", &set);
    cr_assert_eq(set.length, 3 * CG_ROUTE_SHORT_BYTES);
    cr_assert_eq(memcmp(set.bytes, "aaaaaaaabbbbbbbbdddddddd", set.length), 0);
    cr_assert(has(cg_buf_str(&set), 'a') && has(cg_buf_str(&set), 'd'));
    cr_assert_not(has(cg_buf_str(&set), 'c') || has(cg_buf_str(&set), 'e'));
    cg_buf_fini(&set);
}

Test(agreement, routes_that_are_never_cached_are_not_in_it)
{
    struct cg_ruleset ruleset = rules_of("ab");
    struct cg_buf set;
    routes[1].cache = CG_CACHE_NEVER;
    cg_buf_init(&set, 1 << 16);
    cg_route_set_write(&ruleset, &set);
    cr_assert(has(cg_buf_str(&set), 'a') && !has(cg_buf_str(&set), 'b'));
    cg_buf_fini(&set);
}

Test(agreement, two_sets_have_in_common_what_is_in_both)
{
    static const struct {
        const char *a, *b, *both;
    } cases[] = {{"abc", "bcd", "bc"}, {"abc", "abc", "abc"}, {"ab", "cd", ""},
                 {"", "ab", ""},       {"a", "", ""},         {"b", "abc", "b"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cg_buf a, b, both, expected;
        write_set(cases[i].a, &a);
        write_set(cases[i].b, &b);
        write_set(cases[i].both, &expected);
        cg_buf_init(&both, 1 << 16);
        cg_route_set_common(cg_buf_str(&a), cg_buf_str(&b), &both);
        cr_assert(cg_str_eq(cg_buf_str(&both), cg_buf_str(&expected)), "%s and %s", cases[i].a,
                  cases[i].b);
        cg_buf_fini(&a);
        cg_buf_fini(&b);
        cg_buf_fini(&both);
        cg_buf_fini(&expected);
    }
}

Test(agreement, what_is_no_set_is_told_from_one)
{
    cr_assert(cg_route_set_is_valid(CG_STR("")));
    cr_assert_not(cg_route_set_is_valid(CG_STR("aaaaaaa")));
    cr_assert_not(cg_route_set_is_valid(CG_STR("bbbbbbbbaaaaaaaa")));
    cr_assert_not(cg_route_set_is_valid(CG_STR("aaaaaaaaaaaaaaaa")));
}

Test(agreement, a_history_agrees_on_everything_unless_it_is_restricted)
{
    uint8_t digest[CG_DIGEST_BYTES];
    struct cg_bans *bans = cg_bans_create(1);
    memset(digest, 'a', sizeof(digest));
    cr_assert(cg_bans_agree(bans, digest));
    cg_bans_restrict(bans, CG_STR("aaaaaaaa"));
    cr_assert(cg_bans_agree(bans, digest));
    digest[0] = 'b';
    cr_assert_not(cg_bans_agree(bans, digest));
    cg_bans_unref(bans);
    bans = cg_bans_create(1);
    cg_bans_restrict(bans, CG_STR(""));
    cr_assert_not(cg_bans_agree(bans, digest));
    cg_bans_unref(bans);
}
