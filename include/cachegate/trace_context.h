/*
 * trace_context: the `traceparent` field of W3C Trace Context, between text and ids.
 *
 * A gateway is a node of the trace: it keeps the trace id, names itself as the parent of what it
 * asks upstream, and keeps of the flags those that the standard defines. Strict as the standard
 * wants it: lower-case hex, no version ff, no id of zeros, nothing behind version 00; of versions
 * that are not written yet the known beginning is read. What does not parse is as if it was not
 * sent, and takes its `tracestate` with it. Not a sampler, and nothing of spans: no clock, no
 * randomness of its own.
 */
#ifndef CACHEGATE_TRACE_CONTEXT_H
#define CACHEGATE_TRACE_CONTEXT_H

#include "cachegate/fields.h"

enum {
    CG_TRACEPARENT_LENGTH = 55,
    CG_TRACE_FIELD_MAX = 512, /* a traceparent of any version; a longer one is not read */
    CG_TRACE_SAMPLED = 0x01,
    CG_TRACE_RANDOM = 0x02, /* level 2: the id's last 7 bytes are random */
};

struct cg_trace {
    uint8_t trace_id[16];
    uint8_t span_id[8]; /* of whoever sends it: a client's, or our own */
    uint8_t flags;
};

/* False, with `*ret_trace` untouched, when it is not valid. */
bool cg_traceparent_parse(struct cg_str text, struct cg_trace *ret_trace);
/* Version 00. */
struct cg_str cg_traceparent_print(const struct cg_trace *trace,
                                   char ret_text[CG_TRACEPARENT_LENGTH]);
/* The one of a request. Two lines are none, since nobody can say which one counts. */
bool cg_trace_of_fields(const struct cg_fields *fields, struct cg_trace *ret_trace);
/* Ids of random bits, which need not be secret; what would be zeros is made something else. */
void cg_trace_draw(struct cg_trace *trace, uint64_t high, uint64_t low);
void cg_trace_draw_span(struct cg_trace *trace, uint64_t bits);

#endif
