#include "cachegate/agreement.h"

#include <stdlib.h>

static const char *at(struct cg_str set, size_t index)
{
    return set.bytes + index * CG_ROUTE_SHORT_BYTES;
}

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, CG_ROUTE_SHORT_BYTES);
}

void cg_route_set_write(const struct cg_ruleset *ruleset, struct cg_buf *out)
{
    size_t from = out->length, count = 0;
    for (size_t i = 0; i < ruleset->route_count; i++) {
        const struct cg_route *route = &ruleset->routes[i];
        if (route->cache == CG_CACHE_NEVER)
            continue;
        cg_buf_add_str(out, cg_str_of((const char *)cg_route_digest(route), CG_ROUTE_SHORT_BYTES));
        count++;
    }
    if (out->overflowed || count == 0)
        return;
    qsort(out->bytes + from, count, CG_ROUTE_SHORT_BYTES, compare);
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        const char *next = out->bytes + from + i * CG_ROUTE_SHORT_BYTES;
        char *last = out->bytes + from + (kept - 1) * CG_ROUTE_SHORT_BYTES;
        if (compare(last, next) == 0)
            continue;
        memmove(last + CG_ROUTE_SHORT_BYTES, next, CG_ROUTE_SHORT_BYTES);
        kept++;
    }
    out->length = from + kept * CG_ROUTE_SHORT_BYTES;
}

bool cg_route_set_is_valid(struct cg_str set)
{
    size_t count = set.length / CG_ROUTE_SHORT_BYTES;
    if (set.length % CG_ROUTE_SHORT_BYTES != 0)
        return false;
    for (size_t i = 1; i < count; i++)
        if (compare(at(set, i - 1), at(set, i)) >= 0)
            return false;
    return true;
}

bool cg_route_set_has(struct cg_str set, const uint8_t digest[CG_DIGEST_BYTES])
{
    size_t count = set.length / CG_ROUTE_SHORT_BYTES;
    return count > 0 && bsearch(digest, set.bytes, count, CG_ROUTE_SHORT_BYTES, compare) != NULL;
}

void cg_route_set_common(struct cg_str a, struct cg_str b, struct cg_buf *out)
{
    while (a.length > 0 && b.length > 0) {
        int order = compare(a.bytes, b.bytes);
        if (order == 0)
            cg_buf_add_str(out, cg_str_sub(a, 0, CG_ROUTE_SHORT_BYTES));
        if (order <= 0)
            a = cg_str_skip(a, CG_ROUTE_SHORT_BYTES);
        if (order >= 0)
            b = cg_str_skip(b, CG_ROUTE_SHORT_BYTES);
    }
}
