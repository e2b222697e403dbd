#include "cachegate/freshness.h"

#include <criterion/criterion.h>

static struct cg_arena arena;

static void setup(void)
{
    cg_arena_init(&arena, 1 << 20);
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(freshness, .init = setup, .fini = teardown);

/* Sun, 06 Nov 1994 08:49:37 GMT */
static const int64_t now_ms = INT64_C(784111777000);
#define NOW    "Sun, 06 Nov 1994 08:49:37 GMT"
#define PAST   "Sun, 06 Nov 1994 08:49:27 GMT" /* ten seconds before */
#define FUTURE "Sun, 06 Nov 1994 08:50:37 GMT" /* a minute later */

static struct cg_fields fields_of(const char *const pairs[])
{
    struct cg_fields fields = {0};
    for (size_t i = 0; pairs[i] != NULL; i += 2)
        cg_fields_add(&fields, &arena, cg_str_from(pairs[i]), cg_str_from(pairs[i + 1]));
    return fields;
}

Test(freshness, initial_age_is_the_larger_of_what_dates_and_caches_say)
{
    static const struct {
        const char *name;
        const char *pairs[7];
        int64_t delay_ms;
        uint64_t age_ms;
    } rows[] = {
        {"nothing said", {NULL}, 0, 0},
        {"the time the answer took (4.2.3 response_delay)", {NULL}, 250, 250},
        {"Age and the delay add up", {"age", "7", NULL}, 250, 7250},
        {"apparent age from Date", {"date", PAST, NULL}, 250, 10000},
        {"the larger one: Age", {"date", PAST, "age", "60", NULL}, 0, 60000},
        {"the larger one: Date", {"date", PAST, "age", "3", NULL}, 0, 10000},
        {"a Date ahead of us is no negative age", {"date", FUTURE, NULL}, 0, 0},
        {"a broken Date counts as arrival (9110 6.6.1)", {"date", "yesterday", NULL}, 0, 0},
        {"a broken Age is ignored (5.1)", {"age", "-1", NULL}, 0, 0},
        {"an Age with a fraction is ignored", {"age", "1.5", NULL}, 0, 0},
        {"only the first member of Age counts (5.1)", {"age", "5, 900", NULL}, 0, 5000},
        {"only the first line of Age counts", {"age", "5", "age", "900", NULL}, 0, 5000},
        {"an Age beyond measure saturates (1.2.2)",
         {"age", "99999999999999999999999", NULL},
         0,
         UINT64_C(2147483648000)},
        {"the clock went back while it was fetched", {"age", "5", NULL}, -900, 5000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields fields = fields_of(rows[i].pairs);
        uint64_t age_ms = cg_initial_age_ms(&fields, now_ms - rows[i].delay_ms, now_ms);
        cr_expect_eq(age_ms, rows[i].age_ms, "%s: %llu", rows[i].name, (unsigned long long)age_ms);
    }
}

Test(freshness, current_age_grows_with_residence_and_never_shrinks)
{
    cr_expect_eq(cg_current_age_ms(500, 1000, 1000), 500);
    cr_expect_eq(cg_current_age_ms(500, 1000, 1750), 1250);
    cr_expect_eq(cg_current_age_ms(500, 1000, 0), 500, "a clock that went back");
    cr_expect_eq(cg_current_age_ms(UINT64_MAX - 1, 0, 1000), UINT64_MAX);
    cr_expect_eq(cg_current_age_ms(0, INT64_MIN, INT64_MAX), UINT64_MAX);
}

Test(freshness, explicit_lifetime_is_what_speaks_to_a_shared_cache_first)
{
    static const struct {
        const char *name;
        const char *pairs[7];
        bool is_explicit;
        uint64_t lifetime_ms;
    } rows[] = {
        {"silence", {"date", NOW, NULL}, false, 0},
        {"directives without a lifetime", {"cache-control", "public", NULL}, false, 0},
        {"no heuristics from Last-Modified", {"last-modified", PAST, NULL}, false, 0},
        {"max-age", {"cache-control", "max-age=60", NULL}, true, 60000},
        {"s-maxage before max-age", {"cache-control", "max-age=60, s-maxage=5", NULL}, true, 5000},
        {"max-age before Expires",
         {"cache-control", "max-age=0", "expires", FUTURE, NULL},
         true,
         0},
        {"a broken max-age is stale", {"cache-control", "max-age=x", NULL}, true, 0},
        {"Expires minus Date", {"date", PAST, "expires", FUTURE, NULL}, true, 70000},
        {"Expires minus arrival without a Date", {"expires", FUTURE, NULL}, true, 60000},
        {"Expires in the past", {"date", NOW, "expires", PAST, NULL}, true, 0},
        {"Expires: 0 (5.3)", {"date", NOW, "expires", "0", NULL}, true, 0},
        {"the first Expires counts", {"expires", NOW, "expires", FUTURE, NULL}, true, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields fields = fields_of(rows[i].pairs);
        struct cg_cache_control control;
        cg_cache_control_parse(&fields, CG_STR("cache-control"), &control);
        uint64_t lifetime_ms = 0;
        bool is_explicit = cg_explicit_lifetime_ms(&control, &fields, now_ms, &lifetime_ms);
        cr_expect_eq(is_explicit, rows[i].is_explicit, "%s", rows[i].name);
        cr_expect_eq(lifetime_ms, rows[i].lifetime_ms, "%s: %llu", rows[i].name,
                     (unsigned long long)lifetime_ms);
    }
}

Test(freshness, targeted_fields_hide_expires)
{
    const char *pairs[] = {"expires", FUTURE, NULL};
    struct cg_fields fields = fields_of(pairs);
    struct cg_cache_control control = {.targeted = true};
    uint64_t lifetime_ms;
    cr_expect_not(cg_explicit_lifetime_ms(&control, &fields, now_ms, &lifetime_ms), "9213 2.2");
}

Test(freshness, guess_is_a_tenth_of_what_was_not_changed)
{
    static const struct {
        const char *clause;
        const char *pairs[5];
        bool guessed;
        uint64_t lifetime_ms;
    } rows[] = {
        {"4.2.2 a tenth", {"date", FUTURE, "last-modified", PAST, NULL}, true, 7000},
        {"4.2.2 up to arrival without Date", {"last-modified", PAST, NULL}, true, 1000},
        {"4.2.2 nothing to guess from", {"date", NOW, NULL}, false, 0},
        {"a broken Last-Modified", {"last-modified", "x", NULL}, false, 0},
        {"changed after it was sent", {"date", PAST, "last-modified", NOW, NULL}, true, 0},
        {"at most the ceiling",
         {"date", FUTURE, "last-modified", "Thu, 01 Jan 1970 00:00:00 GMT", NULL},
         true,
         9000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_fields fields = fields_of(rows[i].pairs);
        uint64_t lifetime_ms = 0;
        bool guessed = cg_heuristic_lifetime_ms(&fields, now_ms, 9000, &lifetime_ms);
        cr_expect_eq(guessed, rows[i].guessed, "%s", rows[i].clause);
        cr_expect_eq(lifetime_ms, rows[i].lifetime_ms, "%s: %llu", rows[i].clause,
                     (unsigned long long)lifetime_ms);
    }
}

Test(freshness, answer_is_fresh_while_its_lifetime_exceeds_its_age)
{
    static const struct {
        const char *name;
        uint64_t lifetime_ms, age_ms;
        bool fresh;
        uint64_t stale_ms;
        int64_t ttl_s;
    } rows[] = {
        {"just stored", 60000, 0, true, 0, 60},
        {"seconds left are whole ones", 60000, 1, true, 0, 59},
        {"the last millisecond", 60000, 59999, true, 0, 0},
        {"equal is stale (4.2)", 60000, 60000, false, 0, -1},
        {"a millisecond over", 60000, 60001, false, 1, -1},
        {"a second over", 60000, 61000, false, 1000, -1},
        {"more than a second over", 60000, 61001, false, 1001, -2},
        {"never fresh", 0, 0, false, 0, -1},
        {"as old as can be", 0, UINT64_MAX, false, UINT64_MAX, -INT64_C(18446744073709552)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_freshness freshness = cg_freshness_of(rows[i].lifetime_ms, rows[i].age_ms);
        cr_expect_eq(freshness.fresh, rows[i].fresh, "%s", rows[i].name);
        cr_expect_eq(freshness.stale_ms, rows[i].stale_ms, "%s", rows[i].name);
        cr_expect_eq(freshness.ttl_s, rows[i].ttl_s, "%s: %lld", rows[i].name,
                     (long long)freshness.ttl_s);
    }
}
