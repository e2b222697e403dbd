#include "cachegate/purge.h"

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

TestSuite(purge, .init = init, .fini = fini);

static const char identity[] = "[{header: X-User, name: user}]";

static const char rules[] =
    "defaults: {ttl: 5m}\n"
    "groups:\n"
    "  session: ['/transactions?session_id={id}', '/summary/{id}', /sessions]\n"
    "  pair: ['/p/{b}?a={a}']\n"
    "  view: ['/p/{b}?view=all']\n"
    "routes:\n"
    "  - match: GET /transactions\n"
    "  - match: GET /summary/{id}\n"
    "  - match: GET /sessions\n"
    "  - match: GET /users/**\n"
    "  - {match: GET /open/**, scope: shared, upstream: other}\n"
    "  - match: GET /typed/{id}\n"
    "  - match: GET /p/{b}\n"
    "  - match: PUT /transactions/{id}\n"
    "    invalidate: [{group: session, id: '{response.session_id}'}]\n"
    "  - match: POST /bulk\n"
    "    invalidate:\n"
    "      - {group: session, id: '{request.ids[*]}'}\n"
    "      - {pattern: '/users/{user}/feed', audience: self, when: {status: 2xx}}\n"
    "  - match: POST /when\n"
    "    invalidate:\n"
    "      - {pattern: /sessions, when: {status: [201, 3xx]}}\n"
    "      - {pattern: /summary/a, when: {request.kind: x}}\n"
    "      - {pattern: /summary/b, when: {response.ok: 'true'}}\n"
    "  - match: POST /doubt\n"
    "    invalidate:\n"
    "      - {pattern: /summary/list, when: {'request.items[*].state': gone}}\n"
    "      - {pattern: /summary/real, when: {request.rate: '0.5'}}\n"
    "  - {match: 'GET /split/**', upstream: other}\n"
    "  - {match: 'GET /split/never/**', cache: never, upstream: other}\n"
    "  - match: POST /sources/{part}\n"
    "    invalidate:\n"
    "      - '/users/{part}/{query.q}/{header.x-h}'\n"
    "  - match: POST /typed/{id}\n"
    "    invalidate: ['/typed/{id:int}?u={request.u}', '/p/{request.b}?a={query.a}']\n"
    "  - match: POST /mixed\n"
    "    invalidate: ['/p/{request.ids[*]}?a={query.a}']\n"
    "  - match: DELETE /quiet/**\n"
    "    invalidate: none\n"
    "  - match: GET /cause\n"
    "    invalidate: [/sessions]\n";

static const struct cg_purge_limits limits = {
    .json_body_max = 1000, .json_depth_max = 8, .instances_max = 4};

struct write {
    struct cg_ruleset *ruleset;
    struct cg_request_facts facts;
    struct cg_plan plan;
};

static struct write *write_of(const char *line, const char *fields)
{
    struct write *write = CG_ARENA_NEW(&arena, struct write);
    write->ruleset = help_ruleset_with_identity(rules, identity);
    write->facts = make_request(&arena, line, fields);
    cg_plan_make(write->ruleset, &write->facts, false, &arena, &write->plan);
    return write;
}

/* Names in order, then `ban` with pattern and user, then how many clauses were widened. */
static struct cg_str print(const struct cg_purge_set *set)
{
    struct cg_str text = CG_STR("");
    for (size_t i = 0; i < set->instance_count; i++)
        text = cg_arena_printf(&arena, "%.*s%s%.*s", CG_STR_ARG(text), i == 0 ? "" : "; ",
                               CG_STR_ARG(set->names[i]));
    for (size_t i = 0; i < set->ban_count; i++) {
        bool everyone = cg_str_empty(set->bans[i].user);
        text = cg_arena_printf(&arena, "%.*s; ban %.*s%s%.*s", CG_STR_ARG(text),
                               CG_STR_ARG(set->bans[i].pattern), everyone ? "" : " of ",
                               CG_STR_ARG(set->bans[i].user));
    }
    if (set->widened > 0)
        text = cg_arena_printf(&arena, "%.*s; widened %u", CG_STR_ARG(text), set->widened);
    return text;
}

