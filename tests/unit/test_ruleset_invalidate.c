#include "tests/compile_rules.h"

#include <criterion/criterion.h>

static struct compiled world;
static const char *identity; /* of the next compile() */

static void setup(void)
{
    compiled_init(&world);
    identity = "[{header: X-User-Id, name: user}]";
}

static void teardown(void)
{
    compiled_fini(&world);
}

TestSuite(ruleset_invalidate, .init = setup, .fini = teardown);

static const struct cg_ruleset *compile(const char *text)
{
    struct cg_str source = cg_str_from(text);
    compiled_fini(&world);
    compiled_init(&world);
    cr_assert(compiled_run(&world, &source, 1, identity), "%s", compiled_problems(&world));
    return world.ruleset;
}

static bool is(struct cg_str s, const char *text)
{
    return cg_str_eq(s, cg_str_from(text));
}

/* ---- invalidation ---- */

Test(ruleset_invalidate, values_come_from_every_source)
{
    const struct cg_ruleset *ruleset =
        compile("routes:\n"
                "  - match: POST /x/{a}/{b}\n"
                "    invalidate:\n"
                "      - /1/{b}/{path.a}/{query.q}/{header.X-Foo}/{user}/{request.p.q}\n"
                "      - '/2/{response.items[*].id:int}?k={request[*].id}&l=1%202'\n"
                "      - /3\n");
    const struct cg_route *route = &ruleset->routes[0];
    cr_assert_eq(route->invalidate, CG_INVALIDATE_LIST);
    cr_assert_eq(route->clause_count, 3);
    const struct cg_value *values = route->clauses[0].values;
    cr_expect_eq(values[0].source, CG_VALUE_PATH);
    cr_expect_eq(values[0].capture, 1);
    cr_expect_eq(values[1].source, CG_VALUE_PATH);
    cr_expect_eq(values[1].capture, 0);
    cr_expect_eq(values[2].source, CG_VALUE_QUERY);
    cr_expect(is(values[2].name, "q"));
    cr_expect_eq(values[3].source, CG_VALUE_HEADER);
    cr_expect(is(values[3].name, "x-foo"));
    cr_expect_eq(values[4].source, CG_VALUE_USER);
    cr_expect_eq(values[5].source, CG_VALUE_REQUEST);
    cr_expect(is(values[5].name, "p.q"));
    values = route->clauses[1].values;
    cr_expect_eq(values[0].source, CG_VALUE_RESPONSE);
    cr_expect(is(values[0].name, "items[*].id"));
    cr_expect_eq(values[1].source, CG_VALUE_REQUEST);
    cr_expect(is(values[1].name, "[*].id"));
    cr_expect(is(ruleset->shapes[0].text, "/1/{}/{}/{}/{}/{}/{}"));
    cr_expect(is(ruleset->shapes[1].text, "/2/{:int}?k={}&l=1%202"));
    cr_expect(is(ruleset->shapes[2].text, "/3"));
    cr_expect(route->needs_request_body);
    cr_expect(route->needs_response_body);
}

Test(ruleset_invalidate, bodies_are_needed_only_when_something_reads_them)
{
    const struct cg_ruleset *ruleset =
        compile("routes:\n"
                "  - match: POST /a/{id}\n"
                "    invalidate: ['/x/{id}']\n"
                "  - match: POST /b\n"
                "    invalidate: ['/x/{request.id}']\n"
                "  - match: POST /c\n"
                "    invalidate: [{pattern: /x/y, when: {response.ok: true}}]\n");
    cr_expect_not(ruleset->routes[0].needs_request_body);
    cr_expect_not(ruleset->routes[0].needs_response_body);
    cr_expect(ruleset->routes[1].needs_request_body);
    cr_expect_not(ruleset->routes[1].needs_response_body);
    cr_expect_not(ruleset->routes[2].needs_request_body);
    cr_expect(ruleset->routes[2].needs_response_body);
}

