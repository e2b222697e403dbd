#include "cachegate/key.h"

#include "cachegate/assert.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
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

void cg_keys_derive(const struct cg_secret *secret, struct cg_keys *ret_keys)
{
    uint8_t identity_key[32];
    ret_keys->request_seed = derive_seed(secret, CG_STR("cachegate request"));
    ret_keys->instance_seed = derive_seed(secret, CG_STR("cachegate instance"));
    authenticate(secret->bytes, CG_STR("cachegate identity"), identity_key);
    cg_hmac_init(&ret_keys->identity, identity_key);
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
    cg_hmac_of(&keys->identity, joined, ret_digest);
}

void cg_instance_of(const struct cg_keys *keys, struct cg_str name,
                    struct cg_instance *ret_instance)
{
    hash(name, keys->instance_seed, ret_instance->id);
}
