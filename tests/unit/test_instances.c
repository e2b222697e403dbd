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

TestSuite(instances, .init = init, .fini = fini);

static const char identity[] = "[{header: X-User, name: user}]";

static const char rules[] = "defaults: {ttl: 5m}\n"
                            "routes:\n"
                            "  - match: GET /transactions\n"
                            "  - match: GET /shared/**\n"
                            "    scope: shared\n"
                            "  - match: GET /users/{id}/**\n"
                            "  - match: GET /two\n"
                            "  - match: GET /typed/{id}\n"
                            "  - match: GET /filtered\n"
                            "    key: {query: {ignore: [id]}}\n"
                            "  - match: POST /write\n"
                            "    invalidate:\n"
                            "      - '/transactions?session_id={request.id}'\n"
                            "      - '/transactions?view=all'\n"
                            "      - '/shared/**'\n"
                            "      - {pattern: '/users/{user}/feed/**', audience: self}\n"
                            "      - '/two?a={request.a}&b={request.b}'\n"
                            "      - '/typed/{request.id:int}?u={request.u:uuid}'\n"
                            "      - '/filtered?id={request.id}'\n";

static struct cg_plan plan_of(const char *line, const char *fields)
{
    struct cg_ruleset *ruleset = help_ruleset_with_identity(rules, identity);
    struct cg_request_facts *facts = CG_ARENA_NEW(&arena, struct cg_request_facts);
    struct cg_plan plan;
    *facts = make_request(&arena, line, fields);
    cg_plan_make(ruleset, facts, true, &arena, &plan);
    return plan;
}