Test(ruleset_invalidate, groups_unfold_into_one_clause_per_member)
{
    const struct cg_ruleset *ruleset =
        compile("groups:\n"
                "  session:\n"
                "    - /t?z={zone}&session_id={id}\n"
                "    - /s/{id:int}\n"
                "    - /sessions\n"
                "routes:\n"
                "  - match: PUT /t/{t}\n"
                "    invalidate:\n"
                "      - {group: session, id: '{response.session_id}', zone: eu 1}\n");
    const struct cg_group *group = cg_ruleset_group(ruleset, CG_STR("session"));
    cr_assert_not_null(group);
    cr_expect_null(cg_ruleset_group(ruleset, CG_STR("sess")));
    cr_assert_eq(group->param_count, 2);
    cr_expect(is(group->params[0], "zone"), "in the order they were written");
    cr_expect(is(group->params[1], "id"));
    cr_assert_eq(group->member_count, 3);
    cr_expect_eq(group->holes[0][0], 1, "session_id sorts before z");
    cr_expect_eq(group->holes[0][1], 0);
    cr_expect_eq(group->holes[1][0], 1);
    const struct cg_route *route = &ruleset->routes[0];
    cr_assert_eq(route->clause_count, 3);
    const struct cg_clause *clause = &route->clauses[0];
    cr_expect_eq(clause->shape, group->shapes[0]);
    cr_expect_eq(clause->values[0].source, CG_VALUE_RESPONSE);
    cr_expect(is(clause->values[0].name, "session_id"));
    cr_expect_eq(clause->values[1].source, CG_VALUE_LITERAL);
    cr_expect(is(clause->values[1].name, "eu 1"));
    cr_expect_eq(route->clauses[1].values[0].source, CG_VALUE_RESPONSE);
}

Test(ruleset_invalidate, patterns_of_one_form_are_one_shape)
{
    const struct cg_ruleset *ruleset = compile("groups: {g: ['/a/{x}?p={p}&q={q}', '/b']}\n"
                                               "routes:\n"
                                               "  - match: POST /w/{id}\n"
                                               "    invalidate:\n"
                                               "      - /a/{id}?q={query.q}&p={query.p}\n"
                                               "      - //a/{request.id}/?p={id}&q={id}\n"
                                               "      - /%62\n"
                                               "      - /a/{id:int}?p={id}&q={id}\n"
                                               "      - '/a/*?p={id}&q={id}'\n"
                                               "      - /a/%2A?p={id}&q={id}\n");
    cr_expect_eq(ruleset->shape_count, 5);
    const struct cg_route *route = &ruleset->routes[0];
    cr_expect_eq(route->clauses[0].shape, 0);
    cr_expect_eq(route->clauses[1].shape, 0);
    cr_expect_eq(route->clauses[2].shape, 1);
    cr_expect(is(route->clauses[0].values[1].name, "p"));
    cr_expect(is(route->clauses[0].values[2].name, "q"));
    cr_expect(is(ruleset->shapes[2].text, "/a/{:int}?p={}&q={}"));
    cr_expect(is(ruleset->shapes[3].text, "/a/*?p={}&q={}"));
    cr_expect(is(ruleset->shapes[4].text, "/a/%2A?p={}&q={}"));
}

Test(ruleset_invalidate, conditions_are_kept_with_their_texts)
{
    const struct cg_ruleset *ruleset =
        compile("routes:\n"
                "  - match: POST /w\n"
                "    invalidate:\n"
                "      - pattern: /a\n"
                "        when:\n"
                "          status: [2xx, 303]\n"
                "          request.kind: big\n"
                "          response.items[0].done: [true, null, 3]\n");
    const struct cg_clause *clause = &ruleset->routes[0].clauses[0];
    cr_assert_eq(clause->condition_count, 3);
    cr_expect_eq(clause->conditions[0].value.source, CG_VALUE_STATUS);
    cr_assert_eq(clause->conditions[0].text_count, 2);
    cr_expect(is(clause->conditions[0].texts[1], "303"));
    cr_expect_eq(clause->conditions[1].value.source, CG_VALUE_REQUEST);
    cr_expect(is(clause->conditions[1].value.name, "kind"));
    cr_expect(is(clause->conditions[2].value.name, "items[0].done"));
    cr_assert_eq(clause->conditions[2].text_count, 3);
    cr_expect(is(clause->conditions[2].texts[0], "true"));
    cr_expect(is(clause->conditions[2].texts[1], "null"));
}

