/*
 * hmac: HMAC-SHA-256 (RFC 2104) and HKDF-Expand (RFC 5869 2.3) under keys of 32 bytes that are used
 * many times.
 *
 * A key is kept as its two half-done digests, so that a code of a short text costs two or three
 * blocks of SHA-256 and no allocation. It is as secret as the key itself: whoever keeps one wipes
 * it. Nothing here fails.
 */
#ifndef CACHEGATE_HMAC_H
#define CACHEGATE_HMAC_H

#include "cachegate/str.h"

enum { CG_HMAC_BYTES = 32, CG_HMAC_INFO_MAX = 256 };

/* A SHA-256 in progress; opaque. */
struct cg_sha256_state {
    uint64_t words[14];
};

struct cg_hmac {
    struct cg_sha256_state inner, outer;
};

void cg_hmac_init(struct cg_hmac *hmac, const uint8_t key[32]);
void cg_hmac_of(const struct cg_hmac *hmac, struct cg_str text, uint8_t ret_code[CG_HMAC_BYTES]);
/* `length` bytes, under the pseudorandom key that `hmac` was made of; at most 255 codes long.
 * `info` has at most CG_HMAC_INFO_MAX bytes. */
void cg_hkdf_expand(const struct cg_hmac *hmac, struct cg_str info, void *ret_bytes, size_t length);

#endif
