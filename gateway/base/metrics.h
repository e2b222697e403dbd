/*
 * metrics: what this process counts. What is told of it, and under which names, is in
 * gateway/base/metric_table.h.
 *
 * Each thread owns one sheet and adds to it without locks (relaxed atomics, one writer); readers
 * sum all sheets. A book holds the sheets of a process. Everything that is counted apart is bounded
 * by enumerations, by the number of upstreams, or by route slots: a flood of odd requests makes
 * numbers larger, never more numerous. Counting allocates once for each thread and route.
 */
#ifndef GATEWAY_BASE_METRICS_H
#define GATEWAY_BASE_METRICS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cachegate/purge.h"
#include "cachegate/reason.h"
#include "cachegate/str.h"

struct cg_sheet;
struct cg_book;

/* `upstream_count` bounds what cg_observe and cg_count_upstream_error take as an upstream. */
struct cg_book *cg_book_create(size_t upstream_count);
struct cg_book *cg_book_destroy(struct cg_book *book); /* frees the sheets too */
/* Wall time of its creation, which is that of the process. */
int64_t cg_book_created_ms(const struct cg_book *book);
/* A new sheet, owned by the book; any thread may ask. */
struct cg_sheet *cg_book_sheet(struct cg_book *book);

/* ---- counters without labels ---- */

enum cg_metric {
#define CG_METRIC(name, exposition, sentence) CG_METRIC_##name,
#include "cachegate/tables/metrics.def"
    CG_METRIC_COUNT
};
const char *cg_metric_name(enum cg_metric metric);
const char *cg_metric_sentence(enum cg_metric metric);
void cg_count(struct cg_sheet *sheet, enum cg_metric metric, uint64_t by);
uint64_t cg_book_sum(struct cg_book *book, enum cg_metric metric);

/* ---- by reason, by cause ---- */

void cg_count_reason(struct cg_sheet *sheet, enum cg_reason reason);
uint64_t cg_book_sum_reason(struct cg_book *book, enum cg_reason reason);

/* Instances and open purges. */
void cg_count_purge(struct cg_sheet *sheet, enum cg_purge_cause cause, uint64_t instances);
uint64_t cg_book_sum_purges(struct cg_book *book, enum cg_purge_cause cause);

/* ---- by route ---- */

/*
 * Rules change at run time, so routes are counted by their names, each in a slot of the book; equal
 * names share one. A slot is never given back: what does not fit any more shares one slot.
 */
enum { CG_ROUTE_SLOT_NONE, CG_ROUTE_SLOT_OTHER, CG_ROUTE_SLOTS_MAX = 1024 };

/* Any thread. The name is copied. */
size_t cg_book_route_slot(struct cg_book *book, struct cg_str name);
/* Slots below that number have a name; it only grows. */
size_t cg_book_route_slot_count(struct cg_book *book);
/* "(none)" of requests that no route matched, "(other)" of what did not fit. Lives with the book.
 */
struct cg_str cg_book_route_slot_name(struct cg_book *book, size_t slot);

/* What `GET /cache/stats` lists. */
enum cg_route_metric { CG_ROUTE_HITS, CG_ROUTE_MISSES, CG_ROUTE_SETS, CG_ROUTE_METRIC_COUNT };
void cg_count_route(struct cg_sheet *sheet, size_t slot, enum cg_route_metric metric);
uint64_t cg_book_sum_route(struct cg_book *book, size_t slot, enum cg_route_metric metric);

/* ---- requests ---- */

enum cg_result {
#define CG_RESULT(name, word, sentence) CG_RESULT_##name,
#include "cachegate/tables/results.def"
#undef CG_RESULT
    CG_RESULT_COUNT
};
const char *cg_result_word(enum cg_result result);

enum cg_method {
    CG_METHOD_GET,
    CG_METHOD_HEAD,
    CG_METHOD_POST,
    CG_METHOD_PUT,
    CG_METHOD_PATCH,
    CG_METHOD_DELETE,
    CG_METHOD_OPTIONS,
    CG_METHOD_PURGE,
    CG_METHOD_OTHER,
    CG_METHOD_COUNT
};
enum cg_method cg_method_of(struct cg_str token);
const char *cg_method_word(enum cg_method method); /* "other" for what is not listed */

/* Of status codes; the client left before there was one: CG_CLASS_NONE. */
enum cg_class {
    CG_CLASS_2XX,
    CG_CLASS_3XX,
    CG_CLASS_4XX,
    CG_CLASS_5XX,
    CG_CLASS_NONE,
    CG_CLASS_COUNT
};
enum cg_class cg_class_of(unsigned status);
const char *cg_class_word(enum cg_class status_class);

