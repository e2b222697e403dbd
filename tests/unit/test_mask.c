#include "cachegate/mask.h"

#include <criterion/criterion.h>

/* NUL-terminated, until the next call. */
static const char *masked_by(const struct cg_mask *mask, const char *url)
{
    static char text[8192];
    struct cg_buf out;
    cg_buf_init(&out, sizeof(text) - 1);
    cg_mask_url(mask, cg_str_from(url), &out);
    cr_assert_not(out.overflowed);
    if (out.length > 0)
        memcpy(text, out.bytes, out.length);
    text[out.length] = '\0';
    cg_buf_fini(&out);
    return text;
}

static const char *masked(const char *url)
{
    struct cg_mask mask;
    struct cg_arena arena;
    cg_arena_init(&arena, 1 << 16);
    cg_mask_make(NULL, 0, &arena, &mask);
    const char *text = masked_by(&mask, url);
    cg_arena_fini(&arena);
    return text;
}

static void expect(const char *const (*cases)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_expect_str_eq(masked(cases[i][0]), cases[i][1], "%s became %s", cases[i][0],
                         masked(cases[i][0]));
}

#define EXPECT(cases) expect((cases), sizeof(cases) / sizeof(cases)[0])

Test(mask, what_is_no_secret_stays_as_it_is)
{
    static const char *const cases[][2] = {
        {"", ""},
        {"/", "/"},
        {"*", "*"},
        {"/a/b-c.d~e_f", "/a/b-c.d~e_f"},
        {"/items?page=2&sort=name%20asc&q=a+b", "/items?page=2&sort=name%20asc&q=a+b"},
        {"/items?author=ann&passenger=1&country_code=de&keyboard=1",
         "/items?author=ann&passenger=1&country_code=de&keyboard=1"},
        {"/items?countryCode=de&keyBoard=1&sortOrder=up&pinned=1&zipCode=1",
         "/items?countryCode=de&keyBoard=1&sortOrder=up&pinned=1&zipCode=1"},
        {"/items?hook=https%3A%2F%2Fh.test%2Fat@x&mail=a@b",
         "/items?hook=https%3A%2F%2Fh.test%2Fat@x&mail=a@b"},
        {"/items?=x&&a&b=", "/items?=x&&a&b="},
        {"/items?at=12:30&u=https%3A%2F%2Fb.test%2Fc%3Fd%3De#f",
         "/items?at=12:30&u=https%3A%2F%2Fb.test%2Fc%3Fd%3De#f"},
        {"/bad%zz%4?x=%", "/bad%zz%4?x=%"},
        {"/a?token", "/a?token"},
        {"/a?token=&b=1", "/a?token=&b=1"},
        {"/keynote/eyJ", "/keynote/eyJ"},
        {"https://a.test:8443/b?c=d", "https://a.test:8443/b?c=d"},
        {"a.test:443", "a.test:443"},
    };
    EXPECT(cases);
}

