#include "rules/ruleset_build.h"

static bool is_unsafe(struct cg_str method)
{
    static const char *const safe[] = {"GET",      "HEAD",   "OPTIONS", "TRACE",
                                       "PROPFIND", "REPORT", "SEARCH",  "QUERY"};
    for (size_t i = 0; i < sizeof safe / sizeof *safe; i++)
        if (cg_str_eq(method, cg_str_from(safe[i])))
            return false;
    return true;
}

static bool sees_writes(const struct cg_route *route)
{
    for (size_t i = 0; i < route->method_count; i++)
        if (is_unsafe(route->methods[i]))
            return true;
    return route->method_count == 0;
}

bool cg_build_may_purge(const struct cg_route *route)
{
    return route->invalidate == CG_INVALIDATE_LIST || sees_writes(route);
}

/* ---- audiences ---- */

/* A token is another text after each login: what was stored under the last one is still shown. */
static bool user_is_a_token(const struct cg_identity_rules *identity)
{
    for (size_t i = 0; i < identity->source_count; i++)
        if (identity->sources[i].is_user && identity->sources[i].kind == CG_IDENTITY_HEADER &&
            cg_str_eq(identity->sources[i].field, CG_STR("authorization")))
            return true;
    return false;
}

/* Why a purge of that shape cannot be kept to one user, or NULL. */
static const char *self_objection(const struct cg_ruleset *ruleset, const struct cg_shape *shape,
                                  const struct cg_route **ret_route)
{
    *ret_route = NULL;
    if (!ruleset->identity.has_user)
        return "no identity source is called `user`";
    if (user_is_a_token(&ruleset->identity))
        return "`user` is the Authorization field, which changes with each token";
    for (size_t i = 0; i < ruleset->route_count; i++) {
        const struct cg_route *route = &ruleset->routes[i];
        if (route->cache != CG_CACHE_YES || route->scope_user ||
            !cg_patterns_overlap(route->pattern, shape->pattern))
            continue;
        *ret_route = route;
        return "it reaches answers that users share, of";
    }
    return NULL;
}

static void settle_audiences(struct cg_build *build)
{
    struct cg_ruleset *ruleset = build->ruleset;
    const size_t count = ruleset->shape_count;
    const char **objections = CG_ARENA_ARRAY(build->arena, const char *, count);
    const struct cg_route **shared = CG_ARENA_ARRAY(build->arena, const struct cg_route *, count);
    for (size_t i = 0; i < count; i++)
        objections[i] = self_objection(ruleset, &ruleset->shapes[i], &shared[i]);
    for (size_t i = 0; i < ruleset->route_count; i++) {
        const struct cg_route *route = &ruleset->routes[i];
        const struct cg_node *warned = NULL; /* once per line, however many members a group has */
        for (size_t j = 0; j < route->clause_count; j++) {
            struct cg_clause *clause = &route->clauses[j];
            struct cg_shape *shape = &ruleset->shapes[clause->shape];
            /* A writer that nobody identified purges for everyone, so that must reach readers. */
            shape->for_everyone = true;
            if (clause->self && objections[clause->shape] != NULL) {
                clause->self = false;
                if (warned != clause->where)
                    CG_BUILD_WARNING(
                        build, clause->where,
                        "`audience: self` is widened to everyone, because %s%s%.*s",
                        objections[clause->shape], shared[clause->shape] == NULL ? "" : " ",
                        CG_STR_SHOWN(shared[clause->shape] == NULL ? CG_STR("")
                                                                   : shared[clause->shape]->name));
                warned = clause->where;
            }
            shape->for_self = shape->for_self || clause->self;
        }
    }
}

/* ---- shapes of routes ---- */

static void settle_shapes(struct cg_build *build, bool *reached)
{
    struct cg_ruleset *ruleset = build->ruleset;
    for (size_t i = 0; i < ruleset->route_count; i++) {
        struct cg_route *route = &ruleset->routes[i];
        unsigned found[CG_ROUTE_SHAPES_MAX];
        size_t count = 0;
        if (route->cache != CG_CACHE_YES)
            continue;
        for (size_t j = 0; j < ruleset->shape_count; j++) {
            if (!cg_patterns_overlap(route->pattern, ruleset->shapes[j].pattern))
                continue;
            reached[j] = true;
            if (count < CG_ROUTE_SHAPES_MAX)
                found[count] = (unsigned)j;
            count++;
        }
        if (count > CG_ROUTE_SHAPES_MAX) {
            CG_BUILD_ERROR(build, route->where,
                           "%zu purge patterns can match this route, more than %d: name them by "
                           "fewer, wider patterns",
                           count, (int)CG_ROUTE_SHAPES_MAX);
            continue;
        }
        route->shapes = CG_ARENA_ARRAY(build->arena, unsigned, count);
        route->shape_count = count;
        memcpy(route->shapes, found, count * sizeof *found);
    }
}

static void settle_lifetime(struct cg_ruleset *ruleset)
{
    for (size_t i = 0; i < ruleset->route_count; i++) {
        const struct cg_route *route = &ruleset->routes[i];
        if (route->cache != CG_CACHE_YES)
            continue;
        uint64_t swr_ms = route->has_swr ? route->swr_ms : CG_ORIGIN_WINDOW_MAX_MS;
        uint64_t sie_ms = route->has_sie ? route->sie_ms : CG_ORIGIN_WINDOW_MAX_MS;
        uint64_t after_ms = swr_ms > sie_ms ? swr_ms : sie_ms;
        if (route->keep_ms > after_ms)
            after_ms = route->keep_ms;
        uint64_t lifetime_ms =
            (route->ttl_origin ? CG_ORIGIN_LIFETIME_MAX_MS : route->ttl_ms) + after_ms;
        if (lifetime_ms > ruleset->lifetime_max_ms)
            ruleset->lifetime_max_ms = lifetime_ms;
    }
}

