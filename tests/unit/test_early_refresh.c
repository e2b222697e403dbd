/* When a fresh answer is fetched again (early_refresh.h). */
#include "cachegate/early_refresh.h"

#include <criterion/criterion.h>

/* Fractions of 2^64 whose -ln is known. */
Test(early_refresh, is_due_where_the_logarithm_says)
{
    static const struct {
        const char *name;
        uint64_t random;
        uint64_t nats_milli;
    } rows[] = {
        {"almost 1", UINT64_MAX, 1},
        {"3/4", UINT64_C(3) << 62, 288},
        {"1/2", UINT64_C(1) << 63, 693},
        {"1/e", UINT64_C(6786177901268885504), 1000},
        {"1/1024", UINT64_C(1) << 54, 6931},
        {"the least", 1, 44361},
        {"zero", 0, 44361},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t limit = rows[i].nats_milli; /* of a fetch that cost a second, at strength 1 */
        cr_expect(cg_early_refresh_is_due(limit * 98 / 100, 1000, 100, rows[i].random), "%s",
                  rows[i].name);
        cr_expect_not(cg_early_refresh_is_due(limit * 102 / 100 + 10, 1000, 100, rows[i].random),
                      "%s", rows[i].name);
    }
}

Test(early_refresh, strength_and_cost_stretch_it)
{
    uint64_t half = UINT64_C(1) << 63;
    cr_expect(cg_early_refresh_is_due(1300, 1000, 200, half));
    cr_expect_not(cg_early_refresh_is_due(1300, 1000, 100, half));
    cr_expect(cg_early_refresh_is_due(1300, 2000, 100, half));
    cr_expect_not(cg_early_refresh_is_due(700, 1000, 50, half));
}

Test(early_refresh, never_without_cost_or_strength)
{
    cr_expect_not(cg_early_refresh_is_due(0, 0, 100, 0));
    cr_expect_not(cg_early_refresh_is_due(0, 1000, 0, 0));
    cr_expect(cg_early_refresh_is_far(0, 0, 100));
    cr_expect(cg_early_refresh_is_far(0, 1000, 0));
}

Test(early_refresh, far_is_where_nothing_could_bring_it)
{
    cr_expect_not(cg_early_refresh_is_far(44000, 1000, 100));
    cr_expect(cg_early_refresh_is_far(45000, 1000, 100));
    cr_expect_not(cg_early_refresh_is_due(45000, 1000, 100, 0));
    cr_expect_not(cg_early_refresh_is_far(UINT64_C(100000000000), UINT32_MAX, 1000));
}
