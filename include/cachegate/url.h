/*
 * url: what an operator names as a URL, in a list of what to warm or to refresh: a path with its
 * query, or an http or https URL where the host matters. Not for what clients send: that is a
 * request target (path.h), judged by stricter rules. Pure.
 */
#ifndef CACHEGATE_URL_H
#define CACHEGATE_URL_H

#include "cachegate/str.h"

struct cg_url {
    struct cg_str scheme;    /* http where none is given */
    struct cg_str authority; /* localhost where none is given */
    struct cg_str target;    /* path and query */
};

/* False: it is none, or has bytes that would mean something else in a request. Borrows from `text`.
 */
bool cg_url_read(struct cg_str text, struct cg_url *ret_url);
/* What may stand in a field's value and its lower-case name, as an operator gives them. */
bool cg_url_is_field_value(struct cg_str text);
bool cg_url_is_field_name(struct cg_str text);

#endif
