#include "cachegate/hmac.h"

#include <criterion/criterion.h>

static void from_hex(const char *text, uint8_t *ret_bytes)
{
    for (size_t i = 0; text[2 * i] != '\0'; i++)
        ret_bytes[i] = (uint8_t)(cg_hex_digit(text[2 * i]) * 16 + cg_hex_digit(text[2 * i + 1]));
}

/* RFC 5869, A.1 to A.3: the second half of each. */
Test(hmac, expansions_are_those_of_the_rfc)
{
    static const struct {
        const char *pseudorandom, *info, *bytes;
    } rows[] = {
        {"077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5", "f0f1f2f3f4f5f6f7f8f9",
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
        {"06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
         "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbd"
         "c"
         "dddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
         "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65"
         "e"
         "590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
        {"19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04", "",
         "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t key[32], info[100], expected[100], got[100];
        size_t length = strlen(rows[i].bytes) / 2;
        struct cg_hmac hmac;
        from_hex(rows[i].pseudorandom, key);
        from_hex(rows[i].info, info);
        from_hex(rows[i].bytes, expected);
        cg_hmac_init(&hmac, key);
        cg_hkdf_expand(&hmac, cg_str_of((const char *)info, strlen(rows[i].info) / 2), got, length);
        cr_expect_arr_eq(got, expected, length, "row %zu", i);
    }
}

/* RFC 4231, 4.2 has a key of 20 bytes; the padding makes it one of 32. */
Test(hmac, a_code_is_that_of_the_rfc)
{
    uint8_t key[32] = {0}, expected[32], got[32];
    struct cg_hmac hmac;
    memset(key, 0x0b, 20);
    from_hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7", expected);
    cg_hmac_init(&hmac, key);
    cg_hmac_of(&hmac, CG_STR("Hi There"), got);
    cr_expect_arr_eq(got, expected, sizeof expected);
    cg_hmac_of(&hmac, CG_STR("Hi There"), got);
    cr_expect_arr_eq(got, expected, sizeof expected, "it is not used up");
}
