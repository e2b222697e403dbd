#include "cachegate/redis_url.h"

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
TestSuite(redis_url, .init = begin, .fini = end);

Test(redis_url, good_ones_are_taken_apart)
{
    static const struct {
        const char *text;
        bool tls;
        const char *host;
        unsigned port;
        const char *socket_path, *user, *password;
        unsigned database;
    } rows[] = {
        {"redis://h", false, "h", 6379, "", "", "", 0},
        {"redis://h/", false, "h", 6379, "", "", "", 0},
        {"redis://127.0.0.1:1/3", false, "127.0.0.1", 1, "", "", "", 3},
        {"redis://[::1]/2", false, "::1", 6379, "", "", "", 2},
        {"redis://[fe80::1]:7000", false, "fe80::1", 7000, "", "", "", 0},
        {"redis://:secret@h", false, "h", 6379, "", "", "secret", 0},
        {"redis://me:p%40s%3As%2F@h:1", false, "h", 1, "", "me", "p@s:s/", 0},
        {"redis://me:a@b@h", false, "h", 6379, "", "me", "a@b", 0},
        {"redis://me:a:b@h?db=65535", false, "h", 6379, "", "me", "a:b", 65535},
        {"rediss://h.example:6380/1", true, "h.example", 6380, "", "", "", 1},
        {"unix:///run/redis.sock", false, "", 0, "/run/redis.sock", "", "", 0},
        {"unix:///run/a%20b?db=4", false, "", 0, "/run/a b", "", "", 4},
        {"unix://me:pw@/run/r", false, "", 0, "/run/r", "me", "pw", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_redis_url url;
        const char *error = "none";
        cr_assert(cg_redis_url_parse(cg_str_from(rows[i].text), &arena, &url, &error), "%s: %s",
                  rows[i].text, error);
        cr_expect_eq(url.tls, rows[i].tls, "%s", rows[i].text);
        cr_expect(url.verify, "%s", rows[i].text);
        cr_expect_str_eq(url.host, rows[i].host);
        cr_expect_eq(url.port, rows[i].port, "%s: %u", rows[i].text, url.port);
        cr_expect_str_eq(url.socket_path, rows[i].socket_path);
        cr_expect_str_eq(url.user, rows[i].user);
        cr_expect_str_eq(url.password, rows[i].password);
        cr_expect_eq(url.has_password, rows[i].password[0] != '\0');
        cr_expect_eq(url.database, rows[i].database, "%s", rows[i].text);
    }
}

Test(redis_url, options_of_tls_are_kept)
{
    struct cg_redis_url url;
    const char *error = "none";
    cr_assert(cg_redis_url_parse(CG_STR("rediss://10.0.0.1?ca=/a%26b.pem&cert=c&key=k&"
                                        "server_name=r.example&verify=off"),
                                 &arena, &url, &error));
    cr_expect_str_eq(url.ca_file, "/a&b.pem");
    cr_expect_str_eq(url.certificate_file, "c");
    cr_expect_str_eq(url.key_file, "k");
    cr_expect_str_eq(url.server_name, "r.example");
    cr_expect_not(url.verify);
}

Test(redis_url, several_hosts_are_kept_in_order)
{
    static const struct {
        const char *text;
        enum cg_redis_form form;
        bool tls;
        const char *hosts[3];
        unsigned ports[3];
        const char *primary_name;
        unsigned database;
    } rows[] = {
        {"redis+sentinel://a,b:1,[::1]/main",
         CG_REDIS_SENTINEL,
         false,
         {"a", "b", "::1"},
         {26379, 1, 26379},
         "main",
         0},
        {"redis+sentinel://a/my%2Fmain/7", CG_REDIS_SENTINEL, false, {"a"}, {26379}, "my/main", 7},
        {"redis+sentinel://u:p,q@a,b/main?db=2",
         CG_REDIS_SENTINEL,
         false,
         {"a", "b"},
         {26379, 26379},
         "main",
         2},
        {"rediss+sentinel://a/main/", CG_REDIS_SENTINEL, true, {"a"}, {26379}, "main", 0},
        {"redis+cluster://a:7000,b", CG_REDIS_CLUSTER, false, {"a", "b"}, {7000, 6379}, "", 0},
        {"rediss+cluster://u:p@a/0?db=0", CG_REDIS_CLUSTER, true, {"a"}, {6379}, "", 0},
        {"rediss://a", CG_REDIS_STANDALONE, true, {"a"}, {6379}, "", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_redis_url url;
        const char *error = "none";
        size_t count = 0;
        cr_assert(cg_redis_url_parse(cg_str_from(rows[i].text), &arena, &url, &error), "%s: %s",
                  rows[i].text, error);
        cr_expect_eq(url.form, rows[i].form, "%s", rows[i].text);
        cr_expect_eq(url.tls, rows[i].tls, "%s", rows[i].text);
        for (; count < 3 && rows[i].hosts[count] != NULL; count++) {
            cr_expect_str_eq(url.seeds[count].host, rows[i].hosts[count]);
            cr_expect_eq(url.seeds[count].port, rows[i].ports[count], "%s", rows[i].text);
        }
        cr_expect_eq(url.seed_count, count, "%s", rows[i].text);
        cr_expect_str_eq(url.primary_name, rows[i].primary_name);
        cr_expect_eq(url.database, rows[i].database, "%s", rows[i].text);
    }
}

Test(redis_url, sentinels_have_credentials_of_their_own)
{
    struct cg_redis_url url;
    const char *error = "none";
    cr_assert(cg_redis_url_parse(CG_STR("redis+sentinel://me:pw@a/p?sentinel_user=watch&"
                                        "sentinel_password=s%26t"),
                                 &arena, &url, &error));
    cr_expect_str_eq(url.user, "me");
    cr_expect_str_eq(url.password, "pw");
    cr_expect_str_eq(url.sentinel_user, "watch");
    cr_expect_str_eq(url.sentinel_password, "s&t");
}

Test(redis_url, sixteen_hosts_are_enough)
{
    struct cg_redis_url url;
    const char *error = "none";
    cr_assert(cg_redis_url_parse(CG_STR("redis+cluster://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"), &arena,
                                 &url, &error));
    cr_expect_eq(url.seed_count, 16);
    cr_expect_str_eq(url.seeds[15].host, "p");
    cr_assert_not(cg_redis_url_parse(CG_STR("redis+cluster://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"),
                                     &arena, &url, &error));
    cr_expect(strstr(error, "more than 16") != NULL, "%s", error);
}

Test(redis_url, bad_ones_name_the_part_and_never_the_password)
{
    static const struct {
        const char *text, *part;
    } rows[] = {
        {"", "must begin with"},
        {"http://:hunter2@h", "must begin with"},
        {"redis:hunter2@h", "must begin with"},
        {"redis+other://:hunter2@h", "must begin with"},
        {"redis://:hunter2@h,g", "several hosts"},
        {"redis+sentinel://:hunter2@h", "the name of the primary is missing"},
        {"redis+sentinel://:hunter2@h//3", "the name of the primary is missing"},
        {"redis+sentinel://:hunter2@h/%0a", "the name of the primary has a broken escape"},
        {"redis+sentinel://:hunter2@h/p/x", "the database"},
        {"redis+sentinel://h,/p", "the host is missing"},
        {"redis+sentinel://h,g:x/p", "the port"},
        {"redis+sentinel://h/p?sentinel_user=hunter2", "sentinel_password too"},
        {"redis+sentinel://h/p?sentinel_password=", "an option is empty"},
        {"redis+sentinel://h/p?ca=x", "need TLS"},
        {"redis+cluster://:hunter2@h,,g", "the host is missing"},
        {"redis+cluster://h/1", "no database but 0"},
        {"redis+cluster://:hunter2@h?db=1", "no database but 0"},
        {"redis+cluster://h/p", "the database"},
        {"redis+cluster://h?sentinel_password=hunter2", "need redis+sentinel://"},
        {"redis://h?sentinel_password=hunter2", "need redis+sentinel://"},
        {"rediss+cluster://h,[::1", "brackets"},
        {"redis://", "the host is missing"},
        {"redis://:hunter2@:6379", "the host is missing"},
        {"redis://hunter2@h", "the password is missing"},
        {"redis://me:@h", "the password is empty"},
        {"redis://me:hunter2%4@h", "the password has a broken escape"},
        {"redis://me:hunter2%00@h", "the password has a broken escape"},
        {"redis://m%zz:hunter2@h", "the user has a broken escape"},
        {"redis://:hunter2@h:0", "the port"},
        {"redis://:hunter2@h:65536", "the port"},
        {"redis://:hunter2@h:", "the port"},
        {"redis://:hunter2@h:12x", "the port"},
        {"redis://::1", "the host is missing"},
        {"redis://[::1", "brackets"},
        {"redis://[::1]6379", "brackets"},
        {"redis://h!", "neither a name nor an address"},
        {"redis://h/x", "the database"},
        {"redis://h/65536", "the database"},
        {"redis://h/1/2", "the database"},
        {"redis://h?db=", "the database"},
        {"redis://h?colour=red", "unknown option"},
        {"redis://:hunter2?@h", "the host"},
        {"redis://h?ca=x", "rediss://"},
        {"redis://h?verify=off", "rediss://"},
        {"rediss://h?verify=perhaps", "verify is on or off"},
        {"rediss://h?ca=", "an option is empty"},
        {"rediss://h?cert=c", "both options"},
        {"rediss://h?key=k", "both options"},
        {"redis://h#x", "%23"},
        {"redis://h 1", "a space"},
        {"unix://run/redis.sock", "an absolute path"},
        {"unix://", "an absolute path"},
        {"unix:///%0a", "the path has a broken escape"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cg_redis_url url;
        const char *error = "none";
        cr_assert_not(cg_redis_url_parse(cg_str_from(rows[i].text), &arena, &url, &error), "%s",
                      rows[i].text);
        cr_expect(strstr(error, rows[i].part) != NULL, "%s: %s", rows[i].text, error);
        cr_expect(strstr(error, "hunter2") == NULL, "%s", error);
    }
}

Test(redis_url, long_ones_are_refused)
{
    static char text[5000];
    struct cg_redis_url url;
    const char *error = "none";
    memset(text, 'a', sizeof(text));
    memcpy(text, "redis://", 8);
    cr_expect_not(cg_redis_url_parse(cg_str_of(text, 4097), &arena, &url, &error));
    cr_expect_str_eq(error, "the URL is longer than 4096 bytes");
    cr_expect_not(cg_redis_url_parse(cg_str_of(text, 8 + 256), &arena, &url, &error));
    cr_expect_str_eq(error, "the host is longer than 255 bytes");
    cr_expect(cg_redis_url_parse(cg_str_of(text, 8 + 255), &arena, &url, &error));
    text[9] = ':';
    text[4000] = '@';
    cr_expect(cg_redis_url_parse(cg_str_of(text, 4096), &arena, &url, &error), "%s", error);
    memset(text, '/', sizeof(text));
    memcpy(text, "unix://", 7);
    cr_expect_not(cg_redis_url_parse(cg_str_of(text, 7 + 108), &arena, &url, &error));
    cr_expect(cg_redis_url_parse(cg_str_of(text, 7 + 107), &arena, &url, &error));
}
