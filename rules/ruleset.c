#include "rules/ruleset_build.h"

/* ---- compile ---- */

static bool is_given(const struct cg_node *node)
{
    return node != NULL && node->kind != CG_NODE_NULL;
}

/* What one file says outside of groups and routes. */
static void read_root(struct cg_build *build, const struct cg_node *root)
{
    static const char *const keys[] = {"defaults", "groups", "routes", "cache"};
    enum cg_cache_mode mode = CG_CACHE_YES;
    if (!is_given(root) || !cg_node_expect(root, CG_NODE_MAP, build->problems))
        return;
    (void)cg_node_known_keys(root, keys, sizeof keys / sizeof *keys, build->problems);
    const struct cg_node *cache = cg_node_get(root, "cache");
    if (cache != NULL && cg_build_cache_mode(build, cache, &mode) && mode == CG_CACHE_NEVER)
        build->ruleset->cache_enabled = false;
}

static void read_routes(struct cg_build *build, const struct cg_node *root)
{
    static const char *const keys[] = {"ttl",
                                       "scope",
                                       "stale_while_revalidate",
                                       "stale_if_error",
                                       "key",
                                       "inert",
                                       "forward",
                                       "cache",
                                       "upstream",
                                       "consistency",
                                       "client",
                                       "keep",
                                       "heuristic",
                                       "coalesce",
                                       "hit_for_miss",
                                       "early_refresh",
                                       "groups"};
    struct cg_draft defaults = {.route = {.cache = CG_CACHE_YES,
                                          .scope_user = true,
                                          .query_sorted = true,
                                          .wishes = CG_WISHES_DEFAULT,
                                          .keep_ms = CG_KEEP_DEFAULT_MS,
                                          .coalesces = true,
                                          .hit_for_miss_ms = CG_HIT_FOR_MISS_DEFAULT_MS,
                                          .early_refresh_percent = 100}};
    const struct cg_node *map = cg_node_get(root, "defaults");
    const struct cg_node *routes = cg_node_get(root, "routes");
    if (is_given(map) && cg_node_expect(map, CG_NODE_MAP, build->problems)) {
        (void)cg_node_known_keys(map, keys, sizeof keys / sizeof *keys, build->problems);
        cg_build_options(build, map, &defaults);
    }
    if (!is_given(routes) || !cg_node_expect(routes, CG_NODE_LIST, build->problems))
        return;
    for (size_t i = 0; i < routes->count; i++)
        cg_build_route(build, routes->items[i], &defaults);
}

static size_t count_routes(const struct cg_rule_source *sources, size_t source_count)
{
    size_t count = 0;
    for (size_t i = 0; i < source_count; i++) {
        const struct cg_node *routes = cg_node_get(sources[i].root, "routes");
        if (routes != NULL && routes->kind == CG_NODE_LIST)
            count += routes->count;
    }
    return count < CG_BUILD_ROUTES_MAX ? count : CG_BUILD_ROUTES_MAX;
}

/* After everything else: it borrows all of it. */
static void add_previous(struct cg_ruleset *ruleset, const struct cg_secret *secret)
{
    struct cg_ruleset *previous = CG_ARENA_NEW(&ruleset->arena, struct cg_ruleset);
    *previous = *ruleset;
    previous->arena = (struct cg_arena){0}; /* it owns nothing */
    cg_keys_derive(secret, &previous->keys);
    ruleset->previous = previous;
}

struct cg_ruleset *cg_ruleset_compile(const struct cg_rule_source *sources, size_t source_count,
                                      const struct cg_ruleset_options *options,
                                      struct cg_problems *problems)
{
    struct cg_arena arena;
    cg_arena_init(&arena, CG_BUILD_ARENA_BYTES);
    struct cg_ruleset *ruleset = CG_ARENA_NEW(&arena, struct cg_ruleset);
    ruleset->arena = arena; /* lives in itself from here on */
    size_t errors_before = problems->error_count;
    struct cg_build build = {.ruleset = ruleset,
                             .arena = &ruleset->arena,
                             .options = options,
                             .problems = problems,
                             .errors_before = errors_before};
    ruleset->cache_enabled = options->cache_enabled;
    cg_keys_derive(&options->secret, &ruleset->keys);
    ruleset->routes =
        CG_ARENA_ARRAY(build.arena, struct cg_route, count_routes(sources, source_count));
    for (size_t i = 0; i < source_count; i++)
        read_root(&build, sources[i].root);
    cg_build_groups(&build, sources, source_count);
    cg_build_identity(&build);
    for (size_t i = 0; i < source_count; i++)
        read_routes(&build, sources[i].root);
    if (problems->error_count == errors_before)
        cg_build_reach(&build);
    if (problems->error_count == errors_before)
        cg_build_digests(&build);
    if (options->secret_previous != NULL)
        add_previous(ruleset, options->secret_previous);
    return problems->error_count == errors_before ? ruleset : cg_ruleset_destroy(ruleset);
}

struct cg_ruleset *cg_ruleset_destroy(struct cg_ruleset *ruleset)
{
    if (ruleset != NULL) {
        struct cg_arena arena = ruleset->arena;
        cg_arena_fini(&arena);
    }
    return NULL;
}

/* ---- use ---- */

/* Without port and without the dot of the root; `[v6]:port` keeps its brackets. */
static struct cg_str bare_host(struct cg_str host)
{
    size_t from = host.length > 0 && host.bytes[0] == '[' ? cg_str_find(host, ']') : 0;
    size_t colon = from + cg_str_find(cg_str_skip(host, from), ':');
    host = cg_str_sub(host, 0, colon);
    if (host.length > 0 && host.bytes[host.length - 1] == '.')
        host.length--;
    return host;
}

static bool matches_host(struct cg_str wanted, struct cg_str host)
{
    if (wanted.length == 0)
        return true;
    if (!cg_str_starts_with(wanted, CG_STR("*.")))
        return cg_str_eq_ci(wanted, host);
    struct cg_str suffix = cg_str_skip(wanted, 1);
    return host.length > suffix.length &&
           cg_str_eq_ci(cg_str_skip(host, host.length - suffix.length), suffix);
}

static bool matches_method(const struct cg_route *route, struct cg_str method)
{
    for (size_t i = 0; i < route->method_count; i++)
        if (cg_str_eq(route->methods[i], method))
            return true;
    return route->method_count == 0;
}

const struct cg_route *cg_ruleset_route(const struct cg_ruleset *ruleset, struct cg_str method,
                                        struct cg_str host, const struct cg_path *path,
                                        struct cg_str captures[CG_HOLES_MAX])
{
    struct cg_str bare = bare_host(host);
    for (size_t i = 0; i < ruleset->route_count; i++) {
        const struct cg_route *route = &ruleset->routes[i];
        if (matches_method(route, method) && matches_host(route->host, bare) &&
            cg_pattern_match_path(route->pattern, path, captures))
            return route;
    }
    return NULL;
}

const struct cg_group *cg_ruleset_group(const struct cg_ruleset *ruleset, struct cg_str name)
{
    for (size_t i = 0; i < ruleset->group_count; i++)
        if (cg_str_eq(ruleset->groups[i].name, name))
            return &ruleset->groups[i];
    return NULL;
}
