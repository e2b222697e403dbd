#include "rules/plan_build.h"

#include "rules/spelling.h"

#include <stdlib.h>

/* Grows when the spelling changes: stored answers of the old one must not be found any more. */
static const struct cg_str format = {"cachegate 2", 11};

enum { FEW_PARAMS = 12 };

struct cg_str cg_canonical_host(struct cg_str authority, struct cg_str scheme,
                                struct cg_arena *arena)
{
    struct cg_str host = authority;
    struct cg_str port = cg_str_eq_ci(scheme, CG_STR("https")) ? CG_STR(":443") : CG_STR(":80");
    if (cg_str_ends_with(host, port))
        host = cg_str_sub(host, 0, host.length - port.length);
    else if (cg_str_ends_with(host, CG_STR(":")))
        host = cg_str_sub(host, 0, host.length - 1);
    char *lower = cg_arena_raw(arena, host.length);
    for (size_t i = 0; i < host.length; i++)
        lower[i] = cg_lower(host.bytes[i]);
    return cg_str_of(lower, host.length);
}

/* Unreserved characters decoded, other escapes in upper case, the rest as it is (RFC 3986 6.2.2).
 * The escapes were checked by cg_path_parse. */
static void add_normal(struct cg_spelling *spelling, struct cg_str raw)
{
    for (size_t at; (at = cg_str_find(raw, '%')) + 2 < raw.length; raw = cg_str_skip(raw, at + 3)) {
        int byte = cg_hex_digit(raw.bytes[at + 1]) * 16 + cg_hex_digit(raw.bytes[at + 2]);
        char c = (char)(unsigned char)byte;
        cg_spelling_add(spelling, cg_str_sub(raw, 0, at));
        if (cg_is_unreserved(c))
            cg_spelling_add_char(spelling, c);
        else
            cg_spelling_add_encoded(spelling, cg_str_of(&c, 1));
    }
    cg_spelling_add(spelling, raw);
}

/* ---- query ---- */

/* qsort is not stable; what it sorts are pointers into one array, whose order decides. */
static int compare_params(const void *a, const void *b)
{
    const struct cg_query_param *x = *(const struct cg_query_param *const *)a;
    const struct cg_query_param *y = *(const struct cg_query_param *const *)b;
    int order = cg_str_cmp(x->name, y->name);
    return order != 0 ? order : (x > y) - (x < y);
}

/* By insertion where there are few, as nearly always: qsort would take longer to begin. */
static void sort_params(struct cg_query_param **params, size_t count)
{
    if (count > FEW_PARAMS) {
        qsort(params, count, sizeof *params, compare_params);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct cg_query_param *param = params[i];
        size_t at = i;
        for (; at > 0 && cg_str_cmp(params[at - 1]->name, param->name) > 0; at--)
            params[at] = params[at - 1];
        params[at] = param;
    }
}

static bool keeps_param(const struct cg_route *route, struct cg_str name)
{
    /* A scope part stays: it is keyed, so the upstream must see it. */
    for (size_t i = 0; i < route->scope_part_count; i++)
        if (route->scope_parts[i].source == CG_PART_QUERY &&
            cg_str_eq(route->scope_parts[i].field, name))
            return true;
    switch (route->query_mode) {
    case CG_QUERY_ALL:
        return true;
    case CG_QUERY_ONLY:
        return cg_globs_match(&route->query_names, name);
    case CG_QUERY_IGNORE:
        return !cg_globs_match(&route->query_names, name);
    }
    return true;
}

static void select_params(struct cg_plan_build *build)
{
    const struct cg_route *route = build->plan->route;
    struct cg_query sent = build->plan->query, kept = {0};
    if (sent.count == 0)
        return;
    struct cg_query_param **order =
        CG_ARENA_RAW_ARRAY(build->arena, struct cg_query_param *, sent.count);
    for (size_t i = 0; i < sent.count; i++)
        if (keeps_param(route, sent.params[i].name))
            order[kept.count++] = &sent.params[i];
    if (route->query_sorted)
        sort_params(order, kept.count);
    kept.params = CG_ARENA_RAW_ARRAY(build->arena, struct cg_query_param, kept.count);
    for (size_t i = 0; i < kept.count; i++)
        kept.params[i] = *order[i];
    build->plan->query = kept;
}

static void make_target(struct cg_plan_build *build)
{
    struct cg_str path, query;
    bool has_query;
    struct cg_spelling spelling;
    cg_target_split(build->facts->target, &path, &query, &has_query);
    cg_spelling_init(&spelling, build->arena, build->facts->target.length + 8);
    add_normal(&spelling, path);
    for (size_t i = 0; i < build->plan->query.count; i++) {
        const struct cg_query_param *param = &build->plan->query.params[i];
        cg_spelling_add_char(&spelling, i == 0 ? '?' : '&');
        add_normal(&spelling, param->raw_name);
        if (param->has_value)
            cg_spelling_add_char(&spelling, '=');
        add_normal(&spelling, param->raw_value);
    }
    build->plan->target = cg_spelling_str(&spelling);
}

/* ---- the whole ---- */

static void add_part(struct cg_spelling *spelling, const struct cg_plan_build *build,
                     enum cg_part_source source, struct cg_str name, struct cg_str field)
{
    struct cg_part part = cg_part_find(build, source, field);
    cg_spelling_add_prefixed(spelling, name);
    cg_spelling_add_optional(spelling, part.count > 0, part.value);
}

static void add_names(struct cg_spelling *spelling, const struct cg_plan_build *build,
                      enum cg_part_source source, const struct cg_names *names)
{
    cg_spelling_add_u32(spelling, (uint32_t)names->count);
    for (size_t i = 0; i < names->count; i++)
        add_part(spelling, build, source, names->items[i], names->items[i]);
}

void cg_canonical_make(struct cg_plan_build *build)
{
    struct cg_plan *plan = build->plan;
    const struct cg_route *route = plan->route;
    const struct cg_request_facts *facts = build->facts;
    select_params(build);
    make_target(build);
    struct cg_spelling spelling;
    cg_spelling_init(&spelling, build->arena, plan->target.length + 256);
    cg_spelling_add_prefixed(&spelling, format);
    cg_spelling_add(&spelling, cg_str_of((const char *)cg_route_digest(route), CG_DIGEST_BYTES));
    cg_spelling_add_prefixed(&spelling, facts->scheme);
    cg_spelling_add_prefixed(&spelling,
                             cg_canonical_host(facts->authority, facts->scheme, build->arena));
    cg_spelling_add_prefixed(&spelling, CG_STR("GET")); /* HEAD is answered from a GET's answer */
    cg_spelling_add_prefixed(&spelling, plan->target);
    add_names(&spelling, build, CG_PART_HEADER, &route->key_headers);
    add_names(&spelling, build, CG_PART_COOKIE, &route->key_cookies);
    cg_spelling_add_u32(&spelling, (uint32_t)route->scope_part_count);
    for (size_t i = 0; i < route->scope_part_count; i++) {
        const struct cg_scope_part *part = &route->scope_parts[i];
        cg_spelling_add_u32(&spelling, (uint32_t)part->source);
        add_part(&spelling, build, part->source, part->name, part->field);
    }
    struct cg_str digest = {(const char *)plan->identity.digest, sizeof plan->identity.digest};
    cg_spelling_add_optional(&spelling, route->scope_user, digest);
    plan->canonical = cg_spelling_str(&spelling);
    cg_key_of(&build->ruleset->keys, plan->canonical, (struct cg_str){NULL, 0}, &plan->key);
    plan->key.route = route->key_route;
    plan->key.pushed = route->pushed;
}
