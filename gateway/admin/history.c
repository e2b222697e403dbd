#include "gateway/admin/history.h"

#include "cachegate/assert.h"

#include <stdlib.h>
#include <string.h>

/* Five minutes by seconds, six hours by half minutes. */
static const struct {
    uint32_t step_s;
    size_t capacity;
} shapes[CG_HISTORY_SERIES] = {{1, 300}, {30, 720}};

struct totals {
    uint64_t counts[CG_HISTORY_COLUMNS];
    uint64_t latencies[CG_HISTORY_LATENCIES][CG_BUCKET_COUNT];
};

struct series {
    struct cg_history_sample *samples; /* a ring, by number */
    uint64_t last;                     /* number of the newest; 0: none */
    int64_t sampled_ms;                /* when it ended */
    struct totals totals;              /* as they stood then */
};

struct cg_history {
    struct cg_book *book; /* borrowed */
    int64_t began_ms;
    struct series series[CG_HISTORY_SERIES];
};

static const struct {
    const char *name;
    enum cg_metric metric;
} columns[CG_HISTORY_COLUMNS] = {
    [CG_HISTORY_REQUESTS] = {"requests", CG_METRIC_REQUESTS},
    [CG_HISTORY_HITS] = {"hits", CG_METRIC_HITS},
    [CG_HISTORY_STALE_HITS] = {"stale_hits", CG_METRIC_STALE_HITS},
    [CG_HISTORY_MISSES] = {"misses", CG_METRIC_MISSES},
    [CG_HISTORY_PASSES] = {"passes", CG_METRIC_PASSES},
    [CG_HISTORY_WRITES] = {"writes", CG_METRIC_WRITES},
    [CG_HISTORY_REFUSED] = {"refused", CG_METRIC_REFUSED},
    [CG_HISTORY_SETS] = {"sets", CG_METRIC_SETS},
    [CG_HISTORY_UPSTREAM_REQUESTS] = {"upstream_requests", CG_METRIC_UPSTREAM_REQUESTS},
    [CG_HISTORY_UPSTREAM_ERRORS] = {"upstream_errors", CG_METRIC_UPSTREAM_ERRORS},
    [CG_HISTORY_STORE_ERRORS] = {"store_errors", CG_METRIC_STORE_ERRORS},
};

const char *cg_history_column_name(enum cg_history_column column)
{
    CG_ASSERT(column < CG_HISTORY_COLUMNS);
    return columns[column].name;
}

const char *cg_history_latency_name(enum cg_history_latency latency)
{
    static const char *const names[CG_HISTORY_LATENCIES] = {
        [CG_HISTORY_LATENCY_HIT] = "latency_hit",
        [CG_HISTORY_LATENCY_OTHER] = "latency_other",
    };
    CG_ASSERT(latency < CG_HISTORY_LATENCIES);
    return names[latency];
}

struct cg_history *cg_history_create(struct cg_book *book, int64_t now_ms)
{
    struct cg_history *history = calloc(1, sizeof *history);
    CG_ASSERT(history != NULL);
    history->book = book;
    history->began_ms = now_ms;
    for (unsigned i = 0; i < CG_HISTORY_SERIES; i++) {
        struct series *series = &history->series[i];
        series->samples = calloc(shapes[i].capacity, sizeof *series->samples);
        CG_ASSERT(series->samples != NULL);
    }
    return history;
}

struct cg_history *cg_history_destroy(struct cg_history *history)
{
    if (history == NULL)
        return NULL;
    for (unsigned i = 0; i < CG_HISTORY_SERIES; i++)
        free(history->series[i].samples);
    free(history);
    return NULL;
}

static void read_totals(struct cg_book *book, struct totals *ret_totals)
{
    memset(ret_totals, 0, sizeof *ret_totals);
    for (unsigned i = 0; i < CG_HISTORY_COLUMNS; i++)
        ret_totals->counts[i] = cg_book_sum(book, columns[i].metric);
    for (unsigned result = 0; result < CG_RESULT_COUNT; result++) {
        struct cg_histogram histogram;
        bool stored = result == CG_RESULT_HIT || result == CG_RESULT_STALE;
        cg_book_histogram(book, CG_TIMING_REQUEST, result, &histogram);
        for (unsigned i = 0; i < CG_BUCKET_COUNT; i++)
            ret_totals->latencies[stored ? CG_HISTORY_LATENCY_HIT : CG_HISTORY_LATENCY_OTHER][i] +=
                histogram.buckets[i];
    }
}

static void take(struct cg_history *history, unsigned index, int64_t end_ms)
{
    struct series *series = &history->series[index];
    series->last++;
    struct cg_history_sample *sample = &series->samples[series->last % shapes[index].capacity];
    sample->number = series->last;
    sample->end_ms = end_ms;
    sample->span_ms = (uint32_t)(end_ms - series->sampled_ms);
    series->sampled_ms = end_ms;
    struct totals totals;
    read_totals(history->book, &totals);
    for (unsigned i = 0; i < CG_HISTORY_COLUMNS; i++)
        sample->counts[i] = totals.counts[i] - series->totals.counts[i];
    for (unsigned i = 0; i < CG_HISTORY_LATENCIES; i++)
        for (unsigned at = 0; at < CG_BUCKET_COUNT; at++)
            sample->latencies[i][at] =
                (uint32_t)(totals.latencies[i][at] - series->totals.latencies[i][at]);
    series->totals = totals;
}

/* A late timer makes one long sample, not several empty ones; the next is due on the grid again. */
uint32_t cg_history_sample(struct cg_history *history, int64_t now_ms)
{
    int64_t end_ms = now_ms - history->began_ms;
    int64_t wait_ms = INT32_MAX;
    for (unsigned i = 0; i < CG_HISTORY_SERIES; i++) {
        int64_t step_ms = (int64_t)shapes[i].step_s * 1000;
        int64_t due_ms = (history->series[i].sampled_ms / step_ms + 1) * step_ms;
        if (end_ms >= due_ms) {
            take(history, i, end_ms);
            due_ms = (end_ms / step_ms + 1) * step_ms;
        }
        if (due_ms - end_ms < wait_ms)
            wait_ms = due_ms - end_ms;
    }
    return (uint32_t)wait_ms;
}

uint32_t cg_history_step_s(unsigned series)
{
    CG_ASSERT(series < CG_HISTORY_SERIES);
    return shapes[series].step_s;
}

size_t cg_history_capacity(unsigned series)
{
    CG_ASSERT(series < CG_HISTORY_SERIES);
    return shapes[series].capacity;
}

uint64_t cg_history_last(const struct cg_history *history, unsigned series)
{
    CG_ASSERT(series < CG_HISTORY_SERIES);
    return history->series[series].last;
}

uint64_t cg_history_first(const struct cg_history *history, unsigned series)
{
    uint64_t last = cg_history_last(history, series);
    size_t capacity = shapes[series].capacity;
    return last > capacity ? last - capacity + 1 : last > 0;
}

const struct cg_history_sample *cg_history_at(const struct cg_history *history, unsigned series,
                                              uint64_t number)
{
    CG_ASSERT(number >= cg_history_first(history, series) && number > 0 &&
              number <= cg_history_last(history, series));
    return &history->series[series].samples[number % shapes[series].capacity];
}
