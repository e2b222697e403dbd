/*
 * exposition_parts: what the files of GET /metrics share. Each family of metrics.def has one
 * writer, which adds the samples of its row; head and order come from the table.
 */
#ifndef GATEWAY_ADMIN_EXPOSITION_PARTS_H
#define GATEWAY_ADMIN_EXPOSITION_PARTS_H

#include "gateway/admin/parts.h"
#include "gateway/base/metric_table.h"

struct cg_exposition {
    struct cg_buf *out;
    const struct cg_admin *admin;
    const struct cg_metric_row *row;
    struct cg_store_stats stats;
    struct cg_store_health health;
};

/* One sample. `values` has one text for each label of the row, in its order. */
void cg_exposition_add(struct cg_exposition *exposition, const struct cg_str *values,
                       uint64_t value);
void cg_exposition_add_real(struct cg_exposition *exposition, const struct cg_str *values,
                            double value);
/* All samples of one series of a histogram, whose row has one label. */
void cg_exposition_add_histogram(struct cg_exposition *exposition, struct cg_str value,
                                 enum cg_timing timing, size_t series);

typedef void (*cg_exposition_fn)(struct cg_exposition *exposition);
/* Three parts of one table; NULL where another part has the family. */
cg_exposition_fn cg_exposition_of_traffic(enum cg_family family);
cg_exposition_fn cg_exposition_of_store(enum cg_family family);
cg_exposition_fn cg_exposition_of_process(enum cg_family family);

#endif
