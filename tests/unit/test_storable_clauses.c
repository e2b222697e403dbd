/* What may be stored, clause by clause: of RFC 9111, or of the RFC that a row names. */
#include "cachegate/conditional.h"

#include <criterion/criterion.h>

#include "unit/fields_of.h"

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

TestSuite(storable_clauses, .init = setup, .fini = teardown);

static struct cg_storable judge_request(const char *request, unsigned status, const char *answer)
{
    struct cg_fields request_fields = fields_of(request, &arena);
    struct cg_fields fields = fields_of(answer, &arena);
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

Test(storable_clauses, targeted_field_speaks_for_the_origin)
{
    static const struct {
        const char *clause, *answer;
        enum cg_reason reason;
        uint64_t lifetime_ms;
    } rows[] = {
        {"9213 2.2", "cache-control: no-store\ncdn-cache-control: max-age=7\n", CG_REASON_STORED,
         7000},
        {"9213 2.2 prohibits", "cache-control: max-age=9\ncdn-cache-control: no-store\n",
         CG_REASON_NO_STORE, 0},
        {"9213 2.2 ours first", "cdn-cache-control: no-store\ncachegate-cache-control: max-age=7\n",
         CG_REASON_STORED, 7000},
        {"surrogates", "surrogate-control: max-age=7\ncache-control: private\n", CG_REASON_STORED,
         7000},
        {"9213 2.1 malformed", "cdn-cache-control: Max-Age=7\ncache-control: max-age=9\n",
         CG_REASON_STORED, 9000},
        {"9213 2.2 Expires does not count",
         "cdn-cache-control: public\nexpires: Thu, 01 Jan 2099 00:00:00 GMT\n",
         CG_REASON_NO_LIFETIME, 0},
    };
    route.ttl_origin = true;
    route.scope_user = false;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_storable storable = judge(200, rows[i].answer);
        expect_reason(rows[i].clause, &storable, rows[i].reason);
        if (storable.store)
            cr_expect_eq(storable.lifetime_ms, rows[i].lifetime_ms, "%s", rows[i].clause);
    }
}

Test(storable_clauses, must_understand_takes_the_place_of_no_store)
{
    static const struct {
        const char *clause;
        unsigned status;
        const char *answer;
        enum cg_reason reason;
    } rows[] = {
        {"9111 5.2.2.3 known", 200, "cache-control: max-age=9, must-understand, no-store\n",
         CG_REASON_STORED},
        {"9111 5.2.2.3 known", 404, "cache-control: max-age=9, must-understand, no-store\n",
         CG_REASON_STORED},
        {"9111 5.2.2.3 unknown", 299, "cache-control: max-age=9, must-understand, no-store\n",
         CG_REASON_MUST_UNDERSTAND},
        {"9111 5.2.2.3 unknown, without no-store", 499,
         "cache-control: max-age=9, must-understand\n", CG_REASON_MUST_UNDERSTAND},
        {"9111 3 unknown", 299, "cache-control: max-age=9\n", CG_REASON_STORED},
        {"no-store alone", 200, "cache-control: max-age=9, no-store\n", CG_REASON_NO_STORE},
    };
    route.ttl_origin = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_storable storable = judge(rows[i].status, rows[i].answer);
        expect_reason(rows[i].clause, &storable, rows[i].reason);
    }
}

Test(storable_clauses, every_final_status_with_a_lifetime_is_stored_where_the_origin_decides)
{
    route.ttl_origin = true;
    for (unsigned status = 200; status < 600; status++) {
        enum cg_reason expected = status == 206   ? CG_REASON_PARTIAL
                                  : status == 304 ? CG_REASON_STATUS
                                                  : CG_REASON_STORED;
        struct cg_storable storable = judge(status, "cache-control: max-age=9\n");
        cr_expect_eq(storable.reason, expected, "RFC 9111 3: %u", status);
    }
}

