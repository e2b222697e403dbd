#include "cachegate/plan.h"

#include "tests/make_request.h"
#include "unit/help_ruleset.h"

#include <criterion/criterion.h>

static struct cg_arena arena;

static void init(void)
{
    cg_arena_init(&arena, 64 << 20);
}

static void fini(void)
{
    cg_arena_fini(&arena);
}

TestSuite(plan, .init = init, .fini = fini);

static const char rules[] = "defaults: {ttl: 5m}\n"
                            "routes:\n"
                            "  - match: GET /items\n"
                            "  - match: GET /items/{id}\n"
                            "    scope: shared\n"
                            "    inert: {headers: [x-session-hint], cookies: [theme, _ga*]}\n"
                            "  - match: GET /never/**\n"
                            "    cache: never\n"
                            "  - match: GET /refresh\n"
                            "    invalidate: [/items]\n"
                            "  - match: PUT /items/{id}\n"
                            "    upstream: other\n"
                            "    invalidate: ['/items/{id}']\n"
                            "  - match: '* /any/**'\n"
                            "  - match: GET /parts\n"
                            "    scope: [user, {tenant: header X-Tenant}, {org: cookie org}]\n"
                            "    key: {headers: [X-Account], cookies: [locale]}\n";

static struct cg_plan plan_of(const char *line, const char *fields)
{
    struct cg_ruleset *ruleset = help_ruleset(rules);
    struct cg_request_facts *facts = CG_ARENA_NEW(&arena, struct cg_request_facts);
    struct cg_plan plan;
    *facts = make_request(&arena, line, fields);
    cg_plan_make(ruleset, facts, true, &arena, &plan);
    return plan;
}

