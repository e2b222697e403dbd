#include "gateway/config/address.h"

#include <criterion/criterion.h>

static struct cg_arena arena;
static void begin(void)
{
    cg_arena_init(&arena, 1 << 20);
}
static void end(void)
{
    cg_arena_fini(&arena);
}
TestSuite(address, .init = begin, .fini = end);

Test(address, good_ones_are_taken_apart_and_print_as_they_were_written)
{
    static const struct {
        const char *text;
        enum cg_address_kind kind;
        const char *host;
        unsigned port;
        const char *path;
    } rows[] = {
        {":8080", CG_ADDRESS_TCP, "", 8080, NULL},
        {":0", CG_ADDRESS_TCP, "", 0, NULL},
        {"127.0.0.1:80", CG_ADDRESS_TCP, "127.0.0.1", 80, NULL},
        {"localhost:65535", CG_ADDRESS_TCP, "localhost", 65535, NULL},
        {"api.my_host-1.example:1", CG_ADDRESS_TCP, "api.my_host-1.example", 1, NULL},
        {"[::1]:8443", CG_ADDRESS_TCP, "::1", 8443, NULL},
        {"[::]:0", CG_ADDRESS_TCP, "::", 0, NULL},
        {"unix:/run/a b.sock", CG_ADDRESS_UNIX, "", 0, "/run/a b.sock"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_address address;
        const char *error = "none";
        cr_assert(cg_address_parse(cg_str_from(rows[i].text), &arena, &address, &error), "%s: %s",
                  rows[i].text, error);
        cr_expect_eq(address.kind, rows[i].kind, "%s", rows[i].text);
        cr_expect_str_eq(address.host, rows[i].host);
        cr_expect_eq(address.port, rows[i].port);
        if (rows[i].path != NULL)
            cr_expect_str_eq(address.path, rows[i].path);
        cr_expect(cg_str_eq(cg_address_text(&address, &arena), cg_str_from(rows[i].text)), "%s",
                  rows[i].text);
    }
}

Test(address, bad_ones_are_refused_with_a_sentence)
{
    static const struct {
        const char *text;
        const char *says;
    } rows[] = {
        {"", "port is missing"},
        {"8080", "with a colon before it"},
        {"localhost", "port is missing"},
        {"localhost:", "port must be a number"},
        {":http", "port must be a number"},
        {":65536", "port must be a number"},
        {":-1", "port must be a number"},
        {"::1:80", "brackets"},
        {"[::1]", "port is missing"},
        {"[::1", "brackets"},
        {"[]:80", "brackets"},
        {"[localhost]:80", "brackets"},
        {"[::1]x:80", "only :port"},
        {"300.1.1.1:80", "neither a name nor an address"},
        {"-a:80", "neither a name nor an address"},
        {"a b:80", "neither a name nor an address"},
        {"http://a:80", "without http://"},
        {"a:b:80", "brackets"},
        {"unix:", "absolute path"},
        {"unix:run/a", "absolute path"},
        {"unix:/0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
         "2345678901234567890123456",
         "107"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_address address;
        const char *error = "";
        cr_expect_not(cg_address_parse(cg_str_from(rows[i].text), &arena, &address, &error), "%s",
                      rows[i].text);
        cr_expect_not_null(strstr(error, rows[i].says), "%s: %s", rows[i].text, error);
    }
}

static bool same(const char *a, const char *b)
{
    struct cg_address one, two;
    const char *error;
    cr_assert(cg_address_parse(cg_str_from(a), &arena, &one, &error));
    cr_assert(cg_address_parse(cg_str_from(b), &arena, &two, &error));
    return cg_address_eq(&one, &two);
}

Test(address, addresses_are_the_same_when_they_bind_the_same_socket)
{
    cr_expect(same(":80", ":80"));
    cr_expect(same("Localhost:80", "localhost:80"));
    cr_expect(same("unix:/a", "unix:/a"));
    cr_expect_not(same(":80", ":81"));
    cr_expect_not(same(":80", "localhost:80"));
    cr_expect_not(same("unix:/a", "unix:/A"));
    cr_expect_not(same("unix:/a", ":80"));
    cr_expect_not(same(":0", ":0"), "each picks a port of its own");
}

Test(address, urls_of_upstreams_are_taken_apart)
{
    static const struct {
        const char *url;
        bool tls;
        const char *host;
        unsigned port;
        const char *authority;
        const char *prefix;
    } rows[] = {
        {"http://api", false, "api", 80, "api", ""},
        {"http://api/", false, "api", 80, "api", ""},
        {"https://api.example", true, "api.example", 443, "api.example", ""},
        {"https://api.example:8443/v1/", true, "api.example", 8443, "api.example:8443", "/v1"},
        {"http://[::1]:3000/a%20b", false, "::1", 3000, "[::1]:3000", "/a%20b"},
        {"http://[::1]", false, "::1", 80, "[::1]", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_upstream_settings upstream = {0};
        const char *error = "none";
        cr_assert(cg_address_parse_upstream(cg_str_from(rows[i].url), &arena, &upstream, &error),
                  "%s: %s", rows[i].url, error);
        cr_expect_eq(upstream.tls, rows[i].tls);
        cr_expect_str_eq(upstream.address.host, rows[i].host);
        cr_expect_eq(upstream.address.port, rows[i].port);
        cr_expect_str_eq(upstream.authority, rows[i].authority);
        cr_expect_str_eq(upstream.path_prefix, rows[i].prefix);
    }
    struct cg_upstream_settings upstream = {.tls = true};
    const char *error;
    cr_assert(cg_address_parse_upstream(CG_STR("unix:/run/api.sock"), &arena, &upstream, &error));
    cr_expect_eq(upstream.address.kind, CG_ADDRESS_UNIX);
    cr_expect_not(upstream.tls);
    cr_expect_str_eq(upstream.authority, "localhost");
}

Test(address, bad_urls_of_upstreams_are_refused_with_a_sentence)
{
    static const struct {
        const char *url;
        const char *says;
    } rows[] = {
        {"", "http://"},
        {"localhost:3000", "http://"},
        {"ftp://a", "http://"},
        {"HTTP://a", "http://"},
        {"http://", "no host"},
        {"http:///path", "no host"},
        {"http://user:secret@a", "user and password"},
        {"http://a?b=c", "no query"},
        {"http://a/#b", "no query"},
        {"http://a:0", "from 1"},
        {"http://a:", "from 1"},
        {"http://a:99999", "from 1"},
        {"http://::1", "brackets"},
        {"http://a/b c", "escaped"},
        {"http://a/b%2", "escaped"},
        {"http://a/\"", "escaped"},
        {"unix:relative", "absolute"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_upstream_settings upstream = {0};
        const char *error = "";
        cr_expect_not(
            cg_address_parse_upstream(cg_str_from(rows[i].url), &arena, &upstream, &error), "%s",
            rows[i].url);
        cr_expect_not_null(strstr(error, rows[i].says), "%s: %s", rows[i].url, error);
    }
}

Test(address, user_and_password_are_masked)
{
    static const char *const rows[][2] = {
        {"http://a/b", "http://a/b"},
        {"http://u:p@a/b", "http://***@a/b"},
        {"redis://:p@ss/w@host:1/0", "redis://***@host:1/0"},
        {"u:p@a", "***@a"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_str masked = cg_address_masked(cg_str_from(rows[i][0]), &arena);
        cr_expect(cg_str_eq(masked, cg_str_from(rows[i][1])), "%s: %.*s", rows[i][0],
                  CG_STR_ARG(masked));
    }
}