Test(storable_clauses, lifetime_is_guessed_only_where_a_rule_asks)
{
    static const char silent[] = "date: Sun, 06 Nov 1994 08:49:37 GMT\n"
                                 "last-modified: Sun, 06 Nov 1994 08:32:57 GMT\n";
    static const struct {
        const char *clause;
        unsigned status;
        const char *more;
        enum cg_reason reason;
        uint64_t lifetime_ms;
    } rows[] = {
        {"4.2.2 a tenth of 1000 seconds", 200, "", CG_REASON_STORED, 100000},
        {"4.2.2 status", 302, "", CG_REASON_NO_LIFETIME, 0},
        {"4.2.2 public", 302, "cache-control: public\n", CG_REASON_STORED, 100000},
        {"9110 15.1", 404, "", CG_REASON_STORED, 100000},
        {"4.2.2 explicit", 200, "cache-control: max-age=0\n", CG_REASON_NO_LIFETIME, 0},
        {"4.2.2 explicit", 200, "expires: 0\n", CG_REASON_NO_LIFETIME, 0},
    };
    route.ttl_origin = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str answer = cg_arena_printf(&arena, "%s%s", silent, rows[i].more);
        struct cg_fields fields = fields_of(answer.bytes, &arena);
        struct cg_storable storable;
        int64_t now_ms = INT64_C(784111777000);
        route.heuristic_ms = 0;
        cg_storable_of(&plan, NULL, rows[i].status, &fields, now_ms, now_ms, &arena, &storable);
        cr_expect_neq(storable.reason, CG_REASON_STORED, "%s: nobody asked", rows[i].clause);
        route.heuristic_ms = 3600000;
        cg_storable_of(&plan, NULL, rows[i].status, &fields, now_ms, now_ms, &arena, &storable);
        expect_reason(rows[i].clause, &storable, rows[i].reason);
        if (storable.store)
            cr_expect_eq(storable.lifetime_ms, rows[i].lifetime_ms, "%s", rows[i].clause);
    }
}

Test(storable_clauses, what_is_never_fresh_may_still_be_validated_or_served_in_its_windows)
{
    static const struct {
        const char *clause;
        unsigned status;
        const char *answer;
        enum cg_reason reason;
        bool store_expired;
        bool must_revalidate;
        uint64_t after_ms;
    } rows[] = {
        {"5.2.2.4 no-cache", 200, "cache-control: no-cache\netag: \"a\"\n", CG_REASON_NO_CACHE,
         true, true, 5000},
        {"5.2.2.4 although it has a lifetime", 200,
         "cache-control: no-cache, max-age=60, stale-while-revalidate=60\netag: \"a\"\n",
         CG_REASON_NO_CACHE, true, true, 5000},
        {"5.2.2.4 without a validator", 200,
         "cache-control: no-cache, max-age=60, stale-if-error=60\n", CG_REASON_NO_CACHE, false,
         true, 0},
        {"5.2.2.1 max-age=0", 200, "cache-control: max-age=0\netag: \"a\"\n", CG_REASON_NO_LIFETIME,
         true, false, 5000},
        {"5861 3 max-age=0 and a window", 200,
         "cache-control: max-age=0, stale-while-revalidate=60\n", CG_REASON_NO_LIFETIME, true,
         false, 60000},
        {"5.2.2.2 no window", 200,
         "cache-control: max-age=0, stale-while-revalidate=60, must-revalidate\n",
         CG_REASON_NO_LIFETIME, false, true, 0},
        {"3 silence of a cacheable status", 200, "etag: \"a\"\n", CG_REASON_NO_LIFETIME, true,
         false, 5000},
        {"3 silence of another", 202, "etag: \"a\"\n", CG_REASON_NO_LIFETIME, false, false, 5000},
        {"9110 13.2.1 no conditions on errors", 404, "cache-control: no-cache\netag: \"a\"\n",
         CG_REASON_NO_CACHE, false, true, 0},
        {"what is forbidden stays so", 200, "cache-control: no-cache, no-store\netag: \"a\"\n",
         CG_REASON_NO_STORE, false, false, 0},
    };
    route.ttl_origin = true;
    route.keep_ms = 5000;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_storable storable = judge(rows[i].status, rows[i].answer);
        expect_reason(rows[i].clause, &storable, rows[i].reason);
        cr_expect_eq(storable.store_expired, rows[i].store_expired, "%s", rows[i].clause);
        cr_expect_eq(storable.must_revalidate, rows[i].must_revalidate, "%s", rows[i].clause);
        cr_expect_eq(cg_storable_after_ms(&storable), rows[i].after_ms, "%s: %llu", rows[i].clause,
                     (unsigned long long)cg_storable_after_ms(&storable));
        cr_expect(!storable.store_expired || storable.lifetime_ms <= storable.initial_age_ms);
    }
}