/* ---- warnings ---- */

static bool covers_methods(const struct cg_route *wide, const struct cg_route *narrow)
{
    if (wide->method_count == 0)
        return true;
    for (size_t i = 0; i < narrow->method_count; i++) {
        size_t j = 0;
        while (j < wide->method_count && !cg_str_eq(wide->methods[j], narrow->methods[i]))
            j++;
        if (j == wide->method_count)
            return false;
    }
    return narrow->method_count > 0;
}

static bool covers_host(struct cg_str wide, struct cg_str narrow)
{
    if (wide.length == 0 || cg_str_eq(wide, narrow))
        return true;
    /* `*.a.b` covers `x.a.b` and `*.x.a.b`. */
    struct cg_str suffix = cg_str_skip(wide, 1);
    return cg_str_starts_with(wide, CG_STR("*.")) && narrow.length > suffix.length &&
           cg_str_ends_with(narrow, suffix);
}

/* Whether every path that `narrow` matches is matched by `wide`. */
static bool covers_path(const struct cg_pattern *wide, const struct cg_pattern *narrow)
{
    size_t i = 0;
    for (; i < wide->segment_count; i++) {
        const struct cg_segment *w = &wide->segments[i];
        if (w->kind == CG_SEGMENT_REST)
            return true;
        if (i == narrow->segment_count || narrow->segments[i].kind == CG_SEGMENT_REST)
            return false;
        if (w->kind == CG_SEGMENT_LITERAL && (narrow->segments[i].kind != CG_SEGMENT_LITERAL ||
                                              !cg_str_eq(w->text, narrow->segments[i].text)))
            return false;
    }
    return i == narrow->segment_count;
}

static void warn_unreachable(struct cg_build *build)
{
    const struct cg_ruleset *ruleset = build->ruleset;
    for (size_t i = 0; i < ruleset->route_count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct cg_route *route = &ruleset->routes[i], *earlier = &ruleset->routes[j];
            if (!covers_path(earlier->pattern, route->pattern) ||
                !covers_host(earlier->host, route->host) || !covers_methods(earlier, route))
                continue;
            CG_BUILD_WARNING(build, route->where,
                             "never reached: `%.*s` (%s:%u) comes first and matches all of it",
                             CG_STR_SHOWN(earlier->name), earlier->where->file,
                             earlier->where->line);
            break;
        }
}

/* Whether the defaults of some route with writes purge paths of this one: their own, or the parent
 * of their own. */
static bool is_written(const struct cg_ruleset *ruleset, const struct cg_route *route)
{
    for (size_t i = 0; i < ruleset->route_count; i++) {
        const struct cg_route *writer = &ruleset->routes[i];
        if (!sees_writes(writer) || writer->invalidate == CG_INVALIDATE_NONE)
            continue;
        if (cg_patterns_overlap(writer->pattern, route->pattern))
            return true;
        struct cg_pattern parent = *writer->pattern;
        if (writer->invalidate != CG_INVALIDATE_DEFAULTS || parent.segment_count == 0)
            continue;
        parent.segment_count--;
        if (cg_patterns_overlap(&parent, route->pattern))
            return true;
    }
    return false;
}

static void warn_of_routes(struct cg_build *build)
{
    const struct cg_ruleset *ruleset = build->ruleset;
    const struct cg_node *identity = build->options->identity;
    bool defaulted = identity == NULL || identity->kind == CG_NODE_NULL ||
                     (identity->kind == CG_NODE_MAP && cg_node_get(identity, "sources") == NULL);
    for (size_t i = 0; i < ruleset->route_count; i++) {
        const struct cg_route *route = &ruleset->routes[i];
        if (route->cache != CG_CACHE_YES)
            continue;
        if (route->shape_count == 0 && !is_written(ruleset, route))
            CG_BUILD_WARNING(build, route->where,
                             "nothing in the rules purges `%.*s`: unless a write has the same "
                             "path, its answers stay until their lifetime ends",
                             CG_STR_SHOWN(route->name));
        if (route->scope_user && defaulted) {
            defaulted = false;
            CG_BUILD_WARNING(build, route->where,
                             "answers are kept per user, and `identity` is not configured: users "
                             "are told apart by the Authorization field");
        }
    }
}

static void warn_of_shapes(struct cg_build *build, const bool *reached)
{
    for (size_t i = 0; i < build->ruleset->shape_count; i++)
        if (!reached[i])
            CG_BUILD_WARNING(build, build->shape_wheres[i],
                             "`%.*s` purges nothing: no cached route can match it",
                             CG_STR_SHOWN(build->ruleset->shapes[i].pattern->text));
}

void cg_build_reach(struct cg_build *build)
{
    bool *reached = CG_ARENA_ARRAY(build->arena, bool, build->ruleset->shape_count);
    settle_audiences(build);
    settle_shapes(build, reached);
    settle_lifetime(build->ruleset);
    warn_unreachable(build);
    warn_of_shapes(build, reached);
    warn_of_routes(build);
}
