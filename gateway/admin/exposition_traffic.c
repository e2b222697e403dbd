/* Requests, purges, upstreams and connections. */
#include "gateway/admin/exposition_parts.h"

static struct cg_book *book_of(const struct cg_exposition *exposition)
{
    return exposition->admin->world.book;
}

/* Only those that there are: every combination would be a thousand lines a route. */
static void add_counts(struct cg_exposition *exposition, struct cg_str route,
                       const struct cg_request_counts *counts)
{
    for (unsigned method = 0; method < CG_METHOD_COUNT; method++)
        for (unsigned class = 0; class < CG_CLASS_COUNT; class ++)
            for (unsigned result = 0; result < CG_RESULT_COUNT; result++) {
                const struct cg_str values[] = {
                    route,
                    cg_str_from(cg_method_word((enum cg_method)method)),
                    cg_str_from(cg_class_word((enum cg_class) class)),
                    cg_str_from(cg_result_word((enum cg_result)result)),
                };
                if (counts->of[method][class][result] > 0)
                    cg_exposition_add(exposition, values, counts->of[method][class][result]);
            }
}

static void add_requests(struct cg_exposition *exposition)
{
    struct cg_book *book = book_of(exposition);
    size_t slots = cg_book_route_slot_count(book);
    for (size_t slot = 0; slot < slots; slot++) {
        struct cg_request_counts counts;
        cg_book_requests(book, slot, &counts);
        add_counts(exposition, cg_book_route_slot_name(book, slot), &counts);
    }
}

static void add_sets(struct cg_exposition *exposition)
{
    struct cg_book *book = book_of(exposition);
    size_t slots = cg_book_route_slot_count(book);
    for (size_t slot = CG_ROUTE_SLOT_OTHER; slot < slots; slot++) {
        struct cg_str name = cg_book_route_slot_name(book, slot);
        cg_exposition_add(exposition, &name, cg_book_sum_route(book, slot, CG_ROUTE_SETS));
    }
}

static void add_of_results(struct cg_exposition *exposition, enum cg_timing timing)
{
    for (unsigned i = 0; i < CG_RESULT_COUNT; i++)
        cg_exposition_add_histogram(exposition, cg_str_from(cg_result_word((enum cg_result)i)),
                                    timing, i);
}

static void add_durations(struct cg_exposition *exposition)
{
    add_of_results(exposition, CG_TIMING_REQUEST);
}

static void add_heads(struct cg_exposition *exposition)
{
    add_of_results(exposition, CG_TIMING_HEAD);
}

static void add_reasons(struct cg_exposition *exposition)
{
    for (unsigned i = 0; i < CG_REASON_COUNT; i++) {
        struct cg_str word = cg_str_from(cg_reason_word((enum cg_reason)i));
        cg_exposition_add(exposition, &word,
                          cg_book_sum_reason(book_of(exposition), (enum cg_reason)i));
    }
}

static void add_in_flight(struct cg_exposition *exposition)
{
    cg_exposition_add(exposition, NULL, cg_book_gauge(book_of(exposition), CG_GAUGE_REQUESTS));
}

static void add_purges(struct cg_exposition *exposition)
{
    for (unsigned i = 0; i < CG_PURGE_CAUSE_COUNT; i++) {
        struct cg_str word = cg_str_from(cg_purge_cause_word((enum cg_purge_cause)i));
        cg_exposition_add(exposition, &word,
                          cg_book_sum_purges(book_of(exposition), (enum cg_purge_cause)i));
    }
}

/* ---- upstreams ---- */

static void add_upstreams(struct cg_exposition *exposition)
{
    const struct cg_settings *settings = exposition->admin->world.settings;
    for (size_t i = 0; i < settings->upstream_count; i++)
        cg_exposition_add_histogram(exposition, cg_str_from(settings->upstreams[i].name),
                                    CG_TIMING_UPSTREAM, i);
}

static const char *const errors[] = {
    [CG_ORIGIN_UNRESOLVED] = "unresolved",
    [CG_ORIGIN_REFUSED] = "refused",
    [CG_ORIGIN_CONNECT_TIMEOUT] = "connect-timeout",
    [CG_ORIGIN_TLS_FAILED] = "tls",
    [CG_ORIGIN_QUEUE_FULL] = "queue-full",
    [CG_ORIGIN_FIRST_BYTE_TIMEOUT] = "first-byte-timeout",
    [CG_ORIGIN_BETWEEN_BYTES_TIMEOUT] = "between-bytes-timeout",
    [CG_ORIGIN_TOTAL_TIMEOUT] = "total-timeout",
    [CG_ORIGIN_BAD_ANSWER] = "bad-answer",
    [CG_ORIGIN_CUT] = "cut",
};
enum { ERROR_COUNT = sizeof errors / sizeof errors[0] };
_Static_assert((int)ERROR_COUNT <= (int)CG_UPSTREAM_ERRORS_MAX, "each has a cell");

static void add_upstream_errors(struct cg_exposition *exposition)
{
    const struct cg_settings *settings = exposition->admin->world.settings;
    for (size_t i = 0; i < settings->upstream_count; i++)
        for (unsigned error = CG_ORIGIN_UNRESOLVED; error < ERROR_COUNT; error++) {
            const struct cg_str values[] = {cg_str_from(settings->upstreams[i].name),
                                            cg_str_from(errors[error])};
            cg_exposition_add(exposition, values,
                              cg_book_sum_upstream_errors(book_of(exposition), i, error));
        }
}

/* ---- connections ---- */

static void add_connections(struct cg_exposition *exposition)
{
    static const struct {
        enum cg_gauge gauge;
        const char *protocol, *tls;
    } rows[] = {
        {CG_GAUGE_CONNECTIONS_HTTP1, "http/1.1", "no"},
        {CG_GAUGE_CONNECTIONS_HTTP1_TLS, "http/1.1", "yes"},
        {CG_GAUGE_CONNECTIONS_HTTP2, "h2", "no"},
        {CG_GAUGE_CONNECTIONS_HTTP2_TLS, "h2", "yes"},
        {CG_GAUGE_CONNECTIONS_OPENING, "opening", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct cg_str values[] = {cg_str_from(rows[i].protocol), cg_str_from(rows[i].tls)};
        cg_exposition_add(exposition, values, cg_book_gauge(book_of(exposition), rows[i].gauge));
    }
}

static void add_troubles(struct cg_exposition *exposition)
{
    for (unsigned i = 0; i < CG_TROUBLE_COUNT; i++) {
        struct cg_str word = cg_str_from(cg_trouble_word((enum cg_trouble)i));
        cg_exposition_add(exposition, &word,
                          cg_book_sum_troubles(book_of(exposition), (enum cg_trouble)i));
    }
}

cg_exposition_fn cg_exposition_of_traffic(enum cg_family family)
{
    static const cg_exposition_fn writers[CG_FAMILY_COUNT] = {
        [CG_FAMILY_REQUESTS] = add_requests,
        [CG_FAMILY_DURATION] = add_durations,
        [CG_FAMILY_HEAD] = add_heads,
        [CG_FAMILY_REASONS] = add_reasons,
        [CG_FAMILY_IN_FLIGHT] = add_in_flight,
        [CG_FAMILY_SETS] = add_sets,
        [CG_FAMILY_PURGES] = add_purges,
        [CG_FAMILY_UPSTREAM] = add_upstreams,
        [CG_FAMILY_TROUBLES] = add_troubles,
        [CG_FAMILY_UPSTREAM_ERRORS] = add_upstream_errors,
        [CG_FAMILY_CONNECTIONS] = add_connections,
    };
    return writers[family];
}
