/* Bytes → tree → ruleset, and the same tree as an `identity`. What compiles must keep its promises:
 * indices in range, and every route's shapes just those that overlap it. */
#include "cachegate/assert.h"
#include "tests/compile_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_clauses(const struct cg_ruleset *ruleset, const struct cg_route *route)
{
    for (size_t i = 0; i < route->clause_count; i++) {
        const struct cg_clause *clause = &route->clauses[i];
        CG_ASSERT(clause->shape < ruleset->shape_count);
        const struct cg_pattern *pattern = ruleset->shapes[clause->shape].pattern;
        for (unsigned hole = 0; hole < pattern->hole_count; hole++)
            CG_ASSERT(clause->values[hole].source != CG_VALUE_PATH ||
                      clause->values[hole].capture < route->pattern->hole_count);
        CG_ASSERT(ruleset->shapes[clause->shape].for_everyone);
        CG_ASSERT(!clause->self || ruleset->shapes[clause->shape].for_self);
    }
}

static void check_routes(const struct cg_ruleset *ruleset)
{
    for (size_t i = 0; i < ruleset->route_count; i++) {
        const struct cg_route *route = &ruleset->routes[i];
        size_t overlapping = 0;
        CG_ASSERT(route->index == i && route->pattern != NULL && route->name.length > 0);
        CG_ASSERT(route->invalidate != CG_INVALIDATE_LIST || route->cache == CG_CACHE_NEVER);
        for (size_t j = 0; j < ruleset->shape_count; j++)
            overlapping += cg_patterns_overlap(route->pattern, ruleset->shapes[j].pattern);
        CG_ASSERT(route->shape_count == (route->cache == CG_CACHE_YES ? overlapping : 0));
        check_clauses(ruleset, route);
    }
    for (size_t i = 0; i < ruleset->group_count; i++)
        for (size_t j = 0; j < ruleset->groups[i].member_count; j++)
            CG_ASSERT(ruleset->groups[i].shapes[j] < ruleset->shape_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct compiled compiled;
    struct cg_str text = cg_str_of((const char *)data, size);
    compiled_init(&compiled);
    if (compiled_run(&compiled, &text, 1, "[{header: X-User-Id, name: user}]"))
        check_routes(compiled.ruleset);
    struct cg_ruleset_options options = {.identity = compiled_parse(&compiled, text, "identity"),
                                         .cache_enabled = true};
    struct cg_ruleset *ruleset = cg_ruleset_compile(NULL, 0, &options, &compiled.problems);
    CG_ASSERT(ruleset == NULL || ruleset->identity.source_count > 0);
    cg_ruleset_destroy(ruleset);
    compiled_fini(&compiled);
    return 0;
}
