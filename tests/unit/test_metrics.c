#include "gateway/base/metrics.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/metric_table.h"

Test(metrics, sums_are_over_all_sheets)
{
    struct cg_book *book = cg_book_create(2);
    struct cg_sheet *one = cg_book_sheet(book), *two = cg_book_sheet(book);
    size_t route = cg_book_route_slot(book, CG_STR("GET /items"));
    cg_count(one, CG_METRIC_HITS, 3);
    cg_count(two, CG_METRIC_HITS, 4);
    cg_count(two, CG_METRIC_MISSES, 1);
    cg_count_reason(one, CG_REASON_FRESH);
    cg_count_reason(two, CG_REASON_FRESH);
    cg_count_route(one, route, CG_ROUTE_SETS);
    cg_count_route(two, route, CG_ROUTE_SETS);
    cg_count_route(two, CG_ROUTE_SLOT_NONE, CG_ROUTE_HITS);
    cg_count_purge(one, CG_PURGE_RULE, 5);
    cg_count_purge(two, CG_PURGE_RULE, 6);
    cg_count_trouble(two, CG_TROUBLE_TLS);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_HITS), 7u);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_MISSES), 1u);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_SETS), 0u);
    cr_expect_eq(cg_book_sum_reason(book, CG_REASON_FRESH), 2u);
    cr_expect_eq(cg_book_sum_reason(book, CG_REASON_ABSENT), 0u);
    cr_expect_eq(cg_book_sum_route(book, route, CG_ROUTE_SETS), 2u);
    cr_expect_eq(cg_book_sum_route(book, CG_ROUTE_SLOT_NONE, CG_ROUTE_HITS), 1u);
    cr_expect_eq(cg_book_sum_route(book, route, CG_ROUTE_HITS), 0u);
    cr_expect_eq(cg_book_sum_route(book, CG_ROUTE_SLOTS_MAX - 1, CG_ROUTE_HITS), 0u);
    cr_expect_eq(cg_book_sum_purges(book, CG_PURGE_RULE), 11u);
    cr_expect_eq(cg_book_sum_purges(book, CG_PURGE_LOCATION), 0u);
    cr_expect_eq(cg_book_sum_troubles(book, CG_TROUBLE_TLS), 1u);
    cr_expect_eq(cg_book_sum_troubles(book, CG_TROUBLE_SLOW), 0u);
    cr_expect_null(cg_book_destroy(book));
    cr_expect_null(cg_book_destroy(NULL));
}

/* ---- routes ---- */

Test(metrics, equal_names_share_a_slot_and_what_does_not_fit_shares_one)
{
    struct cg_book *book = cg_book_create(1);
    char name[32];
    size_t first = cg_book_route_slot(book, CG_STR("one"));
    cr_expect_gt(first, (size_t)CG_ROUTE_SLOT_OTHER);
    cr_expect_eq(cg_book_route_slot(book, CG_STR("one")), first);
    cr_expect_neq(cg_book_route_slot(book, CG_STR("on")), first);
    for (int i = 0; i < 2 * CG_ROUTE_SLOTS_MAX; i++) {
        snprintf(name, sizeof name, "route %d", i);
        cr_expect_lt(cg_book_route_slot(book, cg_str_from(name)), (size_t)CG_ROUTE_SLOTS_MAX);
    }
    cr_expect_eq(cg_book_route_slot_count(book), (size_t)CG_ROUTE_SLOTS_MAX);
    cr_expect_eq(cg_book_route_slot(book, CG_STR("one more")), (size_t)CG_ROUTE_SLOT_OTHER);
    cr_expect_eq(cg_book_route_slot(book, CG_STR("one")), first);
    cr_expect(cg_str_eq(cg_book_route_slot_name(book, first), CG_STR("one")));
    cr_expect(cg_str_eq(cg_book_route_slot_name(book, CG_ROUTE_SLOT_NONE), CG_STR("(none)")));
    cr_expect(cg_str_eq(cg_book_route_slot_name(book, CG_ROUTE_SLOT_OTHER), CG_STR("(other)")));
    cg_book_destroy(book);
}

