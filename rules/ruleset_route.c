#include "rules/ruleset_build.h"

static const char *const common_methods[] = {"GET",   "HEAD",   "POST",    "PUT",
                                             "PATCH", "DELETE", "OPTIONS", "PROPFIND",
                                             "QUERY", "COPY",   "MOVE",    "LOCK"};

/* ---- match ---- */

static bool has_method(const struct cg_route *route, struct cg_str method)
{
    for (size_t i = 0; i < route->method_count; i++)
        if (cg_str_eq(route->methods[i], method))
            return true;
    return false;
}

static bool read_method(struct cg_build *build, const struct cg_node *node, struct cg_str method,
                        struct cg_route *route)
{
    const size_t count = sizeof common_methods / sizeof *common_methods;
    const char *nearest = cg_nearest_name(method, common_methods, count);
    bool lower = false;
    for (size_t i = 0; i < method.length; i++)
        lower = lower || cg_lower(method.bytes[i]) == method.bytes[i];
    bool common = nearest != NULL && cg_str_eq(method, cg_str_from(nearest));
    if (!cg_is_token(method) || cg_str_find(method, '*') < method.length ||
        (!common && lower && nearest != NULL)) {
        CG_BUILD_ERROR(build, node, "`%.*s` is no method; %s%s%s", CG_STR_SHOWN(method),
                       nearest == NULL ? "expected GET, GET|HEAD, POST … or *" : "did you mean ",
                       nearest == NULL ? "" : nearest, nearest == NULL ? "" : "?");
        return false;
    }
    if (!common && nearest != NULL)
        CG_BUILD_WARNING(build, node, "`%.*s` is an unusual method; did you mean %s?",
                         CG_STR_SHOWN(method), nearest);
    if (!has_method(route, method))
        route->methods[route->method_count++] = cg_arena_copy(build->arena, method);
    return true;
}

static bool read_methods(struct cg_build *build, const struct cg_node *node, struct cg_str text,
                         struct cg_route *route)
{
    if (cg_str_eq(text, CG_STR("*")))
        return true;
    size_t most = 2;
    for (size_t i = 0; i < text.length; i++)
        most += text.bytes[i] == '|';
    route->methods = CG_ARENA_ARRAY(build->arena, struct cg_str, most);
    struct cg_str method, rest = text;
    while (cg_str_split(&rest, '|', &method))
        if (!read_method(build, node, method, route))
            return false;
    if (has_method(route, CG_STR("GET")) && !has_method(route, CG_STR("HEAD")))
        route->methods[route->method_count++] = CG_STR("HEAD");
    return true;
}

static bool check_captures(struct cg_build *build, const struct cg_node *node,
                           const struct cg_pattern *pattern)
{
    for (unsigned i = 0; i < pattern->hole_count; i++)
        for (unsigned j = 0; j < i; j++)
            if (cg_str_eq(pattern->hole_names[i], pattern->hole_names[j])) {
                CG_BUILD_ERROR(build, node, "the placeholder {%.*s} stands twice in this match",
                               CG_STR_SHOWN(pattern->hole_names[i]));
                return false;
            }
    return true;
}

static void read_match(struct cg_build *build, const struct cg_node *node, struct cg_route *route)
{
    if (!cg_node_expect(node, CG_NODE_SCALAR, build->problems))
        return;
    struct cg_str text = cg_str_trim(node->text);
    size_t space = cg_str_find(text, ' ');
    struct cg_str path = cg_str_trim(cg_str_skip(text, space));
    route->name = cg_arena_copy(build->arena, text);
    if (path.length == 0) {
        CG_BUILD_ERROR(build, node, "`%.*s`: a match is methods and a path, such as `GET /items`",
                       CG_STR_SHOWN(text));
        return;
    }
    if (!read_methods(build, node, cg_str_sub(text, 0, space), route))
        return;
    if (cg_str_find(path, '?') < path.length) {
        CG_BUILD_ERROR(build, node,
                       "`%.*s`: a match has no query; `key.query` says which parameters count",
                       CG_STR_SHOWN(text));
        return;
    }
    struct cg_pattern *pattern =
        cg_pattern_compile(path, false, build->arena, build->problems, node);
    if (pattern != NULL && check_captures(build, node, pattern))
        route->pattern = pattern;
}

/* ---- host and name ---- */

static void read_host(struct cg_build *build, const struct cg_node *node, struct cg_route *route)
{
    if (!cg_node_expect(node, CG_NODE_SCALAR, build->problems))
        return;
    struct cg_str host = cg_hole_normalise(CG_HOLE_NOCASE, node->text, build->arena);
    struct cg_str rest = cg_str_starts_with(host, CG_STR("*.")) ? cg_str_skip(host, 2) : host;
    bool bracketed = rest.length > 2 && rest.bytes[0] == '[' && rest.bytes[rest.length - 1] == ']';
    bool valid = rest.length > 0 && rest.length <= CG_BUILD_NAME_BYTES_MAX;
    for (size_t i = 0; valid && i < rest.length; i++) {
        char c = rest.bytes[i];
        bool of_literal = c == ':' || c == '[' || c == ']';
        valid = cg_is_alpha(c) || cg_is_digit(c) || c == '-' || c == '.' || c == '_' ||
                (of_literal && bracketed);
    }
    if (valid)
        route->host = host;
    else
        CG_BUILD_ERROR(build, node,
                       "`%.*s` is no host; expected a name without a port, such as "
                       "api.example.com or *.example.com",
                       CG_STR_SHOWN(node->text));
}

