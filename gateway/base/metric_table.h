/*
 * metric_table: the rows of metrics.def, in their order: what GET /metrics tells, and the page
 * conf/METRICS.md (`cachegate reference --metrics`).
 */
#ifndef GATEWAY_BASE_METRIC_TABLE_H
#define GATEWAY_BASE_METRIC_TABLE_H

#include "cachegate/buf.h"
#include "gateway/base/metrics.h"

enum cg_family {
    CG_FAMILY_NONE, /* a plain counter */
#define CG_FAMILY(name, exposition, type, labels, sentence) CG_FAMILY_##name,
#include "cachegate/tables/metrics.def"
    CG_FAMILY_COUNT
};

enum cg_metric_type { CG_METRIC_COUNTER, CG_METRIC_GAUGE, CG_METRIC_HISTOGRAM };
const char *cg_metric_type_word(enum cg_metric_type type);

struct cg_metric_row {
    const char *name;
    enum cg_metric_type type;
    const char *labels; /* separated by commas; a histogram's `le` is not among them */
    const char *sentence;
    enum cg_family family;
    enum cg_metric metric; /* of CG_FAMILY_NONE */
};

size_t cg_metric_row_count(void);
const struct cg_metric_row *cg_metric_row_at(size_t index);

/* The reference page, in Markdown. */
void cg_metric_table_print(struct cg_buf *out);

#endif