/* ---- requests ---- */

Test(metrics, methods_and_statuses_are_folded)
{
    cr_expect_eq(cg_method_of(CG_STR("GET")), CG_METHOD_GET);
    cr_expect_eq(cg_method_of(CG_STR("PURGE")), CG_METHOD_PURGE);
    cr_expect_eq(cg_method_of(CG_STR("get")), CG_METHOD_OTHER); /* methods are case-sensitive */
    cr_expect_eq(cg_method_of(CG_STR("GETT")), CG_METHOD_OTHER);
    cr_expect_eq(cg_method_of(CG_STR("")), CG_METHOD_OTHER);
    cr_expect_eq(cg_method_of(CG_STR("other")), CG_METHOD_OTHER);
    for (unsigned i = 0; i < CG_METHOD_OTHER; i++)
        cr_expect_eq(cg_method_of(cg_str_from(cg_method_word((enum cg_method)i))),
                     (enum cg_method)i);
    cr_expect_eq(cg_class_of(200), CG_CLASS_2XX);
    cr_expect_eq(cg_class_of(304), CG_CLASS_3XX);
    cr_expect_eq(cg_class_of(499), CG_CLASS_4XX);
    cr_expect_eq(cg_class_of(599), CG_CLASS_5XX);
    cr_expect_eq(cg_class_of(0), CG_CLASS_NONE);
    cr_expect_eq(cg_class_of(999), CG_CLASS_NONE);
}

Test(metrics, a_request_is_counted_in_its_cell_alone)
{
    struct cg_book *book = cg_book_create(1);
    struct cg_sheet *one = cg_book_sheet(book), *two = cg_book_sheet(book);
    struct cg_request_counts counts;
    struct cg_request_labels labels = {
        .slot = cg_book_route_slot(book, CG_STR("a")),
        .method = CG_METHOD_OTHER,
        .status_class = CG_CLASS_NONE,
        .result = CG_RESULT_ERROR,
    };
    uint64_t sum = 0;
    cg_count_request(one, &labels);
    cg_count_request(two, &labels);
    cg_book_requests(book, labels.slot, &counts);
    for (size_t i = 0; i < sizeof counts.of / sizeof(uint64_t); i++)
        sum += ((const uint64_t *)counts.of)[i];
    cr_expect_eq(sum, 2u);
    cr_expect_eq(counts.of[CG_METHOD_OTHER][CG_CLASS_NONE][CG_RESULT_ERROR], 2u);
    cg_book_requests(book, CG_ROUTE_SLOT_NONE, &counts);
    cr_expect_eq(counts.of[CG_METHOD_OTHER][CG_CLASS_NONE][CG_RESULT_ERROR], 0u);
    cg_book_destroy(book);
}

/* ---- the store and the upstreams ---- */

Test(metrics, errors_are_counted_apart_and_together)
{
    struct cg_book *book = cg_book_create(2);
    struct cg_sheet *sheet = cg_book_sheet(book);
    cg_count_store_error(sheet, CG_OPERATION_FILL);
    cg_count_upstream_error(sheet, 0, 3);
    cg_count_upstream_error(sheet, 1, 3);
    cg_count_upstream_error(sheet, 1, CG_UPSTREAM_ERRORS_MAX - 1);
    cr_expect_eq(cg_book_sum_store_errors(book, CG_OPERATION_FILL), 1u);
    cr_expect_eq(cg_book_sum_store_errors(book, CG_OPERATION_LOOKUP), 0u);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_STORE_ERRORS), 1u);
    cr_expect_eq(cg_book_sum_upstream_errors(book, 0, 3), 1u);
    cr_expect_eq(cg_book_sum_upstream_errors(book, 1, CG_UPSTREAM_ERRORS_MAX - 1), 1u);
    cr_expect_eq(cg_book_sum_upstream_errors(book, 0, CG_UPSTREAM_ERRORS_MAX - 1), 0u);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_UPSTREAM_ERRORS), 3u);
    cg_book_destroy(book);
}

