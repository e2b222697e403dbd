#include "cachegate/early_refresh.h"

/* ln 2 in thousandths, and the most that 64 bits can bring. */
enum { LN2_MILLI = 693, NATS_MAX_MILLI = 64 * LN2_MILLI };

static bool is_within(uint64_t left_ms, uint32_t cost_ms, uint32_t strength_percent,
                      uint64_t nats_milli)
{
    /* 32, 10 and 16 bits: no overflow. */
    return left_ms <= (uint64_t)cost_ms * strength_percent * nats_milli / 100000;
}

bool cg_early_refresh_is_far(uint64_t left_ms, uint32_t cost_ms, uint32_t strength_percent)
{
    return cost_ms == 0 || strength_percent == 0 ||
           !is_within(left_ms, cost_ms, strength_percent, NATS_MAX_MILLI);
}

/* -ln of random / 2^64: the leading zeros are whole powers of two; between them log2(1 + x) is
 * nearly x + 0.34 x (1 - x). */
static uint64_t nats_milli_of(uint64_t random)
{
    uint64_t zeros = 0;
    while (zeros < 63 && (random & (UINT64_C(1) << 63)) == 0) {
        random <<= 1;
        zeros++;
    }
    uint64_t x_milli = ((random << 1) >> 54) * 1000 / 1024;
    uint64_t log2_milli = x_milli + 34 * x_milli * (1000 - x_milli) / 100000;
    return ((zeros + 1) * 1000 - log2_milli) * LN2_MILLI / 1000;
}

bool cg_early_refresh_is_due(uint64_t left_ms, uint32_t cost_ms, uint32_t strength_percent,
                             uint64_t random)
{
    return cost_ms > 0 && strength_percent > 0 &&
           is_within(left_ms, cost_ms, strength_percent, nats_milli_of(random));
}
