#include "gateway/base/metric_table.h"

#include "cachegate/assert.h"

static const struct cg_metric_row all[] = {
#define CG_METRIC(name, exposition, sentence)                                                      \
    {exposition, CG_METRIC_COUNTER, "", sentence, CG_FAMILY_NONE, CG_METRIC_##name},
#define CG_FAMILY(name, exposition, type, labels, sentence)                                        \
    {exposition, CG_METRIC_##type, labels, sentence, CG_FAMILY_##name, CG_METRIC_COUNT},
#include "cachegate/tables/metrics.def"
};

enum { ALL_COUNT = sizeof all / sizeof all[0] };

const char *cg_metric_type_word(enum cg_metric_type type)
{
    static const char *const words[] = {
        [CG_METRIC_COUNTER] = "counter",
        [CG_METRIC_GAUGE] = "gauge",
        [CG_METRIC_HISTOGRAM] = "histogram",
    };
    return words[type];
}

/* Those without a name are told as part of another row. */
const struct cg_metric_row *cg_metric_row_at(size_t index)
{
    for (size_t i = 0; i < ALL_COUNT; i++)
        if (all[i].name[0] != '\0' && index-- == 0)
            return &all[i];
    CG_UNREACHABLE();
}

size_t cg_metric_row_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < ALL_COUNT; i++)
        count += all[i].name[0] != '\0';
    return count;
}

/* ---- the page ---- */

static const char introduction[] =
    "# Metrics\n"
    "\n"
    "This page is printed by `cachegate reference --metrics` from "
    "`include/cachegate/tables/metrics.def`; do\nnot edit it by hand.\n"
    "\n"
    "`GET /metrics` of the admin listener tells them in the text format of Prometheus. Counters "
    "are of this\nprocess, since its start. A series of `cachegate_requests_total` appears with "
    "its first request; all\nothers are there from the start. Queries, alerts and a dashboard are "
    "in [monitoring](monitoring/README.md).\n"
    "\n"
    "| metric | type | labels | |\n"
    "|---|---|---|---|\n";

/* A cell of a table must not hold a bare bar. */
static void add_cell(struct cg_buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            cg_buf_add_char(out, '\\');
        cg_buf_add_char(out, *text);
    }
}

static void add_words(struct cg_buf *out, const char *label, const char *(*word)(unsigned),
                      const char *(*sentence)(unsigned), unsigned count)
{
    cg_buf_printf(out, "\n## `%s`\n\n| value | |\n|---|---|\n", label);
    for (unsigned i = 0; i < count; i++) {
        cg_buf_printf(out, "| `%s` | ", word(i));
        add_cell(out, sentence(i));
        cg_buf_add_text(out, " |\n");
    }
}

static const char *result_word(unsigned index)
{
    return cg_result_word((enum cg_result)index);
}

static const char *result_sentence(unsigned index)
{
    static const char *const sentences[] = {
#define CG_RESULT(name, word, sentence) sentence,
#include "cachegate/tables/results.def"
#undef CG_RESULT
    };
    return sentences[index];
}

static const char *cause_word(unsigned index)
{
    return cg_purge_cause_word((enum cg_purge_cause)index);
}

static const char *cause_sentence(unsigned index)
{
    static const char *const sentences[] = {
#define CG_PURGE_CAUSE(name, word, sentence) sentence,
#include "cachegate/tables/purge_causes.def"
#undef CG_PURGE_CAUSE
    };
    return sentences[index];
}

static const char *reason_word(unsigned index)
{
    return cg_reason_word((enum cg_reason)index);
}

static const char *reason_sentence(unsigned index)
{
    return cg_reason_sentence((enum cg_reason)index);
}

void cg_metric_table_print(struct cg_buf *out)
{
    cg_buf_add_text(out, introduction);
    for (size_t i = 0; i < cg_metric_row_count(); i++) {
        const struct cg_metric_row *row = cg_metric_row_at(i);
        struct cg_str rest = cg_str_from(row->labels), label;
        cg_buf_printf(out, "| `%s` | %s | ", row->name, cg_metric_type_word(row->type));
        for (const char *mark = ""; cg_str_split(&rest, ',', &label); mark = ", ")
            if (label.length > 0)
                cg_buf_printf(out, "%s`%.*s`", mark, CG_STR_ARG(label));
        cg_buf_add_text(out, " | ");
        add_cell(out, row->sentence);
        cg_buf_add_text(out, " |\n");
    }
    add_words(out, "cache", result_word, result_sentence, CG_RESULT_COUNT);
    add_words(out, "cause", cause_word, cause_sentence, CG_PURGE_CAUSE_COUNT);
    add_words(out, "reason", reason_word, reason_sentence, CG_REASON_COUNT);
}
