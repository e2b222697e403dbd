/*
 * history: how the counters moved lately, in two rings: the last minutes second by second, and the
 * last hours in coarser steps.
 *
 * A sample says what was counted between two moments of the monotonic clock, so neither a late
 * timer nor a step of the wall clock falsifies a rate: every sample knows its span. Memory is
 * fixed. Belongs to one thread; the counters are read from the book, whoever writes them.
 */
#ifndef GATEWAY_ADMIN_HISTORY_H
#define GATEWAY_ADMIN_HISTORY_H

#include "gateway/base/metrics.h"

enum cg_history_column {
    CG_HISTORY_REQUESTS,
    CG_HISTORY_HITS,
    CG_HISTORY_STALE_HITS,
    CG_HISTORY_MISSES,
    CG_HISTORY_PASSES,
    CG_HISTORY_WRITES,
    CG_HISTORY_REFUSED,
    CG_HISTORY_SETS,
    CG_HISTORY_UPSTREAM_REQUESTS,
    CG_HISTORY_UPSTREAM_ERRORS,
    CG_HISTORY_STORE_ERRORS,
    CG_HISTORY_COLUMNS
};

/* Durations of requests, in the buckets of cg_bounds_us: quantiles of any span can be had of them.
 */
enum cg_history_latency {
    CG_HISTORY_LATENCY_HIT,   /* answered from the store */
    CG_HISTORY_LATENCY_OTHER, /* the upstream was asked, or it was refused */
    CG_HISTORY_LATENCIES
};

enum { CG_HISTORY_SERIES = 2 };

struct cg_history_sample {
    uint64_t number;  /* 1 is the first of its series */
    int64_t end_ms;   /* since the history began */
    uint32_t span_ms; /* how long it counted */
    uint64_t counts[CG_HISTORY_COLUMNS];
    uint32_t latencies[CG_HISTORY_LATENCIES][CG_BUCKET_COUNT];
};

struct cg_history;

const char *cg_history_column_name(enum cg_history_column column);
const char *cg_history_latency_name(enum cg_history_latency latency);
/* `now_ms` is monotonic, here and below. */
struct cg_history *cg_history_create(struct cg_book *book, int64_t now_ms);
/* Takes NULL; returns NULL. */
struct cg_history *cg_history_destroy(struct cg_history *history);
/* Takes the samples that are due. Returns how long until the next one is. */
uint32_t cg_history_sample(struct cg_history *history, int64_t now_ms);

/* Seconds of a sample of that series, and how many samples it keeps. */
uint32_t cg_history_step_s(unsigned series);
size_t cg_history_capacity(unsigned series);
/* The samples of a series are numbered without a gap from the first to the last (0 and 0: none). */
uint64_t cg_history_last(const struct cg_history *history, unsigned series);
uint64_t cg_history_first(const struct cg_history *history, unsigned series);
/* `number` is between them. Borrowed until the next cg_history_sample. */
const struct cg_history_sample *cg_history_at(const struct cg_history *history, unsigned series,
                                              uint64_t number);

#endif
