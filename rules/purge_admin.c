#include "rules/plan_build.h"
#include "rules/purge_build.h"
#include "rules/spelling.h"

/*
 * Purges that an operator asks for. What names an instance that readers depend on is purged as one;
 * the rest is an open purge.
 */

static struct cg_purge_build build_of(const struct cg_ruleset *ruleset, struct cg_arena *arena,
                                      struct cg_purge_set *set)
{
    return (struct cg_purge_build){
        .ruleset = ruleset, .arena = arena, .named = true, .open_too = true, .set = set};
}

/* Fills `path` when the pattern is one path, for every query. */
static bool is_plain_path(const struct cg_pattern *pattern, struct cg_arena *arena,
                          struct cg_path *path)
{
    if (pattern->term_count > 0)
        return false;
    path->segments = CG_ARENA_ARRAY(arena, struct cg_str, pattern->segment_count);
    path->count = pattern->segment_count;
    for (size_t i = 0; i < pattern->segment_count; i++) {
        if (pattern->segments[i].kind != CG_SEGMENT_LITERAL)
            return false;
        path->segments[i] = pattern->segments[i].text;
    }
    return true;
}

static bool fill_segment(const struct cg_segment *hole, const struct cg_segment *given,
                         struct cg_str values[CG_HOLES_MAX])
{
    switch (hole->kind) {
    case CG_SEGMENT_LITERAL:
        return given->kind == CG_SEGMENT_LITERAL && cg_str_eq(hole->text, given->text);
    case CG_SEGMENT_HOLE:
        values[hole->hole] = given->text;
        return given->kind == CG_SEGMENT_LITERAL;
    case CG_SEGMENT_ANY:
    case CG_SEGMENT_REST:
        return given->kind == hole->kind;
    }
    return false;
}

/* Whether `given` is the shape with its holes filled in: the same requests, no more and no less.
 * Terms are sorted by name in both. */
static bool fill_shape(const struct cg_pattern *shape, const struct cg_pattern *given,
                       struct cg_str values[CG_HOLES_MAX])
{
    if (shape->segment_count != given->segment_count || shape->term_count != given->term_count)
        return false;
    for (size_t i = 0; i < shape->segment_count; i++)
        if (!fill_segment(&shape->segments[i], &given->segments[i], values))
            return false;
    for (size_t i = 0; i < shape->term_count; i++) {
        const struct cg_term *hole = &shape->terms[i], *term = &given->terms[i];
        if (term->is_hole || !cg_str_eq(hole->name, term->name))
            return false;
        if (hole->is_hole)
            values[hole->hole] = term->text;
        else if (!cg_str_eq(hole->text, term->text))
            return false;
    }
    return true;
}

void cg_purge_of_path(const struct cg_ruleset *ruleset, const struct cg_path *path,
                      struct cg_arena *arena, struct cg_purge_set *set)
{
    struct cg_purge_build build = build_of(ruleset, arena, set);
    for (size_t i = 0; i < ruleset->route_count; i++)
        if (ruleset->routes[i].cache == CG_CACHE_YES)
            cg_purge_add_path(&build, ruleset->routes[i].upstream, path);
}

void cg_purge_of_tag(const struct cg_ruleset *ruleset, struct cg_str tag, struct cg_arena *arena,
                     struct cg_purge_set *set)
{
    struct cg_purge_build build = build_of(ruleset, arena, set);
    for (size_t i = 0; i < ruleset->route_count; i++)
        if (ruleset->routes[i].groups != CG_GROUPS_IGNORE)
            cg_purge_add_tag(&build, ruleset->routes[i].upstream, tag);
}