static struct cg_str before(const char *line, const char *fields, bool explain)
{
    struct write *write = write_of(line, fields);
    struct cg_purge_set set;
    cg_purge_before(write->ruleset, &write->plan, &write->facts, &limits, explain, &arena, &set);
    return explain ? print(&set) : cg_arena_printf(&arena, "%zu", set.instance_count);
}

/* `answer` is "200\nField: value\n\nbody"; NULL: nobody knows. */
static struct cg_purge_set set_after(const char *line, const char *fields, const char *answer)
{
    struct write *write = write_of(line, fields);
    struct cg_write_answer facts = {0};
    struct cg_purge_set set;
    if (answer != NULL) {
        uint64_t status = 0;
        struct cg_str rest = cg_str_from(answer), first;
        cg_str_split(&rest, '\n', &first);
        cr_assert(cg_str_to_u64(first, 999, &status));
        struct cg_request_facts parsed =
            make_request(&arena, "GET /", rest.bytes == NULL ? "" : rest.bytes);
        facts = (struct cg_write_answer){true, (unsigned)status, parsed.fields, parsed.body, true};
    }
    cg_purge_after(write->ruleset, &write->plan, &write->facts, &facts, &limits, true, &arena,
                   &set);
    return set;
}

static struct cg_str after(const char *line, const char *fields, const char *answer)
{
    struct cg_purge_set set = set_after(line, fields, answer);
    return print(&set);
}

