#include "cachegate/wishes.h"

#include "cachegate/cache_control.h"

void cg_wishes_of(const struct cg_route *route, const struct cg_fields *fields,
                  struct cg_wishes *ret_wishes)
{
    struct cg_cache_control said;
    unsigned honoured = route == NULL ? 0 : route->wishes;
    cg_cache_control_parse(fields, CG_STR("cache-control"), &said);
    bool pragma = (honoured & CG_WISH_PRAGMA) != 0 &&
                  cg_fields_find(fields, CG_STR("cache-control")) == NULL &&
                  cg_fields_has_member(fields, CG_STR("pragma"), CG_STR("no-cache"));
    *ret_wishes = (struct cg_wishes){
        .no_store = said.no_store && (honoured & CG_WISH_NO_STORE) != 0,
        .only_if_cached = said.only_if_cached && (honoured & CG_WISH_ONLY_IF_CACHED) != 0,
        .no_cache = pragma || (said.no_cache && (honoured & CG_WISH_NO_CACHE) != 0),
        .has_max_age = said.has_max_age && (honoured & CG_WISH_MAX_AGE) != 0,
        .has_min_fresh = said.has_min_fresh && (honoured & CG_WISH_MIN_FRESH) != 0,
        .has_max_stale = said.has_max_stale && (honoured & CG_WISH_MAX_STALE) != 0,
        .max_age_s = said.max_age_s,
        .min_fresh_s = said.min_fresh_s,
        .max_stale_s = said.max_stale_s,
    };
}
