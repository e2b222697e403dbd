/* Rows name the section of RFC 9111. */
#include "cachegate/wishes.h"

#include <criterion/criterion.h>

#include "cachegate/verdict.h"
#include "unit/fields_of.h"

enum { ALL = 127 };

static struct cg_arena arena;
static struct cg_route route;
static const char *stored; /* the fields of the answer that a verdict is about */

static void setup(void)
{
    cg_arena_init(&arena, 1 << 20);
    route = (struct cg_route){.wishes = ALL};
    stored = "etag: \"a\"\n";
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(wishes, .init = setup, .fini = teardown);

static struct cg_wishes read_wishes(const char *request)
{
    struct cg_fields fields = fields_of(request, &arena);
    struct cg_wishes wishes;
    cg_wishes_of(&route, &fields, &wishes);
    return wishes;
}

/* The wishes as letters, each with its seconds. */
static const char *show(const char *request)
{
    struct cg_wishes wishes = read_wishes(request);
    struct cg_str text =
        cg_arena_printf(&arena, "%s%s%s", wishes.no_store ? "S" : "",
                        wishes.only_if_cached ? "O" : "", wishes.no_cache ? "N" : "");
    if (wishes.has_max_age)
        text = cg_arena_printf(&arena, "%sA%lld", text.bytes, (long long)wishes.max_age_s);
    if (wishes.has_min_fresh)
        text = cg_arena_printf(&arena, "%sF%lld", text.bytes, (long long)wishes.min_fresh_s);
    if (wishes.has_max_stale)
        text = cg_arena_printf(&arena, "%sT%lld", text.bytes, (long long)wishes.max_stale_s);
    return text.bytes;
}

Test(wishes, each_directive_is_honoured_where_the_route_says_so)
{
    static const struct {
        const char *clause, *request;
        unsigned wish;
        const char *expected;
    } rows[] = {
        {"5.2.1.5", "cache-control: no-store\n", CG_WISH_NO_STORE, "S"},
        {"5.2.1.7", "cache-control: Only-If-Cached\n", CG_WISH_ONLY_IF_CACHED, "O"},
        {"5.2.1.4", "cache-control: no-cache\n", CG_WISH_NO_CACHE, "N"},
        {"5.2.1.1", "cache-control: max-age=0\n", CG_WISH_MAX_AGE, "A0"},
        {"5.2.1.3", "cache-control: min-fresh=20\n", CG_WISH_MIN_FRESH, "F20"},
        {"5.2.1.2", "cache-control: max-stale=9\n", CG_WISH_MAX_STALE, "T9"},
        {"5.2.1.2 any", "cache-control: max-stale\n", CG_WISH_MAX_STALE, "T2147483648"},
        {"5.4", "pragma: no-cache\n", CG_WISH_PRAGMA, "N"},
        {"5.4 in a list", "pragma: a, No-Cache\n", CG_WISH_PRAGMA, "N"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        route.wishes = rows[i].wish;
        cr_expect_str_eq(show(rows[i].request), rows[i].expected, "%s", rows[i].clause);
        route.wishes = ALL & ~rows[i].wish;
        cr_expect_str_eq(show(rows[i].request), "", "%s, not honoured", rows[i].clause);
        route.wishes = ALL;
        cr_expect_str_eq(show(rows[i].request), rows[i].expected, "%s, all", rows[i].clause);
    }
}

Test(wishes, by_default_only_what_costs_the_origin_nothing)
{
    route.wishes = CG_WISHES_DEFAULT;
    cr_expect_str_eq(show("cache-control: no-store, only-if-cached, no-cache, max-age=0, "
                          "min-fresh=1, max-stale\npragma: no-cache\n"),
                     "SO");
}

Test(wishes, pragma_counts_only_without_cache_control)
{
    cr_expect_str_eq(show("cache-control: foo\npragma: no-cache\n"), "", "5.4");
    cr_expect_str_eq(show("pragma: foo\n"), "");
}

/* ---- what the verdict becomes ---- */

struct row {
    const char *clause, *request;
    enum cg_verdict_kind kind;
    enum cg_reason reason;
    bool may_validate, usable_if_error, refused;
};

static void run(struct cg_verdict verdict, bool must_revalidate, const struct row *rows,
                size_t count)
{
    struct cg_entry entry = {.kind = CG_ENTRY_ANSWER,
                             .status = 200,
                             .must_revalidate = must_revalidate,
                             .fields = fields_of(stored, &arena)};
    for (size_t i = 0; i < count; i++) {
        struct cg_wishes wishes = read_wishes(rows[i].request);
        struct cg_verdict got = cg_verdict_for(verdict, &entry, &wishes);
        cr_expect_eq(got.kind, rows[i].kind, "%s: %d", rows[i].clause, (int)got.kind);
        cr_expect_eq(got.reason, rows[i].reason, "%s: %s", rows[i].clause,
                     cg_reason_word(got.reason));
        cr_expect_eq(got.may_validate, rows[i].may_validate, "%s", rows[i].clause);
        cr_expect_eq(got.usable_if_error, rows[i].usable_if_error, "%s", rows[i].clause);
        cr_expect_eq(got.refused, rows[i].refused, "%s", rows[i].clause);
        cr_expect(got.age_s == verdict.age_s && got.ttl_s == verdict.ttl_s);
    }
}
#define RUN(verdict, must_revalidate, rows)                                                        \
    run((verdict), (must_revalidate), (rows), sizeof(rows) / sizeof((rows)[0]))

#define IS_HIT     CG_VERDICT_HIT, CG_REASON_FRESH, false, false, false
#define IS_FRESHER CG_VERDICT_MISS, CG_REASON_CLIENT_FRESHER, true

Test(wishes, fresh_answer_may_be_too_old_for_a_client)
{
    struct cg_verdict fresh = {
        .kind = CG_VERDICT_HIT, .reason = CG_REASON_FRESH, .age_s = 10, .ttl_s = 20, .alive = true};
    static const struct row rows[] = {
        {"none", "", IS_HIT},
        {"5.2.1.1 just young enough", "cache-control: max-age=10\n", IS_HIT},
        {"5.2.1.1 too old", "cache-control: max-age=9\n", IS_FRESHER, true, false},
        {"5.2.1.1 max-stale speaks of staleness", "cache-control: max-age=9, max-stale\n",
         IS_FRESHER, true, false},
        {"5.2.1.3 just long enough", "cache-control: min-fresh=20\n", IS_HIT},
        {"5.2.1.3 too short", "cache-control: min-fresh=21\n", IS_FRESHER, true, false},
        {"5.2.1.4", "cache-control: no-cache\n", IS_FRESHER, false, false},
        {"5.4", "pragma: no-cache\n", IS_FRESHER, false, false},
        {"5.2.1.2", "cache-control: max-stale=0\n", IS_HIT},
        {"5.2.1.7 there is one", "cache-control: only-if-cached\n", IS_HIT},
        {"5.2.1.7 none that will do", "cache-control: only-if-cached, max-age=0\n", IS_FRESHER,
         true, true},
    };
    RUN(fresh, false, rows);
    static const struct row immutable[] = {
        {"8246 2 fresh", "cache-control: max-age=0\n", IS_HIT},
        {"8246 2 fresh", "cache-control: min-fresh=99\n", IS_HIT},
        {"8246 2 asked outright", "cache-control: no-cache\n", IS_FRESHER, false, false},
    };
    stored = "etag: \"a\"\ncache-control: max-age=30, immutable\n";
    RUN(fresh, false, immutable);
}

Test(wishes, expired_answer_is_not_immutable_any_more)
{
    struct cg_verdict stale = {.kind = CG_VERDICT_STALE,
                               .reason = CG_REASON_STALE_WHILE_REVALIDATE,
                               .ttl_s = -5,
                               .alive = true,
                               .may_validate = true};
    static const struct row rows[] = {
        {"8246 2", "cache-control: max-age=9\n", IS_FRESHER, false, false},
    };
    stored = "etag: \"a\"\ncache-control: immutable\n";
    RUN(stale, false, rows);
}

Test(wishes, nothing_is_honoured_where_no_rule_names_the_request)
{
    struct cg_fields fields = fields_of("cache-control: no-store, only-if-cached\n", &arena);
    struct cg_wishes wishes;
    cg_wishes_of(NULL, &fields, &wishes);
    cr_expect(!wishes.no_store && !wishes.only_if_cached);
}

Test(wishes, client_may_accept_what_is_expired)
{
    struct cg_verdict expired = {.kind = CG_VERDICT_MISS,
                                 .reason = CG_REASON_EXPIRED,
                                 .age_s = 65,
                                 .ttl_s = -5,
                                 .usable_if_error = true,
                                 .alive = true,
                                 .may_validate = true};
#define IS_EXPIRED  CG_VERDICT_MISS, CG_REASON_EXPIRED, true, true
#define IS_ACCEPTED CG_VERDICT_HIT, CG_REASON_MAX_STALE, false, false, false
    static const struct row rows[] = {
        {"none", "", IS_EXPIRED, false},
        {"5.2.1.2 enough", "cache-control: max-stale=5\n", IS_ACCEPTED},
        {"5.2.1.2 any", "cache-control: max-stale\n", IS_ACCEPTED},
        {"5.2.1.2 not enough", "cache-control: max-stale=4\n", IS_EXPIRED, false},
        {"5.2.1.7 with it", "cache-control: only-if-cached, max-stale\n", IS_ACCEPTED},
        {"5.2.1.7", "cache-control: only-if-cached\n", IS_EXPIRED, true},
        {"5.2.1.1 beside it", "cache-control: max-stale, max-age=65\n", IS_ACCEPTED},
        {"5.2.1.1 too old all the same", "cache-control: max-stale, max-age=64\n", IS_FRESHER,
         false, false},
        {"5.2.1.3 contradicts it", "cache-control: max-stale, min-fresh=0\n", IS_FRESHER, false,
         false},
    };
    RUN(expired, false, rows);
    static const struct row strict[] = {
        {"5.2.2.2", "cache-control: max-stale\n", IS_EXPIRED, false},
    };
    RUN(expired, true, strict);
}

Test(wishes, answer_in_its_stale_window_is_stale)
{
    struct cg_verdict stale = {.kind = CG_VERDICT_STALE,
                               .reason = CG_REASON_STALE_WHILE_REVALIDATE,
                               .age_s = 65,
                               .ttl_s = -5,
                               .alive = true,
                               .may_validate = true};
#define IS_STALE CG_VERDICT_STALE, CG_REASON_STALE_WHILE_REVALIDATE, true, false, false
    static const struct row rows[] = {
        {"5861 3", "", IS_STALE},
        {"5.2.1.1 wants nothing stale", "cache-control: max-age=100\n", IS_FRESHER, false, false},
        {"5.2.1.1 unless it says so", "cache-control: max-age=100, max-stale=5\n", IS_STALE},
        {"5.2.1.1 not so stale", "cache-control: max-age=100, max-stale=4\n", IS_FRESHER, false,
         false},
        {"5.2.1.7", "cache-control: only-if-cached\n", IS_STALE},
        {"5.2.1.3", "cache-control: min-fresh=0\n", IS_FRESHER, false, false},
    };
    RUN(stale, false, rows);
}

Test(wishes, nothing_revives_what_a_write_made_wrong)
{
    static const enum cg_reason reasons[] = {CG_REASON_PURGED, CG_REASON_BANNED, CG_REASON_ABSENT,
                                             CG_REASON_MISMATCH, CG_REASON_VARY};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        struct cg_verdict dead = {.kind = CG_VERDICT_MISS, .reason = reasons[i]};
        const struct row rows[] = {
            {"row 4", "cache-control: max-stale, only-if-cached\n", CG_VERDICT_MISS, reasons[i],
             false, false, true},
            {"row 4", "cache-control: no-cache\n", CG_VERDICT_MISS, reasons[i], false, false,
             false},
        };
        RUN(dead, false, rows);
    }
    struct cg_verdict busy = {.kind = CG_VERDICT_PASS, .reason = CG_REASON_WRITE_IN_FLIGHT};
    static const struct row rows[] = {
        {"busy", "cache-control: max-stale, only-if-cached\n", CG_VERDICT_PASS,
         CG_REASON_WRITE_IN_FLIGHT, false, false, true},
    };
    RUN(busy, false, rows);
    struct cg_verdict marker = {.kind = CG_VERDICT_SELECT, .reason = CG_REASON_VARY};
    static const struct row selects[] = {
        {"a marker decides nothing", "cache-control: only-if-cached, no-cache\n", CG_VERDICT_SELECT,
         CG_REASON_VARY, false, false, false},
    };
    RUN(marker, false, selects);
}
