#include "cachegate/verdict.h"

#include <criterion/criterion.h>

static struct cg_arena arena;
static struct cg_fields upstream;

static void setup(void)
{
    cg_arena_init(&arena, 1 << 22);
    upstream = (struct cg_fields){0};
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(reply, .init = setup, .fini = teardown);

static void add(const char *name, const char *value)
{
    cr_assert(cg_fields_add(&upstream, &arena, cg_str_from(name), cg_str_from(value)));
}

static struct cg_fields reply(const struct cg_reply_facts *facts)
{
    struct cg_fields fields;
    cr_assert(cg_reply_fields(&upstream, facts, &arena, &fields));
    return fields;
}

Test(reply, cache_status_says_what_happened_and_why)
{
#define OURS .via = { "cachegate", 9 }
    static const struct {
        struct cg_reply_facts facts;
        const char *expected;
    } rows[] = {
        {{OURS, .hit = true, .reason = CG_REASON_FRESH, .ttl_s = 283},
         "cachegate; hit; ttl=283; detail=fresh"},
        {{OURS, .hit = true, .reason = CG_REASON_STALE_WHILE_REVALIDATE, .ttl_s = -5},
         "cachegate; hit; ttl=-5; detail=stale-while-revalidate"},
        {{OURS, .hit = true, .reason = CG_REASON_STALE_IF_ERROR, .ttl_s = -12,
          .forward_status = 503},
         "cachegate; fwd=stale; fwd-status=503; ttl=-12; detail=stale-if-error"},
        {{OURS, .reason = CG_REASON_ABSENT, .not_stored = CG_REASON_STORED},
         "cachegate; fwd=uri-miss; stored; detail=absent"},
        {{OURS, .reason = CG_REASON_PURGED, .not_stored = CG_REASON_STORED, .collapsed = true},
         "cachegate; fwd=miss; stored; collapsed; detail=purged"},
        {{OURS, .reason = CG_REASON_EXPIRED, .not_stored = CG_REASON_NO_STORE},
         "cachegate; fwd=stale; detail=no-store"},
        {{OURS, .reason = CG_REASON_VARY, .not_stored = CG_REASON_NOT_STORABLE},
         "cachegate; fwd=vary-miss; detail=vary"},
        {{OURS, .reason = CG_REASON_NO_ROUTE, .not_stored = CG_REASON_NOT_STORABLE},
         "cachegate; fwd=bypass; detail=no-route"},
        {{OURS, .reason = CG_REASON_WRITE, .not_stored = CG_REASON_NOT_STORABLE},
         "cachegate; fwd=method; detail=write"},
        {{OURS, .reason = CG_REASON_RANGE, .not_stored = CG_REASON_NOT_STORABLE},
         "cachegate; fwd=partial; detail=range"},
        {{OURS, .reason = CG_REASON_UNCOVERED_CREDENTIAL, .not_stored = CG_REASON_NOT_STORABLE,
          .detail = {"x-api-key", 9}},
         "cachegate; fwd=bypass; detail=\"uncovered-credential: x-api-key\""},
        {{OURS, .reason = CG_REASON_UNCOVERED_CREDENTIAL, .not_stored = CG_REASON_NOT_STORABLE,
          .detail = {"a\"b\\c\r\n\xc3\xa4", 9}},
         "cachegate; fwd=bypass; detail=\"uncovered-credential: a\\\"b\\\\c????\""},
        {{OURS, .reason = CG_REASON_BAD_REQUEST, .not_stored = CG_REASON_NOT_STORABLE},
         "cachegate; detail=bad-request"},
        {{OURS, .reason = CG_REASON_CLIENT_FRESHER, .not_stored = CG_REASON_STORED},
         "cachegate; fwd=request; stored; detail=client-fresher"},
        {{OURS, .reason = CG_REASON_VALIDATED, .not_stored = CG_REASON_STORED,
          .forward_status = 304, .has_ttl = true, .ttl_s = 60},
         "cachegate; fwd=stale; fwd-status=304; ttl=60; stored; detail=validated"},
        {{OURS, .hit = true, .reason = CG_REASON_MAX_STALE, .ttl_s = -9},
         "cachegate; hit; ttl=-9; detail=max-stale"},
        {{OURS, .reason = CG_REASON_METHOD, .not_stored = CG_REASON_NOT_STORABLE},
         "cachegate; fwd=method; detail=method"},
        {{OURS, .reason = CG_REASON_CONDITION, .not_stored = CG_REASON_NOT_STORABLE,
          .detail = {"if-match", 8}},
         "cachegate; fwd=bypass; detail=\"condition: if-match\""},
        {{OURS, .hit = true, .reason = CG_REASON_FRESH, .ttl_s = 5, .key = {"GET /a?\"b\"", 10}},
         "cachegate; hit; ttl=5; key=\"GET /a?\\\"b\\\"\"; detail=fresh"},
        {{.via = {"edge 1", 6}, .hit = true, .reason = CG_REASON_FRESH},
         "\"edge 1\"; hit; ttl=0; detail=fresh"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields fields = reply(&rows[i].facts);
        struct cg_str status = cg_fields_value(&fields, CG_STR("cache-status"));
        cr_expect(cg_str_eq(status, cg_str_from(rows[i].expected)), "%s\n  is %.*s",
                  rows[i].expected, CG_STR_ARG(status));
    }
}

Test(reply, detail_is_bounded_whatever_the_request_sends)
{
    char quotes[5000];
    memset(quotes, '"', sizeof quotes);
    struct cg_reply_facts facts = {.via = cg_str_of(quotes, sizeof quotes),
                                   .reason = CG_REASON_UNCOVERED_CREDENTIAL,
                                   .not_stored = CG_REASON_NOT_STORABLE,
                                   .forward_status = 500,
                                   .key = cg_str_of(quotes, sizeof quotes),
                                   .detail = cg_str_of(quotes, sizeof quotes)};
    struct cg_fields fields = reply(&facts);
    cr_expect_lt(cg_fields_value(&fields, CG_STR("cache-status")).length, 2000);
}

Test(reply, our_status_stands_behind_those_of_caches_before_us)
{
    struct cg_reply_facts facts = {OURS, .reason = CG_REASON_ABSENT,
                                   .not_stored = CG_REASON_STORED};
    add("cache-status", "other; hit");
    add("via", "1.1 other");
    struct cg_fields fields = reply(&facts);
    struct cg_list_walk walk = {0};
    struct cg_str member;
    cr_assert(cg_fields_next_member(&fields, CG_STR("cache-status"), &walk, &member));
    cr_expect(cg_str_eq(member, CG_STR("other; hit")));
    cr_assert(cg_fields_next_member(&fields, CG_STR("cache-status"), &walk, &member));
    cr_expect(cg_str_starts_with(member, CG_STR("cachegate;")));
    walk = (struct cg_list_walk){0};
    cr_assert(cg_fields_next_member(&fields, CG_STR("via"), &walk, &member));
    cr_assert(cg_fields_next_member(&fields, CG_STR("via"), &walk, &member));
    cr_expect(cg_str_eq(member, CG_STR("1.1 cachegate")));
}

Test(reply, date_is_that_of_the_arrival_where_the_origin_sent_none)
{
    struct cg_reply_facts facts = {OURS, .reason = CG_REASON_ABSENT,
                                   .received_at_ms = INT64_C(784111777999)};
    struct cg_fields fields = reply(&facts);
    cr_expect(cg_str_eq(cg_fields_value(&fields, CG_STR("date")),
                        CG_STR("Sun, 06 Nov 1994 08:49:37 GMT")),
              "RFC 9110 6.6.1");
    add("date", "x");
    fields = reply(&facts);
    cr_expect_eq(cg_fields_count(&fields, CG_STR("date")), 1);
    cr_expect(cg_str_eq(cg_fields_value(&fields, CG_STR("date")), CG_STR("x")));
}

Test(reply, targeted_fields_travel_on)
{
    struct cg_reply_facts facts = {OURS, .hit = true, .reason = CG_REASON_FRESH};
    struct cg_fields stored;
    static const char *const names[] = {"cachegate-cache-control", "cdn-cache-control",
                                        "surrogate-control", "cache-control"};
    for (size_t i = 0; i < 4; i++)
        add(names[i], "max-age=1");
    cr_assert(cg_stored_fields(&upstream, &arena, &stored));
    upstream = stored;
    struct cg_fields fields = reply(&facts);
    for (size_t i = 0; i < 4; i++)
        cr_expect_eq(cg_fields_count(&fields, cg_str_from(names[i])), 1, "RFC 9213 3.1: %s",
                     names[i]);
}

Test(reply, hop_by_hop_and_framing_are_left_out_and_the_rest_stays)
{
    struct cg_reply_facts facts = {OURS, .reason = CG_REASON_ABSENT};
    add("connection", "x-hop");
    add("x-hop", "1");
    add("transfer-encoding", "chunked");
    add("content-length", "5");
    add("set-cookie", "a=b");
    add("set-cookie", "c=d");
    add("proxy-authenticate", "Basic");
    struct cg_fields fields = reply(&facts);
    cr_expect_eq(fields.count, 5, "two cookies, one challenge, Via and Cache-Status");
    cr_expect_eq(cg_fields_count(&fields, CG_STR("set-cookie")), 2);
    cr_expect_null(cg_fields_find(&fields, CG_STR("x-hop")));
    cr_expect_null(cg_fields_find(&fields, CG_STR("content-length")));
}

Test(reply, age_is_ours_on_hits_and_the_upstreams_otherwise)
{
    struct cg_reply_facts facts = {OURS, .hit = true, .reason = CG_REASON_FRESH, .age_s = 12,
                                   .ttl_s = 3};
    add("age", "99");
    struct cg_fields fields = reply(&facts);
    cr_expect_eq(cg_fields_count(&fields, CG_STR("age")), 1);
    cr_expect(cg_str_eq(cg_fields_value(&fields, CG_STR("age")), CG_STR("12")));
    facts =
        (struct cg_reply_facts){OURS, .reason = CG_REASON_ABSENT, .not_stored = CG_REASON_STORED};
    fields = reply(&facts);
    cr_expect(cg_str_eq(cg_fields_value(&fields, CG_STR("age")), CG_STR("99")));
}

Test(reply, more_fields_than_a_message_may_have_are_refused)
{
    struct cg_reply_facts facts = {OURS, .reason = CG_REASON_ABSENT};
    struct cg_fields fields;
    for (size_t i = 0; i < CG_FIELDS_MAX - 2; i++)
        add("x", "y");
    cr_expect(cg_reply_fields(&upstream, &facts, &arena, &fields));
    add("x", "y");
    cr_expect_not(cg_reply_fields(&upstream, &facts, &arena, &fields));
}

Test(reply, fields_that_name_groups_can_be_removed)
{
    static const char *const names[] = {"cache-groups", "surrogate-key", "cache-tag",
                                        "cache-group-invalidation"};
    for (size_t i = 0; i < 4; i++)
        add(names[i], "a");
    add("cachegate-entry-groups", "ours");
    add("x-end", "1");
    for (int removes = 0; removes < 2; removes++) {
        struct cg_fields fields = reply(&(struct cg_reply_facts){
            .reason = CG_REASON_FRESH, .hit = true, OURS, .removes_groups = removes == 1});
        for (size_t i = 0; i < 4; i++)
            cr_expect_eq(cg_fields_find(&fields, cg_str_from(names[i])) == NULL, removes == 1);
        cr_expect_null(cg_fields_find(&fields, CG_STR("cachegate-entry-groups")));
        cr_expect_not_null(cg_fields_find(&fields, CG_STR("x-end")));
    }
    struct cg_fields stored;
    cr_assert(cg_stored_fields(&upstream, &arena, &stored));
    cr_expect_null(cg_fields_find(&stored, CG_STR("cachegate-entry-groups")), "it is no origin's");
    cr_expect_not_null(cg_fields_find(&stored, CG_STR("surrogate-key")));
}

Test(reply, what_is_kept_to_be_asked_about_is_stored)
{
    struct cg_fields fields = reply(&(struct cg_reply_facts){.reason = CG_REASON_ABSENT,
                                                             OURS,
                                                             .stored_expired = true,
                                                             .not_stored = CG_REASON_NO_CACHE});
    struct cg_str status = cg_fields_value(&fields, CG_STR("cache-status"));
    cr_expect(cg_str_eq(status, CG_STR("cachegate; fwd=uri-miss; stored; detail=no-cache")));
}
