#include "gateway/admin/parts.h"

#include "gateway/base/clock.h"

/* The text format of Prometheus, version 0.0.4. */

static void add_head(struct cg_buf *out, const char *name, const char *type, const char *sentence)
{
    cg_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, sentence, name, type);
}

static void add_one(struct cg_buf *out, const char *name, const char *type, const char *sentence,
                    uint64_t value)
{
    add_head(out, name, type, sentence);
    cg_buf_printf(out, "%s %llu\n", name, (unsigned long long)value);
}

static void add_label(struct cg_buf *out, struct cg_str value)
{
    for (size_t i = 0; i < value.length; i++) {
        char c = value.bytes[i];
        if (c == '\\' || c == '"')
            cg_buf_add_char(out, '\\');
        if (c == '\n')
            cg_buf_add_text(out, "\\n");
        else
            cg_buf_add_char(out, c);
    }
}

static void add_reasons(struct cg_buf *out, struct cg_book *book)
{
    add_head(out, "cachegate_reasons_total", "counter", "decisions by their reason");
    for (unsigned i = 0; i < CG_REASON_COUNT; i++)
        cg_buf_printf(out, "cachegate_reasons_total{reason=\"%s\"} %llu\n",
                      cg_reason_word((enum cg_reason)i),
                      (unsigned long long)cg_book_sum_reason(book, (enum cg_reason)i));
}

static void add_routes(struct cg_buf *out, const struct cg_admin *admin)
{
    static const struct {
        enum cg_route_metric metric;
        const char *name;
        const char *sentence;
    } rows[] = {
        {CG_ROUTE_HITS, "cachegate_route_hits_total", "requests answered from the store, by route"},
        {CG_ROUTE_MISSES, "cachegate_route_misses_total",
         "cacheable requests that were forwarded, by route"},
        {CG_ROUTE_SETS, "cachegate_route_sets_total", "answers stored, by route"},
    };
    struct cg_book *book = admin->world.book;
    size_t slots = cg_book_route_slot_count(book);
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        add_head(out, rows[row].name, "counter", rows[row].sentence);
        for (size_t slot = 0; slot < slots; slot++) {
            cg_buf_printf(out, "%s{route=\"", rows[row].name);
            add_label(out, cg_book_route_slot_name(book, slot));
            cg_buf_printf(out, "\"} %llu\n",
                          (unsigned long long)cg_book_sum_route(book, slot, rows[row].metric));
        }
    }
}

static void add_servers(struct cg_buf *out, const struct cg_store_health *health)
{
    if (health->server_count == 0)
        return;
    add_head(out, "cachegate_store_server_up", "gauge",
             "whether a server of the store is connected and not left alone");
    for (size_t i = 0; i < health->server_count; i++) {
        const struct cg_store_server *server = &health->servers[i];
        bool up = server->connected && strcmp(server->breaker, "closed") == 0;
        cg_buf_add_text(out, "cachegate_store_server_up{server=\"");
        add_label(out, cg_str_from(server->address));
        cg_buf_printf(out, "\"} %d\n", up);
    }
}

static void add_store(struct cg_buf *out, struct cg_store *store)
{
    struct cg_store_stats stats = {0};
    struct cg_store_health health = {0};
    store->port->stats(store, &stats);
    store->port->health(store, &health);
    add_one(out, "cachegate_store_entries", "gauge", "answers in the store", stats.entries);
    add_one(out, "cachegate_store_bytes", "gauge", "bytes of the answers in the store",
            stats.entry_bytes);
    add_one(out, "cachegate_store_versions", "gauge", "versions in the store", stats.versions);
    add_one(out, "cachegate_store_evictions_total", "counter", "answers evicted for room",
            stats.evictions);
    add_one(out, "cachegate_store_bans", "gauge", "open purges that are still looked at",
            stats.bans);
    add_one(out, "cachegate_store_lost_commands_total", "counter",
            "commands that a server of the store did not answer in time", stats.lost_commands);
    add_one(out, "cachegate_store_breaker_openings_total", "counter",
            "times that a server of the store was left alone", stats.breaker_openings);
    add_one(out, "cachegate_store_up", "gauge", "whether the store answers", health.available);
    add_servers(out, &health);
    add_one(out, "cachegate_store_journal", "gauge", "purges that were not delivered yet",
            health.journal);
    add_one(out, "cachegate_near_entries", "gauge", "copies of what the store holds",
            stats.near_entries);
    add_one(out, "cachegate_near_bytes", "gauge", "bytes that these copies take", stats.near_bytes);
    if (health.tracking != NULL)
        add_one(out, "cachegate_tracking_up", "gauge", "whether Redis tells of changes",
                strcmp(health.tracking, "up") == 0);
    add_head(out, "cachegate_store_latency_seconds", "gauge", "of a round trip to the store");
    cg_buf_printf(out, "cachegate_store_latency_seconds %.6f\n", health.latency_ms / 1000);
    if (stats.fleet == NULL)
        return;
    add_one(out, "cachegate_store_memory_bytes", "gauge", "memory that the store's servers use",
            stats.fleet->memory_bytes);
    add_one(out, "cachegate_store_memory_max_bytes", "gauge",
            "memory that they may use; 0 without a bound", stats.fleet->memory_max_bytes);
}

void cg_admin_metrics(const struct cg_admin_call *call)
{
    const struct cg_admin *admin = call->admin;
    struct cg_buf out;
    cg_buf_init(&out, SIZE_MAX / 2);
    for (unsigned i = 0; i < CG_METRIC_COUNT; i++)
        add_one(&out, cg_metric_name((enum cg_metric)i), "counter",
                cg_metric_sentence((enum cg_metric)i),
                cg_book_sum(admin->world.book, (enum cg_metric)i));
    add_reasons(&out, admin->world.book);
    add_routes(&out, admin);
    add_store(&out, admin->store);
    add_one(&out, "cachegate_threads", "gauge", "threads that carry traffic",
            admin->world.threads(admin->world.owner));
    add_one(&out, "cachegate_uptime_seconds", "gauge", "seconds since the start",
            (uint64_t)(cg_clock_monotonic_ms() - admin->started_ms) / 1000);
    add_head(&out, "cachegate_info", "gauge", "the version, as a label");
    cg_buf_printf(&out, "cachegate_info{version=\"%s\"} 1\n", CACHEGATE_VERSION);
    cg_admin_answer_text(call->request, 200, "text/plain; version=0.0.4; charset=utf-8",
                         cg_buf_str(&out));
    cg_buf_fini(&out);
}
