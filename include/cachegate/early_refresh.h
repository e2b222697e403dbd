/*
 * early_refresh: whether a fresh answer is fetched again before it expires (XFetch: Vattani,
 * Chierichetti, Lowenstein, "Optimal probabilistic cache stampede prevention", VLDB 2015).
 *
 * Each hit throws a die: the nearer the end and the longer the last fetch took, the likelier a
 * refresh. An answer that is often asked for is renewed before it expires, by one of its readers; a
 * rare one just expires. Pure: the random number comes from outside.
 */
#ifndef CACHEGATE_EARLY_REFRESH_H
#define CACHEGATE_EARLY_REFRESH_H

#include <stdbool.h>
#include <stdint.h>

/* True when no random number could bring a refresh, so that none need be drawn. */
bool cg_early_refresh_is_far(uint64_t left_ms, uint32_t cost_ms, uint32_t strength_percent);
/* left <= cost * strength * -ln(random as a fraction of 2^64), to about one part in a hundred. */
bool cg_early_refresh_is_due(uint64_t left_ms, uint32_t cost_ms, uint32_t strength_percent,
                             uint64_t random);

#endif
