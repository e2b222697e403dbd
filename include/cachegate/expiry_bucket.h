/*
 * expiry_bucket: the moments at which counts of expiring things are forgotten.
 *
 * Whoever counts keys that expire adds one to the bucket of the moment at which each ends, and sums
 * the buckets that are yet to come: counts forget by themselves, and nobody scans. Buckets are as
 * fine as an eighth of the lifetime, so there are few of them however long things live, and a count
 * is forgotten late by no more than that. Pure.
 */
#ifndef CACHEGATE_EXPIRY_BUCKET_H
#define CACHEGATE_EXPIRY_BUCKET_H

#include <stdint.h>

/* The Unix second at which the bucket ends, not before `expires_ms`. Negative times count as 0. */
uint64_t cg_expiry_bucket(int64_t expires_ms, uint64_t lifetime_ms);

#endif
