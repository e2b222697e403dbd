#include "cachegate/buf.h"
#include "cachegate/verdict.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct cg_arena arena;
static struct cg_route route;
static struct cg_plan plan;

static void setup(void)
{
    cg_arena_init(&arena, 1 << 22);
    route = (struct cg_route){.ttl_ms = 300000, .scope_user = true, .wishes = CG_WISHES_DEFAULT};
    plan = (struct cg_plan){.kind = CG_PLAN_LOOKUP, .route = &route};
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(storable, .init = setup, .fini = teardown);

/* "name: value" lines, each ended by a newline. */
static struct cg_fields fields_of(const char *text)
{
    struct cg_fields fields = {0};
    struct cg_str rest = cg_str_from(text), line;
    while (cg_str_split(&rest, '\n', &line)) {
        size_t colon = cg_str_find(line, ':');
        if (colon < line.length)
            cg_fields_add(&fields, &arena, cg_str_sub(line, 0, colon),
                          cg_str_trim(cg_str_skip(line, colon + 1)));
    }
    return fields;
}

static struct cg_storable judge_request(const char *request, unsigned status, const char *answer)
{
    struct cg_fields request_fields = fields_of(request), fields = fields_of(answer);
    struct cg_request_facts facts = {.fields = &request_fields};
    struct cg_storable storable;
    cg_storable_of(&plan, &facts, status, &fields, 1000, 1500, &arena, &storable);
    return storable;
}

static struct cg_storable judge(unsigned status, const char *answer)
{
    return judge_request("", status, answer);
}

static void expect_reason(const char *name, const struct cg_storable *storable,
                          enum cg_reason reason)
{
    cr_expect_eq(storable->reason, reason, "%s: %s", name, cg_reason_word(storable->reason));
    cr_expect_eq(storable->store, reason == CG_REASON_STORED, "%s", name);
}

Test(storable, rule_duration_covers_only_answers_that_say_how_things_are)
{
    static const struct {
        unsigned status;
        enum cg_reason silent;   /* when the origin says nothing */
        enum cg_reason explicit; /* when it gives a lifetime */
    } rows[] = {
        {200, CG_REASON_STORED, CG_REASON_STORED},   {203, CG_REASON_STORED, CG_REASON_STORED},
        {301, CG_REASON_STORED, CG_REASON_STORED},   {308, CG_REASON_STORED, CG_REASON_STORED},
        {204, CG_REASON_STATUS, CG_REASON_STORED},   {300, CG_REASON_STATUS, CG_REASON_STORED},
        {302, CG_REASON_STATUS, CG_REASON_STORED},   {404, CG_REASON_STATUS, CG_REASON_STORED},
        {410, CG_REASON_STATUS, CG_REASON_STORED},   {500, CG_REASON_STATUS, CG_REASON_STORED},
        {304, CG_REASON_STATUS, CG_REASON_STATUS},   {103, CG_REASON_STATUS, CG_REASON_STATUS},
        {206, CG_REASON_PARTIAL, CG_REASON_PARTIAL}, {600, CG_REASON_STATUS, CG_REASON_STATUS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_storable silent = judge(rows[i].status, "date: x\n");
        struct cg_storable explicit = judge(rows[i].status, "cache-control: max-age=9\n");
        cr_expect_eq(silent.reason, rows[i].silent, "%u: %s", rows[i].status,
                     cg_reason_word(silent.reason));
        cr_expect_eq(explicit.reason, rows[i].explicit, "%u: %s", rows[i].status,
                     cg_reason_word(explicit.reason));
        cr_expect_eq(silent.store, silent.reason == CG_REASON_STORED);
    }
}

Test(storable, without_a_duration_only_what_the_origin_says_counts)
{
    route.ttl_origin = true;
    struct cg_storable storable = judge(200, "etag: x\n");
    expect_reason("silent", &storable, CG_REASON_NO_LIFETIME);
    storable = judge(404, "cache-control: max-age=9\n");
    expect_reason("explicit 404", &storable, CG_REASON_STORED);
    cr_expect_eq(storable.lifetime_ms, 9000);
    storable = judge(200, "cache-control: max-age=0\n");
    expect_reason("zero", &storable, CG_REASON_NO_LIFETIME);
    storable = judge(200, "cache-control: max-age=9\nage: 9\n");
    expect_reason("used up by the caches before us", &storable, CG_REASON_NO_LIFETIME);
    storable = judge(200, "expires: 0\n");
    expect_reason("Expires: 0", &storable, CG_REASON_NO_LIFETIME);
}

Test(storable, varying_by_a_field_that_the_gateway_sets_is_varying_by_everything)
{
    static const char *const names[] = {"X-Forwarded-For", "forwarded", "Accept, Via"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char answer[64];
        snprintf(answer, sizeof(answer), "vary: %s\n", names[i]);
        struct cg_storable storable = judge(200, answer);
        expect_reason(names[i], &storable, CG_REASON_VARY_ANY);
    }
    struct cg_storable storable = judge(200, "vary: X-Forwarded-Proto\n");
    expect_reason("in the key", &storable, CG_REASON_STORED);
}

Test(storable, what_the_origin_says_is_cut_to_what_bans_are_kept_for)
{
    route.ttl_origin = true;
    struct cg_storable storable =
        judge(200, "cache-control: max-age=31536000, stale-while-revalidate=31536000, "
                   "stale-if-error=31536000\n");
    cr_expect_eq(storable.lifetime_ms, CG_ORIGIN_LIFETIME_MAX_MS);
    cr_expect_eq(storable.stale_while_revalidate_ms, CG_ORIGIN_WINDOW_MAX_MS);
    cr_expect_eq(storable.stale_if_error_ms, CG_ORIGIN_WINDOW_MAX_MS);
}

Test(storable, rule_duration_counts_from_arrival_whatever_the_origin_says)
{
    struct cg_storable storable = judge(200, "cache-control: max-age=1\nage: 100\n");
    expect_reason("rule", &storable, CG_REASON_STORED);
    cr_expect_eq(storable.initial_age_ms, 100500);
    cr_expect_eq(storable.lifetime_ms, 400500);
    storable = judge(200, "cache-control: max-age=0\n");
    expect_reason("the origin's zero is replaced", &storable, CG_REASON_STORED);
    route.ttl_ms = 0;
    storable = judge(200, "cache-control: max-age=100\n");
    expect_reason("the rule's zero", &storable, CG_REASON_NO_LIFETIME);
}

Test(storable, failure_is_kept_no_longer_than_origin_and_rule_both_allow)
{
    cr_expect_eq(judge(404, "cache-control: max-age=9\n").lifetime_ms, 9000);
    cr_expect_eq(judge(404, "cache-control: max-age=9999\n").lifetime_ms, 300500);
    struct cg_storable storable = judge(404, "cache-control: max-age=0\n");
    expect_reason("zero", &storable, CG_REASON_NO_LIFETIME);
}

Test(storable, prohibitions_of_the_origin_stand_until_the_rule_overrides_them_by_name)
{
    static const struct {
        const char *answer;
        enum cg_reason reason;
        enum cg_override override;
    } rows[] = {
        {"cache-control: no-store\n", CG_REASON_NO_STORE, CG_OVERRIDE_NO_STORE},
        {"cache-control: max-age=9\ncache-control: no-store\n", CG_REASON_NO_STORE,
         CG_OVERRIDE_NO_STORE},
        {"cache-control: private\n", CG_REASON_PRIVATE, CG_OVERRIDE_PRIVATE},
        {"cache-control: no-cache\n", CG_REASON_NO_CACHE, CG_OVERRIDE_NO_CACHE},
        {"set-cookie: a=b\n", CG_REASON_SET_COOKIE, CG_OVERRIDE_SET_COOKIE},
        {"vary: *\n", CG_REASON_VARY_ANY, CG_OVERRIDE_VARY},
        {"vary: accept, *\n", CG_REASON_VARY_ANY, CG_OVERRIDE_VARY},
    };
    const unsigned all = CG_OVERRIDE_NO_STORE | CG_OVERRIDE_PRIVATE | CG_OVERRIDE_NO_CACHE |
                         CG_OVERRIDE_SET_COOKIE | CG_OVERRIDE_VARY | CG_OVERRIDE_AUTHORIZATION;
    route.scope_user = false;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        route.overrides = all & ~(unsigned)rows[i].override;
        struct cg_storable storable = judge(200, rows[i].answer);
        expect_reason(rows[i].answer, &storable, rows[i].reason);
        route.overrides = rows[i].override;
        storable = judge(200, rows[i].answer);
        expect_reason(rows[i].answer, &storable, CG_REASON_STORED);
    }
}

Test(storable, private_answer_is_stored_where_each_user_has_a_partition)
{
    struct cg_storable storable = judge(200, "cache-control: private\n");
    expect_reason("user scope", &storable, CG_REASON_STORED);
}

Test(storable, answer_fetched_with_a_credential_is_shared_only_with_leave)
{
    static const struct {
        const char *answer;
        enum cg_reason reason;
    } rows[] = {
        {"", CG_REASON_CREDENTIAL_SHARED},
        {"cache-control: max-age=9\n", CG_REASON_CREDENTIAL_SHARED},
        {"cache-control: must-revalidate\n", CG_REASON_CREDENTIAL_SHARED},
        {"cache-control: s-maxage=0\n", CG_REASON_CREDENTIAL_SHARED},
        {"cache-control: public\n", CG_REASON_STORED},
        {"cache-control: s-maxage=9\n", CG_REASON_STORED},
    };
    plan.credentialed = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        route.scope_user = false;
        struct cg_storable storable = judge(200, rows[i].answer);
        expect_reason(rows[i].answer, &storable, rows[i].reason);
        route.scope_user = true;
        storable = judge(200, rows[i].answer);
        expect_reason("user scope", &storable, CG_REASON_STORED);
    }
    route.scope_user = false;
    route.overrides = CG_OVERRIDE_AUTHORIZATION;
    struct cg_storable storable = judge(200, "");
    expect_reason("override: authorization", &storable, CG_REASON_STORED);
    route.overrides = 0;
    plan.credentialed = false;
    storable = judge(200, "");
    expect_reason("no credential", &storable, CG_REASON_STORED);
}

