/* The samples behind the dashboard. Time is what the test says it is. */
#include <criterion/criterion.h>

#include "gateway/admin/history.h"

enum { START_MS = 123456, FINE = 0, COARSE = 1 };

static const struct cg_history_sample *newest(const struct cg_history *history, unsigned series)
{
    return cg_history_at(history, series, cg_history_last(history, series));
}

Test(history, a_sample_holds_what_was_counted_since_the_one_before)
{
    struct cg_book *book = cg_book_create(0);
    struct cg_sheet *sheet = cg_book_sheet(book);
    struct cg_history *history = cg_history_create(book, START_MS);
    cr_assert_eq(cg_history_last(history, FINE), 0);
    cr_assert_eq(cg_history_first(history, FINE), 0);
    cg_count(sheet, CG_METRIC_HITS, 3);
    cr_assert_eq(cg_history_sample(history, START_MS), 1000);
    cr_assert_eq(cg_history_last(history, FINE), 0, "nothing is due yet");
    cr_assert_eq(cg_history_sample(history, START_MS + 1000), 1000);
    cr_assert_eq(cg_history_last(history, FINE), 1);
    cr_assert_eq(newest(history, FINE)->counts[CG_HISTORY_HITS], 3);
    cr_assert_eq(newest(history, FINE)->span_ms, 1000);
    cr_assert_eq(newest(history, FINE)->end_ms, 1000);
    cg_count(sheet, CG_METRIC_HITS, 2);
    cg_count(sheet, CG_METRIC_MISSES, 1);
    cg_observe(sheet, CG_TIMING_REQUEST, CG_RESULT_HIT, 20);
    cg_observe(sheet, CG_TIMING_REQUEST, CG_RESULT_STALE, cg_bounds_us[0] + 1);
    cg_observe(sheet, CG_TIMING_REQUEST, CG_RESULT_MISS, cg_bounds_us[CG_BOUND_COUNT - 1] + 1);
    cg_history_sample(history, START_MS + 2000);
    const struct cg_history_sample *second = newest(history, FINE);
    cr_assert_eq(second->latencies[CG_HISTORY_LATENCY_HIT][0], 1);
    cr_assert_eq(second->latencies[CG_HISTORY_LATENCY_HIT][1], 1);
    cr_assert_eq(second->latencies[CG_HISTORY_LATENCY_OTHER][CG_BOUND_COUNT], 1);
    cr_assert_eq(second->latencies[CG_HISTORY_LATENCY_OTHER][0], 0);
    cr_assert_eq(newest(history, FINE)->counts[CG_HISTORY_HITS], 2);
    cr_assert_eq(newest(history, FINE)->counts[CG_HISTORY_MISSES], 1);
    cr_assert_eq(cg_history_at(history, FINE, 1)->counts[CG_HISTORY_MISSES], 0);
    cg_history_sample(history, START_MS + 3000);
    cr_assert_eq(newest(history, FINE)->latencies[CG_HISTORY_LATENCY_HIT][0], 0);
    cr_assert_eq(cg_history_last(history, COARSE), 0);
    cg_history_destroy(history);
    cg_book_destroy(book);
}

Test(history, a_late_timer_makes_one_long_sample_and_the_grid_stays)
{
    struct cg_book *book = cg_book_create(0);
    struct cg_history *history = cg_history_create(book, START_MS);
    cr_assert_eq(cg_history_sample(history, START_MS + 1007), 993);
    cr_assert_eq(cg_history_sample(history, START_MS + 1500), 500, "woken early: nothing is due");
    cr_assert_eq(cg_history_last(history, FINE), 1);
    cr_assert_eq(cg_history_sample(history, START_MS + 7250), 750);
    cr_assert_eq(cg_history_last(history, FINE), 2);
    cr_assert_eq(newest(history, FINE)->span_ms, 6243);
    cg_history_sample(history, START_MS + 8000);
    cr_assert_eq(newest(history, FINE)->span_ms, 750);
    cg_history_destroy(history);
    cg_book_destroy(book);
}

Test(history, both_series_count_everything_once_and_forget_the_oldest)
{
    struct cg_book *book = cg_book_create(0);
    struct cg_sheet *sheet = cg_book_sheet(book);
    struct cg_history *history = cg_history_create(book, START_MS);
    size_t fine = cg_history_capacity(FINE), ratio = cg_history_step_s(COARSE);
    for (int64_t i = 1; i <= (int64_t)fine * 2; i++) {
        cg_count(sheet, CG_METRIC_REQUESTS, 5);
        cg_history_sample(history, START_MS + i * 1000);
    }
    cr_assert_eq(cg_history_last(history, FINE), fine * 2);
    cr_assert_eq(cg_history_first(history, FINE), fine + 1);
    uint64_t sum = 0;
    for (uint64_t number = fine + 1; number <= fine * 2; number++) {
        cr_assert_eq(cg_history_at(history, FINE, number)->number, number);
        sum += cg_history_at(history, FINE, number)->counts[CG_HISTORY_REQUESTS];
    }
    cr_assert_eq(sum, fine * 5);
    cr_assert_eq(cg_history_last(history, COARSE), fine * 2 / ratio);
    cr_assert_eq(cg_history_first(history, COARSE), 1);
    for (uint64_t number = 1; number <= fine * 2 / ratio; number++) {
        const struct cg_history_sample *sample = cg_history_at(history, COARSE, number);
        cr_assert_eq(sample->counts[CG_HISTORY_REQUESTS], 5 * ratio);
        cr_assert_eq(sample->span_ms, 1000 * ratio);
    }
    cg_history_destroy(history);
    cg_book_destroy(book);
}

Test(history, every_column_has_a_name)
{
    for (unsigned i = 0; i < CG_HISTORY_COLUMNS; i++)
        for (unsigned other = 0; other < i; other++)
            cr_assert_str_neq(cg_history_column_name((enum cg_history_column)i),
                              cg_history_column_name((enum cg_history_column)other));
    cr_assert_str_neq(cg_history_latency_name(CG_HISTORY_LATENCY_HIT),
                      cg_history_latency_name(CG_HISTORY_LATENCY_OTHER));
    cr_assert_null(cg_history_destroy(NULL));
}
