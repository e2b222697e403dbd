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
