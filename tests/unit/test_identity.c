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

TestSuite(identity, .init = init, .fini = fini);

static const char rules[] = "routes: [{match: 'GET /**', ttl: 5m}]";
static const char by_default[] = "[{header: Authorization}]";
static const char two_sources[] = "[{header: X-User, name: user}, {cookie: sid}]";

static struct cg_plan plan_of(const char *identity, const char *line, const char *fields)
{
    struct cg_ruleset *ruleset = help_ruleset_with_identity(rules, identity);
    struct cg_request_facts *facts = CG_ARENA_NEW(&arena, struct cg_request_facts);
    struct cg_plan plan;
    *facts = make_request(&arena, line, fields);
    cg_plan_make(ruleset, facts, true, &arena, &plan);
    return plan;
}

static bool same_identity(const char *sources, const char *a, const char *b)
{
    struct cg_plan x = plan_of(sources, "GET /", a), y = plan_of(sources, "GET /", b);
    cr_assert_eq(x.kind, CG_PLAN_LOOKUP, "%s: %.*s", a, CG_STR_ARG(x.detail));
    cr_assert_eq(y.kind, CG_PLAN_LOOKUP, "%s: %.*s", b, CG_STR_ARG(y.detail));
    bool same = memcmp(x.identity.digest, y.identity.digest, 32) == 0;
    cr_expect_eq(same, memcmp(x.key.id, y.key.id, sizeof x.key.id) == 0, "the key follows: %s, %s",
                 a, b);
    return same;
}

