/* GET /metrics: the text format of Prometheus, version 0.0.4. */
#include "gateway/admin/exposition_parts.h"

#include "cachegate/assert.h"

/* ---- samples ---- */

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

/* The name and its labels; `bound` is the one that buckets have besides. */
static void begin_sample(struct cg_exposition *exposition, const char *suffix,
                         const struct cg_str *values, const char *bound)
{
    struct cg_buf *out = exposition->out;
    struct cg_str rest = cg_str_from(exposition->row->labels), label;
    char open = '{';
    cg_buf_printf(out, "%s%s", exposition->row->name, suffix);
    for (size_t i = 0; rest.length > 0 && cg_str_split(&rest, ',', &label); i++) {
        cg_buf_printf(out, "%c%.*s=\"", open, CG_STR_ARG(label));
        add_label(out, values[i]);
        cg_buf_add_char(out, '"');
        open = ',';
    }
    if (bound != NULL)
        cg_buf_printf(out, "%cle=\"%s\"", open, bound);
    if (bound != NULL || open == ',')
        cg_buf_add_char(out, '}');
    cg_buf_add_char(out, ' ');
}

void cg_exposition_add(struct cg_exposition *exposition, const struct cg_str *values,
                       uint64_t value)
{
    begin_sample(exposition, "", values, NULL);
    cg_buf_printf(exposition->out, "%llu\n", (unsigned long long)value);
}

void cg_exposition_add_real(struct cg_exposition *exposition, const struct cg_str *values,
                            double value)
{
    begin_sample(exposition, "", values, NULL);
    cg_buf_printf(exposition->out, "%.6f\n", value);
}

void cg_exposition_add_histogram(struct cg_exposition *exposition, struct cg_str value,
                                 enum cg_timing timing, size_t series)
{
    struct cg_buf *out = exposition->out;
    struct cg_histogram histogram;
    uint64_t sum = 0;
    cg_book_histogram(exposition->admin->world.book, timing, series, &histogram);
    for (size_t i = 0; i < CG_BUCKET_COUNT; i++) {
        char bound[32] = "+Inf";
        if (i < CG_BOUND_COUNT)
            snprintf(bound, sizeof bound, "%g", (double)cg_bounds_us[i] / 1e6);
        sum += histogram.buckets[i];
        begin_sample(exposition, "_bucket", &value, bound);
        cg_buf_printf(out, "%llu\n", (unsigned long long)sum);
    }
    begin_sample(exposition, "_sum", &value, NULL);
    cg_buf_printf(out, "%.6f\n", (double)histogram.sum_us / 1e6);
    begin_sample(exposition, "_count", &value, NULL);
    cg_buf_printf(out, "%llu\n", (unsigned long long)histogram.count);
}

/* ---- the page ---- */

static cg_exposition_fn writer_of(enum cg_family family)
{
    cg_exposition_fn writer = cg_exposition_of_traffic(family);
    if (writer == NULL)
        writer = cg_exposition_of_store(family);
    if (writer == NULL)
        writer = cg_exposition_of_process(family);
    CG_ASSERT(writer != NULL);
    return writer;
}

static void add_row(struct cg_exposition *exposition)
{
    const struct cg_metric_row *row = exposition->row;
    cg_buf_printf(exposition->out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->sentence,
                  row->name, cg_metric_type_word(row->type));
    if (row->family == CG_FAMILY_NONE)
        cg_exposition_add(exposition, NULL,
                          cg_book_sum(exposition->admin->world.book, row->metric));
    else
        writer_of(row->family)(exposition);
}

void cg_admin_metrics(const struct cg_admin_call *call)
{
    const struct cg_admin *admin = call->admin;
    struct cg_buf out;
    struct cg_exposition exposition = {.out = &out, .admin = admin};
    cg_buf_init(&out, SIZE_MAX / 2);
    admin->store->port->stats(admin->store, &exposition.stats);
    admin->store->port->health(admin->store, &exposition.health);
    for (size_t i = 0; i < cg_metric_row_count(); i++) {
        exposition.row = cg_metric_row_at(i);
        add_row(&exposition);
    }
    cg_admin_answer_text(call->request, 200, "text/plain; version=0.0.4; charset=utf-8",
                         cg_buf_str(&out));
    cg_buf_fini(&out);
}