Test(storable_clauses, fresh_answer_is_kept_to_be_validated_only_with_a_validator)
{
    route.keep_ms = 5000;
    cr_expect_eq(judge(200, "etag: \"a\"\n").keep_ms, 5000);
    cr_expect_eq(judge(200, "etag: a\n").keep_ms, 0);
    struct cg_storable storable = judge(200, "cache-control: stale-if-error=9\netag: \"a\"\n");
    cr_expect(storable.store && !storable.store_expired);
    cr_expect_eq(cg_storable_after_ms(&storable), 9000);
}

Test(storable_clauses, qualified_directives_leave_the_rest_of_an_answer)
{
    static const struct {
        const char *clause, *control;
        bool user;
        unsigned overrides;
        enum cg_reason reason;
        const char *stored, *for_anybody;
    } rows[] = {
        {"5.2.2.7 shared", "private=\"x-a\"", false, 0, CG_REASON_STORED, "x-b", "x-b"},
        {"5.2.2.7 by user", "private=\"x-a\"", true, 0, CG_REASON_STORED, "x-a x-b", "x-b"},
        {"5.2.2.7 overridden", "private=\"x-a\"", false, CG_OVERRIDE_PRIVATE, CG_REASON_STORED,
         "x-a x-b", "x-b"},
        {"5.2.2.4", "no-cache=\"x-a, X-B\"", true, 0, CG_REASON_STORED, "", ""},
        {"5.2.2.4 overridden", "no-cache=\"x-a\"", true, CG_OVERRIDE_NO_CACHE, CG_REASON_STORED,
         "x-a x-b", "x-b"},
        {"both forms", "private=\"x-a\", private", false, 0, CG_REASON_PRIVATE, "x-a x-b",
         "x-a x-b"},
        {"no names", "private=\"\"", false, 0, CG_REASON_PRIVATE, "x-a x-b", "x-a x-b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields all = {0}, stored, for_anybody;
        cg_fields_add(&all, &arena, CG_STR("cachegate-cache-control"), CG_STR(""));
        cg_fields_add(&all, &arena, CG_STR("cache-control"), cg_str_from(rows[i].control));
        cg_fields_add(&all, &arena, CG_STR("x-a"), CG_STR("1"));
        cg_fields_add(&all, &arena, CG_STR("x-b"), CG_STR("1"));
        route.scope_user = rows[i].user;
        route.overrides = rows[i].overrides;
        struct cg_storable storable;
        cg_storable_of(&plan, NULL, 200, &all, 1000, 1500, &arena, &storable);
        expect_reason(rows[i].clause, &storable, rows[i].reason);
        cr_assert(cg_stored_fields_on(&route, &all, &arena, &stored));
        cr_assert(cg_stored_fields(&all, &arena, &for_anybody));
        for (int which = 0; which < 2; which++) {
            const struct cg_fields *fields = which == 0 ? &stored : &for_anybody;
            struct cg_str names = CG_STR("");
            for (size_t j = 2; j < fields->count; j++)
                names = cg_arena_printf(&arena, "%.*s%s%.*s", CG_STR_ARG(names), j > 2 ? " " : "",
                                        CG_STR_ARG(fields->items[j].name));
            cr_expect(
                cg_str_eq(names, cg_str_from(which == 0 ? rows[i].stored : rows[i].for_anybody)),
                "%s: %.*s", rows[i].clause, CG_STR_ARG(names));
        }
    }
}

Test(storable_clauses, cookie_that_the_origin_sets_aside_does_not_taint_the_answer)
{
    static const struct {
        const char *answer;
        enum cg_reason reason;
    } rows[] = {
        {"set-cookie: a=b\n", CG_REASON_SET_COOKIE},
        {"set-cookie: a=b\ncache-control: no-cache=\"Set-Cookie\"\n", CG_REASON_STORED},
        {"set-cookie: a=b\ncache-control: private=\"set-cookie\"\n", CG_REASON_STORED},
        {"set-cookie: a=b\ncache-control: private=\"x\"\n", CG_REASON_SET_COOKIE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_storable storable = judge(200, rows[i].answer);
        struct cg_fields fields = fields_of(rows[i].answer, &arena), stored;
        expect_reason(rows[i].answer, &storable, rows[i].reason);
        cr_assert(cg_stored_fields_on(&route, &fields, &arena, &stored));
        cr_expect_null(cg_fields_find(&stored, CG_STR("set-cookie")), "never replayed");
    }
}

Test(storable_clauses, wish_not_to_store_counts_where_the_route_honours_it)
{
    route.wishes = 0;
    struct cg_storable storable = judge_request("cache-control: no-store\n", 200, "");
    expect_reason("client: none", &storable, CG_REASON_STORED);
}

/* What a 304 comes to: the same question as for a whole answer, over the merged fields. */
Test(storable_clauses, confirmed_answer_is_as_fresh_as_if_it_had_been_sent_anew)
{
    static const struct {
        const char *clause, *confirmation;
        enum cg_reason reason;
        uint64_t lifetime_ms, initial_age_ms;
        bool store_expired;
    } rows[] = {
        {"4.3.4 a new lifetime", "cache-control: max-age=30\nage: 2\n", CG_REASON_STORED, 30000,
         2500, false},
        {"4.3.4 the stored one again", "age: 2\n", CG_REASON_STORED, 60000, 2500, false},
        {"4.3.4 the age of before is over", "", CG_REASON_STORED, 60000, 500, false},
        {"3.2 the new word is no-store", "cache-control: no-store\n", CG_REASON_NO_STORE, 0, 500,
         false},
        {"3.2 the new word is no-cache", "cache-control: no-cache\n", CG_REASON_NO_CACHE, 0, 500,
         true},
        {"3.2 older than it lasts", "age: 61\n", CG_REASON_NO_LIFETIME, 60000, 61500, true},
        {"a cookie comes with it", "set-cookie: a=b\n", CG_REASON_SET_COOKIE, 0, 500, false},
    };
    struct cg_verdict verdict = {.kind = CG_VERDICT_MISS, .alive = true, .may_validate = true};
    struct cg_entry entry = {.kind = CG_ENTRY_ANSWER, .status = 200};
    struct cg_fields answer =
        fields_of("etag: \"a\"\ncache-control: max-age=60\nage: 50\n", &arena);
    cr_assert(cg_stored_fields(&answer, &arena, &entry.fields));
    route.ttl_origin = true;
    route.keep_ms = 5000;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields confirmation = fields_of(rows[i].confirmation, &arena), merged;
        struct cg_storable storable;
        cr_assert_eq(cg_validation_of(&verdict, &entry, 304, &confirmation),
                     CG_VALIDATION_CONFIRMED);
        cr_assert(cg_merged_fields(&verdict, &entry, &confirmation, &arena, &merged));
        cg_storable_of(&plan, NULL, entry.status, &merged, 1000, 1500, &arena, &storable);
        expect_reason(rows[i].clause, &storable, rows[i].reason);
        cr_expect_eq(storable.lifetime_ms, rows[i].lifetime_ms, "%s", rows[i].clause);
        cr_expect_eq(storable.initial_age_ms, rows[i].initial_age_ms, "%s", rows[i].clause);
        cr_expect_eq(storable.store_expired, rows[i].store_expired, "%s", rows[i].clause);
    }
}
