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

TestSuite(forward, .init = init, .fini = fini);

static const char rules[] = "defaults: {ttl: 5m}\n"
                            "routes:\n"
                            "  - match: GET /a\n"
                            "    inert: {cookies: ['*']}\n"
                            "  - match: GET /keyed\n"
                            "    forward: keyed\n"
                            "    key: {headers: [X-Lang], cookies: [k]}\n"
                            "    scope: [user, {tenant: header X-Tenant}, {org: cookie org}]\n"
                            "    inert: {headers: [X-Session-Hint], cookies: [theme]}\n";

static struct cg_str forward_with(const struct cg_request_facts *facts, bool as_pass,
                                  struct cg_str traceparent)
{
    struct cg_ruleset *ruleset = help_ruleset(rules);
    struct cg_plan plan;
    struct cg_fields fields = {0};
    struct cg_str text = CG_STR("");
    cg_plan_make(ruleset, facts, false, &arena, &plan);
    if (as_pass)
        plan.kind = CG_PLAN_PASS;
    cr_assert(cg_forward_fields(&plan, facts, CG_STR("gate"), traceparent, &arena, &fields));
    for (size_t i = 0; i < fields.count; i++)
        text = cg_arena_printf(&arena, "%.*s%.*s: %.*s\n", CG_STR_ARG(text),
                               CG_STR_ARG(fields.items[i].name), CG_STR_ARG(fields.items[i].value));
    return text;
}

static struct cg_str forward(const struct cg_request_facts *facts, bool as_pass)
{
    return forward_with(facts, as_pass, CG_STR(""));
}

/* What is added to every request. */
#define OURS                                                                                       \
    "x-forwarded-for: 192.0.2.1\nx-forwarded-proto: http\nx-forwarded-host: api.test\n"            \
    "via: 1.1 gate\n"

