/*
 * validator: what tells two answers of one resource apart (RFC 9110 8.8): entity tags, and the date
 * of the last change.
 *
 * Only reads and compares; conditional.h and range.h say what follows. A validator that is
 * malformed, or comes twice, is none: two that look alike must not be taken for one.
 */
#ifndef CACHEGATE_VALIDATOR_H
#define CACHEGATE_VALIDATOR_H

#include "cachegate/fields.h"

struct cg_etag {
    struct cg_str text;   /* as sent, with `W/` */
    struct cg_str opaque; /* with its quotes */
    bool weak;
};

/* One entity tag and nothing else. */
bool cg_etag_parse(struct cg_str text, struct cg_etag *ret_etag);
/* RFC 9110 8.8.3.2: both strong and equal; equal whether weak or not. */
bool cg_etag_strong_eq(const struct cg_etag *a, const struct cg_etag *b);
bool cg_etag_weak_eq(const struct cg_etag *a, const struct cg_etag *b);
/* The answer's entity tag: false when there is none, two, or one that is malformed. */
bool cg_etag_of(const struct cg_fields *fields, struct cg_etag *ret_etag);
/* Cuts one entity tag off the front of a list. A backslash escapes nothing in it (8.8.3). */
bool cg_etag_take(struct cg_str *rest, struct cg_etag *ret_etag);

/* A date field that came once, in seconds. `now_ms` places two-digit years. */
bool cg_date_of(const struct cg_fields *fields, struct cg_str name, int64_t now_ms,
                int64_t *ret_seconds);
/* Whether the answer can be asked about: an entity tag, or a readable Last-Modified. */
bool cg_has_validator(const struct cg_fields *fields, int64_t now_ms);

#endif
