#include "cachegate/expiry_bucket.h"

#include <criterion/criterion.h>

static const int64_t now_ms = INT64_C(1795000000123);

Test(expiry_bucket, ends_soon_after_and_never_before)
{
    static const uint64_t lifetimes[] = {1,       999,      1000,      15999,         16000,
                                         60000,   600000,   3600000,   86400000,      2678400000,
                                         7654321, 99999999, 315360000, 3153600000000, 31};
    for (size_t i = 0; i < sizeof lifetimes / sizeof lifetimes[0]; i++)
        for (int64_t shift = 0; shift < 5000; shift += 37) {
            int64_t expires_ms = now_ms + shift + (int64_t)lifetimes[i];
            int64_t end_ms = (int64_t)cg_expiry_bucket(expires_ms, lifetimes[i]) * 1000;
            uint64_t late_ms = lifetimes[i] / 8 > 1000 ? lifetimes[i] / 8 : 1000;
            cr_expect_geq(end_ms, expires_ms, "%zu", i);
            cr_expect_leq(end_ms - expires_ms, (int64_t)late_ms, "%zu", i);
        }
}

/* However many things of one lifetime are made in the course of it, they fall into few buckets. */
Test(expiry_bucket, few_for_any_lifetime)
{
    static const uint64_t lifetimes[] = {20000, 60000, 600000, 86400000, 2678400000};
    for (size_t i = 0; i < sizeof lifetimes / sizeof lifetimes[0]; i++) {
        uint64_t last = 0;
        unsigned buckets = 0;
        for (uint64_t made = 0; made < lifetimes[i]; made += lifetimes[i] / 2000) {
            uint64_t end = cg_expiry_bucket(now_ms + (int64_t)(made + lifetimes[i]), lifetimes[i]);
            buckets += end != last;
            last = end;
        }
        cr_expect_leq(buckets, 21u, "%u buckets for %llu", buckets,
                      (unsigned long long)lifetimes[i]);
        cr_expect_geq(buckets, 8u);
    }
}

Test(expiry_bucket, odd_times_do_no_harm)
{
    cr_expect_eq(cg_expiry_bucket(-5, 1000), 0u);
    cr_expect_eq(cg_expiry_bucket(0, 0), 0u);
    cr_expect_eq(cg_expiry_bucket(1, 0), 1u);
    cr_expect_geq(cg_expiry_bucket(INT64_MAX, UINT64_MAX), (uint64_t)INT64_MAX / 1000);
}
