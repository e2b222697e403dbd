/*
 * refresh: the body of POST /cache/refresh, and what is done with it.
 *
 *   {"urls": ["/items/1", "https://api.test/items?page=2"], "headers": {"Authorization": "…"},
 *    and what POST /cache/purge takes}
 *
 * The path of each URL is purged for every query and every client; when the store has acknowledged
 * that, the URLs are asked for with just these fields (CONSISTENCY row 33). Whoever has no
 * credentials in the call is a stranger: what strangers do not find stored is not fetched. All or
 * nothing as far as the body goes.
 */
#ifndef GATEWAY_ADMIN_REFRESH_H
#define GATEWAY_ADMIN_REFRESH_H

#include "gateway/admin/parts.h"
#include "gateway/request/warm.h"

struct cg_refresh {
    struct cg_warm_order *order; /* owned; NULL: nothing is to be fetched */
    size_t fetched;              /* how many it has */
    size_t left;                 /* URLs that are not stored for who asks with these fields */
};

/* What is purged is added to `set`, by the other rules too (or NULL). NULL, or the answer's error
 * (texts in the arena), with the remedy in *ret_remedy; *ret_refresh is then empty. */
const char *cg_admin_refresh_read(const struct cg_ruleset *ruleset, const struct cg_ruleset *other,
                                  struct cg_str body, struct cg_arena *arena,
                                  struct cg_purge_set *set, struct cg_refresh *ret_refresh,
                                  const char **ret_remedy);

#endif
