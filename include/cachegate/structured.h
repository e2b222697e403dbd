/*
 * structured: structured fields (RFC 8941), as far as a cache reads them: dictionaries and lists.
 *
 * A pull parser. It hands out one member after the other and borrows from the value; a field counts
 * only as a whole, so whoever reads must drop what it has when MALFORMED comes. Parameters are
 * checked and skipped, since none of the fields that we read defines any; so are inner lists. A key
 * that comes twice is handed out twice: the last one counts (3.2). Types of later revisions (dates,
 * display strings) are malformed, as RFC 8941 says.
 */
#ifndef CACHEGATE_STRUCTURED_H
#define CACHEGATE_STRUCTURED_H

#include "cachegate/fields.h"

enum cg_sf_type {
    CG_SF_BOOLEAN,
    CG_SF_INTEGER,
    CG_SF_DECIMAL,
    CG_SF_STRING,
    CG_SF_TOKEN,
    CG_SF_BYTES,
    CG_SF_INNER_LIST,
};

struct cg_sf_value {
    enum cg_sf_type type;
    bool boolean;
    int64_t integer;    /* at most 15 digits */
    struct cg_str text; /* STRING: what stands between the quotes, escapes left in; TOKEN, BYTES,
                           DECIMAL, INNER_LIST: as written */
};

enum cg_sf_step { CG_SF_MEMBER, CG_SF_END, CG_SF_MALFORMED };

/* Start with `rest` = the value. */
struct cg_sf_walk {
    struct cg_str rest;
    bool started;
};

/* All lines of the field `name` (lower case) as one value (RFC 8941 4.2); borrowed when there is
 * one line only. */
struct cg_str cg_sf_join(const struct cg_fields *fields, struct cg_str name,
                         struct cg_arena *arena);
enum cg_sf_step cg_sf_next_in_list(struct cg_sf_walk *walk, struct cg_sf_value *ret_value);
enum cg_sf_step cg_sf_next_in_dictionary(struct cg_sf_walk *walk, struct cg_str *ret_key,
                                         struct cg_sf_value *ret_value);
/* A STRING's text without its escapes; borrowed when it has none. */
struct cg_str cg_sf_unescape(struct cg_str text, struct cg_arena *arena);

#endif
