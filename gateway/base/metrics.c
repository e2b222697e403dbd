#include "gateway/base/metrics.h"

#include "cachegate/assert.h"

#include <pthread.h>
#include <stdlib.h>

/* One writer, any reader: a relaxed load and store are enough, and cost no locked instruction. */
struct cg_sheet {
    struct cg_sheet *next;
    size_t route_count;
    _Atomic uint64_t metrics[CG_METRIC_COUNT];
    _Atomic uint64_t reasons[CG_REASON_COUNT];
    _Atomic uint64_t routes[]; /* route_count times CG_ROUTE_METRIC_COUNT */
};

enum { CACHE_LINE_BYTES = 64 };

struct cg_book {
    pthread_mutex_t lock;
    struct cg_sheet *sheets; /* owned; guarded by the lock */
    size_t route_count;
};

const char *cg_metric_name(enum cg_metric metric)
{
    static const char *const names[] = {
#define CG_METRIC(name, exposition, sentence) [CG_METRIC_##name] = exposition,
#include "cachegate/tables/metrics.def"
#undef CG_METRIC
    };
    CG_ASSERT(metric < CG_METRIC_COUNT);
    return names[metric];
}

const char *cg_metric_sentence(enum cg_metric metric)
{
    static const char *const sentences[] = {
#define CG_METRIC(name, exposition, sentence) [CG_METRIC_##name] = sentence,
#include "cachegate/tables/metrics.def"
#undef CG_METRIC
    };
    CG_ASSERT(metric < CG_METRIC_COUNT);
    return sentences[metric];
}

const char *cg_result_word(enum cg_result result)
{
    static const char *const words[] = {
#define CG_RESULT(name, word, sentence) [CG_RESULT_##name] = word,
#include "cachegate/tables/results.def"
#undef CG_RESULT
    };
    CG_ASSERT(result < CG_RESULT_COUNT);
    return words[result];
}

struct cg_book *cg_book_create(size_t route_count)
{
    struct cg_book *book = calloc(1, sizeof *book);
    CG_ASSERT(book != NULL);
    CG_ASSERT(pthread_mutex_init(&book->lock, NULL) == 0);
    book->route_count = route_count;
    return book;
}

struct cg_book *cg_book_destroy(struct cg_book *book)
{
    if (book == NULL)
        return NULL;
    while (book->sheets != NULL) {
        struct cg_sheet *sheet = book->sheets;
        book->sheets = sheet->next;
        free(sheet);
    }
    pthread_mutex_destroy(&book->lock);
    free(book);
    return NULL;
}

struct cg_sheet *cg_book_sheet(struct cg_book *book)
{
    size_t cells = book->route_count * CG_ROUTE_METRIC_COUNT;
    size_t size = sizeof(struct cg_sheet) + cells * sizeof(_Atomic uint64_t);
    /* Whole cache lines: two threads' sheets never share one. */
    size = (size + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
    struct cg_sheet *sheet = aligned_alloc(CACHE_LINE_BYTES, size);
    CG_ASSERT(sheet != NULL);
    sheet->route_count = book->route_count;
    for (size_t i = 0; i < CG_METRIC_COUNT; i++)
        atomic_init(&sheet->metrics[i], 0);
    for (size_t i = 0; i < CG_REASON_COUNT; i++)
        atomic_init(&sheet->reasons[i], 0);
    for (size_t i = 0; i < cells; i++)
        atomic_init(&sheet->routes[i], 0);
    pthread_mutex_lock(&book->lock);
    sheet->next = book->sheets;
    book->sheets = sheet;
    pthread_mutex_unlock(&book->lock);
    return sheet;
}

static void add(_Atomic uint64_t *cell, uint64_t by)
{
    uint64_t value = atomic_load_explicit(cell, memory_order_relaxed);
    atomic_store_explicit(cell, value + by, memory_order_relaxed);
}

void cg_count(struct cg_sheet *sheet, enum cg_metric metric, uint64_t by)
{
    CG_ASSERT(metric < CG_METRIC_COUNT);
    add(&sheet->metrics[metric], by);
}

void cg_count_reason(struct cg_sheet *sheet, enum cg_reason reason)
{
    CG_ASSERT(reason < CG_REASON_COUNT);
    add(&sheet->reasons[reason], 1);
}

void cg_count_route(struct cg_sheet *sheet, size_t route, enum cg_route_metric metric)
{
    CG_ASSERT(route < sheet->route_count && metric < CG_ROUTE_METRIC_COUNT);
    add(&sheet->routes[route * CG_ROUTE_METRIC_COUNT + metric], 1);
}

/* The list only grows at its head, so what was its head under the lock can be walked without it. */
static struct cg_sheet *first_sheet(struct cg_book *book)
{
    pthread_mutex_lock(&book->lock);
    struct cg_sheet *sheet = book->sheets;
    pthread_mutex_unlock(&book->lock);
    return sheet;
}

uint64_t cg_book_sum(struct cg_book *book, enum cg_metric metric)
{
    CG_ASSERT(metric < CG_METRIC_COUNT);
    uint64_t sum = 0;
    for (struct cg_sheet *sheet = first_sheet(book); sheet != NULL; sheet = sheet->next)
        sum += atomic_load_explicit(&sheet->metrics[metric], memory_order_relaxed);
    return sum;
}

uint64_t cg_book_sum_reason(struct cg_book *book, enum cg_reason reason)
{
    CG_ASSERT(reason < CG_REASON_COUNT);
    uint64_t sum = 0;
    for (struct cg_sheet *sheet = first_sheet(book); sheet != NULL; sheet = sheet->next)
        sum += atomic_load_explicit(&sheet->reasons[reason], memory_order_relaxed);
    return sum;
}

uint64_t cg_book_sum_route(struct cg_book *book, size_t route, enum cg_route_metric metric)
{
    CG_ASSERT(route < book->route_count && metric < CG_ROUTE_METRIC_COUNT);
    size_t cell = route * CG_ROUTE_METRIC_COUNT + metric;
    uint64_t sum = 0;
    for (struct cg_sheet *sheet = first_sheet(book); sheet != NULL; sheet = sheet->next)
        sum += atomic_load_explicit(&sheet->routes[cell], memory_order_relaxed);
    return sum;
}
