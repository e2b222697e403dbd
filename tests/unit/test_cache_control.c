#include "cachegate/cache_control.h"

#include <criterion/criterion.h>

struct row {
    const char *value;
    struct cg_cache_control expected;
};

static void expect_same(const char *what, const struct cg_cache_control *got,
                        const struct cg_cache_control *expected)
{
#define FLAG(name) cr_expect_eq(got->name, expected->name, "'%s': " #name, what)
#define SECONDS(name)                                                                              \
    cr_expect_eq(got->name, expected->name, "'%s': " #name " %lld", what, (long long)got->name)
    FLAG(no_store);
    FLAG(no_cache);
    FLAG(no_cache_names_fields);
    FLAG(is_private);
    FLAG(private_names_fields);
    FLAG(is_public);
    FLAG(must_revalidate);
    FLAG(proxy_revalidate);
    FLAG(must_understand);
    FLAG(immutable);
    FLAG(no_transform);
    FLAG(only_if_cached);
    FLAG(has_max_age);
    FLAG(has_s_maxage);
    FLAG(has_swr);
    FLAG(has_sie);
    FLAG(has_max_stale);
    FLAG(has_min_fresh);
    SECONDS(max_age_s);
    SECONDS(s_maxage_s);
    SECONDS(stale_while_revalidate_s);
    SECONDS(stale_if_error_s);
    SECONDS(max_stale_s);
    SECONDS(min_fresh_s);
}

static void run(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct cg_cache_control got;
        cg_cache_control_parse_value(cg_str_from(rows[i].value), &got);
        expect_same(rows[i].value, &got, &rows[i].expected);
    }
}
#define RUN(rows)  run(rows, sizeof rows / sizeof rows[0])
#define MAX_AGE(s) .has_max_age = true, .max_age_s = (s)

Test(cache_control, directives_are_read_without_case)
{
    static const struct row rows[] = {
        {"", {0}},
        {"no-store", {.no_store = true}},
        {"NO-STORE", {.no_store = true}},
        {"no-cache, private", {.no_cache = true, .is_private = true}},
        {"public,max-age=60,must-revalidate",
         {.is_public = true, .must_revalidate = true, MAX_AGE(60)}},
        {"Max-Age=60 , proxy-revalidate", {.proxy_revalidate = true, MAX_AGE(60)}},
        {"s-maxage=0, no-transform", {.has_s_maxage = true, .no_transform = true}},
        {"max-age=604800, stale-while-revalidate=86400, stale-if-error=7",
         {MAX_AGE(604800), .has_swr = true, .stale_while_revalidate_s = 86400, .has_sie = true,
          .stale_if_error_s = 7}},
        {"must-understand, no-store, immutable",
         {.must_understand = true, .no_store = true, .immutable = true}},
        {"only-if-cached, max-stale, min-fresh=20",
         {.only_if_cached = true,
          .has_max_stale = true,
          .max_stale_s = CG_DELTA_SECONDS_MAX,
          .has_min_fresh = true,
          .min_fresh_s = 20}},
        {"max-stale=5", {.has_max_stale = true, .max_stale_s = 5}},
        {"foo, bar=1, baz=\"no-store, private\", max-age=1", {MAX_AGE(1)}},
        {"no-storex, xno-store", {0}},
    };
    RUN(rows);
}

Test(cache_control, field_names_qualify_no_cache_and_private)
{
    static const struct row rows[] = {
        {"no-cache=\"set-cookie\"", {.no_cache = true, .no_cache_names_fields = true}},
        {"no-cache=\"set-cookie, etag\"", {.no_cache = true, .no_cache_names_fields = true}},
        {"private=set-cookie", {.is_private = true, .private_names_fields = true}},
        {"private=\"a\", private", {.is_private = true}},
        {"private, private=\"a\"", {.is_private = true}},
        {"private=\"a\", private=\"b\"", {.is_private = true, .private_names_fields = true}},
        {"no-cache=\"\"", {.no_cache = true}},
        {"no-cache=", {.no_cache = true}},
        {"no-cache=\"a b\"", {.no_cache = true}},
        {"private=\"a\\\"b\"", {.is_private = true}},
    };
    RUN(rows);
}

