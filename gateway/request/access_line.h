/*
 * access_line: one request as one line of the access log.
 *
 * JSON, one object, or the combined format of nginx and Apache httpd. Of header fields User-Agent
 * and Referer are shown, no others; in targets and referers the values of secret parameters are
 * masked (cachegate/mask.h). Lines are printable ASCII without line ends inside, whatever clients
 * send, and never longer than CG_ACCESS_LINE_MAX: long values are cut, and end with `...`.
 *
 * In JSON a member is left out where there is nothing to say: no `route` where none matched, no
 * `key` where nothing was looked up, no `upstream` where none was asked. A client that left before
 * its answer began has the status 0; in the combined format 499, as nginx has it.
 */
#ifndef GATEWAY_REQUEST_ACCESS_LINE_H
#define GATEWAY_REQUEST_ACCESS_LINE_H

#include "cachegate/log_text.h"
#include "cachegate/mask.h"
#include "gateway/base/access_log.h"
#include "gateway/request/record.h"

enum cg_access_format { CG_ACCESS_JSON, CG_ACCESS_COMBINED };

/* All borrowed. */
struct cg_access_style {
    enum cg_access_format format;
    struct cg_mask mask;
    const struct cg_str *upstreams; /* their names, by index */
    size_t upstream_count;
};

/* One thread's. */
struct cg_access_line {
    struct cg_access_style style; /* may be exchanged between lines */
    struct cg_log_second second;
    struct cg_buf text, scratch; /* owned */
};

void cg_access_line_init(struct cg_access_line *line, const struct cg_access_style *style);
void cg_access_line_fini(struct cg_access_line *line);
/* With its newline; until the next call. */
struct cg_str cg_access_line_print(struct cg_access_line *line,
                                   const struct cg_request_record *record);

#endif