Test(purge, a_write_purges_what_its_answer_and_rules_say)
{
    static const struct {
        const char *name, *line, *fields, *answer, *expected;
    } rows[] = {
        {"defaults", "DELETE /items/5", NULL, "200", "path /items/5; path /items"},
        {"the parent of /items is /", "POST /items", NULL, "201", "path /items; path /"},
        {"the root has no parent", "POST /", NULL, "200", "path /"},
        {"redirects purge", "POST /items", NULL, "303\nLocation: /x",
         "path /items; path /; path /x"},
        {"refused writes do not", "POST /items", NULL, "404\nLocation: /x", ""},
        {"interim answers do not", "POST /items", NULL, "100", ""},
        {"failures do", "POST /items", NULL, "503", "path /items; path /"},
        {"unknown outcomes do", "POST /items", NULL, NULL, "path /items; path /"},
        {"reads and writes may go to two upstreams", "DELETE /split/5", NULL, "200",
         "path /split/5; path /split/5; path /split; path /split"},
        {"and Location names what is read", "POST /items", NULL, "201\nLocation: /split/1",
         "path /items; path /; path /split/1; path /split/1"},
        {"none", "DELETE /quiet/5", NULL, "200\nLocation: /x", ""},
        {"reads purge nothing", "GET /nowhere", NULL, "200\nLocation: /x", ""},
        {"a read whose rule invalidates does", "GET /cause", NULL, "200", "path /cause; /sessions"},
        {"a list replaces parent and Location", "PUT /transactions/7", NULL,
         "200\nLocation: /x\n\n{\"session_id\":\"abc\"}",
         "path /transactions/7; /transactions?session_id=abc; /transactions?session_id=… (not sent)"
         "; /summary/abc; /sessions"},
        {"numbers are text", "PUT /transactions/7", NULL, "200\n\n{\"session_id\":42}",
         "path /transactions/7; /transactions?session_id=42; /transactions?session_id=… (not sent);"
         " /summary/42; /sessions"},
        {"no JSON widens", "PUT /transactions/7", NULL, "200\n\noops",
         "path /transactions/7; /sessions; ban /transactions; ban /summary/*; widened 2"},
        {"a missing member widens", "PUT /transactions/7", NULL, "200\n\n{}",
         "path /transactions/7; /sessions; ban /transactions; ban /summary/*; widened 2"},
        {"an unknown answer widens", "PUT /transactions/7", NULL, NULL,
         "path /transactions/7; /sessions; ban /transactions; ban /summary/*; widened 2"},
        {"many values", "POST /bulk", "X-User: u\n\n{\"ids\":[\"a\",\"b\",\"a\"]}", "200",
         "path /bulk; /transactions?session_id=a; /transactions?session_id=… (not sent); "
         "/transactions?session_id=b; /summary/a; /summary/b; /sessions; /users/u/feed for user u"},
        {"no values", "POST /bulk", "X-User: u\n\n{\"ids\":[]}", "200",
         "path /bulk; /sessions; /users/u/feed for user u"},
        {"too many values", "POST /bulk", "X-User: u\n\n{\"ids\":[1,2,3,4,5]}", "200",
         "path /bulk; /sessions; /users/u/feed for user u; ban /transactions; ban /summary/*; "
         "widened 2"},
        {"self without a user", "POST /bulk", "\n{\"ids\":[]}", "200",
         "path /bulk; /sessions; ban /users/*/feed; widened 1"},
        {"sources", "POST /sources/a%2Fb?q=1&q=2", "X-H: h", "200",
         "path /sources/a%2Fb; /users/a%2Fb/1/h; /users/a%2Fb/2/h"},
        {"a missing source keeps the known ones", "POST /sources/p?q=x*y", NULL, "200",
         "path /sources/p; ban /users/p/x%2Ay/*; widened 1"},
        {"several values beside a missing one", "POST /sources/p?q=1&q=2", NULL, "200",
         "path /sources/p; ban /users/p/*/*; widened 1"},
        {"more combinations than the limit", "POST /sources/p?q=1&q=2&q=3&q=4&q=5", "X-H: h", "200",
         "path /sources/p; ban /users/p/*/h; widened 1"},
        {"as many as the limit", "POST /sources/p?q=1&q=2&q=3&q=4", "X-H: h", "200",
         "path /sources/p; /users/p/1/h; /users/p/2/h; /users/p/3/h; /users/p/4/h"},
        {"values no path can have", "POST /sources/p?q=..&q=", "Accept: x", "200",
         "path /sources/p; ban /users/p/*/*; widened 1"},
        {"a backslash is no part of a path", "POST /sources/p?q=a%5Cb", NULL, "200",
         "path /sources/p; ban /users/p/*/*; widened 1"},
        {"of nothing there is nothing unknown", "POST /mixed", "\n{\"ids\":[]}", "200",
         "path /mixed"},
        {"and of something there is", "POST /mixed", "\n{\"ids\":[1]}", "200",
         "path /mixed; ban /p/1; widened 1"},
        {"typed holes stay open in bans", "POST /typed/07?a=1", "\n{\"b\":\"x/y\"}", "200",
         "path /typed/07; /p/x%2Fy?a=1; /p/x%2Fy?a=… (not sent); ban /typed/*; widened 1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str text = after(rows[i].line, rows[i].fields, rows[i].answer);
        struct cg_str wanted = cg_str_from(rows[i].expected);
        cr_expect(cg_str_eq(text, wanted), "%s:\n%.*s\n%.*s", rows[i].name, CG_STR_ARG(text),
                  CG_STR_ARG(wanted));
    }
}

Test(purge, conditions_are_met_or_not_and_doubt_purges)
{
    static const struct {
        const char *name, *body, *answer, *expected;
    } rows[] = {
        {"status", "\n{}", "201\n\n{}", "path /when; /sessions"},
        {"status class", "\n{}", "302\n\n{}", "path /when; /sessions"},
        {"other status", "\n{}", "200\n\n{}", "path /when"},
        {"request", "\n{\"kind\":\"x\"}", "200\n\n{}", "path /when; /summary/a"},
        {"other value", "\n{\"kind\":\"y\"}", "200\n\n{\"ok\":false}", "path /when"},
        {"response", "\n{}", "200\n\n{\"ok\":true}", "path /when; /summary/b"},
        {"no JSON is doubt", "\nx", "200\n\nx", "path /when; /summary/a; /summary/b"},
        {"no body is doubt", NULL, "200\n\n{}", "path /when; /summary/a"},
        {"5xx is doubt", "\n{}", "500\n\n{\"ok\":false}", "path /when; /sessions; /summary/b"},
        {"silence is doubt", "\n{}", NULL, "path /when; /sessions; /summary/b"},
        {"4xx is none", "\nx", "409", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str text = after("POST /when", rows[i].body, rows[i].answer);
        cr_expect(cg_str_eq(text, cg_str_from(rows[i].expected)), "%s:\n%.*s", rows[i].name,
                  CG_STR_ARG(text));
    }
}

Test(purge, conditions_on_what_cannot_be_read_for_certain_are_met)
{
    static const struct {
        const char *name, *fields, *expected;
    } rows[] = {
        {"nothing there", "\n{}", "path /doubt"},
        {"null", "\n{\"items\":null,\"rate\":null}", "path /doubt"},
        {"other values", "\n{\"items\":[{\"state\":\"new\"}],\"rate\":1}", "path /doubt"},
        {"an element lacks it", "\n{\"items\":[{},{\"state\":\"gone\"}]}",
         "path /doubt; /summary/list"},
        {"the last element lacks it", "\n{\"items\":[{\"state\":\"gone\"},{\"state\":null}]}",
         "path /doubt; /summary/list"},
        {"no list", "\n{\"items\":{\"state\":\"gone\"}}", "path /doubt; /summary/list"},
        {"a real has many spellings", "\n{\"rate\":0.50}", "path /doubt; /summary/real"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str text = after("POST /doubt", rows[i].fields, "200\n\n{}");
        cr_expect(cg_str_eq(text, cg_str_from(rows[i].expected)), "%s:\n%.*s", rows[i].name,
                  CG_STR_ARG(text));
    }
}

Test(purge, marks_are_set_on_what_the_request_tells)
{
    static const struct {
        const char *line, *fields, *expected;
    } rows[] = {
        {"DELETE /items/5", NULL, "path /items/5; path /items"},
        {"DELETE /quiet/5", NULL, ""},
        {"GET /transactions", NULL, ""},
        {"PUT /transactions/7", NULL, "path /transactions/7; /sessions"},
        {"POST /bulk", "X-User: u\n\n{\"ids\":[\"a\"]}",
         "path /bulk; /transactions?session_id=a; /transactions?session_id=… (not sent); "
         "/summary/a; /sessions; /users/u/feed for user u"},
        {"POST /when", "\n{}", "path /when; /sessions; /summary/a; /summary/b"},
        {"POST /bulk", "X-User: u\n\nx",
         "path /bulk; /sessions; /users/u/feed for user u; ban /transactions; ban /summary/*; "
         "widened 2"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str text = before(rows[i].line, rows[i].fields, true);
        cr_expect(cg_str_eq(text, cg_str_from(rows[i].expected)), "%s:\n%.*s", rows[i].line,
                  CG_STR_ARG(text));
    }
    cr_expect(cg_str_eq(before("POST /bulk", "X-User: u\n\nx", false), CG_STR("3")),
              "what cannot be marked is left out");
}

Test(purge, locations_are_purged_on_the_host_that_was_asked)
{
    static const struct {
        const char *location, *expected;
    } rows[] = {
        {"/x/y", "path /x/y"},
        {"/x?y=1#z", "path /x"},
        {"/x y/../a b", "path /a%20b"},
        {"http://api.test/x", "path /x"},
        {"https://API.test:8443/x", "path /x"},
        {"//api.test/x", "path /x"},
        {"http://api.test", "path /"},
        {"http://other.test/x", ""},
        {"//other.test/x", ""},
        {"mailto:a@b", ""},
        {"ftp://api.test/x", ""},
        {"http:x", ""},
        {"x", "path /a/b/x"},
        {"x/", "path /a/b/x"},
        {"./x", "path /a/b/x"},
        {"../x", "path /a/x"},
        {"../../../x", "path /x"},
        {"/x/./y/../z", "path /x/z"},
        {"..", "path /a"},
        {"?x=1", "path /a/b/c"},
        {"", "path /a/b/c"},
        {"#f", "path /a/b/c"},
        {"/%zz", ""},
        {"/%2e%2e/x", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str answer =
            cg_arena_printf(&arena, "201\nContent-Location: %s", rows[i].location);
        struct cg_str wanted = cg_arena_printf(&arena, "path /a/b/c; path /a/b%s%s",
                                               rows[i].expected[0] ? "; " : "", rows[i].expected);
        if (strcmp(rows[i].expected, "path /a/b/c") == 0)
            wanted = CG_STR("path /a/b/c; path /a/b"); /* is there already */
        struct cg_str text = after("POST /a/b/c?q=/d", NULL, answer.bytes);
        cr_expect(cg_str_eq(text, wanted), "%s: %.*s", rows[i].location, CG_STR_ARG(text));
    }
}

Test(purge, every_purge_finds_the_readers_it_is_meant_for)
{
    static const struct {
        const char *read, *reader, *write, *fields, *answer;
        bool hit;
    } rows[] = {
        {"GET /transactions?session_id=abc", NULL, "PUT /transactions/7", NULL,
         "200\n\n{\"session_id\":\"abc\"}", true},
        {"GET /transactions?session_id=abd", NULL, "PUT /transactions/7", NULL,
         "200\n\n{\"session_id\":\"abc\"}", false},
        {"GET /transactions", NULL, "PUT /transactions/7", NULL, "200\n\n{\"session_id\":\"abc\"}",
         true},
        {"GET /transactions?session_id=x&session_id=abc", NULL, "PUT /transactions/7", NULL,
         "200\n\n{\"session_id\":\"abc\"}", true},
        {"GET /typed/7?u=1", NULL, "POST /typed/07?a=1", "\n{\"u\":1,\"b\":2}", "200", true},
        {"GET /typed/7", NULL, "POST /typed/07?a=1", "\n{\"u\":1,\"b\":2}", "200", true},
        {"GET /users/u/feed", "X-User: u", "POST /bulk", "X-User: u\n\n{\"ids\":[]}", "200", true},
        {"GET /users/u/feed", "X-User: v", "POST /bulk", "X-User: u\n\n{\"ids\":[]}", "200", false},
        {"GET /users/x?y=1", NULL, "POST /users/x", NULL, "200", true},
        {"GET /users/x?y=1", "X-User: v", "POST /users/x/y", NULL, "200", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct write *read = write_of(rows[i].read, rows[i].reader);
        struct cg_purge_set set = set_after(rows[i].write, rows[i].fields, rows[i].answer);
        bool hit = false;
        cr_assert_eq(read->plan.kind, CG_PLAN_LOOKUP);
        for (size_t j = 0; j < set.instance_count; j++)
            for (size_t k = 0; k < read->plan.instance_count; k++)
                hit = hit || cg_instance_eq(&set.instances[j], &read->plan.instances[k]);
        cr_expect_eq(hit, rows[i].hit, "%s, %s", rows[i].write, rows[i].read);
    }
}

Test(purge, a_body_over_the_limits_widens)
{
    struct cg_str body = CG_STR("200\n\n{\"session_id\":\"");
    for (int i = 0; i < 50; i++)
        body = cg_arena_printf(&arena, "%.*s%s", CG_STR_ARG(body), "12345678901234567890");
    body = cg_arena_printf(&arena, "%.*s\"}", CG_STR_ARG(body));
    cr_expect_eq(set_after("PUT /transactions/7", NULL, body.bytes).widened, 2);
    struct cg_purge_set set = set_after("PUT /transactions/7", NULL, "200\n\n{}");
    cr_expect(cg_str_starts_with(set.widened_detail, CG_STR("/transactions?session_id={")), "%.*s",
              CG_STR_ARG(set.widened_detail));
}

Test(purge, the_answers_body_is_needed_only_where_a_rule_reads_it)
{
    cr_expect(cg_purge_needs_answer_body(&write_of("PUT /transactions/7", NULL)->plan));
    cr_expect(cg_purge_needs_answer_body(&write_of("POST /when", NULL)->plan));
    cr_expect_not(cg_purge_needs_answer_body(&write_of("POST /bulk", NULL)->plan));
    cr_expect_not(cg_purge_needs_answer_body(&write_of("POST /nowhere", NULL)->plan));
    cr_expect_not(cg_purge_needs_answer_body(&write_of("GET /transactions", NULL)->plan));
}

static struct cg_str refusal(const char *line, const char *fields, unsigned status)
{
    struct write *write = write_of(line, fields);
    struct cg_purge_set set;
    cg_purge_on_refusal(write->ruleset, &write->plan, status, true, &arena, &set);
    return print(&set);
}

Test(purge, refusals_purge_the_identity_or_the_path)
{
    cr_expect(cg_str_eq(refusal("GET /sessions", "X-User: u", 401), CG_STR("user u")));
    cr_expect(cg_str_eq(refusal("POST /x", "X-User: u", 401), CG_STR("user u")));
    cr_expect(cg_str_eq(refusal("GET /sessions", NULL, 401), CG_STR("")));
    cr_expect(cg_str_eq(refusal("GET /sessions", "X-User: u", 403), CG_STR("path /sessions")));
    cr_expect(cg_str_eq(refusal("GET /sessions", "X-User: u", 404), CG_STR("")));
    cr_expect(cg_str_eq(refusal("GET /..", "X-User: u", 403), CG_STR("")));
}

static struct cg_str admin_pattern(const char *pattern)
{
    struct cg_ruleset *ruleset = help_ruleset_with_identity(rules, identity);
    struct cg_problems problems = {.arena = &arena};
    struct cg_purge_set set = {0};
    bool known = cg_purge_of_pattern(ruleset, cg_str_from(pattern), &arena, &problems, &set);
    cr_expect_eq(known, problems.error_count == 0);
    return known ? print(&set) : CG_STR("refused");
}

Test(purge, operators_purge_by_pattern)
{
    static const struct {
        const char *pattern, *expected;
    } rows[] = {
        {"/sessions", "path /sessions; path /sessions"}, /* of both upstreams */
        {"/transactions?session_id=abc",
         "/transactions?session_id=abc; /transactions?session_id=… (not sent)"},
        {"/typed/007?u=1", "/typed/007?u=1; /typed/007?u=… (not sent)"},
        {"/transactions?other=1", "; ban /transactions?other=1"},
        {"/users/**", "; ban /users/**"},
        {"/users/*/feed", "; ban /users/*/feed"},
        {"/p/{x}?a={y}", "; ban /p/*"},
        {"/p/1?view=all", "/p/1?view=all; /p/1?view=all (not sent)"},
        {"/p/1?view=one", "; ban /p/1?view=one"},
        {"/p/*?view=all", "; ban /p/*?view=all"},
        {"/a%2Fb/*", "; ban /a%2Fb/*"},
        {"", "refused"},
        {"users", "refused"},
        {"/a*", "refused"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str text = admin_pattern(rows[i].pattern);
        cr_expect(cg_str_eq(text, cg_str_from(rows[i].expected)), "%s: %.*s", rows[i].pattern,
                  CG_STR_ARG(text));
    }
}

Test(purge, operators_purge_groups_and_sets_add_up)
{
    struct cg_ruleset *ruleset = help_ruleset_with_identity(rules, identity);
    const struct cg_group *session = cg_ruleset_group(ruleset, CG_STR("session"));
    const struct cg_group *pair = cg_ruleset_group(ruleset, CG_STR("pair"));
    const struct cg_str id[] = {{"a", 1}}, both[] = {{"first", 5}, {"second", 6}};
    struct cg_purge_set set = {0};
    cr_assert(session != NULL && pair != NULL);
    cg_purge_of_group(ruleset, session, id, &arena, &set);
    cr_expect(cg_str_eq(print(&set),
                        CG_STR("/transactions?session_id=a; /transactions?session_id=… (not sent); "
                               "/summary/a; /sessions")));
    cg_purge_of_group(ruleset, session, id, &arena, &set);
    cr_expect_eq(set.instance_count, 4, "nothing twice");
    struct cg_problems problems = {.arena = &arena};
    for (int twice = 0; twice < 2; twice++)
        cr_assert(cg_purge_of_pattern(ruleset, CG_STR("/users/**"), &arena, &problems, &set));
    cr_expect_eq(set.ban_count, 1, "no ban twice");
    struct cg_purge_set other = {0};
    cg_purge_of_group(ruleset, pair, both, &arena, &other);
    struct cg_str b = cg_str_eq(pair->params[0], CG_STR("b")) ? both[0] : both[1];
    struct cg_str wanted = cg_arena_printf(&arena, "/p/%.*s?a=", CG_STR_ARG(b));
    cr_expect(cg_str_starts_with(other.names[0], wanted), "%.*s", CG_STR_ARG(other.names[0]));
}

Test(purge, operators_purge_users)
{
    struct cg_ruleset *named = help_ruleset_with_identity(rules, identity);
    struct write *read = write_of("GET /sessions", "X-User: u");
    struct cg_purge_set set = {0};
    cg_purge_of_user(named, CG_STR("u"), &arena, &set);
    cr_assert_eq(set.instance_count, 1);
    cr_expect(cg_instance_eq(&set.instances[0], &read->plan.instances[1]));

    struct cg_ruleset *opaque = help_ruleset("routes: [{match: GET /a, ttl: 5m}]");
    struct cg_request_facts facts = make_request(&arena, "GET /a", "Authorization: Bearer t");
    struct cg_plan plan;
    struct cg_purge_set one = {0};
    cg_plan_make(opaque, &facts, false, &arena, &plan);
    cg_purge_of_user(opaque, CG_STR("Bearer t"), &arena, &one);
    cr_assert_eq(one.instance_count, 1);
    cr_expect(cg_instance_eq(&one.instances[0], &plan.instances[1]));

    struct cg_ruleset *joined = help_ruleset_with_identity("routes: [{match: GET /a, ttl: 5m}]",
                                                           "[{header: X-A}, {header: X-B}]");
    struct cg_purge_set all = {0};
    cg_purge_of_user(joined, CG_STR("u"), &arena, &all);
    cr_expect(all.instance_count == 0 && all.ban_count == 1 && all.widened == 1);
    cr_expect(cg_str_empty(all.bans[0].pattern) && cg_str_empty(all.bans[0].user));
}

/* RFC 9875: of one upstream, and under each accepted secret; the counter goes first. */
Test(purge, groups_of_answers_are_purged_with_their_counter)
{
    struct cg_ruleset *ruleset =
        help_ruleset("defaults: { ttl: 5m }\n"
                     "routes: [{match: GET /a, groups: keep}, {match: GET /b, groups: remove},"
                     " {match: GET /c}]");
    struct cg_request_facts facts = make_request(&arena, "GET /a", "");
    struct cg_plan plan;
    struct cg_purge_set set = {0};
    cg_plan_make(ruleset, &facts, false, &arena, &plan);
    cr_assert_eq(plan.watched_count, plan.instance_count + 1);
    cg_purge_of_tag(ruleset, CG_STR("t"), &arena, &set);
    cr_assert(set.counter_count == 1 && set.instance_count == 1, "two routes, one upstream");
    struct cg_instance group;
    cg_instance_of_group(ruleset, plan.upstream, CG_STR("t"), &arena, &group);
    cr_expect(cg_instance_eq(&set.instances[0], &group));
    cr_expect(cg_instance_eq(&set.counters[0], &plan.instances[plan.instance_count]));
    facts = make_request(&arena, "GET /c", "");
    cg_plan_make(ruleset, &facts, false, &arena, &plan);
    cr_expect_eq(plan.watched_count, plan.instance_count);
    struct cg_purge_set none = {0};
    cg_purge_of_tag(help_ruleset("routes: [{match: GET /a, ttl: 5m}]"), CG_STR("t"), &arena, &none);
    cr_expect_eq(none.instance_count + none.counter_count, 0);
}