Test(plan, every_request_has_one_kind_and_one_reason)
{
    static const struct {
        const char *line, *fields;
        enum cg_plan_kind kind;
        enum cg_reason reason;
        const char *detail;
    } rows[] = {
        {"GET /items", NULL, CG_PLAN_LOOKUP, CG_REASON_ABSENT, ""},
        {"HEAD /items", NULL, CG_PLAN_LOOKUP, CG_REASON_ABSENT, ""},
        {"GET /items", "Authorization: Bearer x", CG_PLAN_LOOKUP, CG_REASON_ABSENT, ""},
        {"GET /items", "Range: bytes=0-1", CG_PLAN_LOOKUP, CG_REASON_ABSENT, ""},
        {"GET /nowhere", NULL, CG_PLAN_PASS, CG_REASON_NO_ROUTE, ""},
        {"OPTIONS *", NULL, CG_PLAN_PASS, CG_REASON_NO_ROUTE, ""},
        {"OPTIONS /any/x", NULL, CG_PLAN_PASS, CG_REASON_METHOD, "OPTIONS"},
        {"PROPFIND /any/x", NULL, CG_PLAN_PASS, CG_REASON_METHOD, "PROPFIND"},
        {"QUERY /any/x", NULL, CG_PLAN_PASS, CG_REASON_METHOD, "QUERY"},
        {"GET /never/x", NULL, CG_PLAN_PASS, CG_REASON_RULE_NEVER, ""},
        {"GET /items", "\nbody", CG_PLAN_PASS, CG_REASON_REQUEST_BODY, ""},
        {"POST /nowhere", NULL, CG_PLAN_WRITE, CG_REASON_WRITE, ""},
        {"POST /any/x", NULL, CG_PLAN_WRITE, CG_REASON_WRITE, ""},
        {"PUT /items/5", NULL, CG_PLAN_WRITE, CG_REASON_WRITE, ""},
        {"get /items", NULL, CG_PLAN_WRITE, CG_REASON_WRITE, ""},
        {"BREW /items", NULL, CG_PLAN_WRITE, CG_REASON_WRITE, ""},
        {"GET /refresh", NULL, CG_PLAN_WRITE, CG_REASON_RULE_INVALIDATES, ""},
        {"HEAD /refresh", NULL, CG_PLAN_WRITE, CG_REASON_RULE_INVALIDATES, ""},
        {"GET /items/../x", NULL, CG_PLAN_REFUSE, CG_REASON_BAD_REQUEST,
         "a dot segment in the path"},
        {"POST /items/%2e%2e", NULL, CG_PLAN_REFUSE, CG_REASON_BAD_REQUEST,
         "a dot segment in the path"},
        {"GET /items?x=%", NULL, CG_PLAN_REFUSE, CG_REASON_BAD_REQUEST,
         "a broken or forbidden encoding in the target"},
        {"TRACE /items", NULL, CG_PLAN_REFUSE, CG_REASON_BAD_REQUEST, "TRACE is not allowed"},
        {"CONNECT a.test:443", NULL, CG_PLAN_REFUSE, CG_REASON_BAD_REQUEST,
         "CONNECT is not supported"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_plan plan = plan_of(rows[i].line, rows[i].fields);
        cr_expect(plan.kind == rows[i].kind && plan.reason == rows[i].reason &&
                      cg_str_eq(plan.detail, cg_str_from(rows[i].detail)),
                  "%s: kind %d, %s, `%.*s`", rows[i].line, (int)plan.kind,
                  cg_reason_word(plan.reason), CG_STR_ARG(plan.detail));
    }
}

Test(plan, refusals_have_a_status)
{
    cr_expect_eq(plan_of("GET /a/..", NULL).refuse_status, 400);
    cr_expect_eq(plan_of("TRACE /a", NULL).refuse_status, 405);
    cr_expect_eq(plan_of("CONNECT a:1", NULL).refuse_status, 501);
    cr_expect_eq(plan_of("GET /a", NULL).refuse_status, 0);
}

Test(plan, a_read_is_passed_when_something_it_depends_on_is_unclear)
{
    static const struct {
        const char *line, *fields;
        enum cg_plan_kind kind;
        enum cg_reason reason;
        const char *detail;
    } rows[] = {
        {"GET /items", "X-API-Key: 1", CG_PLAN_PASS, CG_REASON_UNCOVERED_CREDENTIAL, "x-api-key"},
        {"GET /items", "X-Tenant: 1", CG_PLAN_PASS, CG_REASON_UNCOVERED_CREDENTIAL, "x-tenant"},
        {"GET /items", "Proxy-Authorization: x", CG_PLAN_PASS, CG_REASON_UNCOVERED_CREDENTIAL,
         "proxy-authorization"},
        {"GET /items", "Cookie: a=b", CG_PLAN_PASS, CG_REASON_UNCOVERED_CREDENTIAL, "cookie:a"},
        {"GET /items", "Cookie: secrettext", CG_PLAN_PASS, CG_REASON_UNCOVERED_CREDENTIAL,
         "cookie"},
        {"GET /items", "User-Agent: x\nAccept: y\nSec-Fetch-Mode: z\nAccept-Language: de",
         CG_PLAN_LOOKUP, CG_REASON_ABSENT, ""},
        {"GET /items/1", "X-Session-Hint: 1\nCookie: theme=dark; _ga_1=x", CG_PLAN_LOOKUP,
         CG_REASON_ABSENT, ""},
        {"GET /items/1", "Cookie: theme=dark; sid=1", CG_PLAN_PASS, CG_REASON_UNCOVERED_CREDENTIAL,
         "cookie:sid"},
        {"GET /items", "Authorization: a\nAuthorization: b", CG_PLAN_PASS,
         CG_REASON_AMBIGUOUS_IDENTITY, "authorization"},
        {"GET /items", "Authorization: a\nConnection: authorization", CG_PLAN_PASS,
         CG_REASON_AMBIGUOUS_IDENTITY, "authorization"},
        {"GET /parts", "X-Tenant: 1\nX-Account: 2\nCookie: org=3; locale=4", CG_PLAN_LOOKUP,
         CG_REASON_ABSENT, ""},
        {"GET /parts", "X-Tenant: 1\nX-Tenant: 1", CG_PLAN_PASS, CG_REASON_AMBIGUOUS_IDENTITY,
         "x-tenant"},
        {"GET /parts", "X-Account: 1\nX-Account: 2", CG_PLAN_PASS, CG_REASON_AMBIGUOUS_IDENTITY,
         "x-account"},
        {"GET /parts", "Cookie: org=1\nCookie: org=2", CG_PLAN_PASS, CG_REASON_AMBIGUOUS_IDENTITY,
         "org"},
        {"GET /parts", "Cookie: locale=1; locale=2", CG_PLAN_PASS, CG_REASON_AMBIGUOUS_IDENTITY,
         "locale"},
        {"GET /parts", "Cookie: locale=1\nConnection: close, Cookie", CG_PLAN_PASS,
         CG_REASON_AMBIGUOUS_IDENTITY, "locale"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_plan plan = plan_of(rows[i].line, rows[i].fields);
        cr_expect(plan.kind == rows[i].kind && plan.reason == rows[i].reason &&
                      cg_str_eq(plan.detail, cg_str_from(rows[i].detail)),
                  "%s, %s: kind %d, %s, `%.*s`", rows[i].line, rows[i].fields, (int)plan.kind,
                  cg_reason_word(plan.reason), CG_STR_ARG(plan.detail));
    }
}

Test(plan, a_switched_off_cache_passes_reads_and_still_purges)
{
    struct cg_ruleset *ruleset = help_ruleset(rules);
    ruleset->cache_enabled = false;
    struct cg_request_facts get = make_request(&arena, "GET /items", NULL);
    struct cg_request_facts put = make_request(&arena, "PUT /items/1", NULL);
    struct cg_plan plan;
    cg_plan_make(ruleset, &get, false, &arena, &plan);
    cr_expect(plan.kind == CG_PLAN_PASS && plan.reason == CG_REASON_CACHE_OFF);
    cg_plan_make(ruleset, &put, false, &arena, &plan);
    cr_expect_eq(plan.kind, CG_PLAN_WRITE);
}

static struct cg_str long_query(const char *method)
{
    struct cg_str line = cg_arena_printf(&arena, "%s /items?", method);
    for (size_t i = 0; i < CG_QUERY_PARAMS_MAX + 1; i++)
        line = cg_arena_printf(&arena, "%.*sa&", CG_STR_ARG(line));
    return line;
}

Test(plan, what_is_too_complex_passes_but_still_writes)
{
    struct cg_plan read = plan_of(long_query("GET").bytes, NULL);
    cr_expect(read.kind == CG_PLAN_PASS && read.reason == CG_REASON_TOO_COMPLEX);
    cr_expect_eq(read.target.length, long_query("GET").length - 4, "forwarded as it was sent");
    struct cg_plan write = plan_of(long_query("POST").bytes, NULL);
    cr_expect_eq(write.kind, CG_PLAN_WRITE);
    cr_expect_eq(write.path.count, 1);
    struct cg_str cookies = CG_STR("Cookie: a");
    for (int i = 0; i < 300; i++)
        cookies = cg_arena_printf(&arena, "%.*s; a%d=1", CG_STR_ARG(cookies), i);
    struct cg_plan crumbs = plan_of("GET /items", cookies.bytes);
    cr_expect(crumbs.kind == CG_PLAN_PASS && crumbs.reason == CG_REASON_TOO_COMPLEX);
    cr_expect_eq(plan_of("POST /items", cookies.bytes).kind, CG_PLAN_WRITE);
}

Test(plan, the_route_says_where_to)
{
    struct cg_plan plan = plan_of("PUT /items/a%2Fb", NULL);
    cr_expect_eq(plan.upstream, 1);
    cr_expect(cg_str_eq(plan.captures[0], CG_STR("a/b")));
    cr_expect(cg_str_eq(plan.target, CG_STR("/items/a%2Fb")), "a write is forwarded as sent");
    cr_expect_eq(plan_of("POST /nowhere", NULL).upstream, 0);
    cr_expect(plan_of("HEAD /items", NULL).head);
    cr_expect_not(plan_of("GET /items", NULL).head);
    cr_expect(plan_of("GET /items", "Range: bytes=0-1").has_range);
}

Test(plan, credentials_are_noticed_unless_they_partition_or_are_inert)
{
    cr_expect_not(plan_of("GET /items/1", NULL).credentialed);
    cr_expect(plan_of("GET /items/1", "Authorization: x").credentialed);
    cr_expect_not(plan_of("GET /items/1", "X-Session-Hint: x\nCookie: theme=1").credentialed);
    cr_expect(plan_of("GET /items/1", "X-Api-Key: x").credentialed);
    cr_expect_not(plan_of("GET /parts", "X-Tenant: 1\nX-Account: 2\nCookie: org=1").credentialed);
}

static void expect_same(struct cg_str a, struct cg_str b, const char *line, const char *what)
{
    cr_expect(cg_str_eq(a, b), "%s: %s is '%.*s', not '%.*s'", line, what, CG_STR_ARG(a),
              CG_STR_ARG(b));
}

static void expect_same_plan(const struct cg_plan *a, const struct cg_plan *b, const char *line)
{
    cr_expect_eq(a->kind, b->kind, "%s", line);
    expect_same(a->detail, b->detail, line, "detail");
    expect_same(a->target, b->target, line, "target");
    expect_same(a->canonical, b->canonical, line, "canonical request");
    expect_same(a->identity.user, b->identity.user, line, "user");
    for (size_t i = 0; i < CG_HOLES_MAX; i++)
        expect_same(a->captures[i], b->captures[i], line, "capture");
    cr_assert_eq(a->path.count, b->path.count, "%s", line);
    for (size_t i = 0; i < a->path.count; i++)
        expect_same(a->path.segments[i], b->path.segments[i], line, "segment");
    cr_assert_eq(a->query.count, b->query.count, "%s", line);
    for (size_t i = 0; i < a->query.count; i++) {
        const struct cg_query_param *x = &a->query.params[i], *y = &b->query.params[i];
        expect_same(x->name, y->name, line, "name");
        expect_same(x->value, y->value, line, "value");
        expect_same(x->raw_name, y->raw_name, line, "name as sent");
        expect_same(x->raw_value, y->raw_value, line, "value as sent");
    }
}

Test(plan, plan_outlives_the_bytes_of_the_request)
{
    static const struct {
        const char *line, *fields;
    } rows[] = {
        {"GET /items?b=1&a=%41&c", "X-User: ada\nCookie: s=1"},
        {"GET /items/7?x=y", "X-User: ada"},
        {"GET /items/7?x=y", "X-User: ada\nX-User: bob"},
        {"GET /parts?z=%2f", "X-User: ada\nX-Tenant: t\nX-Account: a\nCookie: org=o; locale=l"},
        {"GET /parts", "X-User: ada\nX-Account: a\nX-Account: b"},
        {"GET /items", "X-User: ada\nX-Api-Key: of-nobody"},
        {"GET /items", "X-User: ada\nCookie: sessionid=of-nobody"},
        {"PUT /items/7?x=y", "X-User: ada\n\nbody"},
        {"PROPFIND /any/x", "X-User: ada"},
        {"GET /nowhere/at/all?q=1", "X-User: ada"},
        {"GET /items/../x", "X-User: ada"},
        {"OPTIONS *", NULL},
    };
    struct cg_ruleset *ruleset =
        help_ruleset_with_identity(rules, "sources: [{header: X-User, name: user}]");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        static _Alignas(16) unsigned char theirs[8192];
        struct cg_arena lent;
        struct cg_plan plan, expected;
        struct cg_request_facts facts = make_request(&arena, rows[i].line, rows[i].fields);
        cg_plan_make(ruleset, &facts, false, &arena, &expected);
        cg_arena_init_with(&lent, sizeof(theirs), theirs, sizeof(theirs));
        facts = make_request(&lent, rows[i].line, rows[i].fields);
        cg_plan_make(ruleset, &facts, false, &arena, &plan);
        cg_arena_fini(&lent);
        memset(theirs, '#', sizeof(theirs));
        expect_same_plan(&plan, &expected, rows[i].line);
    }
}
