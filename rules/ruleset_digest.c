#include "rules/ruleset_build.h"

#include "rules/plan_build.h"
#include "rules/spelling.h"

#include <xxhash.h>

/*
 * What is spelled is everything that decides what an answer of a route is made of, for whom and for
 * how long it is kept, and what purges it. Left out is what only matters at the moment of a read:
 * names, wishes of clients, near copies, coalescing, early refreshes, hit-for-miss.
 */

/* The routes whose requests may purge, in order. */
struct writers {
    const struct cg_route **items;
    size_t count;
};

static void add_flag(struct cg_spelling *out, bool flag)
{
    cg_spelling_add_char(out, flag ? 1 : 0);
}

static void add_number(struct cg_spelling *out, uint64_t number)
{
    cg_spelling_add_u32(out, (uint32_t)number);
    cg_spelling_add_u32(out, (uint32_t)(number >> 32));
}

static void add_names(struct cg_spelling *out, const struct cg_names *names)
{
    cg_spelling_add_u32(out, (uint32_t)names->count);
    for (size_t i = 0; i < names->count; i++)
        cg_spelling_add_prefixed(out, names->items[i]);
}

static void end(const struct cg_spelling *out, uint8_t ret_digest[CG_DIGEST_BYTES])
{
    XXH128_canonical_t canonical;
    struct cg_str text = cg_spelling_str(out);
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(text.bytes, text.length));
    memcpy(ret_digest, canonical.digest, CG_DIGEST_BYTES);
}

/* ---- what the route says itself ---- */

/* Who somebody is, and which fields are credentials that must be covered, is every route's. */
static void add_identity(struct cg_spelling *out, const struct cg_identity_rules *identity)
{
    cg_spelling_add_u32(out, (uint32_t)identity->source_count);
    for (size_t i = 0; i < identity->source_count; i++) {
        cg_spelling_add_u32(out, (uint32_t)identity->sources[i].kind);
        cg_spelling_add_prefixed(out, identity->sources[i].field);
        add_flag(out, identity->sources[i].is_user);
    }
    add_names(out, &identity->credential_names);
}

static void add_lifetime(struct cg_spelling *out, const struct cg_route *route)
{
    add_flag(out, route->ttl_origin);
    add_number(out, route->ttl_origin ? 0 : route->ttl_ms);
    add_flag(out, route->has_swr);
    add_number(out, route->swr_ms);
    add_flag(out, route->has_sie);
    add_number(out, route->sie_ms);
    add_number(out, route->keep_ms);
    add_number(out, route->heuristic_ms);
}

static void add_match(struct cg_spelling *out, const struct cg_route *route)
{
    cg_spelling_add_u32(out, (uint32_t)route->method_count);
    for (size_t i = 0; i < route->method_count; i++)
        cg_spelling_add_prefixed(out, route->methods[i]);
    cg_spelling_add_prefixed(out, route->host);
    cg_spelling_add_prefixed(out, route->pattern->text);
}

static void add_definition(struct cg_spelling *out, const struct cg_route *route)
{
    add_match(out, route);
    cg_spelling_add_u32(out, route->upstream);
    cg_spelling_add_prefixed(out, route->upstream_name);
    cg_spelling_add_u32(out, (uint32_t)route->cache);
    add_flag(out, route->scope_user);
    cg_spelling_add_u32(out, (uint32_t)route->scope_part_count);
    for (size_t i = 0; i < route->scope_part_count; i++) {
        cg_spelling_add_prefixed(out, route->scope_parts[i].name);
        cg_spelling_add_u32(out, (uint32_t)route->scope_parts[i].source);
        cg_spelling_add_prefixed(out, route->scope_parts[i].field);
    }
    add_lifetime(out, route);
    cg_spelling_add_u32(out, (uint32_t)route->query_mode);
    add_names(out, &route->query_names);
    add_flag(out, route->query_sorted);
    add_names(out, &route->key_headers);
    add_names(out, &route->key_cookies);
    add_names(out, &route->inert_headers);
    add_names(out, &route->inert_cookies);
    add_flag(out, route->forward_keyed);
    cg_spelling_add_u32(out, route->overrides);
    cg_spelling_add_u32(out, (uint32_t)route->groups);
}

