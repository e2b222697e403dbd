#include "cachegate/breaker.h"

#include <criterion/criterion.h>

static const struct cg_breaker_limits limits = {3, 100, 450};

static struct cg_breaker breaker;

static void open_it(int64_t now_ms)
{
    cr_assert(cg_breaker_cut(&breaker, &limits, now_ms, 0));
    cr_assert_eq(breaker.state, CG_BREAKER_OPEN);
}

TestSuite(breaker);

Test(breaker, opens_after_losses_in_a_row)
{
    cr_expect_not(cg_breaker_lose(&breaker, &limits, 0, 0));
    cr_expect_not(cg_breaker_lose(&breaker, &limits, 1, 0));
    cr_expect_not(cg_breaker_win(&breaker), "it was closed");
    cr_expect_not(cg_breaker_lose(&breaker, &limits, 2, 0), "the row was broken");
    cr_expect_not(cg_breaker_lose(&breaker, &limits, 3, 0));
    cr_expect(cg_breaker_lose(&breaker, &limits, 4, 0));
    cr_expect_eq(breaker.state, CG_BREAKER_OPEN);
    cr_expect_not(cg_breaker_lose(&breaker, &limits, 5, 0), "opens once");
    cr_expect_not(cg_breaker_cut(&breaker, &limits, 5, 0), "opens once");
}

Test(breaker, one_probe_decides)
{
    open_it(1000);
    cr_expect_eq(breaker.until_ms, 1100);
    cr_expect_not(cg_breaker_probe(&breaker, 1099));
    cr_expect(cg_breaker_probe(&breaker, 1100));
    cr_expect_eq(breaker.state, CG_BREAKER_HALF_OPEN);
    cr_expect_not(cg_breaker_probe(&breaker, 5000), "one at a time");
    cr_expect(cg_breaker_win(&breaker));
    cr_expect_eq(breaker.state, CG_BREAKER_CLOSED);
    cr_expect_not(cg_breaker_probe(&breaker, 9000));
}

Test(breaker, stays_open_twice_as_long_each_time)
{
    static const int64_t expected_ms[] = {100, 200, 400, 450, 450};
    int64_t now_ms = 0;
    open_it(now_ms);
    for (unsigned i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++) {
        cr_expect_eq(breaker.until_ms - now_ms, expected_ms[i], "opening %u", i);
        now_ms = breaker.until_ms;
        cr_expect(cg_breaker_probe(&breaker, now_ms));
        cr_expect(cg_breaker_lose(&breaker, &limits, now_ms, 0), "a lost probe is enough");
    }
    cr_expect(cg_breaker_probe(&breaker, breaker.until_ms));
    cr_expect(cg_breaker_win(&breaker));
    open_it(now_ms);
    cr_expect_eq(breaker.until_ms - now_ms, 100, "from the beginning");
}

Test(breaker, answers_to_what_was_sent_before_do_not_close_it)
{
    open_it(0);
    cr_expect_not(cg_breaker_win(&breaker));
    cr_expect_eq(breaker.state, CG_BREAKER_OPEN);
}

Test(breaker, greeting_closes_it)
{
    cr_expect_not(cg_breaker_close(&breaker), "it was closed");
    open_it(0);
    cr_expect(cg_breaker_close(&breaker));
    cr_expect_eq(breaker.state, CG_BREAKER_CLOSED);
    open_it(0);
    cr_expect(cg_breaker_probe(&breaker, 100));
    cr_expect(cg_breaker_cut(&breaker, &limits, 100, 0), "half-open it was not open");
}

Test(breaker, has_names)
{
    cr_expect_str_eq(cg_breaker_name(CG_BREAKER_CLOSED), "closed");
    cr_expect_str_eq(cg_breaker_name(CG_BREAKER_OPEN), "open");
    cr_expect_str_eq(cg_breaker_name(CG_BREAKER_HALF_OPEN), "half-open");
}
