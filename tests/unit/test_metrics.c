#include "gateway/base/metrics.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

Test(metrics, sums_are_over_all_sheets)
{
    struct cg_book *book = cg_book_create(2);
    struct cg_sheet *one = cg_book_sheet(book), *two = cg_book_sheet(book);
    cg_count(one, CG_METRIC_HITS, 3);
    cg_count(two, CG_METRIC_HITS, 4);
    cg_count(two, CG_METRIC_MISSES, 1);
    cg_count_reason(one, CG_REASON_FRESH);
    cg_count_reason(two, CG_REASON_FRESH);
    cg_count_route(one, 1, CG_ROUTE_SETS);
    cg_count_route(two, 1, CG_ROUTE_SETS);
    cg_count_route(two, 0, CG_ROUTE_HITS);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_HITS), 7u);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_MISSES), 1u);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_SETS), 0u);
    cr_expect_eq(cg_book_sum_reason(book, CG_REASON_FRESH), 2u);
    cr_expect_eq(cg_book_sum_reason(book, CG_REASON_ABSENT), 0u);
    cr_expect_eq(cg_book_sum_route(book, 1, CG_ROUTE_SETS), 2u);
    cr_expect_eq(cg_book_sum_route(book, 0, CG_ROUTE_HITS), 1u);
    cr_expect_eq(cg_book_sum_route(book, 1, CG_ROUTE_HITS), 0u);
    cr_expect_null(cg_book_destroy(book));
    cr_expect_null(cg_book_destroy(NULL));
}

Test(metrics, every_metric_has_a_name_that_prometheus_accepts_and_a_sentence)
{
    for (unsigned i = 0; i < CG_METRIC_COUNT; i++) {
        const char *name = cg_metric_name((enum cg_metric)i);
        cr_expect_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name), "%s", name);
        cr_expect(strncmp(name, "cachegate_", 10) == 0, "%s", name);
        cr_expect(strcmp(name + strlen(name) - 6, "_total") == 0, "%s", name);
        cr_expect_gt(strlen(cg_metric_sentence((enum cg_metric)i)), 5u);
        for (unsigned other = 0; other < i; other++)
            cr_expect_str_neq(name, cg_metric_name((enum cg_metric)other));
    }
}

enum { THREADS = 4, TURNS = 20000 };

static void *count_on_a_sheet_of_its_own(void *book)
{
    struct cg_sheet *sheet = cg_book_sheet(book);
    for (unsigned i = 0; i < TURNS; i++) {
        cg_count(sheet, CG_METRIC_REQUESTS, 1);
        cg_count_route(sheet, 0, CG_ROUTE_MISSES);
    }
    return NULL;
}

Test(metrics, threads_count_without_losing_anything_while_others_read)
{
    struct cg_book *book = cg_book_create(1);
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count_on_a_sheet_of_its_own, book), 0);
    uint64_t before = 0;
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t now = cg_book_sum(book, CG_METRIC_REQUESTS);
        cr_assert_geq(now, before, "counters only grow");
        before = now;
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_REQUESTS), (uint64_t)THREADS * TURNS);
    cr_expect_eq(cg_book_sum_route(book, 0, CG_ROUTE_MISSES), (uint64_t)THREADS * TURNS);
    cg_book_destroy(book);
}
