/*
 * conditional: conditional requests (RFC 9110 13, RFC 9111 4.3), from both sides: what a client's
 * conditions come to on an answer at hand, and how an expired stored answer is asked about, and
 * brought up to date, at the origin.
 *
 * Decides nothing about age or versions. Whoever validates shows a verdict: a stored answer that a
 * write made wrong must never come back as the base of a 304 or a HEAD (CONSISTENCY row 4), so
 * these functions assert that the verdict is of one that only time counts against. Everything
 * external that cannot be read (a date, an entity tag) counts as not sent.
 */
#ifndef CACHEGATE_CONDITIONAL_H
#define CACHEGATE_CONDITIONAL_H

#include "cachegate/validator.h"
#include "cachegate/verdict.h"

/* ---- what a client asks ---- */

enum cg_precondition {
    CG_PRECONDITION_NONE,
    CG_PRECONDITION_CACHE,  /* If-None-Match or If-Modified-Since: for whoever has an answer */
    CG_PRECONDITION_ORIGIN, /* If-Match or If-Unmodified-Since: the origin's to judge, always */
};
/* `ret_field` is the field that decides, for the reason's detail. */
enum cg_precondition cg_precondition_of(const struct cg_fields *request, struct cg_str *ret_field);

/*
 * RFC 9110 13.2.2, RFC 9111 4.3.2: whether a GET or HEAD with these fields is answered 304 instead
 * of by this answer. If-None-Match hides If-Modified-Since; what counts as the answer's date is
 * Last-Modified, else Date, else its arrival. Only a 200 is ever not modified.
 */
bool cg_is_not_modified(const struct cg_fields *request, unsigned status,
                        const struct cg_fields *answer, int64_t received_at_ms);
/* The fields of that 304 (RFC 9110 15.4.5): without what describes the content that it does not
 * carry. False: too many. */
bool cg_not_modified_fields(const struct cg_fields *answer, struct cg_arena *arena,
                            struct cg_fields *ret_fields);

/* ---- what we ask the origin ---- */

/*
 * RFC 9111 4.3.1: adds If-None-Match and If-Modified-Since to a request that carries no condition
 * of its own (cg_forward_fields sends none on a lookup). Asserts verdict->may_validate. False: too
 * many fields.
 */
bool cg_validation_fields(const struct cg_verdict *verdict, const struct cg_entry *entry,
                          struct cg_arena *arena, struct cg_fields *fields);

enum cg_validation {
    CG_VALIDATION_CONFIRMED, /* 304, of the answer that we have: merge, and use it */
    CG_VALIDATION_REPLACED,  /* any other final status: the answer is this one now */
    CG_VALIDATION_OTHER,     /* 304, but of another answer (4.3.4): ask again without conditions */
};
enum cg_validation cg_validation_of(const struct cg_verdict *verdict, const struct cg_entry *entry,
                                    unsigned status, const struct cg_fields *answer);

/*
 * RFC 9111 3.2: the stored answer's fields with those of a 304 (or a HEAD) in their place, as if
 * the origin had sent them all with the stored status. Content-Length, Content-Encoding,
 * Content-Range and framing stay, since they describe the stored bytes. Age and Date are the new
 * answer's, so lifetime and age follow from cg_storable_of as for any answer. Asserts
 * verdict->alive.
 */
bool cg_merged_fields(const struct cg_verdict *verdict, const struct cg_entry *entry,
                      const struct cg_fields *answer, struct cg_arena *arena,
                      struct cg_fields *ret_fields);

enum cg_head_effect {
    CG_HEAD_NOTHING,
    CG_HEAD_UPDATE,     /* the stored answer is the one that HEAD saw: merge */
    CG_HEAD_INVALIDATE, /* it is another one */
};
/* RFC 9111 4.3.5: what the answer to a forwarded HEAD says about a stored GET. Asserts
 * verdict->alive. */
enum cg_head_effect cg_head_effect_of(const struct cg_verdict *verdict,
                                      const struct cg_entry *entry, unsigned status,
                                      const struct cg_fields *answer);

#endif
