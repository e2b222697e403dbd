/*
 * metrics: counters of metrics.def, of every reason, and of every route.
 *
 * Each thread owns one sheet and adds to it without locks (relaxed atomics, one writer); readers
 * sum all sheets. A book holds the sheets of a process.
 */
#ifndef GATEWAY_BASE_METRICS_H
#define GATEWAY_BASE_METRICS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "cachegate/reason.h"

enum cg_metric {
#define CG_METRIC(name, exposition, sentence) CG_METRIC_##name,
#include "cachegate/tables/metrics.def"
#undef CG_METRIC
    CG_METRIC_COUNT
};
const char *cg_metric_name(enum cg_metric metric);
const char *cg_metric_sentence(enum cg_metric metric);

enum cg_result {
#define CG_RESULT(name, word, sentence) CG_RESULT_##name,
#include "cachegate/tables/results.def"
#undef CG_RESULT
    CG_RESULT_COUNT
};
const char *cg_result_word(enum cg_result result);

/* Per route: what `GET /cache/stats` lists. */
enum cg_route_metric { CG_ROUTE_HITS, CG_ROUTE_MISSES, CG_ROUTE_SETS, CG_ROUTE_METRIC_COUNT };

struct cg_sheet;
struct cg_book;

struct cg_book *cg_book_create(size_t route_count);
struct cg_book *cg_book_destroy(struct cg_book *book); /* frees the sheets too */
/* A new sheet, owned by the book; any thread may ask. */
struct cg_sheet *cg_book_sheet(struct cg_book *book);

void cg_count(struct cg_sheet *sheet, enum cg_metric metric, uint64_t by);
void cg_count_reason(struct cg_sheet *sheet, enum cg_reason reason);
void cg_count_route(struct cg_sheet *sheet, size_t route, enum cg_route_metric metric);

uint64_t cg_book_sum(struct cg_book *book, enum cg_metric metric);
uint64_t cg_book_sum_reason(struct cg_book *book, enum cg_reason reason);
uint64_t cg_book_sum_route(struct cg_book *book, size_t route, enum cg_route_metric metric);

#endif
