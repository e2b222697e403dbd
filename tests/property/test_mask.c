#include "cachegate/mask.h"
#include "property/seed.h"

#include <criterion/criterion.h>

enum { ROUNDS = 30000, URL_MAX = 4096 };

/* Of which no three bytes must be seen in a row; nothing else that is generated has such three. */
static const char secret[] = "QXZWJVQXZWJV";
enum { TRACE_BYTES = 3 };

static bool shows_secret(struct cg_str text)
{
    for (size_t i = 0; i + TRACE_BYTES <= text.length; i++)
        if (memmem(secret, sizeof(secret) - 1, text.bytes + i, TRACE_BYTES) != NULL)
            return true;
    return false;
}

struct text {
    char bytes[URL_MAX];
    size_t length;
};

static void put_char(struct text *text, char c)
{
    cr_assert_lt(text->length, sizeof(text->bytes));
    text->bytes[text->length++] = c;
}

static void put(struct text *text, const char *from)
{
    while (*from != '\0')
        put_char(text, *from++);
}

static const char *one_of(struct seed *seed, const char *const *words, size_t count)
{
    return words[seed_below(seed, count)];
}

#define ONE_OF(seed, words) one_of((seed), (words), sizeof(words) / sizeof(words)[0])

/* Percent-encodes up to `levels` times, each byte or not. */
static void put_encoded(struct seed *seed, struct text *text, char c, unsigned levels)
{
    static const char digits[2][17] = {"0123456789abcdef", "0123456789ABCDEF"};
    unsigned char byte = (unsigned char)c;
    if (levels == 0 || seed_below(seed, 3) > 0) {
        put_char(text, c);
        return;
    }
    const char *set = digits[seed_below(seed, 2)];
    put_encoded(seed, text, '%', levels - 1);
    put_encoded(seed, text, set[byte >> 4], levels - 1);
    put_encoded(seed, text, set[byte & 15], levels - 1);
}

static void put_secret_name(struct seed *seed, struct text *text)
{
    static const char *const names[] = {
        "token",      "access_token", "api_key", "apikey",     "key",          "secret",
        "password",   "passwd",       "session", "session_id", "sig",          "signature",
        "code",       "auth",         "jwt",     "id_token",   "clientSecret", "user[token]",
        "a.password", "x-auth",       "key[]",   "otp",        "sid",
    };
    static const char *const around[] = {"", "", "", "%20", "+", "%00", "[0]"};
    unsigned levels = (unsigned)seed_below(seed, 4);
    const char *name = ONE_OF(seed, names);
    if (seed_below(seed, 8) == 0)
        put(text, "+");
    for (; *name != '\0'; name++) {
        char c = *name;
        if (cg_is_alpha(c) && seed_below(seed, 2) == 0)
            c = (char)(c ^ 0x20);
        if (c == '_' && seed_below(seed, 3) == 0)
            c = "-. "[seed_below(seed, 2)];
        put_encoded(seed, text, c, levels);
    }
    put(text, ONE_OF(seed, around));
}

static void put_plain(struct seed *seed, struct text *text)
{
    static const char *const plain[] = {"a=1", "b",     "page=2", "c=%41%zz", "=",
                                        "d=",  "e=f=g", "",       "%"};
    put(text, ONE_OF(seed, plain));
}

/* One secret among other parameters, at some place where an upstream may read it. */
static void put_url(struct seed *seed, struct text *url)
{
    static const char *const fronts[] = {"/a",  "/",     "/a/b%2Fc", "https://h.test/a",
                                         "//x", "/a;v=1"};
    static const char *const separators[] = {"?", "?",   "?x=1&",       "?x=1;",     "?x?",
                                             "#", "?x#", "?next=/c%3F", "?u=a%2526", "/",
                                             ";", "&",   "?f={\"",      "?x%26",     "?&&"};
    url->length = 0;
    put(url, ONE_OF(seed, fronts));
    put(url, ONE_OF(seed, separators));
    for (size_t i = seed_below(seed, 3); i > 0; i--) {
        put_plain(seed, url);
        put_char(url, "&;"[seed_below(seed, 2)]);
    }
    put_secret_name(seed, url);
    put(url, seed_below(seed, 6) == 0 ? "%3D" : "=");
    put(url, secret);
    for (size_t i = seed_below(seed, 3); i > 0; i--) {
        put_char(url, '&');
        put_plain(seed, url);
    }
}

static struct cg_arena arena;
static struct cg_mask mask;

static void setup(void)
{
    cg_arena_init(&arena, 1 << 16);
    cg_mask_make(NULL, 0, &arena, &mask);
}

static void teardown(void)
{
    cg_arena_fini(&arena);
}

TestSuite(mask, .init = setup, .fini = teardown);

Test(mask, no_byte_of_a_secret_is_seen_however_it_is_named)
{
    static struct text url;
    struct seed seed = seed_init();
    struct cg_buf out;
    cg_buf_init(&out, 4 * URL_MAX);
    for (size_t round = 0; round < ROUNDS; round++) {
        put_url(&seed, &url);
        cg_buf_clear(&out);
        cg_mask_url(&mask, cg_str_of(url.bytes, url.length), &out);
        cr_assert_not(shows_secret(cg_buf_str(&out)),
                      "CACHEGATE_SEED=%llu round %zu: %.*s became %.*s",
                      (unsigned long long)seed.start, round, (int)url.length, url.bytes,
                      (int)out.length, out.bytes);
    }
    cg_buf_fini(&out);
}

/* Or else a mask that hides everything would do. */
Test(mask, what_has_no_secret_is_seen_whole)
{
    static struct text url;
    struct seed seed = seed_init();
    struct cg_buf out;
    cg_buf_init(&out, 4 * URL_MAX);
    for (size_t round = 0; round < ROUNDS / 10; round++) {
        url.length = 0;
        put(&url, "/a/b;c=d?x=1");
        for (size_t i = seed_below(&seed, 6); i > 0; i--) {
            put_char(&url, "&;?#"[seed_below(&seed, 4)]);
            put_plain(&seed, &url);
        }
        cg_buf_clear(&out);
        cg_mask_url(&mask, cg_str_of(url.bytes, url.length), &out);
        cr_assert(cg_str_eq(cg_buf_str(&out), cg_str_of(url.bytes, url.length)),
                  "CACHEGATE_SEED=%llu round %zu: %.*s became %.*s", (unsigned long long)seed.start,
                  round, (int)url.length, url.bytes, (int)out.length, out.bytes);
    }
    cg_buf_fini(&out);
}