bool cg_purge_of_pattern(const struct cg_ruleset *ruleset, struct cg_str pattern,
                         struct cg_arena *arena, struct cg_problems *problems,
                         struct cg_purge_set *set)
{
    static const struct cg_node nowhere = {.file = "purge"};
    struct cg_purge_build build = build_of(ruleset, arena, set);
    struct cg_path path;
    const struct cg_pattern *compiled =
        cg_pattern_compile(pattern, false, arena, problems, &nowhere);
    if (compiled == NULL)
        return false;
    if (is_plain_path(compiled, arena, &path)) {
        cg_purge_of_path(ruleset, &path, arena, set);
        return true;
    }
    for (size_t i = 0; i < ruleset->shape_count; i++) {
        struct cg_str values[CG_HOLES_MAX] = {{NULL, 0}};
        if (!ruleset->shapes[i].for_everyone ||
            !fill_shape(ruleset->shapes[i].pattern, compiled, values))
            continue;
        cg_purge_add_shape(&build, (unsigned)i, values, (struct cg_str){NULL, 0});
        return true;
    }
    const struct cg_str nothing[CG_HOLES_MAX] = {{NULL, 0}};
    cg_purge_set_ban(set, arena, cg_shape_spell(compiled, nothing, arena),
                     (struct cg_str){NULL, 0});
    return true;
}

void cg_purge_of_group(const struct cg_ruleset *ruleset, const struct cg_group *group,
                       const struct cg_str *values, struct cg_arena *arena,
                       struct cg_purge_set *set)
{
    struct cg_purge_build build = build_of(ruleset, arena, set);
    for (size_t i = 0; i < group->member_count; i++) {
        struct cg_str filled[CG_HOLES_MAX] = {{NULL, 0}};
        unsigned holes = ruleset->shapes[group->shapes[i]].pattern->hole_count;
        for (unsigned hole = 0; hole < holes; hole++)
            filled[hole] = values[group->holes[i][hole]];
        cg_purge_add_shape(&build, group->shapes[i], filled, (struct cg_str){NULL, 0});
    }
}

void cg_purge_of_user(const struct cg_ruleset *ruleset, struct cg_str user, struct cg_arena *arena,
                      struct cg_purge_set *set)
{
    struct cg_purge_build build = build_of(ruleset, arena, set);
    struct cg_identity identity = {.present = true, .user = user};
    if (!ruleset->identity.has_user && ruleset->identity.source_count != 1) {
        set->cause = CG_PURGE_WIDENED;
        set->widened++;
        set->widened_detail = CG_STR("no identity source is named `user`, so all is purged");
        cg_purge_set_ban(set, arena, (struct cg_str){NULL, 0}, (struct cg_str){NULL, 0});
        return;
    }
    if (!ruleset->identity.has_user) /* the one source's value, as cg_identity_make joins it */
        cg_identity_of_value(ruleset, user, arena, &identity);
    cg_purge_add_user(&build, &identity);
}

void cg_purge_of_everything(struct cg_arena *arena, struct cg_purge_set *set)
{
    set->ban_count = 0;
    cg_purge_set_ban(set, arena, (struct cg_str){NULL, 0}, (struct cg_str){NULL, 0});
}

static bool was_there(const struct cg_ruleset *before, const struct cg_route *route)
{
    const struct cg_route *like = cg_ruleset_route_like(before, route);
    return like != NULL && like->cache == CG_CACHE_YES;
}

void cg_purge_of_changes(const struct cg_ruleset *before, const struct cg_ruleset *next,
                         struct cg_arena *arena, struct cg_purge_set *set)
{
    enum { BANS_MAX = 16 }; /* every reader of an older entry compares it with each */
    const struct cg_str nothing[CG_HOLES_MAX] = {{NULL, 0}};
    for (size_t i = 0; i < next->route_count; i++) {
        const struct cg_route *route = &next->routes[i];
        if (route->cache != CG_CACHE_YES || was_there(before, route))
            continue;
        struct cg_str text = cg_shape_spell(route->pattern, nothing, arena);
        if (set->ban_count == BANS_MAX || text.length > CG_BAN_TEXT_MAX) {
            cg_purge_of_everything(arena, set);
            return;
        }
        cg_purge_set_ban(set, arena, text, (struct cg_str){NULL, 0});
    }
}