static bool name_is_taken(const struct cg_ruleset *ruleset, struct cg_str name)
{
    for (size_t i = 0; i < ruleset->route_count; i++)
        if (cg_str_eq(ruleset->routes[i].name, name))
            return true;
    return false;
}

/* Names stand in metrics, so every route's differs. */
static void settle_name(struct cg_build *build, const struct cg_node *given, struct cg_route *route)
{
    if (given != NULL && cg_node_expect(given, CG_NODE_SCALAR, build->problems)) {
        bool valid = given->text.length > 0 && given->text.length <= CG_BUILD_NAME_BYTES_MAX;
        for (size_t i = 0; valid && i < given->text.length; i++)
            valid = (unsigned char)given->text.bytes[i] >= ' ' && given->text.bytes[i] != 0x7f;
        if (!valid)
            CG_BUILD_ERROR(build, given, "expected a name of 1 to %d printable characters",
                           (int)CG_BUILD_NAME_BYTES_MAX);
        else if (name_is_taken(build->ruleset, given->text))
            CG_BUILD_ERROR(build, given, "another route is called `%.*s` already",
                           CG_STR_SHOWN(given->text));
        else
            route->name = cg_arena_copy(build->arena, given->text);
        return;
    }
    if (name_is_taken(build->ruleset, route->name) && route->host.length > 0)
        route->name = cg_arena_printf(build->arena, "%.*s (%.*s)", CG_STR_ARG(route->name),
                                      CG_STR_ARG(route->host));
    if (name_is_taken(build->ruleset, route->name))
        route->name =
            cg_arena_printf(build->arena, "%.*s #%u", CG_STR_ARG(route->name), route->index);
}

/* ---- the whole ---- */

/* Whether anything that the route matches could be answered from the cache. */
static bool can_be_cached(const struct cg_route *route)
{
    return route->method_count == 0 || has_method(route, CG_STR("GET"));
}

static void settle_cache(struct cg_build *build, const struct cg_draft *draft,
                         struct cg_route *route)
{
    if (route->pattern == NULL || !can_be_cached(route)) {
        route->cache = CG_CACHE_NEVER;
        return;
    }
    if (route->invalidate == CG_INVALIDATE_LIST) {
        if (draft->own_ttl != NULL && route->cache == CG_CACHE_YES)
            CG_BUILD_WARNING(build, draft->own_ttl,
                             "a route with an `invalidate` list is never cached, so its ttl has "
                             "no effect");
        route->cache = CG_CACHE_NEVER;
    }
    const struct cg_node *heuristic = cg_node_get(route->where, "heuristic");
    if (route->cache == CG_CACHE_YES && heuristic != NULL && draft->has_ttl && !route->ttl_origin)
        CG_BUILD_WARNING(build, heuristic,
                         "`heuristic` has no effect here: it is asked only with `ttl: origin`");
    if (route->cache == CG_CACHE_YES && !draft->has_ttl)
        CG_BUILD_ERROR(build, route->where,
                       "the route is cached but has no ttl; give it or `defaults` one (5m, or "
                       "origin), or say `cache: never`");
}

void cg_build_route(struct cg_build *build, const struct cg_node *node,
                    const struct cg_draft *defaults)
{
    static const char *const keys[] = {
        "match",          "name",       "host",        "upstream",
        "cache",          "scope",      "ttl",         "stale_while_revalidate",
        "stale_if_error", "key",        "inert",       "forward",
        "override",       "invalidate", "consistency", "client",
        "keep",           "heuristic",  "coalesce",    "hit_for_miss",
        "early_refresh",  "groups"};
    struct cg_ruleset *ruleset = build->ruleset;
    if (ruleset->route_count == CG_BUILD_ROUTES_MAX) {
        CG_BUILD_ERROR(build, node, "more than %d routes", (int)CG_BUILD_ROUTES_MAX);
        return;
    }
    if (!cg_node_expect(node, CG_NODE_MAP, build->problems))
        return;
    (void)cg_node_known_keys(node, keys, sizeof keys / sizeof *keys, build->problems);
    struct cg_draft draft = *defaults;
    struct cg_route *route = &draft.route;
    route->where = node;
    route->index = route->key_route = (unsigned)ruleset->route_count;
    draft.own_ttl = cg_node_get(node, "ttl");
    const struct cg_node *match = cg_node_get(node, "match");
    const struct cg_node *host = cg_node_get(node, "host");
    const struct cg_node *override = cg_node_get(node, "override");
    const struct cg_node *invalidate = cg_node_get(node, "invalidate");
    if (match == NULL)
        CG_BUILD_ERROR(build, node, "the route has no `match`, such as `match: GET /items/{id}`");
    else
        read_match(build, match, route);
    if (host != NULL)
        read_host(build, host, route);
    settle_name(build, cg_node_get(node, "name"), route);
    cg_build_options(build, node, &draft);
    if (route->upstream < build->options->upstream_count)
        route->upstream_name = cg_arena_copy(
            build->arena, cg_str_from(build->options->upstream_names[route->upstream]));
    if (override != NULL)
        cg_build_overrides(build, override, route);
    if (invalidate != NULL)
        cg_build_invalidate(build, invalidate, route);
    settle_cache(build, &draft, route);
    ruleset->routes[ruleset->route_count++] = *route;
}
