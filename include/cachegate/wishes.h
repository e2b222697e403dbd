/*
 * wishes: what a request asks of a cache (RFC 9111 5.2.1, 5.4), as far as its route honours it.
 *
 * A pure reading of Cache-Control and Pragma; cg_verdict_for and cg_storable_of act on it. Clients
 * can make a cache useless by asking, so a route names what it honours (`client`); by default that
 * is no-store and only-if-cached, which cost the origin nothing.
 */
#ifndef CACHEGATE_WISHES_H
#define CACHEGATE_WISHES_H

#include "cachegate/fields.h"
#include "cachegate/ruleset.h"

struct cg_wishes {
    bool no_store;       /* the answer is not kept */
    bool only_if_cached; /* nothing is asked of the origin: 504 instead */
    bool no_cache;       /* nothing stored is used without asking */
    bool has_max_age;
    bool has_min_fresh;
    bool has_max_stale;
    int64_t max_age_s;
    int64_t min_fresh_s;
    int64_t max_stale_s;
};

/* `fields` are the request's. `route` may be NULL: what no rule names is the origin's alone. */
void cg_wishes_of(const struct cg_route *route, const struct cg_fields *fields,
                  struct cg_wishes *ret_wishes);

#endif