Test(cache_control, doubtful_seconds_are_read_as_the_shorter_lifetime)
{
    static const struct row rows[] = {
        {"max-age=\"60\"", {MAX_AGE(60)}},
        {"max-age=2147483648", {MAX_AGE(CG_DELTA_SECONDS_MAX)}},
        {"max-age=2147483649", {MAX_AGE(CG_DELTA_SECONDS_MAX)}},
        {"max-age=99999999999999999999999999", {MAX_AGE(CG_DELTA_SECONDS_MAX)}},
        {"max-age=-1", {MAX_AGE(0)}},
        {"max-age=+1", {MAX_AGE(0)}},
        {"max-age=1.5", {MAX_AGE(0)}},
        {"max-age=1h", {MAX_AGE(0)}},
        {"max-age= 60", {MAX_AGE(0)}},
        {"max-age =60", {MAX_AGE(60)}},
        {"max-age=", {MAX_AGE(0)}},
        {"max-age", {MAX_AGE(0)}},
        {"max-age=60, max-age=30, max-age=90", {MAX_AGE(30)}},
        {"max-age=60, max-age=x", {MAX_AGE(0)}},
        {"s-maxage=x", {.has_s_maxage = true}},
        {"stale-if-error=x", {.has_sie = true}},
        {"max-stale=x", {.has_max_stale = true}},
        {"max-stale, max-stale=5", {.has_max_stale = true, .max_stale_s = 5}},
        {"max-stale=5, max-stale", {.has_max_stale = true, .max_stale_s = 5}},
        {"min-fresh=5, min-fresh=9, min-fresh=x", {.has_min_fresh = true, .min_fresh_s = 9}},
        {"min-fresh=x", {0}},
    };
    RUN(rows);
}

Test(cache_control, what_forbids_is_taken_with_an_argument_and_what_permits_is_not)
{
    static const struct row rows[] = {
        {"no-store=1", {.no_store = true}},
        {"must-revalidate=\"x\"", {.must_revalidate = true}},
        {"public=1, immutable=1, must-understand=1", {0}},
    };
    RUN(rows);
}

Test(cache_control, unreadable_quotes_forbid_storing)
{
    static const struct row rows[] = {
        {"max-age=60, foo=\"open, private", {MAX_AGE(60), .no_store = true}},
        {"foo=\"a\"b", {.no_store = true}},
        {"foo=\"a\"b, max-age=1", {.no_store = true, MAX_AGE(1)}},
        {"foo=a\"b\"", {.no_store = true}},
        {"\"foo\"", {.no_store = true}},
        {"foo=\"a\\", {.no_store = true}},
        {"foo=\"a\\\"", {.no_store = true}},
        {"must-understand, foo=\"", {.no_store = true}},
    };
    RUN(rows);
}

Test(cache_control, lines_of_a_field_count_together)
{
    struct cg_field items[] = {
        {CG_STR("cache-control"), CG_STR("max-age=60")},
        {CG_STR("cdn-cache-control"), CG_STR("no-store")},
        {CG_STR("cache-control"), CG_STR("max-age=30, private")},
    };
    struct cg_fields fields = {.items = items, .count = 3, .capacity = 3};
    struct cg_cache_control got;
    cg_cache_control_parse(&fields, CG_STR("cache-control"), &got);
    expect_same("two lines", &got, &(struct cg_cache_control){MAX_AGE(30), .is_private = true});
    cg_cache_control_parse(&fields, CG_STR("cdn-cache-control"), &got);
    expect_same("targeted", &got, &(struct cg_cache_control){.no_store = true});
}

Test(cache_control, names_of_qualified_directives_can_be_asked_for)
{
    static const struct {
        const char *clause;
        const char *value;
        bool no_cache, is_private; /* whether etag is among the names */
    } rows[] = {
        {"5.2.2.4", "no-cache=\"Set-Cookie, ETag\"", true, false},
        {"5.2.2.7 a token", "private=ETag", false, true},
        {"5.2.2.7 two of them", "private=\"a\", private=\"etag\"", false, true},
        {"5.2.2.7 other names", "private=\"etagx\", no-cache=\"eta\"", false, false},
        {"unqualified beside it", "private=\"etag\", private", false, false},
        {"unqualified before it", "no-cache, no-cache=\"etag\"", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_cache_control got;
        cg_cache_control_parse_value(cg_str_from(rows[i].value), &got);
        cr_expect_eq(cg_name_lists_have(&got.no_cache_names, CG_STR("etag")), rows[i].no_cache,
                     "%s", rows[i].clause);
        cr_expect_eq(cg_name_lists_have(&got.private_names, CG_STR("etag")), rows[i].is_private,
                     "%s", rows[i].clause);
    }
}

Test(cache_control, more_lists_of_names_than_are_kept_count_as_none)
{
    struct cg_cache_control got;
    cg_cache_control_parse_value(
        CG_STR("private=\"a\", private=\"b\", private=\"c\", private=\"d\""), &got);
    cr_expect(got.private_names_fields && got.private_names.count == CG_NAME_LISTS_MAX);
    cg_cache_control_parse_value(
        CG_STR("private=\"a\", private=\"b\", private=\"c\", private=\"d\", private=\"e\""), &got);
    cr_expect(got.is_private && !got.private_names_fields && got.private_names.count == 0);
}

/* What an answer with these lines says to us. */
static void run_targeted(const char *clause, const char *ours, const char *cdn,
                         const char *surrogate, const char *plain, struct cg_cache_control expected)
{
    const char *const values[] = {plain, surrogate, cdn, ours};
    const struct cg_str names[] = {CG_STR("cache-control"), CG_STR("surrogate-control"),
                                   CG_STR("cdn-cache-control"), CG_STR("cachegate-cache-control")};
    struct cg_arena arena;
    struct cg_fields fields = {0};
    struct cg_cache_control got;
    cg_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < 4; i++)
        if (values[i] != NULL)
            cr_assert(cg_fields_add(&fields, &arena, names[i], cg_str_from(values[i])));
    cg_cache_control_of_answer(&fields, &arena, &got);
    expect_same(clause, &got, &expected);
    cr_expect_eq(got.targeted, expected.targeted, "%s", clause);
    cg_arena_fini(&arena);
}
#define EXPECT(clause, ours, cdn, surrogate, plain, ...)                                           \
    run_targeted(clause, ours, cdn, surrogate, plain, (struct cg_cache_control){__VA_ARGS__})