Test(ruleset_invalidate, nothing_listed_still_replaces_the_defaults)
{
    const struct cg_ruleset *ruleset = compile("routes: [{match: POST /w, invalidate: []}]");
    cr_expect_eq(ruleset->routes[0].invalidate, CG_INVALIDATE_LIST);
    cr_expect_eq(ruleset->routes[0].clause_count, 0);
}

/* ---- identity ---- */

Test(ruleset_invalidate, identity_is_authorization_unless_configured)
{
    static const char *const nothing[] = {NULL, "~", "{credentials: [X-Own]}"};
    for (size_t i = 0; i < 3; i++) {
        identity = nothing[i];
        const struct cg_identity_rules *rules = &compile("")->identity;
        cr_assert_eq(rules->source_count, 1);
        cr_expect_eq(rules->sources[0].kind, CG_IDENTITY_HEADER);
        cr_expect(is(rules->sources[0].field, "authorization"));
        cr_expect_not(rules->has_user);
    }
}

Test(ruleset_invalidate, identity_sources_are_headers_and_cookies)
{
    identity =
        "sources: [{cookie: SID}, {header: X-User-Id, name: user}, {header: Authorization}]\n"
        "credentials: [X-Own-*]\n";
    const struct cg_identity_rules *rules = &compile("")->identity;
    cr_assert_eq(rules->source_count, 3);
    cr_expect_eq(rules->sources[0].kind, CG_IDENTITY_COOKIE);
    cr_expect(is(rules->sources[0].field, "SID"));
    cr_expect(is(rules->sources[1].field, "x-user-id"));
    cr_expect(rules->sources[1].is_user);
    cr_expect_not(rules->sources[2].is_user);
    cr_expect(rules->has_user);
    cr_expect(cg_identity_is_credential(rules, CG_STR("x-own-thing")));
}

Test(ruleset_invalidate, fields_that_look_like_credentials_are_recognised)
{
    static const struct {
        const char *name;
        bool credential;
    } rows[] = {
        {"authorization", true},     {"proxy-authorization", true},
        {"x-api-key", true},         {"apikey", true},
        {"x-session-token", true},   {"x-auth-user", true},
        {"x-user-id", true},         {"x-user", true},
        {"x-tenant", true},          {"x-account-id", true},
        {"client-secret", true},     {"x-csrf-token", true},
        {"x-forwarded-user", true},  {"x-amzn-oidc-identity", true},
        {"x-client-id", true},       {"signature", true},
        {"x-password", true},        {"x-org-id", true},
        {"user-agent", false},       {"x-user-agent", false},
        {"accept", false},           {"accept-language", false},
        {"accept-encoding", false},  {"sec-fetch-user", false},
        {"sec-ch-ua", false},        {"www-authenticate", false},
        {"authority", false},        {"host", false},
        {"referer", false},          {"origin", false},
        {"x-request-id", false},     {"traceparent", false},
        {"content-type", false},     {"range", false},
        {"if-none-match", false},    {"cache-control", false},
        {"x-requested-with", false}, {"dnt", false},
        {"cookie", false},           {"x-forwarded-for", false},
        {"priority", false},         {"connection", false},
    };
    const struct cg_identity_rules *rules = &compile("")->identity;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cr_expect_eq(cg_identity_is_credential(rules, cg_str_from(rows[i].name)),
                     rows[i].credential, "%s", rows[i].name);
    identity = "{credentials: [user-agent]}";
    cr_expect(cg_identity_is_credential(&compile("")->identity, CG_STR("user-agent")),
              "what the operator names stands");
}
