/*
 * freshness: the arithmetic of age and lifetime (RFC 9111 4.2), and nothing else.
 *
 * All in milliseconds; sums saturate, and differences of clocks that went backwards count as 0. It
 * decides nothing about storing or serving: verdict.h does.
 */
#ifndef CACHEGATE_FRESHNESS_H
#define CACHEGATE_FRESHNESS_H

#include "cachegate/cache_control.h"
#include "cachegate/fields.h"

/*
 * RFC 9111 4.2.3, corrected_initial_age: what an answer's age is when its head arrives. The first
 * member of Age counts, an invalid one is ignored (RFC 9111 5.1); so is an invalid or absent Date.
 */
uint64_t cg_initial_age_ms(const struct cg_fields *fields, int64_t request_at_ms,
                           int64_t response_at_ms);
/* RFC 9111 4.2.3, current_age. */
uint64_t cg_current_age_ms(uint64_t initial_age_ms, int64_t stored_at_ms, int64_t now_ms);

/*
 * RFC 9111 4.2.1 as a shared cache: s-maxage, else max-age, else Expires minus Date (an invalid
 * Expires is in the past, 5.3). A targeted field hides Expires (RFC 9213 2.2). False when the
 * origin says nothing.
 */
bool cg_explicit_lifetime_ms(const struct cg_cache_control *control, const struct cg_fields *fields,
                             int64_t response_at_ms, uint64_t *ret_lifetime_ms);

/*
 * RFC 9111 4.2.2: a tenth of the time from Last-Modified to Date, at most `ceiling_ms`. False
 * without a readable Last-Modified. Whether a guess is wanted at all, and for which answers, is not
 * asked here.
 */
bool cg_heuristic_lifetime_ms(const struct cg_fields *fields, int64_t response_at_ms,
                              uint64_t ceiling_ms, uint64_t *ret_lifetime_ms);

/* Where an age lies with respect to a lifetime and its stale windows. */
struct cg_freshness {
    bool fresh;        /* RFC 9111 4.2: lifetime > age */
    uint64_t stale_ms; /* for how long it has been stale; 0 when fresh */
    int64_t ttl_s;     /* whole seconds left; at most -1 when stale */
};
struct cg_freshness cg_freshness_of(uint64_t lifetime_ms, uint64_t age_ms);

/* Saturating. */
static inline uint64_t cg_add_ms(uint64_t a_ms, uint64_t b_ms)
{
    return a_ms > UINT64_MAX - b_ms ? UINT64_MAX : a_ms + b_ms;
}

#endif
