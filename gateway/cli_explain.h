/*
 * cli_explain: what `cachegate explain` is asked, and the printing of what the rules decide. The
 * decisions themselves are those of the gateway (plan.h, purge.h); nothing is decided here.
 */
#ifndef GATEWAY_CLI_EXPLAIN_H
#define GATEWAY_CLI_EXPLAIN_H

#include "cachegate/buf.h"
#include "cachegate/purge.h"
#include "gateway/config/settings.h"

struct cg_explain_question {
    struct cg_request_facts facts;
    struct cg_fields fields;
    struct cg_write_answer answer; /* what the upstream is supposed to answer to a write */
    bool answer_has_body;          /* --response-body was given */
};

/* One fact per line, names in one column. */
void cg_explain_print(const struct cg_settings *settings,
                      const struct cg_explain_question *question, struct cg_arena *arena,
                      struct cg_buf *out);

#endif
