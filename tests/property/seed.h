/*
 * seed: the generator of the property tests. The seed comes from CACHEGATE_SEED, or is fixed, so
 * that a run without it always does the same; every failure message should carry it.
 */
#ifndef TESTS_PROPERTY_SEED_H
#define TESTS_PROPERTY_SEED_H

#include "cachegate/str.h"

#include <stdlib.h>

struct seed {
    uint64_t start;
    uint64_t state;
};

static inline struct seed seed_init(void)
{
    uint64_t start = 20240229;
    const char *text = getenv("CACHEGATE_SEED");
    if (text != NULL)
        (void)cg_str_to_u64(cg_str_from(text), UINT64_MAX, &start);
    return (struct seed){start, start};
}

/* splitmix64 */
static inline uint64_t seed_next(struct seed *seed)
{
    uint64_t z = seed->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0 .. bound - 1 */
static inline size_t seed_below(struct seed *seed, size_t bound)
{
    return (size_t)(seed_next(seed) % bound);
}

#endif