/* ---- what purges it ---- */

static bool reaches(const struct cg_route *route, unsigned shape)
{
    for (size_t i = 0; i < route->shape_count; i++)
        if (route->shapes[i] == shape)
            return true;
    return false;
}

static void add_value(struct cg_spelling *out, const struct cg_value *value)
{
    cg_spelling_add_u32(out, (uint32_t)value->source);
    cg_spelling_add_prefixed(out, value->name);
    cg_spelling_add_u32(out, value->source == CG_VALUE_PATH ? value->capture : 0);
}

static void add_clause(struct cg_spelling *out, const struct cg_ruleset *ruleset,
                       const struct cg_clause *clause)
{
    const struct cg_shape *shape = &ruleset->shapes[clause->shape];
    cg_spelling_add_prefixed(out, shape->text);
    add_flag(out, clause->self);
    for (unsigned i = 0; i < shape->pattern->hole_count; i++)
        add_value(out, &clause->values[i]);
    cg_spelling_add_u32(out, (uint32_t)clause->condition_count);
    for (size_t i = 0; i < clause->condition_count; i++) {
        const struct cg_condition *condition = &clause->conditions[i];
        struct cg_names texts = {condition->texts, condition->text_count};
        add_value(out, &condition->value);
        add_names(out, &texts);
    }
}

/*
 * Writes purge their own path, and without a list the one above it. One with a list, or none, takes
 * requests away from that, which another set of rules without the route leaves to it.
 */
static bool reaches_by_path(const struct cg_route *writer, const struct cg_route *route)
{
    if (cg_patterns_overlap(writer->pattern, route->pattern))
        return true;
    struct cg_pattern parent = *writer->pattern;
    if (parent.segment_count == 0)
        return false;
    parent.segment_count--;
    return cg_patterns_overlap(&parent, route->pattern);
}

static bool reaches_by_clause(const struct cg_route *writer, const struct cg_route *route)
{
    for (size_t i = 0; i < writer->clause_count; i++)
        if (reaches(route, writer->clauses[i].shape))
            return true;
    return false;
}

static bool share_methods(const struct cg_route *a, const struct cg_route *b)
{
    if (a->method_count == 0 || b->method_count == 0)
        return true;
    for (size_t i = 0; i < a->method_count; i++)
        for (size_t j = 0; j < b->method_count; j++)
            if (cg_str_eq(a->methods[i], b->methods[j]))
                return true;
    return false;
}

/* The first route that matches decides: one that purges nothing here may take writes away from one
 * that does. */
static bool hides(const struct cg_route *earlier, const struct writers *found)
{
    for (size_t i = 0; i < found->count; i++)
        if (found->items[i]->index > earlier->index && share_methods(earlier, found->items[i]) &&
            cg_patterns_overlap(earlier->pattern, found->items[i]->pattern))
            return true;
    return false;
}

static void add_writer(struct cg_spelling *out, const struct cg_ruleset *ruleset,
                       const struct cg_route *writer, const struct cg_route *route)
{
    add_match(out, writer);
    cg_spelling_add_u32(out, writer->upstream);
    cg_spelling_add_u32(out, (uint32_t)writer->invalidate);
    for (size_t i = 0; i < writer->clause_count; i++)
        if (reaches(route, writer->clauses[i].shape))
            add_clause(out, ruleset, &writer->clauses[i]);
}

static void add_writers(struct cg_spelling *out, const struct cg_ruleset *ruleset,
                        const struct writers *all, struct writers *found,
                        const struct cg_route *route)
{
    found->count = 0;
    for (size_t i = 0; i < all->count; i++)
        if (reaches_by_clause(all->items[i], route) || reaches_by_path(all->items[i], route))
            found->items[found->count++] = all->items[i];
    size_t next = 0;
    for (size_t i = 0; i < all->count; i++) {
        bool purges = next < found->count && found->items[next] == all->items[i];
        next += purges;
        if (purges || hides(all->items[i], found))
            add_writer(out, ruleset, all->items[i], route);
    }
}

