#include "cachegate/expiry_bucket.h"

uint64_t cg_expiry_bucket(int64_t expires_ms, uint64_t lifetime_ms)
{
    uint64_t end_s = expires_ms <= 0 ? 0 : ((uint64_t)expires_ms + 999) / 1000;
    uint64_t width_s = 1;
    while (width_s <= lifetime_ms / 16000) /* doubled, it is still no more than an eighth */
        width_s *= 2;
    return (end_s + width_s - 1) / width_s * width_s;
}