/* ---- durations ---- */

Test(metrics, a_bound_belongs_to_its_bucket)
{
    struct cg_book *book = cg_book_create(2);
    struct cg_sheet *one = cg_book_sheet(book), *two = cg_book_sheet(book);
    struct cg_histogram histogram;
    cg_observe(one, CG_TIMING_REQUEST, CG_RESULT_HIT, 0);
    cg_observe(two, CG_TIMING_REQUEST, CG_RESULT_HIT, cg_bounds_us[0]);
    cg_observe(one, CG_TIMING_REQUEST, CG_RESULT_HIT, cg_bounds_us[0] + 1);
    cg_observe(one, CG_TIMING_REQUEST, CG_RESULT_HIT, cg_bounds_us[CG_BOUND_COUNT - 1]);
    cg_observe(one, CG_TIMING_REQUEST, CG_RESULT_HIT, cg_bounds_us[CG_BOUND_COUNT - 1] + 1);
    cg_book_histogram(book, CG_TIMING_REQUEST, CG_RESULT_HIT, &histogram);
    cr_expect_eq(histogram.buckets[0], 2u);
    cr_expect_eq(histogram.buckets[1], 1u);
    cr_expect_eq(histogram.buckets[CG_BOUND_COUNT - 1], 1u);
    cr_expect_eq(histogram.buckets[CG_BUCKET_COUNT - 1], 1u);
    cr_expect_eq(histogram.count, 5u);
    cr_expect_eq(histogram.sum_us, 2 * (cg_bounds_us[0] + cg_bounds_us[CG_BOUND_COUNT - 1]) + 2);
    for (size_t i = 1; i < CG_BOUND_COUNT; i++)
        cr_expect_gt(cg_bounds_us[i], cg_bounds_us[i - 1]);
    cg_book_destroy(book);
}

Test(metrics, every_series_has_cells_of_its_own)
{
    static const size_t series[CG_TIMING_COUNT] = {CG_RESULT_COUNT, CG_RESULT_COUNT,
                                                   CG_OPERATION_COUNT, 3};
    struct cg_book *book = cg_book_create(3);
    struct cg_sheet *sheet = cg_book_sheet(book);
    uint64_t us = 1;
    for (unsigned timing = 0; timing < CG_TIMING_COUNT; timing++)
        for (size_t i = 0; i < series[timing]; i++)
            cg_observe(sheet, (enum cg_timing)timing, i, us++);
    us = 1;
    for (unsigned timing = 0; timing < CG_TIMING_COUNT; timing++)
        for (size_t i = 0; i < series[timing]; i++) {
            struct cg_histogram histogram;
            cg_book_histogram(book, (enum cg_timing)timing, i, &histogram);
            cr_expect_eq(histogram.count, 1u);
            cr_expect_eq(histogram.sum_us, us++);
        }
    cg_book_destroy(book);
}

/* ---- gauges, the configuration ---- */

Test(metrics, a_gauge_goes_down_again)
{
    struct cg_book *book = cg_book_create(1);
    struct cg_sheet *one = cg_book_sheet(book), *two = cg_book_sheet(book);
    cg_gauge_add(one, CG_GAUGE_REQUESTS, 1);
    cg_gauge_add(two, CG_GAUGE_REQUESTS, 1);
    cg_gauge_add(two, CG_GAUGE_REQUESTS, -1);
    cr_expect_eq(cg_book_gauge(book, CG_GAUGE_REQUESTS), 1u);
    cr_expect_eq(cg_book_gauge(book, CG_GAUGE_CONNECTIONS_HTTP2), 0u);
    cg_gauge_add(one, CG_GAUGE_REQUESTS, -1);
    cr_expect_eq(cg_book_gauge(book, CG_GAUGE_REQUESTS), 0u);
    cg_book_destroy(book);
}

