#include "cachegate/plan.h"

#include "tests/make_request.h"
#include "unit/help_ruleset.h"

#include <criterion/criterion.h>

static struct cg_arena arena;

static void init(void)
{
    cg_arena_init(&arena, 16 << 20);
}

static void fini(void)
{
    cg_arena_fini(&arena);
}

TestSuite(canonical, .init = init, .fini = fini);

/* `route` is the inside of a route map, without match and ttl. */
static struct cg_plan plan_of(const char *route, const struct cg_request_facts *facts)
{
    struct cg_str yaml = cg_arena_printf(&arena, "routes: [{match: 'GET /**', ttl: 5m%s%s}]",
                                         route[0] == '\0' ? "" : ", ", route);
    struct cg_ruleset *ruleset = help_ruleset(yaml.bytes);
    struct cg_plan plan;
    cg_plan_make(ruleset, facts, false, &arena, &plan);
    cr_assert_eq(plan.kind, CG_PLAN_LOOKUP, "%.*s %.*s: %s %.*s", CG_STR_ARG(facts->method),
                 CG_STR_ARG(facts->target), cg_reason_word(plan.reason), CG_STR_ARG(plan.detail));
    return plan;
}

Test(canonical, what_is_forwarded_is_the_canonical_target)
{
    static const struct {
        const char *name, *route, *target, *expected;
    } rows[] = {
        {"unreserved decoded", "", "/%61%2D%2e%5f%7Ex", "/a-._~x"},
        {"escapes in upper case", "", "/%c3%a9%2f", "/%C3%A9%2F"},
        {"no dot segment arises", "", "/a%2e", "/a."},
        {"slashes stay", "", "//a//", "//a//"},
        {"sub-delimiters stay", "", "/a;b,c=d(e)", "/a;b,c=d(e)"},
        {"no query left", "", "/a?", "/a"},
        {"empty pieces dropped", "", "/a?&&b=1&&", "/a?b=1"},
        {"sorted by name", "", "/a?c=1&b=2&a=3", "/a?a=3&b=2&c=1"},
        {"order of equal names kept", "", "/a?b=2&a=9&b=1&b=3", "/a?a=9&b=2&b=1&b=3"},
        {"many, and equal names", "", "/?n&m&l&k&j&i&h&g&f&a=2&e&d&c&b&a=1",
         "/?a=2&a=1&b&c&d&e&f&g&h&i&j&k&l&m&n"},
        {"sorted by the decoded name", "", "/a?%62=1&a=2", "/a?a=2&b=1"},
        {"values normalised", "", "/a?x=%41%2f+%20", "/a?x=A%2F+%20"},
        {"no value stays none", "", "/a?b&a=", "/a?a=&b"},
        {"sorting off", "key: {query: {sort: off}}", "/a?b=1&a=2", "/a?b=1&a=2"},
        {"ignored", "key: {query: {ignore: ['utm_*', ref]}}", "/a?utm_x=1&b=2&ref=3&utm_=4",
         "/a?b=2"},
        {"ignored by decoded name", "key: {query: {ignore: [ref]}}", "/a?r%65f=3&%72ef", "/a"},
        {"only", "key: {query: {only: [b, 'c*']}}", "/a?a=1&cc=2&b=3", "/a?b=3&cc=2"},
        {"a scope part is never dropped",
         "key: {query: {only: [b]}}, scope: [user, {tenant: query t}]", "/a?a=1&t=2", "/a?t=2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str line = cg_arena_printf(&arena, "GET %s", rows[i].target);
        struct cg_request_facts facts = make_request(&arena, line.bytes, NULL);
        struct cg_plan plan = plan_of(rows[i].route, &facts);
        cr_expect(cg_str_eq(plan.target, cg_str_from(rows[i].expected)), "%s: %.*s", rows[i].name,
                  CG_STR_ARG(plan.target));
    }
}

Test(canonical, hosts_are_compared_without_case_and_default_port)
{
    static const struct {
        const char *scheme_a, *a, *scheme_b, *b;
        bool same;
    } rows[] = {
        {"http", "API.test", "http", "api.TEST", true},
        {"http", "api.test:80", "http", "api.test", true},
        {"https", "api.test:443", "https", "api.test", true},
        {"http", "api.test:", "http", "api.test", true},
        {"http", "[::1]:80", "http", "[::1]", true},
        {"http", "api.test:443", "http", "api.test", false},
        {"https", "api.test:80", "https", "api.test", false},
        {"http", "api.test:8080", "http", "api.test", false},
        {"http", "api.test", "https", "api.test", false},
        {"http", "a.test", "http", "b.test", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_request_facts a = make_request(&arena, "GET /", NULL), b = a;
        a.scheme = cg_str_from(rows[i].scheme_a);
        a.authority = cg_str_from(rows[i].a);
        b.scheme = cg_str_from(rows[i].scheme_b);
        b.authority = cg_str_from(rows[i].b);
        struct cg_plan x = plan_of("", &a), y = plan_of("", &b);
        cr_expect_eq(cg_str_eq(x.canonical, y.canonical), rows[i].same, "%s %s", rows[i].a,
                     rows[i].b);
    }
}

Test(canonical, every_key_part_tells_requests_apart)
{
    static const char *const keyed =
        "key: {headers: [X-Lang, X-Two], cookies: [c]}, scope: [user, {tenant: header X-Tenant}]";
    static const struct {
        const char *name, *a, *b;
        bool same;
    } rows[] = {
        {"equal", "X-Lang: de", "X-Lang: de", true},
        {"unkeyed field", "X-Lang: de\nAccept: x", "X-Lang: de\nAccept: y", true},
        {"header", "X-Lang: de", "X-Lang: en", false},
        {"absent and empty header", "X-Lang:", "Accept: x", false},
        {"values do not wander", "X-Lang: a", "X-Two: a", false},
        {"values do not run together", "X-Lang: ab\nX-Two: c", "X-Lang: a\nX-Two: bc", false},
        {"cookie", "Cookie: c=1", "Cookie: c=2", false},
        {"absent and empty cookie", "Cookie: c=", "Accept: x", false},
        {"scope part", "X-Tenant: 1", "X-Tenant: 2", false},
        {"scope part and key part", "X-Tenant: 1", "X-Two: 1", false},
        {"identity", "Authorization: a", "Authorization: b", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_request_facts a = make_request(&arena, "GET /x", rows[i].a);
        struct cg_request_facts b = make_request(&arena, "GET /x", rows[i].b);
        struct cg_plan x = plan_of(keyed, &a), y = plan_of(keyed, &b);
        cr_expect_eq(cg_str_eq(x.canonical, y.canonical), rows[i].same, "%s", rows[i].name);
        cr_expect_eq(memcmp(x.key.id, y.key.id, sizeof x.key.id) == 0, rows[i].same, "%s",
                     rows[i].name);
    }
}

Test(canonical, scopes_of_different_kind_never_share)
{
    struct cg_request_facts facts = make_request(&arena, "GET /x", NULL);
    struct cg_plan user = plan_of("", &facts), shared = plan_of("scope: shared", &facts);
    cr_expect_not(cg_str_eq(user.canonical, shared.canonical),
                  "a rule that changed must not find what the old one stored");
}

Test(canonical, head_and_get_are_one_request)
{
    struct cg_request_facts get = make_request(&arena, "GET /x", NULL);
    struct cg_request_facts head = make_request(&arena, "HEAD /x", NULL);
    struct cg_plan x = plan_of("", &get), y = plan_of("", &head);
    cr_expect(cg_str_eq(x.canonical, y.canonical));
    cr_expect(y.head);
}

Test(canonical, the_query_of_a_lookup_is_the_one_that_is_forwarded)
{
    struct cg_request_facts facts = make_request(&arena, "GET /x?b=1&utm_a=2&a=3", NULL);
    struct cg_plan plan = plan_of("key: {query: {ignore: ['utm_*']}}", &facts);
    cr_assert_eq(plan.query.count, 2);
    cr_expect(cg_str_eq(plan.query.params[0].name, CG_STR("a")));
    cr_expect(cg_str_eq(plan.query.params[1].name, CG_STR("b")));
}
