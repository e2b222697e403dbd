#include "cachegate/plan.h"

#include "tests/make_request.h"

#include <criterion/criterion.h>
#include <stdio.h>

static bool same(const char *names, const char *a, const char *b)
{
    struct cg_arena arena;
    cg_arena_init(&arena, 1 << 20);
    struct cg_request_facts x = make_request(&arena, "GET /", a);
    struct cg_request_facts y = make_request(&arena, "GET /", b);
    struct cg_str first = cg_vary_signature(cg_str_from(names), x.fields, &arena);
    struct cg_str second = cg_vary_signature(cg_str_from(names), y.fields, &arena);
    cr_expect_not(cg_str_empty(first), "empty stands for no variant");
    bool equal = cg_str_eq(first, second);
    cg_arena_fini(&arena);
    return equal;
}

Test(vary, requests_select_one_variant_or_different_ones)
{
    static const struct {
        const char *clause, *names, *a, *b;
        bool same;
    } rows[] = {
        {"9111 4.1", "accept", "Accept: x", "Accept: x\nOther: y", true},
        {"9111 4.1", "accept", "Accept: x", "Accept: y", false},
        {"9111 4.1", "accept", "Accept:", "Other: y", false},
        {"9111 4.1", "accept", "Accept: x\nAccept: y", "Accept: x, y", true},
        {"9111 4.1", "accept", "Accept: x\nAccept: y", "Accept: y, x", false},
        {"9111 4.1", "accept,x-a", "Accept: x\nX-A: y", "X-A: y\nAccept: x", true},
        {"9111 4.1", "accept,x-a", "Accept: x", "X-A: x", false},
        {"9111 4.1", "accept, x-a", "X-A: y", "X-A: z", false},
        /* What Connection names is not forwarded: it selects nothing. */
        {"9111 4.1", "accept", "Accept: x\nConnection: accept", "Other: y", true},
        {"9110 12.5.3", "accept-encoding", "Accept-Encoding: gzip, br",
         "Accept-Encoding: BR;q=0.5,gzip;q=1", true},
        {"9110 12.5.3", "accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: x-gzip, gzip",
         true},
        {"9110 12.5.3", "accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: gzip, br",
         false},
        {"9110 12.5.3", "accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0",
         false},
        {"9110 12.5.3", "accept-encoding", "Accept-Encoding: gzip;q=0.000",
         "Accept-Encoding: gzip;Q=0", true},
        {"9110 12.5.3", "accept-encoding", "Accept-Encoding: gzip;q=0.001", "Accept-Encoding: gzip",
         true},
        {"9110 12.5.3", "accept-encoding", "Accept-Encoding: gzip, new", "Accept-Encoding: gzip",
         false},
        {"9110 12.5.3", "accept-encoding", "Accept-Encoding:", "Other: x", false},
        {"9110 12.5.4", "accept-language", "Accept-Language: de-CH, en;q=0.80",
         "Accept-Language: DE-ch,EN ; Q=0.8", true},
        {"9110 12.5.4", "accept-language", "Accept-Language: de;q=1.000, en",
         "Accept-Language: de, en;q=1", true},
        {"9110 12.5.4", "accept-language", "Accept-Language: de, en", "Accept-Language: en, de",
         false},
        {"9110 12.5.4", "accept-language", "Accept-Language: de", "Accept-Language: de;q=0.9",
         false},
        {"9110 12.5.4", "accept-language", "Accept-Language: de;q=0", "Accept-Language: de;q=0.000",
         true},
        {"9110 12.5.4", "accept-language", "Accept-Language: de;q=0", "Accept-Language: de", false},
        {"9110 12.5.4", "accept-language", "Accept-Language: de;q=x", "Accept-Language: de", false},
        {"9110 12.5.4", "accept-language", "Accept-Language: de;q=", "Accept-Language: de", false},
        {"9110 12.5.4", "accept-language", "Accept-Language: de;q=10", "Accept-Language: de",
         false},
        {"9110 12.5.4", "accept-language", "Accept-Language: de;q=10", "Accept-Language: de;q=1",
         false},
        {"9110 12.5.4", "accept-language", "Accept-Language: de;q=.", "Accept-Language: de;q=..",
         false},
        {"9110 12.5.4", "accept-language", "Accept-Language: de\nAccept-Language: en",
         "Accept-Language: de,en", true},
        {"9110 12.5.4", "accept-language", "Accept-Language:", "Other: x", false},
        {"9110 12.5.4", "accept-language", "Accept-Language: de", "Accept-Language: de,", true},
        {"9110 12.5.2", "accept-charset", "Accept-Charset: UTF-8", "Accept-Charset: utf-8;q=1",
         true},
        {"9111 4.1", "accept", "Accept: A/b;q=1", "Accept: a/b", false},
        {"9110 12.5.3", "accept-encoding", "Accept-Encoding: gzip\nAccept-Encoding: br",
         "Accept-Encoding: br, gzip", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(same(rows[i].names, rows[i].a, rows[i].b), rows[i].same, "%s: `%s` `%s`",
                     rows[i].clause, rows[i].a, rows[i].b);
}

Test(vary, a_long_list_of_codings_is_taken_as_it_is)
{
    char a[400] = "Accept-Encoding: ", b[400] = "Accept-Encoding: ";
    for (size_t i = 0; i < 30; i++) {
        char *end_a = a + strlen(a), *end_b = b + strlen(b);
        snprintf(end_a, 8, "c%zu,", i);
        snprintf(end_b, 8, "c%zu,", 29 - i);
    }
    cr_expect(same("accept-encoding", a, a));
    cr_expect_not(same("accept-encoding", a, b));
}
