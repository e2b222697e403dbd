/*
 * delivery: what a client gets of a whole answer at hand, in the order of RFC 9110 13.2.2: 304
 * where it has the answer already, else the ranges that it asks for, else the whole.
 *
 * Puts conditional.h and range.h together and adds nothing. Requests with If-Match or
 * If-Unmodified-Since do not belong here: cg_precondition_of sends them to the origin.
 */
#ifndef CACHEGATE_DELIVERY_H
#define CACHEGATE_DELIVERY_H

#include "cachegate/conditional.h"
#include "cachegate/range.h"

/*
 * For a GET or HEAD. A 304 has no pieces and a content_length of 0, which is not to be sent
 * (RFC 9110 8.6 allows only the length of the 200). `boundary` is as in cg_range_plan_make. False:
 * too many fields.
 */
bool cg_delivery_of(struct cg_str method, const struct cg_fields *request, unsigned status,
                    const struct cg_fields *answer, uint64_t length, int64_t received_at_ms,
                    struct cg_str boundary, struct cg_arena *arena, struct cg_range_plan *ret_plan);

#endif
