#include "cachegate/key.h"
#include "cachegate/reason.h"

#include <criterion/criterion.h>
#include <openssl/hmac.h>
#include <string.h>

static struct cg_keys keys_of(const char *text)
{
    struct cg_secret secret;
    struct cg_keys keys;
    cg_secret_from_text(cg_str_from(text), &secret);
    cg_keys_derive(&secret, &keys);
    return keys;
}

static struct cg_key key_of(const struct cg_keys *keys, const char *canonical, const char *variant)
{
    struct cg_key key;
    cg_key_of(keys, cg_str_from(canonical), cg_str_from(variant), &key);
    return key;
}

static bool same(const struct cg_key *a, const struct cg_key *b)
{
    return memcmp(a->id, b->id, sizeof a->id) == 0;
}

Test(key, a_secret_is_the_sha_256_of_its_text)
{
    static const uint8_t expected[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea};
    struct cg_secret secret;
    cg_secret_from_text(CG_STR("abc"), &secret);
    cr_expect_arr_eq(secret.bytes, expected, sizeof expected);
    cg_secret_from_text((struct cg_str){NULL, 0}, &secret);
    cr_expect_eq(secret.bytes[0], 0xe3);
}

Test(key, what_is_derived_depends_on_the_secret_and_on_its_use)
{
    struct cg_keys a = keys_of("a"), again = keys_of("a"), b = keys_of("b");
    cr_expect_eq(a.request_seed, again.request_seed);
    cr_expect_eq(a.instance_seed, again.instance_seed);
    cr_expect_arr_eq(&a.identity.inner, &again.identity.inner, sizeof a.identity.inner);
    cr_expect_neq(a.request_seed, a.instance_seed);
    cr_expect_neq(a.request_seed, b.request_seed);
    cr_expect_neq(a.instance_seed, b.instance_seed);
    cr_expect_arr_neq(&a.identity.inner, &b.identity.inner, sizeof a.identity.inner);
    cr_expect_arr_neq(&a.identity.outer, &b.identity.outer, sizeof a.identity.outer);
}

/* The digest is taken up half-way, which must not show. */
Test(key, an_identity_digest_is_an_hmac_of_any_length)
{
    struct cg_secret secret;
    struct cg_keys keys = keys_of("a");
    uint8_t key[32], expected[32], got[32];
    char text[300];
    cg_secret_from_text(CG_STR("a"), &secret);
    HMAC(EVP_sha256(), secret.bytes, 32, (const unsigned char *)"cachegate identity", 18, key,
         NULL);
    memset(text, 'x', sizeof text);
    for (size_t length = 0; length <= sizeof text; length++) {
        HMAC(EVP_sha256(), key, 32, (const unsigned char *)text, length, expected, NULL);
        cg_identity_digest(&keys, cg_str_of(text, length), got);
        cr_expect_arr_eq(got, expected, 32, "%zu bytes", length);
    }
}

Test(key, a_key_depends_on_request_variant_and_secret)
{
    struct cg_keys a = keys_of("a"), b = keys_of("b");
    struct cg_key plain = key_of(&a, "xy", ""), again = key_of(&a, "xy", "");
    struct cg_key varied = key_of(&a, "xy", "z"), other = key_of(&a, "x", "yz");
    struct cg_key foreign = key_of(&b, "xy", ""), none = key_of(&a, "", "");
    cr_expect(same(&plain, &again));
    cr_expect_not(same(&plain, &varied));
    cr_expect_not(same(&varied, &other), "the border between request and variant counts");
    cr_expect_not(same(&plain, &foreign));
    cr_expect_not(same(&plain, &none));
}

Test(key, instances_and_digests_are_keyed)
{
    struct cg_keys a = keys_of("a"), b = keys_of("b");
    struct cg_instance x, y;
    uint8_t first[32], second[32];
    cg_instance_of(&a, CG_STR("name"), &x);
    cg_instance_of(&a, CG_STR("name"), &y);
    cr_expect(cg_instance_eq(&x, &y));
    cg_instance_of(&b, CG_STR("name"), &y);
    cr_expect_not(cg_instance_eq(&x, &y));
    cg_identity_digest(&a, CG_STR("me"), first);
    cg_identity_digest(&a, CG_STR("me"), second);
    cr_expect_arr_eq(first, second, 32);
    cg_identity_digest(&b, CG_STR("me"), second);
    cr_expect_arr_neq(first, second, 32);
    cg_identity_digest(&a, (struct cg_str){NULL, 0}, second);
    cr_expect_arr_neq(first, second, 32);
}

Test(key, only_concrete_and_equal_versions_are_the_same)
{
    struct cg_version current = {CG_VERSION_CURRENT, {{1}}}, other = {CG_VERSION_CURRENT, {{2}}};
    struct cg_version absent = {CG_VERSION_ABSENT, {{0}}}, busy = {CG_VERSION_BUSY, {{0}}};
    struct cg_version a[2] = {current, other}, b[2] = {current, other};
    cr_expect(cg_versions_same(a, b, 2));
    cr_expect(cg_versions_concrete(a, 2));
    b[1] = current;
    cr_expect_not(cg_versions_same(a, b, 2));
    a[1] = b[1] = absent;
    cr_expect_not(cg_versions_same(a, b, 2), "absent equals nothing, not even absent");
    a[1] = b[1] = busy;
    cr_expect_not(cg_versions_same(a, b, 2));
    cr_expect_not(cg_versions_concrete(a, 2));
    cr_expect(cg_versions_same(a, b, 0));
}

Test(key, every_reason_has_its_row)
{
    for (int i = 0; i < CG_REASON_COUNT; i++) {
        cr_expect_gt(strlen(cg_reason_word((enum cg_reason)i)), 0);
        cr_expect_not_null(cg_reason_fwd((enum cg_reason)i));
        cr_expect_gt(strlen(cg_reason_sentence((enum cg_reason)i)), 0);
        for (int j = 0; j < i; j++)
            cr_expect_str_neq(cg_reason_word((enum cg_reason)i), cg_reason_word((enum cg_reason)j));
    }
    cr_expect_str_eq(cg_reason_word(CG_REASON_NO_ROUTE), "no-route");
    cr_expect_str_eq(cg_reason_fwd(CG_REASON_WRITE), "method");
}
