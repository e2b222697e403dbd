#include "gateway/base/metrics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"

/* One writer, any reader: a relaxed load and store are enough, and cost no locked instruction. */
typedef _Atomic uint64_t cell;

struct route_cells {
    cell requests[CG_METHOD_COUNT][CG_CLASS_COUNT][CG_RESULT_COUNT];
    cell metrics[CG_ROUTE_METRIC_COUNT];
};

struct timing_cells {
    cell buckets[CG_BUCKET_COUNT];
    cell sum_us;
};

struct upstream_cells {
    struct timing_cells timing;
    cell errors[CG_UPSTREAM_ERRORS_MAX];
};

struct cg_sheet {
    struct cg_sheet *next;
    size_t upstream_count;
    cell metrics[CG_METRIC_COUNT];
    cell reasons[CG_REASON_COUNT];
    cell purges[CG_PURGE_CAUSE_COUNT];
    cell store_errors[CG_OPERATION_COUNT];
    cell gauges[CG_GAUGE_COUNT];
    cell troubles[CG_TROUBLE_COUNT];
    struct timing_cells of_results[2][CG_RESULT_COUNT]; /* REQUEST and HEAD */
    struct timing_cells of_operations[CG_OPERATION_COUNT];
    /* Made when the first request of a route is counted, by the sheet's thread; then for good. */
    _Atomic(struct route_cells *) routes[CG_ROUTE_SLOTS_MAX];
    struct upstream_cells upstreams[];
};

enum { CACHE_LINE_BYTES = 64 };

struct cg_book {
    pthread_mutex_t lock;
    struct cg_sheet *sheets; /* owned; guarded by the lock */
    size_t upstream_count;
    int64_t created_ms;
    char *names[CG_ROUTE_SLOTS_MAX]; /* owned, but for the first two; guarded by the lock */
    size_t name_count;
    struct cg_config_state config; /* guarded by the lock */
};

const uint64_t cg_bounds_us[CG_BOUND_COUNT] = {
    50,    100,    250,    500,    1000,    2500,    5000,    10000,    25000,
    50000, 100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000,
};

struct cg_book *cg_book_create(size_t upstream_count)
{
    static char none[] = "(none)", other[] = "(other)";
    struct cg_book *book = calloc(1, sizeof *book);
    CG_ASSERT(book != NULL);
    CG_ASSERT(pthread_mutex_init(&book->lock, NULL) == 0);
    book->upstream_count = upstream_count;
    book->names[CG_ROUTE_SLOT_NONE] = none;
    book->names[CG_ROUTE_SLOT_OTHER] = other;
    book->name_count = CG_ROUTE_SLOT_OTHER + 1;
    book->created_ms = cg_clock_wall_ms();
    book->config = (struct cg_config_state){
        .generation = 1, .successful = true, .changed_ms = book->created_ms};
    return book;
}

int64_t cg_book_created_ms(const struct cg_book *book)
{
    return book->created_ms;
}

static void destroy_sheet(struct cg_sheet *sheet)
{
    for (size_t i = 0; i < CG_ROUTE_SLOTS_MAX; i++)
        free(atomic_load(&sheet->routes[i]));
    free(sheet);
}

struct cg_book *cg_book_destroy(struct cg_book *book)
{
    if (book == NULL)
        return NULL;
    while (book->sheets != NULL) {
        struct cg_sheet *sheet = book->sheets;
        book->sheets = sheet->next;
        destroy_sheet(sheet);
    }
    for (size_t i = CG_ROUTE_SLOT_OTHER + 1; i < book->name_count; i++)
        free(book->names[i]);
    pthread_mutex_destroy(&book->lock);
    free(book);
    return NULL;
}