Test(instances, a_request_depends_on_its_path_its_user_and_the_shapes_that_match)
{
    static const struct {
        const char *line, *fields, *expected;
    } rows[] = {
        {"GET /transactions?session_id=abc&view=x", NULL,
         "path /transactions; user (anonymous); /transactions?session_id=abc"},
        {"GET /transactions?session_id=abc", NULL,
         "path /transactions; user (anonymous); /transactions?session_id=abc; "
         "/transactions?view=all (not sent)"},
        {"GET /transactions", "X-User: alice",
         "path /transactions; user alice; /transactions?session_id=… (not sent); "
         "/transactions?view=all (not sent)"},
        {"GET /transactions?session_id=a&session_id=b&session_id=a&view=all", NULL,
         "path /transactions; user (anonymous); /transactions?session_id=a; "
         "/transactions?session_id=b; /transactions?view=all"},
        {"GET /transactions?session_id=&view=z", NULL,
         "path /transactions; user (anonymous); /transactions?session_id=… (not sent)"},
        {"GET /transactions?session_id=abc&session_id&view=z", NULL,
         "path /transactions; user (anonymous); /transactions?session_id=… (not sent)"},
        {"GET /transactions?session_id=x&view=", NULL,
         "path /transactions; user (anonymous); /transactions?session_id=x; "
         "/transactions?view=all (not sent)"},
        {"GET /transactions?session_id=a%20b+c&view=z", NULL,
         "path /transactions; user (anonymous); /transactions?session_id=a%20b%20c"},
        {"GET //transactions/?view=all&session_id=x", NULL,
         "path /transactions; user (anonymous); /transactions?session_id=x; "
         "/transactions?view=all"},
        {"GET /shared/a/b", "X-User: alice", "path /shared/a/b; /shared/**"},
        {"GET /users/bob/feed/1", "X-User: alice",
         "path /users/bob/feed/1; user alice; /users/bob/feed/**; /users/bob/feed/** for user "
         "alice"},
        {"GET /users/bob/feed", NULL, "path /users/bob/feed; user (anonymous); /users/bob/feed/**"},
        {"GET /users/bob/other", "X-User: alice", "path /users/bob/other; user alice"},
        {"GET /two?a=1&a=2&b=3&b=4", NULL,
         "path /two; user (anonymous); /two?a=1&b=3; /two?a=2&b=3; /two?a=1&b=4; /two?a=2&b=4"},
        {"GET /two?a=1", NULL, "path /two; user (anonymous); /two?a=…&b=… (not sent)"},
        {"GET /typed/7?u=x", NULL, "path /typed/7; user (anonymous); /typed/7?u=x"},
        {"GET /filtered?id=7", NULL, "path /filtered; user (anonymous); /filtered?id=… (not sent)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_plan plan = plan_of(rows[i].line, rows[i].fields);
        struct cg_str text = CG_STR("");
        for (size_t j = 0; j < plan.instance_count; j++)
            text = cg_arena_printf(&arena, "%.*s%s%.*s", CG_STR_ARG(text), j == 0 ? "" : "; ",
                                   CG_STR_ARG(plan.instance_names[j]));
        cr_expect(cg_str_eq(text, cg_str_from(rows[i].expected)), "%s:\n%.*s", rows[i].line,
                  CG_STR_ARG(text));
    }
}

static bool same_instances(const char *a, const char *b)
{
    struct cg_plan x = plan_of(a, NULL), y = plan_of(b, NULL);
    cr_assert(x.kind == CG_PLAN_LOOKUP && y.kind == CG_PLAN_LOOKUP);
    return x.instance_count == y.instance_count &&
           memcmp(x.instances, y.instances, x.instance_count * sizeof x.instances[0]) == 0;
}

Test(instances, spellings_of_one_value_are_one_instance)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"GET /transactions?session_id=a%20b", "GET /transactions?session_id=a+b", true},
        {"GET /transactions?session_id=abc", "GET /transactions?session%5Fid=%61bc", true},
        {"GET /transactions?session_id=abc", "GET /transactions?session_id=ABC", false},
        {"GET /transactions?session_id=a&session_id=a", "GET /transactions?session_id=a", true},
        {"GET /transactions?session_id", "GET /transactions?session_id=", true},
        {"GET /transactions", "GET /transactions?session_id=", true},
        {"GET /typed/7?u=0123ABCD-0000-0000-0000-00000000000f",
         "GET /typed/7?u=0123abcd-0000-0000-0000-00000000000F", true},
        {"GET /shared/a%2Fb", "GET /shared/a/b", false},
        {"GET /shared//a", "GET /shared/a/", true},
        {"GET /shared/a%2fb", "GET /shared/a%2Fb", true},
        {"GET /shared/%61", "GET /shared/a", true},
        {"GET /shared/a;v=1", "GET /shared/a", false},
        {"GET /shared/A", "GET /shared/a", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(same_instances(rows[i].a, rows[i].b), rows[i].same, "%s %s", rows[i].a,
                     rows[i].b);
}

Test(instances, typed_holes_compare_normalised_values)
{
    struct cg_plan seven = plan_of("GET /typed/7?u=x", NULL);
    struct cg_plan zero_seven = plan_of("GET /typed/007?u=x", NULL);
    cr_assert(seven.instance_count == 3 && zero_seven.instance_count == 3);
    cr_expect(cg_instance_eq(&seven.instances[2], &zero_seven.instances[2]));
    cr_expect_not(cg_instance_eq(&seven.instances[0], &zero_seven.instances[0]),
                  "the own path is as it was sent");
}

