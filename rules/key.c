/* SHA256_Init and its siblings are deprecated for EVP, which allocates for each digest; every
 * request needs one. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "cachegate/key.h"

#include "cachegate/assert.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <string.h>
#include <xxhash.h>

void cg_secret_from_text(struct cg_str text, struct cg_secret *ret_secret)
{
    unsigned length = 0;
    int done = EVP_Digest(text.length == 0 ? "" : text.bytes, text.length, ret_secret->bytes,
                          &length, EVP_sha256(), NULL);
    CG_ASSERT(done == 1 && length == sizeof ret_secret->bytes);
}

static void authenticate(const uint8_t key[32], struct cg_str text, uint8_t ret_digest[32])
{
    unsigned length = 0;
    const void *bytes = text.length == 0 ? "" : text.bytes;
    const unsigned char *made =
        HMAC(EVP_sha256(), key, 32, bytes, text.length, ret_digest, &length);
    CG_ASSERT(made != NULL && length == 32);
}

static uint64_t derive_seed(const struct cg_secret *secret, struct cg_str label)
{
    uint8_t digest[32];
    uint64_t seed;
    authenticate(secret->bytes, label, digest);
    memcpy(&seed, digest, sizeof seed);
    return seed;
}

_Static_assert(sizeof(struct cg_sha256_state) == sizeof(SHA256_CTX), "the state of a SHA-256");

/* The state after the first block of an HMAC (RFC 2104 4): the key, padded, under `pad`. */
static void begin_hmac(const uint8_t key[32], uint8_t pad, struct cg_sha256_state *ret_state)
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

static void end_hash(const struct cg_sha256_state *state, const void *bytes, size_t length,
                     uint8_t ret_digest[32])
{
    SHA256_CTX context;
    memcpy(&context, state, sizeof context);
    CG_ASSERT(SHA256_Update(&context, bytes, length) == 1 &&
              SHA256_Final(ret_digest, &context) == 1);
}

void cg_keys_derive(const struct cg_secret *secret, struct cg_keys *ret_keys)
{
    uint8_t identity_key[32];
    ret_keys->request_seed = derive_seed(secret, CG_STR("cachegate request"));
    ret_keys->instance_seed = derive_seed(secret, CG_STR("cachegate instance"));
    authenticate(secret->bytes, CG_STR("cachegate identity"), identity_key);
    begin_hmac(identity_key, 0x36, &ret_keys->identity_inner);
    begin_hmac(identity_key, 0x5c, &ret_keys->identity_outer);
    OPENSSL_cleanse(identity_key, sizeof identity_key);
}

static void hash(struct cg_str s, uint64_t seed, uint8_t ret_id[CG_DIGEST_BYTES])
{
    XXH128_canonical_t canonical;
    XXH128_hash_t value = XXH3_128bits_withSeed(s.length == 0 ? "" : s.bytes, s.length, seed);
    XXH128_canonicalFromHash(&canonical, value);
    memcpy(ret_id, canonical.digest, CG_DIGEST_BYTES);
}

void cg_key_of(const struct cg_keys *keys, struct cg_str canonical, struct cg_str variant,
               struct cg_key *ret_key)
{
    char both[2 * CG_DIGEST_BYTES];
    uint8_t id[CG_DIGEST_BYTES];
    hash(canonical, keys->request_seed, ret_key->id);
    if (cg_str_empty(variant))
        return;
    hash(variant, keys->request_seed, id);
    memcpy(both, ret_key->id, CG_DIGEST_BYTES);
    memcpy(both + CG_DIGEST_BYTES, id, CG_DIGEST_BYTES);
    hash(cg_str_of(both, sizeof both), keys->request_seed, ret_key->id);
}

void cg_identity_digest(const struct cg_keys *keys, struct cg_str joined, uint8_t ret_digest[32])
{
    uint8_t inner[32];
    end_hash(&keys->identity_inner, joined.length == 0 ? "" : joined.bytes, joined.length, inner);
    end_hash(&keys->identity_outer, inner, sizeof inner, ret_digest);
}

void cg_instance_of(const struct cg_keys *keys, struct cg_str name,
                    struct cg_instance *ret_instance)
{
    hash(name, keys->instance_seed, ret_instance->id);
}