#define TARGETED .targeted = true

Test(cache_control, first_usable_targeted_field_takes_the_place_of_cache_control)
{
    EXPECT("9213 2.2 ours first", "max-age=1", "max-age=2", "max-age=3", "max-age=4, no-store",
           TARGETED, MAX_AGE(1));
    EXPECT("9213 2.2 then any CDN's", NULL, "max-age=2", "max-age=3", "max-age=4", TARGETED,
           MAX_AGE(2));
    EXPECT("then any surrogate's", NULL, NULL, "max-age=3", "max-age=4", TARGETED, MAX_AGE(3));
    EXPECT("none", NULL, NULL, NULL, "max-age=4", MAX_AGE(4));
    EXPECT("9213 2.1 empty is not sent", "", "  ", "max-age=3", NULL, TARGETED, MAX_AGE(3));
    EXPECT("9213 2.1 all empty", "", NULL, NULL, "no-store", .no_store = true);
    EXPECT("9213 2.1 malformed is not sent", "max-age=1, &&", "max-age =2", "max-age=3;",
           "no-store", .no_store = true);
    EXPECT("9213 2.1 upper case is malformed", "Max-Age=1", NULL, NULL, "private",
           .is_private = true);
    EXPECT("9213 2.1 wrong type", "max-age=\"60\"", "max-age", "max-age=1.5", "no-store",
           .no_store = true);
    EXPECT("9213 2.1 wrong type of a flag", "no-store=1", NULL, NULL, "max-age=4", MAX_AGE(4));
    EXPECT("only unknown directives: it counts", "foo", NULL, NULL, "no-store", TARGETED);
}

Test(cache_control, targeted_directives_have_types)
{
    EXPECT("all flags", "no-store, must-revalidate, proxy-revalidate, must-understand, public",
           NULL, NULL, NULL, TARGETED, .no_store = true, .must_revalidate = true,
           .proxy_revalidate = true, .must_understand = true, .is_public = true);
    EXPECT("8246", "immutable, no-transform", NULL, NULL, NULL, TARGETED, .immutable = true,
           .no_transform = true);
    EXPECT("false is not said", "no-store=?0, max-age=1", NULL, NULL, NULL, TARGETED, MAX_AGE(1));
    EXPECT("parameters are ignored", "max-age=1;x=2", NULL, NULL, NULL, TARGETED, MAX_AGE(1));
    EXPECT("8941 3.2 the last one counts", "max-age=1, no-store, max-age=9, no-store=?0", NULL,
           NULL, NULL, TARGETED, MAX_AGE(9));
    EXPECT("negative is 0", "max-age=-5", NULL, NULL, NULL, TARGETED, MAX_AGE(0));
    EXPECT("9111 1.2.2 large", "s-maxage=99999999999", NULL, NULL, NULL, TARGETED,
           .has_s_maxage = true, .s_maxage_s = CG_DELTA_SECONDS_MAX);
    EXPECT("5861", "stale-while-revalidate=1, stale-if-error=2", NULL, NULL, NULL, TARGETED,
           .has_swr = true, .stale_while_revalidate_s = 1, .has_sie = true, .stale_if_error_s = 2);
    EXPECT("names", "no-cache=\"a, b\", private=c", NULL, NULL, NULL, TARGETED, .no_cache = true,
           .no_cache_names_fields = true, .is_private = true, .private_names_fields = true);
    EXPECT("no names", "no-cache=\"\", private", NULL, NULL, NULL, TARGETED, .no_cache = true,
           .is_private = true);
    EXPECT("the last one counts", "private, private=\"a\", no-cache=\"a\", no-cache=?0", NULL, NULL,
           NULL, TARGETED, .is_private = true, .private_names_fields = true);
    EXPECT("names are no number", "private=1", NULL, NULL, NULL, .targeted = false);
}