Test(storable, windows_are_the_rules_or_else_the_origins)
{
    const char *answer = "cache-control: stale-while-revalidate=5, stale-if-error=6\n";
    struct cg_storable storable = judge(200, answer);
    cr_expect_eq(storable.stale_while_revalidate_ms, 5000);
    cr_expect_eq(storable.stale_if_error_ms, 6000);
    cr_expect_not(storable.must_revalidate);
    route.has_swr = route.has_sie = true;
    route.swr_ms = 70;
    storable = judge(200, answer);
    cr_expect_eq(storable.stale_while_revalidate_ms, 70);
    cr_expect_eq(storable.stale_if_error_ms, 0);
}

Test(storable, origin_can_forbid_serving_stale)
{
    static const char *const answers[] = {"must-revalidate", "proxy-revalidate", "s-maxage=9"};
    for (size_t i = 0; i < 3; i++) {
        struct cg_str line = cg_arena_printf(&arena, "cache-control: %s\n", answers[i]);
        cr_expect(judge(200, line.bytes).must_revalidate, "%s", answers[i]);
    }
}

Test(storable, vary_is_normalised)
{
    static const struct {
        const char *answer;
        const char *vary;
    } rows[] = {
        {"", ""},
        {"vary: Accept\n", "accept"},
        {"vary: X-B, accept,x-b\nvary: Accept-Language\n", "accept,accept-language,x-b"},
        {"vary: ,\n", ""},
        {"content-encoding: gzip\n", "accept-encoding"},
        {"content-encoding: identity\n", ""},
        {"content-encoding: br\nvary: X\n", "accept-encoding,x"},
        {"content-encoding: br\nvary: Accept-Encoding\n", "accept-encoding"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_storable storable = judge(200, rows[i].answer);
        expect_reason(rows[i].answer, &storable, CG_REASON_STORED);
        cr_expect(cg_str_eq(storable.vary, cg_str_from(rows[i].vary)), "%s: %.*s", rows[i].answer,
                  CG_STR_ARG(storable.vary));
    }
}

Test(storable, star_that_is_overridden_leaves_the_other_names)
{
    route.overrides = CG_OVERRIDE_VARY;
    cr_expect(cg_str_eq(judge(200, "vary: accept, *\n").vary, CG_STR("accept")));
}

Test(storable, vary_that_names_no_fields_or_too_many_varies_by_everything)
{
    struct cg_storable storable = judge(200, "vary: \"accept\"\n");
    expect_reason("quoted", &storable, CG_REASON_VARY_ANY);
    struct cg_buf many;
    cg_buf_init(&many, 1 << 20);
    cg_buf_add_text(&many, "vary: a");
    for (unsigned i = 0; i < 10000; i++)
        cg_buf_printf(&many, ",x%u", i);
    cg_buf_add(&many, "\n", 2); /* with the NUL */
    storable = judge(200, many.bytes);
    expect_reason("too many", &storable, CG_REASON_VARY_ANY);
    cg_buf_fini(&many);
}

Test(storable, client_may_ask_that_its_answer_is_not_stored)
{
    struct cg_storable storable = judge_request("cache-control: no-store\n", 200, "");
    expect_reason("RFC 9111 5.2.1.5", &storable, CG_REASON_NOT_STORABLE);
    storable = judge_request("cache-control: no-cache\n", 200, "");
    expect_reason("no-cache is a wish about reading", &storable, CG_REASON_STORED);
    route.overrides = CG_OVERRIDE_NO_STORE;
    storable = judge_request("cache-control: no-store\n", 200, "");
    expect_reason("overridden", &storable, CG_REASON_STORED);
}

Test(storable, what_was_not_looked_up_is_not_stored)
{
    plan.kind = CG_PLAN_PASS;
    struct cg_storable storable = judge(200, "cache-control: max-age=9\n");
    expect_reason("pass", &storable, CG_REASON_NOT_STORABLE);
}

Test(storable, stored_fields_are_those_of_the_answer_itself)
{
    struct cg_fields fields =
        fields_of("connection: x-hop, close\nx-hop: 1\nkeep-alive: 1\ntransfer-encoding: chunked\n"
                  "content-length: 5\nset-cookie: a=b\nset-cookie: c=d\nage: 5\n"
                  "cache-status: other; hit\nproxy-authenticate: Basic\nproxy-status: x\n"
                  "etag: \"x\"\nvia: 1.1 other\ndate: d\nx: 1\nx: 2\n");
    struct cg_fields stored;
    static const char *const expected[] = {"etag", "via", "date", "x", "x"};
    cr_assert(cg_stored_fields(&fields, &arena, &stored));
    cr_assert_eq(stored.count, sizeof expected / sizeof expected[0]);
    for (size_t i = 0; i < stored.count; i++)
        cr_expect(cg_str_eq(stored.items[i].name, cg_str_from(expected[i])), "%zu", i);
}