Test(instances, the_twin_ignores_the_values_of_the_query)
{
    struct cg_ruleset *ruleset = help_ruleset_with_identity(rules, identity);
    unsigned shape = 0;
    while (ruleset->shapes[shape].pattern->segment_count != 2 ||
           ruleset->shapes[shape].pattern->term_count != 1)
        shape++; /* /typed/{}?u={} */
    const struct cg_str a[CG_HOLES_MAX] = {{"7", 1}, {"x", 1}}, b[CG_HOLES_MAX] = {{"07", 2}};
    const struct cg_str c[CG_HOLES_MAX] = {{"8", 1}, {"x", 1}};
    struct cg_str none = {NULL, 0};
    struct cg_instance x, y, z, plain;
    cg_instance_of_shape(ruleset, shape, a, true, none, &arena, &x);
    cg_instance_of_shape(ruleset, shape, b, true, none, &arena, &y);
    cg_instance_of_shape(ruleset, shape, c, true, none, &arena, &z);
    cg_instance_of_shape(ruleset, shape, a, false, none, &arena, &plain);
    cr_expect(cg_instance_eq(&x, &y));
    cr_expect_not(cg_instance_eq(&x, &z), "but it is of one path");
    cr_expect_not(cg_instance_eq(&x, &plain));
    cg_instance_of_shape(ruleset, shape, a, false, CG_STR("alice"), &arena, &y);
    cr_expect_not(cg_instance_eq(&plain, &y));
}

Test(instances, own_paths_belong_to_an_upstream)
{
    struct cg_ruleset *ruleset = help_ruleset_with_identity(rules, identity);
    struct cg_plan plan = plan_of("GET /two", NULL);
    struct cg_instance a, b;
    cg_instance_of_path(ruleset, 0, &plan.path, &arena, &a);
    cg_instance_of_path(ruleset, 1, &plan.path, &arena, &b);
    cr_expect_not(cg_instance_eq(&a, &b));
}

static struct cg_plan plan_with_values(int count)
{
    struct cg_str line = CG_STR("GET /two?x");
    for (int i = 0; i < count; i++)
        line = cg_arena_printf(&arena, "%.*s&a=%d&b=%d", CG_STR_ARG(line), i, i);
    struct cg_plan plan = plan_of(line.bytes, NULL);
    if (plan.kind == CG_PLAN_PASS) {
        cr_expect(cg_str_eq(plan.target, cg_str_skip(line, 4)), "forwarded as it was sent");
        cr_expect_eq(plan.query.count, 2 * (size_t)count + 1);
        cr_expect_eq(plan.reason, CG_REASON_TOO_COMPLEX);
    }
    return plan;
}

Test(instances, too_many_values_are_passed)
{
    cr_expect_eq(plan_with_values(7).instance_count, 2 + 49);
    /* With path and user 66; and then 81 of one shape alone. */
    cr_expect_eq(plan_with_values(8).kind, CG_PLAN_PASS);
    cr_expect_eq(plan_with_values(9).kind, CG_PLAN_PASS);
}

Test(instances, an_opaque_identity_is_never_shown)
{
    struct cg_ruleset *ruleset = help_ruleset("routes: [{match: GET /a, ttl: 5m}]");
    struct cg_request_facts facts = make_request(&arena, "GET /a", "Authorization: Bearer secret");
    struct cg_plan plan;
    cg_plan_make(ruleset, &facts, true, &arena, &plan);
    cr_assert_eq(plan.instance_count, 2);
    cr_expect(cg_str_starts_with(plan.instance_names[1], CG_STR("user ")));
    cr_expect_eq(plan.instance_names[1].length, 5 + 8 + 3);
    cg_plan_make(ruleset, &facts, false, &arena, &plan);
    cr_expect_null(plan.instance_names, "names are made for explain only");
}

Test(instances, a_user_is_one_instance_whatever_else_is_sent)
{
    struct cg_ruleset *ruleset = help_ruleset_with_identity(
        "routes: [{match: GET /a, ttl: 5m}]", "[{header: X-User, name: user}, {header: X-Role}]");
    struct cg_request_facts a = make_request(&arena, "GET /a", "X-User: u\nX-Role: r");
    struct cg_request_facts b = make_request(&arena, "GET /a", "X-User: u\nX-Role: s");
    struct cg_plan x, y;
    cg_plan_make(ruleset, &a, false, &arena, &x);
    cg_plan_make(ruleset, &b, false, &arena, &y);
    cr_expect(cg_instance_eq(&x.instances[1], &y.instances[1]));
    cr_expect_not(cg_str_eq(x.canonical, y.canonical));
}
