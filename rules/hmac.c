/* SHA256_Init and its siblings are deprecated for EVP, which allocates for each digest; every
 * request needs one, and every entry that is opened two. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "cachegate/hmac.h"

#include "cachegate/assert.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

_Static_assert(sizeof(struct cg_sha256_state) == sizeof(SHA256_CTX), "the state of a SHA-256");

/* The state after the first block (RFC 2104 4): the key, padded, under `pad`. */
static void begin(const uint8_t key[32], uint8_t pad, struct cg_sha256_state *ret_state)
{
    uint8_t block[SHA256_CBLOCK];
    SHA256_CTX context;
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)((i < 32 ? key[i] : 0) ^ pad);
    CG_ASSERT(SHA256_Init(&context) == 1 && SHA256_Update(&context, block, sizeof block) == 1);
    memcpy(ret_state, &context, sizeof context);
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(&context, sizeof context);
}

static void end(const struct cg_sha256_state *state, const void *bytes, size_t length,
                uint8_t ret_digest[CG_HMAC_BYTES])
{
    SHA256_CTX context;
    memcpy(&context, state, sizeof context);
    CG_ASSERT(SHA256_Update(&context, bytes, length) == 1 &&
              SHA256_Final(ret_digest, &context) == 1);
}

void cg_hmac_init(struct cg_hmac *hmac, const uint8_t key[32])
{
    begin(key, 0x36, &hmac->inner);
    begin(key, 0x5c, &hmac->outer);
}

void cg_hmac_of(const struct cg_hmac *hmac, struct cg_str text, uint8_t ret_code[CG_HMAC_BYTES])
{
    uint8_t inner[CG_HMAC_BYTES];
    end(&hmac->inner, text.length == 0 ? "" : text.bytes, text.length, inner);
    end(&hmac->outer, inner, sizeof inner, ret_code);
}

void cg_hkdf_expand(const struct cg_hmac *hmac, struct cg_str info, void *ret_bytes, size_t length)
{
    /* Each code is of: the one before it, info, its number. */
    uint8_t text[CG_HMAC_BYTES + CG_HMAC_INFO_MAX + 1], code[CG_HMAC_BYTES];
    uint8_t *bytes = ret_bytes;
    size_t chained = 0;
    CG_ASSERT(info.length <= CG_HMAC_INFO_MAX && length <= (size_t)255 * CG_HMAC_BYTES);
    for (uint8_t number = 1; length > 0; number++) {
        memcpy(text, code, chained);
        memcpy(text + chained, info.bytes, info.length);
        text[chained + info.length] = number;
        cg_hmac_of(hmac, cg_str_of((const char *)text, chained + info.length + 1), code);
        size_t part = length < sizeof code ? length : sizeof code;
        memcpy(bytes, code, part);
        bytes += part;
        length -= part;
        chained = sizeof code;
    }
    OPENSSL_cleanse(text, sizeof text);
    OPENSSL_cleanse(code, sizeof code);
}