struct cg_request_labels {
    size_t slot;
    enum cg_method method;
    enum cg_class status_class;
    enum cg_result result;
};
void cg_count_request(struct cg_sheet *sheet, const struct cg_request_labels *labels);
struct cg_request_counts {
    uint64_t of[CG_METHOD_COUNT][CG_CLASS_COUNT][CG_RESULT_COUNT];
};
void cg_book_requests(struct cg_book *book, size_t slot, struct cg_request_counts *ret_counts);

/* ---- the store and the upstreams ---- */

enum cg_operation {
    CG_OPERATION_LOOKUP,
    CG_OPERATION_PREPARE,
    CG_OPERATION_FILL,
    CG_OPERATION_MARK,
    CG_OPERATION_PURGE,
    CG_OPERATION_COUNT
};
const char *cg_operation_word(enum cg_operation operation);
void cg_count_store_error(struct cg_sheet *sheet, enum cg_operation operation);
uint64_t cg_book_sum_store_errors(struct cg_book *book, enum cg_operation operation);

enum { CG_UPSTREAM_ERRORS_MAX = 16 }; /* enum cg_origin_outcome is smaller */
void cg_count_upstream_error(struct cg_sheet *sheet, size_t upstream, unsigned error);
uint64_t cg_book_sum_upstream_errors(struct cg_book *book, size_t upstream, unsigned error);

/* ---- durations ---- */

enum cg_timing {
    CG_TIMING_REQUEST,  /* by enum cg_result: to the end of the answer */
    CG_TIMING_HEAD,     /* by enum cg_result: to its head */
    CG_TIMING_STORE,    /* by enum cg_operation */
    CG_TIMING_UPSTREAM, /* by upstream: to the head of its answer */
    CG_TIMING_COUNT
};

/* Upper bounds in microseconds; the last bucket has none. */
enum { CG_BOUND_COUNT = 18, CG_BUCKET_COUNT = CG_BOUND_COUNT + 1 };
extern const uint64_t cg_bounds_us[CG_BOUND_COUNT];

void cg_observe(struct cg_sheet *sheet, enum cg_timing timing, size_t series, uint64_t us);

struct cg_histogram {
    uint64_t buckets[CG_BUCKET_COUNT]; /* each counts what fell into it alone */
    uint64_t count;                    /* their sum */
    uint64_t sum_us;
};
void cg_book_histogram(struct cg_book *book, enum cg_timing timing, size_t series,
                       struct cg_histogram *ret_histogram);

/* ---- what goes up and down ---- */

enum cg_gauge {
    CG_GAUGE_REQUESTS, /* begun, and not over */
    CG_GAUGE_CONNECTIONS_HTTP1,
    CG_GAUGE_CONNECTIONS_HTTP1_TLS,
    CG_GAUGE_CONNECTIONS_HTTP2,
    CG_GAUGE_CONNECTIONS_HTTP2_TLS,
    CG_GAUGE_CONNECTIONS_OPENING, /* no protocol yet */
    CG_GAUGE_COUNT
};
/* What a thread adds it takes away itself. */
void cg_gauge_add(struct cg_sheet *sheet, enum cg_gauge gauge, int by);
uint64_t cg_book_gauge(struct cg_book *book, enum cg_gauge gauge);

/* Why a connection was ended that its client wanted to keep. */
enum cg_trouble {
    CG_TROUBLE_PROXY_LINE, /* it does not begin with one */
    CG_TROUBLE_TLS,        /* no handshake */
    CG_TROUBLE_SLOW,       /* a request did not arrive in time */
    CG_TROUBLE_STALLED,    /* an answer was not taken in time */
    CG_TROUBLE_HTTP2,      /* refused by the guard */
    CG_TROUBLE_BODIES,     /* its requests hold too much */
    CG_TROUBLE_COUNT
};
const char *cg_trouble_word(enum cg_trouble trouble);
void cg_count_trouble(struct cg_sheet *sheet, enum cg_trouble trouble);
uint64_t cg_book_sum_troubles(struct cg_book *book, enum cg_trouble trouble);

/* ---- the configuration ---- */

struct cg_config_state {
    uint64_t generation; /* in force; 1 is the one of the start */
    bool successful;     /* the last attempt to change it */
    int64_t changed_ms;  /* wall time since which `generation` is in force */
};
/* Any thread. `changed_ms` is ignored where the attempt failed. */
void cg_book_note_config(struct cg_book *book, uint64_t generation, bool successful,
                         int64_t changed_ms);
struct cg_config_state cg_book_config(struct cg_book *book);

#endif