/* In order: entries name their instances in this order. */
static void add_shapes(struct cg_spelling *out, const struct cg_ruleset *ruleset,
                       const struct cg_route *route)
{
    cg_spelling_add_u32(out, (uint32_t)route->shape_count);
    for (size_t i = 0; i < route->shape_count; i++) {
        const struct cg_shape *shape = &ruleset->shapes[route->shapes[i]];
        cg_spelling_add_prefixed(out, shape->text);
        add_flag(out, shape->for_everyone);
        add_flag(out, shape->for_self);
    }
}

/* ---- all of them ---- */

void cg_build_digests(struct cg_build *build)
{
    static const size_t text_bytes = 1024;
    const struct cg_ruleset *ruleset = build->ruleset;
    struct cg_arena scratch;
    cg_arena_init(&scratch, CG_BUILD_ARENA_BYTES);
    struct writers all = {CG_ARENA_ARRAY(&scratch, const struct cg_route *, ruleset->route_count),
                          0};
    struct writers found = {CG_ARENA_ARRAY(&scratch, const struct cg_route *, ruleset->route_count),
                            0};
    for (size_t i = 0; i < ruleset->route_count; i++)
        if (cg_build_may_purge(&ruleset->routes[i]))
            all.items[all.count++] = &ruleset->routes[i];
    struct cg_spelling out;
    cg_spelling_init(&out, &scratch, text_bytes);
    for (size_t i = 0; i < ruleset->route_count; i++) {
        struct cg_route *route = &ruleset->routes[i];
        out.length = 0;
        add_identity(&out, &ruleset->identity);
        add_definition(&out, route);
        add_shapes(&out, ruleset, route);
        add_writers(&out, ruleset, &all, &found, route);
        end(&out, route->digest);
    }
    cg_arena_fini(&scratch);
}

static void add_group(struct cg_spelling *out, const struct cg_ruleset *ruleset,
                      const struct cg_group *group)
{
    struct cg_names params = {group->params, group->param_count};
    cg_spelling_add_prefixed(out, group->name);
    add_names(out, &params);
    cg_spelling_add_u32(out, (uint32_t)group->member_count);
    for (size_t i = 0; i < group->member_count; i++) {
        const struct cg_shape *shape = &ruleset->shapes[group->shapes[i]];
        cg_spelling_add_prefixed(out, shape->text);
        for (unsigned hole = 0; hole < shape->pattern->hole_count; hole++)
            cg_spelling_add_u32(out, group->holes[i][hole]);
    }
}

void cg_ruleset_digest(const struct cg_ruleset *ruleset, uint8_t ret_digest[CG_DIGEST_BYTES])
{
    struct cg_arena scratch;
    struct cg_spelling out;
    cg_arena_init(&scratch, CG_BUILD_ARENA_BYTES);
    cg_spelling_init(&out, &scratch, 4096);
    add_flag(&out, ruleset->cache_enabled);
    for (size_t i = 0; i < ruleset->route_count; i++) {
        cg_spelling_add_prefixed(&out, ruleset->routes[i].name);
        add_match(&out, &ruleset->routes[i]);
        cg_spelling_add(
            &out, cg_str_of((const char *)cg_route_digest(&ruleset->routes[i]), CG_DIGEST_BYTES));
        cg_spelling_add_u32(&out, (uint32_t)ruleset->routes[i].invalidate);
        for (size_t j = 0; j < ruleset->routes[i].clause_count; j++)
            add_clause(&out, ruleset, &ruleset->routes[i].clauses[j]);
    }
    for (size_t i = 0; i < ruleset->group_count; i++)
        add_group(&out, ruleset, &ruleset->groups[i]);
    end(&out, ret_digest);
    cg_arena_fini(&scratch);
}

const struct cg_route *cg_ruleset_route_like(const struct cg_ruleset *ruleset,
                                             const struct cg_route *route)
{
    for (size_t i = 0; i < ruleset->route_count; i++)
        if (memcmp(ruleset->routes[i].digest, route->digest, CG_DIGEST_BYTES) == 0)
            return &ruleset->routes[i];
    return NULL;
}