Test(metrics, a_failed_change_keeps_the_time_of_what_is_in_force)
{
    struct cg_book *book = cg_book_create(1);
    struct cg_config_state config = cg_book_config(book);
    cr_expect_eq(config.generation, 1u);
    cr_expect(config.successful);
    cr_expect_eq(config.changed_ms, cg_book_created_ms(book));
    cg_book_note_config(book, 2, true, 1000);
    cg_book_note_config(book, 2, false, 2000);
    config = cg_book_config(book);
    cr_expect_eq(config.generation, 2u);
    cr_expect_not(config.successful);
    cr_expect_eq(config.changed_ms, 1000);
    cg_book_destroy(book);
}

/* ---- the table ---- */

static bool ends_with(const char *name, const char *end)
{
    return strlen(name) > strlen(end) && strcmp(name + strlen(name) - strlen(end), end) == 0;
}

Test(metrics, every_row_has_a_name_that_prometheus_accepts_and_a_sentence)
{
    for (size_t i = 0; i < cg_metric_row_count(); i++) {
        const struct cg_metric_row *row = cg_metric_row_at(i);
        cr_expect_eq(strspn(row->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(row->name), "%s",
                     row->name);
        cr_expect(strncmp(row->name, "cachegate_", 10) == 0 ||
                      strncmp(row->name, "process_", 8) == 0,
                  "%s", row->name);
        cr_expect_eq(ends_with(row->name, "_total"), row->type == CG_METRIC_COUNTER, "%s",
                     row->name);
        if (row->type == CG_METRIC_HISTOGRAM)
            cr_expect(ends_with(row->name, "_seconds"), "%s", row->name);
        cr_expect_gt(strlen(row->sentence), 5u, "%s", row->name);
        cr_expect_null(strchr(row->sentence, '\n'), "%s", row->name);
        cr_expect_eq(strspn(row->labels, "abcdefghijklmnopqrstuvwxyz,"), strlen(row->labels), "%s",
                     row->name);
        for (size_t other = 0; other < i; other++)
            cr_expect_str_neq(row->name, cg_metric_row_at(other)->name);
    }
}

/* ---- threads ---- */

enum { THREADS = 4, TURNS = 20000 };

static void *count_up(void *argument)
{
    struct cg_book *book = argument;
    struct cg_sheet *sheet = cg_book_sheet(book);
    size_t slot = cg_book_route_slot(book, CG_STR("GET /"));
    const struct cg_request_labels labels = {.slot = slot};
    for (int i = 0; i < TURNS; i++) {
        cg_count(sheet, CG_METRIC_REQUESTS, 1);
        cg_count_route(sheet, slot, CG_ROUTE_MISSES);
        cg_count_request(sheet, &labels);
        cg_observe(sheet, CG_TIMING_REQUEST, CG_RESULT_HIT, (uint64_t)i);
    }
    return NULL;
}

Test(metrics, threads_count_beside_each_other_while_somebody_reads)
{
    struct cg_book *book = cg_book_create(1);
    pthread_t threads[THREADS];
    struct cg_request_counts counts;
    struct cg_histogram histogram;
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, count_up, book), 0);
    size_t slot = cg_book_route_slot(book, CG_STR("GET /"));
    uint64_t before = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t now = cg_book_sum(book, CG_METRIC_REQUESTS);
        cr_assert_geq(now, before);
        before = now;
        cg_book_requests(book, slot, &counts);
        cr_assert_leq(counts.of[0][0][0], (uint64_t)THREADS * TURNS);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cg_book_requests(book, slot, &counts);
    cg_book_histogram(book, CG_TIMING_REQUEST, CG_RESULT_HIT, &histogram);
    cr_expect_eq(cg_book_sum(book, CG_METRIC_REQUESTS), (uint64_t)THREADS * TURNS);
    cr_expect_eq(cg_book_sum_route(book, slot, CG_ROUTE_MISSES), (uint64_t)THREADS * TURNS);
    cr_expect_eq(counts.of[0][0][0], (uint64_t)THREADS * TURNS);
    cr_expect_eq(histogram.count, (uint64_t)THREADS * TURNS);
    cg_book_destroy(book);
}