Test(forward, fields_travel_as_the_plan_says)
{
    static const struct {
        const char *name, *line, *fields, *expected;
        bool as_pass;
    } rows[] = {
        {"ordinary fields stay", "GET /a", "Accept: x\nAccept-Encoding: gzip\nX-Any: y",
         "accept: x\naccept-encoding: gzip\nx-any: y\n" OURS, false},
        {"framing and hops go", "GET /a",
         "Host: h\nConnection: X-Hop, close\nX-Hop: 1\nTE: trailers\nKeep-Alive: 5\nUpgrade: h2c\n"
         "Transfer-Encoding: chunked\nContent-Length: 0\nTrailer: x\nExpect: 100-continue",
         OURS, false},
        {"client forwarding fields are replaced", "GET /a",
         "X-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https\nX-Forwarded-Host: evil\n"
         "X-Forwarded-Prefix: /x\nForwarded: for=6.6.6.6",
         OURS, false},
        {"a via of others stays in front", "GET /a", "Via: 1.0 other", "via: 1.0 other\n" OURS,
         false},
        {"conditions go on a lookup", "GET /a",
         "If-Match: x\nIf-None-Match: x\nIf-Modified-Since: x\nIf-Unmodified-Since: x\n"
         "If-Range: x\nRange: bytes=0-1",
         OURS, false},
        {"and stay on a pass", "GET /a", "If-None-Match: x\nRange: bytes=0-1",
         "if-none-match: x\nrange: bytes=0-1\n" OURS, true},
        {"overrides go with safe methods", "GET /a",
         "X-HTTP-Method-Override: DELETE\nX-Original-URL: /b\nX-Rewrite-URL: /c\nX-HTTP-Method: "
         "PUT\n"
         "X-Method-Override: PUT",
         OURS, true},
        {"in no spelling", "GET /a",
         "X_Forwarded_Host: evil\nX.Forwarded.Proto: https\nX-Forwarded: x\nX_Original_URL: /b\n"
         "Content_Length: 5\nTransfer_Encoding: chunked\nProxy: evil\nX-Original-Host: evil\n"
         "X-Host: evil\nX-HTTP-Path-Override: /b",
         OURS, true},
        {"a client does not say who it was", "GET /a", "X-Real-IP: 6.6.6.6\nTrue-Client-IP: 6",
         OURS, false},
        {"but tells it where nothing is stored", "GET /a", "X-Real-IP: 6.6.6.6",
         "x-real-ip: 6.6.6.6\n" OURS, true},
        {"and stay with unsafe ones", "POST /a", "X-HTTP-Method-Override: DELETE",
         "x-http-method-override: DELETE\n" OURS, false},
        {"but not to another place", "POST /a",
         "X-Original-URL: /b\nX-Rewrite-URL: /c\nX_HTTP_Path_Override: /d\nDestination: /e",
         "destination: /e\n" OURS, false},
        {"cookies become one line", "GET /a", "Cookie: a=1\nX: y\nCookie: b=2",
         "x: y\ncookie: a=1; b=2\n" OURS, false},
        {"a credential stays", "GET /a", "Authorization: Bearer x",
         "authorization: Bearer x\n" OURS, false},
        {"keyed only", "GET /keyed",
         "Accept: x\nAccept-Language: de\nX-Lang: de\nX-Tenant: t\nAuthorization: a\n"
         "X-Session-Hint: h\nTraceparent: 00\nAccept-Encoding: br\nUser-Agent: u",
         "x-lang: de\nx-tenant: t\nauthorization: a\naccept-encoding: br\n" OURS, false},
        {"keyed cookies only", "GET /keyed", "Cookie: theme=1; k=2; org = 3",
         "cookie: k=2; org = 3\n" OURS, false},
        {"no keyed cookie", "GET /keyed", "Cookie: theme=1", OURS, false},
        {"keyed routes pass everything on a pass", "GET /keyed", "Accept: x\nCookie: theme=1",
         "accept: x\ncookie: theme=1\n" OURS, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_request_facts facts = make_request(&arena, rows[i].line, rows[i].fields);
        struct cg_str text = forward(&facts, rows[i].as_pass);
        cr_expect(cg_str_eq(text, cg_str_from(rows[i].expected)), "%s:\n%.*s", rows[i].name,
                  CG_STR_ARG(text));
    }
}

#define THEIRS "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Test(forward, one_traceparent_travels_and_tracestate_only_where_theirs_is_valid)
{
    static const struct {
        const char *name, *line, *fields, *expected;
    } rows[] = {
        {"valid", "GET /a", "Traceparent: " THEIRS "\nTracestate: a=b\nTracestate: c=d",
         "tracestate: a=b\ntracestate: c=d\n" OURS "traceparent: ours\n"},
        {"valid, keyed only", "GET /keyed", "Traceparent: " THEIRS "\nTracestate: a=b",
         "tracestate: a=b\n" OURS "traceparent: ours\n"},
        {"invalid", "GET /a", "Traceparent: 00\nTracestate: a=b", OURS "traceparent: ours\n"},
        {"missing", "GET /a", "Tracestate: a=b", OURS "traceparent: ours\n"},
        {"twice", "GET /a", "Traceparent: " THEIRS "\nTraceparent: " THEIRS "\nTracestate: a=b",
         OURS "traceparent: ours\n"},
        {"a write", "POST /a", "Tracestate: a=b\nTraceparent: " THEIRS,
         "tracestate: a=b\n" OURS "traceparent: ours\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_request_facts facts = make_request(&arena, rows[i].line, rows[i].fields);
        struct cg_str text = forward_with(&facts, false, CG_STR("ours"));
        cr_expect(cg_str_eq(text, cg_str_from(rows[i].expected)), "%s:\n%.*s", rows[i].name,
                  CG_STR_ARG(text));
    }
}

Test(forward, our_via_names_the_protocol_of_the_client)
{
    struct cg_request_facts facts = make_request(&arena, "GET /a", NULL);
    facts.http2 = true;
    cr_expect(cg_str_ends_with(forward(&facts, false), CG_STR("via: 2 gate\n")));
}

Test(forward, the_host_that_is_keyed_is_the_one_that_is_forwarded)
{
    struct cg_request_facts facts = make_request(&arena, "GET /a", NULL);
    facts.authority = CG_STR("API.Test:80");
    cr_expect(cg_str_starts_with(forward(&facts, false), CG_STR(OURS)));
    cr_expect(cg_str_find(forward(&facts, true), 'T') < forward(&facts, true).length, "as sent");
}

Test(forward, too_many_fields_are_refused)
{
    struct cg_request_facts facts = make_request(&arena, "GET /a", NULL);
    struct cg_fields *fields = CG_ARENA_NEW(&arena, struct cg_fields), forwarded = {0};
    struct cg_plan plan;
    facts.fields = fields;
    for (size_t i = 0; i < CG_FIELDS_MAX - 3; i++)
        cr_assert(cg_fields_add(fields, &arena, CG_STR("x"), CG_STR("y")));
    cg_plan_make(help_ruleset(rules), &facts, false, &arena, &plan);
    cr_expect_not(cg_forward_fields(&plan, &facts, CG_STR("gate"), CG_STR(""), &arena, &forwarded));
    cr_expect_eq(forwarded.count, 0);
}