Test(mask, what_agents_call_themselves_is_read_alike)
{
    static const char *const cases[][2] = {
        {"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
         "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
        {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
         "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like "
         "Gecko)"},
        {"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
         "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"},
        {"curl/8.5.0", "curl/8.5.0"},
        {"kube-probe/1.30", "kube-probe/1.30"},
        {"App/1.0 (session=x; os=1)", "App/1.0 (session=***"},
    };
    EXPECT(cases);
}

Test(mask, every_spelling_of_a_name_counts)
{
    static const char *const cases[][2] = {
        {"/a?token=x", "/a?token=***"},
        {"/a?TOKEN=x", "/a?TOKEN=***"},
        {"/a?%74oken=x", "/a?%74oken=***"},
        {"/a?%2574oken=x", "/a?%2574oken=***"},
        {"/a?%252574oken=x", "/a?%252574oken=***"},
        {"/a?%u0074oken=x", "/a?%u0074oken=***"},
        {"/a?to%6Ben=x&to%6ben=y", "/a?to%6Ben=***&to%6ben=***"},
        {"/a?accessToken=x", "/a?accessToken=***"},
        {"/a?Access-Token=x", "/a?Access-Token=***"},
        {"/a?access.token=x", "/a?access.token=***"},
        {"/a?consumerKey=x&userPwd=y&isPassWord=z",
         "/a?consumerKey=***&userPwd=***&isPassWord=***"},
        {"/a?x[subscriptionKey]=x", "/a?x[subscriptionKey]=***"},
        {"/a?api+key=x", "/a?api+key=***"},
        {"/a?api%20key=x", "/a?api%20key=***"},
        {"/a?+key=x", "/a?+key=***"},
        {"/a?key%00=x", "/a?key%00=***"},
        {"/a?key[]=x&key%5B%5D=y&key[0]=z", "/a?key[]=***&key%5B%5D=***&key[0]=***"},
        {"/a?user[password]=x", "/a?user[password]=***"},
        {"/a?user.password=x", "/a?user.password=***"},
        {"/a?X-Amz-Signature=x&X-Amz-Date=1", "/a?X-Amz-Signature=***&X-Amz-Date=1"},
    };
    EXPECT(cases);
}

Test(mask, wherever_somebody_may_see_a_parameter_there_is_one)
{
    static const char *const cases[][2] = {
        {"/a?a=1;token=x", "/a?a=1;token=***"},
        {"/a?b=/c?token=x", "/a?b=/c?token=***"},
        {"/a?token=x#b", "/a?token=***"},
        {"/a#token=x", "/a#token=***"},
        {"/a#/b?token=x", "/a#/b?token=***"},
        {"/a?token=x&token=y&b=1", "/a?token=***&token=***&b=1"},
        {"/a;jsessionid=x/b?c=1", "/a;jsessionid=***/b?c=1"},
        {"/a;b=1;sid=x;c=2/d", "/a;b=1;sid=***/d"},
        {"/a/token=x/b", "/a/token=***/b"},
        {"/a&token=x", "/a&token=***"},
        {"/a?b=1%26token=x", "/a?b=***"},
        {"/a?b=1%26token%3Dx&c=1", "/a?b=***&c=1"},
        {"/a?b%3D1%26token%3Dx", "/a?***"},
        {"/a?token%3Dx", "/a?***"},
        {"/a%3Ftoken%3Dx/b", "/***/b"},
        {"/a?next=%2Fcb%3Fcode%3Dx%26state%3Dy&c=1", "/a?next=***&c=1"},
        {"/a?hook=https%3A%2F%2Fu:x%40h.test%2Fb&c=1", "/a?hook=***&c=1"},
        {"/a?hook=https://u:x@h.test/b&c=1", "/a?hook=***&c=1"},
        {"/a?next=https%253A%252F%252Fb.test%252F%253Ftoken%253Dx", "/a?next=***"},
        {"/a?f={\"a\":1,\"token\":\"x\"}", "/a?f=***"},
        {"/a?f=%7B%22token%22%20:%20%22x%22%7D", "/a?f=***"},
    };
    EXPECT(cases);
}

Test(mask, a_value_ends_where_nobody_reads_on)
{
    static const char *const cases[][2] = {
        {"/a?token=x;y=z&b=1", "/a?token=***&b=1"}, {"/a?token=;y&b=1", "/a?token=***&b=1"},
        {"/a?a=;b=1&c=2", "/a?a=;b=1&c=2"},         {"/a?token=x?y#z", "/a?token=***"},
        {"/a?token=x=y==", "/a?token=***"},         {"/a?b=1%26token=x;y&c=1", "/a?b=***&c=1"},
        {"/a?b=token%3D;x&c=1", "/a?b=***&c=1"},
    };
    EXPECT(cases);
}

Test(mask, users_of_urls_are_secret_too)
{
    static const char *const cases[][2] = {
        {"https://ann:pass@a.test/b", "https://***@a.test/b"},
        {"https://ann@a.test", "https://***@a.test"},
        {"https://a@b:c@a.test/d@e", "https://***@a.test/d@e"},
        {"ann:word@a.test:443", "***@a.test:443"},
        {"/a/b@c", "/a/b@c"},
        {"https://auth:8443/b", "https://auth:8443/b"},
        {"https://ann@auth:8443/b?key=x", "https://***@auth:8443/b?key=***"},
        {"https://token=x/b", "https://token=***/b"},
        {"token=x", "token=***"},
    };
    EXPECT(cases);
}

Test(mask, web_tokens_are_known_by_their_looks)
{
    static const char *const cases[][2] = {
        {"/a?x=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln&b=1", "/a?x=***&b=1"},
        {"/a?eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "/a?***"},
        {"/reset/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln/now", "/reset/***/now"},
        {"/a?x=%65yJhbGciOiJIUzI1NiJ9.e", "/a?x=***"},
    };
    EXPECT(cases);
}

Test(mask, what_cannot_be_judged_is_masked)
{
    char url[3000];
    memset(url, 'a', sizeof(url));
    memcpy(url, "/a?b=", 5);
    url[sizeof(url) - 1] = '\0';
    cr_expect_str_eq(masked(url), "/a?b=***");
    url[4] = 'b';
    cr_expect_str_eq(masked(url), "/a?***");
    cr_expect_str_eq(masked("/a?%2525252525252525252574oken=x"), "/a?***");
}

Test(mask, an_operator_adds_names)
{
    struct cg_arena arena;
    cg_arena_init(&arena, 1 << 16);
    struct cg_str names[] = {cg_mask_name(CG_STR("Customer-Id"), &arena),
                             cg_mask_name(CG_STR("x*"), &arena)};
    struct cg_mask mask;
    cg_mask_make(names, 2, &arena, &mask);
    cr_expect_str_eq(masked_by(&mask, "/a?customer_id=1&CUSTOMER[id]=2&id=3&y=4"),
                     "/a?customer_id=***&CUSTOMER[id]=***&id=3&y=4");
    cr_expect_str_eq(masked_by(&mask, "/a?xyz=1&yx=2&token=3"), "/a?xyz=***&yx=2&token=***");
    cr_expect(cg_str_eq(cg_mask_name(CG_STR("_A--b_*."), &arena), CG_STR("a_b_*")));
    cr_expect(cg_str_empty(cg_mask_name(CG_STR("-.-"), &arena)));
    cg_arena_fini(&arena);
}