/* Whole cache lines: two threads' sheets never share one. Zero bytes are zero counters. */
static void *make_lines(size_t size)
{
    size = (size + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
    void *lines = aligned_alloc(CACHE_LINE_BYTES, size);
    CG_ASSERT(lines != NULL);
    memset(lines, 0, size);
    return lines;
}

struct cg_sheet *cg_book_sheet(struct cg_book *book)
{
    struct cg_sheet *sheet =
        make_lines(sizeof *sheet + book->upstream_count * sizeof sheet->upstreams[0]);
    sheet->upstream_count = book->upstream_count;
    pthread_mutex_lock(&book->lock);
    sheet->next = book->sheets;
    book->sheets = sheet;
    pthread_mutex_unlock(&book->lock);
    return sheet;
}

/* The list only grows at its head, so what was its head under the lock can be walked without it. */
static struct cg_sheet *first_sheet(struct cg_book *book)
{
    pthread_mutex_lock(&book->lock);
    struct cg_sheet *sheet = book->sheets;
    pthread_mutex_unlock(&book->lock);
    return sheet;
}

static void add(cell *at, uint64_t by)
{
    uint64_t value = atomic_load_explicit(at, memory_order_relaxed);
    atomic_store_explicit(at, value + by, memory_order_relaxed);
}

static uint64_t value_of(const cell *at)
{
    return atomic_load_explicit(at, memory_order_relaxed);
}

/* The sum over all sheets of the cell that is `offset` bytes into each. */
static uint64_t sum_at(struct cg_book *book, size_t offset)
{
    uint64_t sum = 0;
    for (const struct cg_sheet *sheet = first_sheet(book); sheet != NULL; sheet = sheet->next)
        sum += value_of((const cell *)(const void *)((const char *)sheet + offset));
    return sum;
}

#define OFFSET_OF(array, index)                                                                    \
    (offsetof(struct cg_sheet, array) +                                                            \
     (size_t)(index) * sizeof(((struct cg_sheet *)NULL)->array[0]))

/* ---- plain ---- */

void cg_count(struct cg_sheet *sheet, enum cg_metric metric, uint64_t by)
{
    CG_ASSERT(metric < CG_METRIC_COUNT);
    add(&sheet->metrics[metric], by);
}

uint64_t cg_book_sum(struct cg_book *book, enum cg_metric metric)
{
    CG_ASSERT(metric < CG_METRIC_COUNT);
    return sum_at(book, OFFSET_OF(metrics, metric));
}

void cg_count_reason(struct cg_sheet *sheet, enum cg_reason reason)
{
    CG_ASSERT(reason < CG_REASON_COUNT);
    add(&sheet->reasons[reason], 1);
}

uint64_t cg_book_sum_reason(struct cg_book *book, enum cg_reason reason)
{
    CG_ASSERT(reason < CG_REASON_COUNT);
    return sum_at(book, OFFSET_OF(reasons, reason));
}

void cg_count_purge(struct cg_sheet *sheet, enum cg_purge_cause cause, uint64_t instances)
{
    CG_ASSERT(cause < CG_PURGE_CAUSE_COUNT);
    add(&sheet->purges[cause], instances);
}

uint64_t cg_book_sum_purges(struct cg_book *book, enum cg_purge_cause cause)
{
    CG_ASSERT(cause < CG_PURGE_CAUSE_COUNT);
    return sum_at(book, OFFSET_OF(purges, cause));
}

void cg_count_store_error(struct cg_sheet *sheet, enum cg_operation operation)
{
    CG_ASSERT(operation < CG_OPERATION_COUNT);
    add(&sheet->store_errors[operation], 1);
    add(&sheet->metrics[CG_METRIC_STORE_ERRORS], 1);
}

uint64_t cg_book_sum_store_errors(struct cg_book *book, enum cg_operation operation)
{
    CG_ASSERT(operation < CG_OPERATION_COUNT);
    return sum_at(book, OFFSET_OF(store_errors, operation));
}

void cg_count_upstream_error(struct cg_sheet *sheet, size_t upstream, unsigned error)
{
    CG_ASSERT(upstream < sheet->upstream_count && error < CG_UPSTREAM_ERRORS_MAX);
    add(&sheet->upstreams[upstream].errors[error], 1);
    add(&sheet->metrics[CG_METRIC_UPSTREAM_ERRORS], 1);
}

uint64_t cg_book_sum_upstream_errors(struct cg_book *book, size_t upstream, unsigned error)
{
    CG_ASSERT(upstream < book->upstream_count && error < CG_UPSTREAM_ERRORS_MAX);
    return sum_at(book, OFFSET_OF(upstreams, upstream) + offsetof(struct upstream_cells, errors) +
                            error * sizeof(cell));
}

void cg_gauge_add(struct cg_sheet *sheet, enum cg_gauge gauge, int by)
{
    CG_ASSERT(gauge < CG_GAUGE_COUNT);
    add(&sheet->gauges[gauge], (uint64_t)(int64_t)by);
}

uint64_t cg_book_gauge(struct cg_book *book, enum cg_gauge gauge)
{
    CG_ASSERT(gauge < CG_GAUGE_COUNT);
    return sum_at(book, OFFSET_OF(gauges, gauge));
}

void cg_count_trouble(struct cg_sheet *sheet, enum cg_trouble trouble)
{
    CG_ASSERT(trouble < CG_TROUBLE_COUNT);
    add(&sheet->troubles[trouble], 1);
}

uint64_t cg_book_sum_troubles(struct cg_book *book, enum cg_trouble trouble)
{
    CG_ASSERT(trouble < CG_TROUBLE_COUNT);
    return sum_at(book, OFFSET_OF(troubles, trouble));
}

/* ---- routes ---- */

static size_t find_slot(const struct cg_book *book, struct cg_str name)
{
    for (size_t i = 0; i < book->name_count; i++)
        if (cg_str_eq(name, cg_str_from(book->names[i])))
            return i;
    return book->name_count;
}

size_t cg_book_route_slot(struct cg_book *book, struct cg_str name)
{
    pthread_mutex_lock(&book->lock);
    size_t slot = find_slot(book, name);
    if (slot == CG_ROUTE_SLOTS_MAX) {
        slot = CG_ROUTE_SLOT_OTHER;
    } else if (slot == book->name_count) {
        book->names[slot] = strndup(name.bytes, name.length);
        CG_ASSERT(book->names[slot] != NULL);
        book->name_count++;
    }
    pthread_mutex_unlock(&book->lock);
    return slot;
}

size_t cg_book_route_slot_count(struct cg_book *book)
{
    pthread_mutex_lock(&book->lock);
    size_t count = book->name_count;
    pthread_mutex_unlock(&book->lock);
    return count;
}

struct cg_str cg_book_route_slot_name(struct cg_book *book, size_t slot)
{
    pthread_mutex_lock(&book->lock);
    CG_ASSERT(slot < book->name_count);
    struct cg_str name = cg_str_from(book->names[slot]);
    pthread_mutex_unlock(&book->lock);
    return name;
}

static struct route_cells *make_route(struct cg_sheet *sheet, size_t slot)
{
    struct route_cells *cells = make_lines(sizeof *cells);
    atomic_store_explicit(&sheet->routes[slot], cells, memory_order_release);
    return cells;
}

static struct route_cells *route_of(struct cg_sheet *sheet, size_t slot)
{
    CG_ASSERT(slot < CG_ROUTE_SLOTS_MAX);
    struct route_cells *cells = atomic_load_explicit(&sheet->routes[slot], memory_order_relaxed);
    return cells != NULL ? cells : make_route(sheet, slot);
}

static uint64_t sum_of_route(struct cg_book *book, size_t slot, size_t offset)
{
    CG_ASSERT(slot < CG_ROUTE_SLOTS_MAX);
    uint64_t sum = 0;
    for (struct cg_sheet *sheet = first_sheet(book); sheet != NULL; sheet = sheet->next) {
        const struct route_cells *cells =
            atomic_load_explicit(&sheet->routes[slot], memory_order_acquire);
        if (cells != NULL)
            sum += value_of((const cell *)(const void *)((const char *)cells + offset));
    }
    return sum;
}

void cg_count_route(struct cg_sheet *sheet, size_t slot, enum cg_route_metric metric)
{
    CG_ASSERT(metric < CG_ROUTE_METRIC_COUNT);
    add(&route_of(sheet, slot)->metrics[metric], 1);
}

uint64_t cg_book_sum_route(struct cg_book *book, size_t slot, enum cg_route_metric metric)
{
    CG_ASSERT(metric < CG_ROUTE_METRIC_COUNT);
    return sum_of_route(book, slot, offsetof(struct route_cells, metrics) + metric * sizeof(cell));
}

void cg_count_request(struct cg_sheet *sheet, const struct cg_request_labels *labels)
{
    CG_ASSERT(labels->method < CG_METHOD_COUNT && labels->status_class < CG_CLASS_COUNT &&
              labels->result < CG_RESULT_COUNT);
    struct route_cells *cells = route_of(sheet, labels->slot);
    add(&cells->requests[labels->method][labels->status_class][labels->result], 1);
}

static void add_requests(const struct route_cells *cells, struct cg_request_counts *counts)
{
    for (size_t method = 0; method < CG_METHOD_COUNT; method++)
        for (size_t class = 0; class < CG_CLASS_COUNT; class ++)
            for (size_t result = 0; result < CG_RESULT_COUNT; result++)
                counts->of[method][class][result] +=
                    value_of(&cells->requests[method][class][result]);
}

void cg_book_requests(struct cg_book *book, size_t slot, struct cg_request_counts *ret_counts)
{
    CG_ASSERT(slot < CG_ROUTE_SLOTS_MAX);
    *ret_counts = (struct cg_request_counts){0};
    for (struct cg_sheet *sheet = first_sheet(book); sheet != NULL; sheet = sheet->next) {
        const struct route_cells *cells =
            atomic_load_explicit(&sheet->routes[slot], memory_order_acquire);
        if (cells != NULL)
            add_requests(cells, ret_counts);
    }
}

/* ---- durations ---- */

static size_t offset_of_timing(const struct cg_book *book, enum cg_timing timing, size_t series)
{
    switch (timing) {
    case CG_TIMING_REQUEST:
    case CG_TIMING_HEAD:
        CG_ASSERT(series < CG_RESULT_COUNT);
        return OFFSET_OF(of_results, timing) + series * sizeof(struct timing_cells);
    case CG_TIMING_STORE:
        CG_ASSERT(series < CG_OPERATION_COUNT);
        return OFFSET_OF(of_operations, series);
    case CG_TIMING_UPSTREAM:
        CG_ASSERT(series < book->upstream_count);
        return OFFSET_OF(upstreams, series) + offsetof(struct upstream_cells, timing);
    case CG_TIMING_COUNT:
        break;
    }
    CG_UNREACHABLE();
}

static struct timing_cells *timing_of(struct cg_sheet *sheet, enum cg_timing timing, size_t series)
{
    switch (timing) {
    case CG_TIMING_REQUEST:
    case CG_TIMING_HEAD:
        CG_ASSERT(series < CG_RESULT_COUNT);
        return &sheet->of_results[timing][series];
    case CG_TIMING_STORE:
        CG_ASSERT(series < CG_OPERATION_COUNT);
        return &sheet->of_operations[series];
    case CG_TIMING_UPSTREAM:
        CG_ASSERT(series < sheet->upstream_count);
        return &sheet->upstreams[series].timing;
    case CG_TIMING_COUNT:
        break;
    }
    CG_UNREACHABLE();
}

/* What is measured is mostly short, so the search begins below. */
static size_t bucket_of(uint64_t us)
{
    size_t bucket = 0;
    while (bucket < CG_BOUND_COUNT && us > cg_bounds_us[bucket])
        bucket++;
    return bucket;
}

void cg_observe(struct cg_sheet *sheet, enum cg_timing timing, size_t series, uint64_t us)
{
    struct timing_cells *cells = timing_of(sheet, timing, series);
    add(&cells->buckets[bucket_of(us)], 1);
    add(&cells->sum_us, us);
}

void cg_book_histogram(struct cg_book *book, enum cg_timing timing, size_t series,
                       struct cg_histogram *ret_histogram)
{
    size_t offset = offset_of_timing(book, timing, series);
    *ret_histogram = (struct cg_histogram){0};
    for (size_t i = 0; i < CG_BUCKET_COUNT; i++) {
        ret_histogram->buckets[i] =
            sum_at(book, offset + offsetof(struct timing_cells, buckets) + i * sizeof(cell));
        ret_histogram->count += ret_histogram->buckets[i];
    }
    ret_histogram->sum_us = sum_at(book, offset + offsetof(struct timing_cells, sum_us));
}

/* ---- the configuration ---- */

void cg_book_note_config(struct cg_book *book, uint64_t generation, bool successful,
                         int64_t changed_ms)
{
    pthread_mutex_lock(&book->lock);
    book->config.generation = generation;
    book->config.successful = successful;
    if (successful)
        book->config.changed_ms = changed_ms;
    pthread_mutex_unlock(&book->lock);
}

struct cg_config_state cg_book_config(struct cg_book *book)
{
    pthread_mutex_lock(&book->lock);
    struct cg_config_state config = book->config;
    pthread_mutex_unlock(&book->lock);
    return config;
}
