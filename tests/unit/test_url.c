#include <criterion/criterion.h>

#include "cachegate/url.h"

static const struct {
    const char *text, *scheme, *authority, *target;
} good[] = {
    {"/", "http", "localhost", "/"},
    {"/items?page=1", "http", "localhost", "/items?page=1"},
    {"http://api.test/items", "http", "api.test", "/items"},
    {"https://api.test:8443/items?a=b@c", "https", "api.test:8443", "/items?a=b@c"},
    {"http://[::1]:80/", "http", "[::1]:80", "/"},
    {"/http://a/b", "http", "localhost", "/http://a/b"},
};

Test(url, path_or_url_is_taken_apart)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct cg_url url;
        cr_assert(cg_url_read(cg_str_from(good[i].text), &url), "%s", good[i].text);
        cr_expect(cg_str_eq(url.scheme, cg_str_from(good[i].scheme)), "%s", good[i].text);
        cr_expect(cg_str_eq(url.authority, cg_str_from(good[i].authority)), "%s", good[i].text);
        cr_expect(cg_str_eq(url.target, cg_str_from(good[i].target)), "%s", good[i].text);
    }
}

Test(url, what_would_mean_something_else_in_a_request_is_refused)
{
    static const char *const bad[] = {
        "",
        "items",
        "http://",
        "http:///items",
        "http://api.test",
        "ftp://a/b",
        "/a b",
        "/a\r\nX: y",
        "/a#b",
        "/a\x7f",
        "http://a b/",
        "http://a\r\nX: y/",
        "http://me:secret@a/b",
        "http://a?b/c",
        "http://a#b/c",
    };
    struct cg_url url;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_not(cg_url_read(cg_str_from(bad[i]), &url), "%s", bad[i]);
    cr_expect_not(cg_url_read(cg_str_of("/a\0b", 4), &url));
}

Test(url, fields_of_operators)
{
    cr_expect(cg_url_is_field_name(CG_STR("x-User-1")));
    cr_expect_not(cg_url_is_field_name(CG_STR("")));
    cr_expect_not(cg_url_is_field_name(CG_STR("a b")));
    cr_expect_not(cg_url_is_field_name(CG_STR("a:")));
    cr_expect(cg_url_is_field_value(CG_STR("Bearer a\tb")));
    cr_expect(cg_url_is_field_value(CG_STR("")));
    cr_expect_not(cg_url_is_field_value(CG_STR("a\r\nb: c")));
    cr_expect_not(cg_url_is_field_value(cg_str_of("a\0", 2)));
}