Test(identity, users_are_told_apart_by_the_bytes_of_their_sources)
{
    static const struct {
        const char *name, *sources, *a, *b;
        bool same;
    } rows[] = {
        {"equal", by_default, "Authorization: x", "authorization: x", true},
        {"other value", by_default, "Authorization: x", "Authorization: X", false},
        {"nobody", by_default, "Accept: x", "Accept: y", true},
        {"somebody and nobody", by_default, "Authorization: x", "Accept: x", false},
        {"empty and absent", by_default, "Authorization:", "Accept: x", false},
        {"cookie order", two_sources, "X-User: a\nCookie: sid=b", "Cookie: sid=b\nX-User: a", true},
        {"values do not run together", two_sources, "X-User: ab\nCookie: sid=c",
         "X-User: a\nCookie: sid=bc", false},
        {"sources are not confused", two_sources, "X-User: a", "Cookie: sid=a", false},
        {"a part more", two_sources, "X-User: a", "X-User: a\nCookie: sid=", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(same_identity(rows[i].sources, rows[i].a, rows[i].b), rows[i].same, "%s",
                     rows[i].name);
}

Test(identity, the_plain_user_is_the_source_of_that_name)
{
    struct cg_plan plan = plan_of(two_sources, "GET /", "X-User: alice\nCookie: sid=1");
    cr_expect(cg_str_eq(plan.identity.user, CG_STR("alice")));
    cr_expect(plan.identity.present);
    plan = plan_of(two_sources, "GET /", "Cookie: sid=1");
    cr_expect(cg_str_empty(plan.identity.user));
    cr_expect(plan.identity.present);
    plan = plan_of(by_default, "GET /", "Authorization: x");
    cr_expect(cg_str_empty(plan.identity.user), "a token is nobody's name");
    cr_expect_not(plan_of(by_default, "GET /", NULL).identity.present);
}

Test(identity, a_source_sent_twice_names_nobody)
{
    struct cg_plan plan = plan_of(two_sources, "POST /", "X-User: a\nX-User: a");
    cr_expect_eq(plan.kind, CG_PLAN_WRITE);
    cr_expect_not(plan.identity.present);
    cr_expect(cg_str_empty(plan.identity.user));
    plan = plan_of(two_sources, "GET /", "Cookie: sid=1; x=2; sid=1");
    cr_expect(plan.kind == CG_PLAN_PASS && plan.reason == CG_REASON_AMBIGUOUS_IDENTITY);
    cr_expect(cg_str_eq(plan.detail, CG_STR("sid")));
}

Test(identity, cookies_are_read_over_all_lines)
{
    static const struct {
        const char *fields, *uncovered;
    } rows[] = {
        {"Cookie: sid=1", ""},
        {"Cookie:  sid=1 ;", ""},
        {"Cookie: ;; sid = 1 ;;", ""},
        {"Cookie: sid=1\nCookie: other=2", "cookie:other"},
        {"Cookie: sid=a=b", ""},
        {"Cookie: sid", ""}, /* a cookie without `=` is all name */
        {"Cookie: SID=1", "cookie:SID"},
        {"Cookie: sid=1; =x", "cookie:"},
        {"Cookie:", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_plan plan = plan_of(two_sources, "GET /", rows[i].fields);
        bool passes = plan.reason == CG_REASON_UNCOVERED_CREDENTIAL;
        cr_expect(passes == (rows[i].uncovered[0] != '\0') &&
                      cg_str_eq(plan.detail, cg_str_from(rows[i].uncovered)),
                  "%s: `%.*s`", rows[i].fields, CG_STR_ARG(plan.detail));
    }
}

Test(identity, shared_answers_are_not_partitioned)
{
    struct cg_ruleset *ruleset =
        help_ruleset("routes: [{match: 'GET /**', ttl: 5m, scope: shared}]");
    struct cg_request_facts a = make_request(&arena, "GET /", "Authorization: a");
    struct cg_request_facts b = make_request(&arena, "GET /", "Authorization: b");
    struct cg_plan x, y;
    cg_plan_make(ruleset, &a, false, &arena, &x);
    cg_plan_make(ruleset, &b, false, &arena, &y);
    cr_expect(cg_str_eq(x.canonical, y.canonical));
    cr_expect(x.credentialed && y.credentialed);
    cr_assert_eq(x.instance_count, y.instance_count);
    cr_expect_arr_eq(x.instances, y.instances, x.instance_count * sizeof x.instances[0],
                     "or they could not share an entry");
}

Test(identity, operators_may_add_names_of_credentials)
{
    const char *sources = "{sources: [{header: X-User}], credentials: [x-badge*]}";
    struct cg_plan plan = plan_of(sources, "GET /", "X-Badge-No: 7");
    cr_expect_eq(plan.reason, CG_REASON_UNCOVERED_CREDENTIAL);
    cr_expect(cg_str_eq(plan.detail, CG_STR("x-badge-no")));
}

/* `X_User` and `X-User` are one variable to CGI and its heirs. */
Test(identity, a_field_that_an_upstream_may_merge_with_another_is_uncovered)
{
    static const struct {
        const char *identity, *fields, *uncovered;
    } rows[] = {
        {"[{header: X-Wallet}]", "X_Wallet: a", "x_wallet"},
        {"[{header: X-Wallet}]", "X-Wallet: b\nX_Wallet: a", "x_wallet"},
        {"[{header: X-Wallet}]", "X.Wallet: a", "x.wallet"},
        {"[{header: X_Wallet}]", "X-Wallet: a", "x-wallet"},
        {"[{header: X_Wallet}]", "X_Wallet: a", ""},
        {by_default, "Accept_Language: fr", "accept_language"},
        {by_default, "X_Forwarded_Host: evil", "x_forwarded_host"},
        {by_default, "Accept-Language: fr\nX-Any-1: y", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_plan plan = plan_of(rows[i].identity, "GET /", rows[i].fields);
        cr_expect((plan.kind == CG_PLAN_LOOKUP) == (rows[i].uncovered[0] == '\0') &&
                      cg_str_eq(plan.detail, cg_str_from(rows[i].uncovered)),
                  "%s: `%.*s`", rows[i].fields, CG_STR_ARG(plan.detail));
    }
}

/* Upstreams exist that end a cookie at a comma, at white space, or not inside quotes. */
Test(identity, an_inert_cookie_cannot_hide_another)
{
    static const struct {
        const char *cookie;
        bool inert;
    } rows[] = {
        {"_ga=GA1.2.3", true},       {"_ga=", true},
        {"_ga=\"1\"", true},         {"_ga=a=b&c=%20", true},
        {"_ga=1, sid=x", false},     {"_ga=1 sid=x", false},
        {"_ga=\"1; sid=x\"", false}, {"_ga=\"1\\\"\"", false},
        {"_ga, sid=x", false},       {"_ga sid=x", false},
        {"_ga=1\xa0sid=x", false},   {"_ga=\"", false},
    };
    struct cg_ruleset *ruleset =
        help_ruleset("routes: [{match: 'GET /**', ttl: 5m, inert: {cookies: ['_ga*']}}]");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str line = cg_arena_printf(&arena, "Cookie: %s", rows[i].cookie);
        struct cg_request_facts facts = make_request(&arena, "GET /", line.bytes);
        struct cg_plan plan;
        cg_plan_make(ruleset, &facts, false, &arena, &plan);
        cr_expect_eq(plan.kind, rows[i].inert ? CG_PLAN_LOOKUP : CG_PLAN_PASS, "%s",
                     rows[i].cookie);
    }
}
