/*
 * key: the names under which things are stored, all keyed by the deployment's secret.
 *
 * A key is XXH3-128 of the canonical request, seeded from the secret. xxHash resists no adversary,
 * so an entry also carries the canonical request itself and is compared in full on every hit: a
 * collision is a miss, never somebody else's answer.
 */
#ifndef CACHEGATE_KEY_H
#define CACHEGATE_KEY_H

#include "cachegate/hmac.h"
#include "cachegate/str.h"
#include "cachegate/version.h"

struct cg_secret {
    uint8_t bytes[32];
};

struct cg_key {
    uint8_t id[CG_DIGEST_BYTES];
    uint32_t route; /* cg_route.key_route: for readable names only, keys are compared by id */
    bool pushed;    /* cg_route.pushed */
};

/* Everything derived from the secret, once (HMAC-SHA-256 with a label each). */
struct cg_keys {
    uint64_t request_seed;
    uint64_t instance_seed;
    struct cg_hmac identity;
};

/* A secret from text of any length (SHA-256). */
void cg_secret_from_text(struct cg_str text, struct cg_secret *ret_secret);
void cg_keys_derive(const struct cg_secret *secret, struct cg_keys *ret_keys);

/* The id of canonical bytes, `route` left as it is; `variant` is empty, or the signature of a Vary
 * selection. */
void cg_key_of(const struct cg_keys *keys, struct cg_str canonical, struct cg_str variant,
               struct cg_key *ret_key);
/* HMAC-SHA-256 of length-prefixed parts. */
void cg_identity_digest(const struct cg_keys *keys, struct cg_str joined, uint8_t ret_digest[32]);
/* XXH3-128 of bytes under the instance seed. */
void cg_instance_of(const struct cg_keys *keys, struct cg_str name,
                    struct cg_instance *ret_instance);

#endif
