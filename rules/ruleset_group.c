#include "rules/ruleset_build.h"

#include "rules/spelling.h"

/* ---- shapes ---- */

static void spell_hole(struct cg_spelling *spelling, enum cg_hole_type type)
{
    switch (type) {
    case CG_HOLE_TEXT:
        cg_spelling_add(spelling, CG_STR("{}"));
        return;
    case CG_HOLE_INT:
        cg_spelling_add(spelling, CG_STR("{:int}"));
        return;
    case CG_HOLE_UUID:
        cg_spelling_add(spelling, CG_STR("{:uuid}"));
        return;
    case CG_HOLE_NOCASE:
        cg_spelling_add(spelling, CG_STR("{:nocase}"));
        return;
    }
}

/* Literals are encoded again, so no literal can look like a hole or a wildcard. */
static struct cg_str spell_shape(struct cg_arena *arena, const struct cg_pattern *pattern)
{
    struct cg_spelling spelling;
    cg_spelling_init(&spelling, arena, pattern->text.length + 16);
    for (size_t i = 0; i < pattern->segment_count; i++) {
        const struct cg_segment *segment = &pattern->segments[i];
        cg_spelling_add_char(&spelling, '/');
        switch (segment->kind) {
        case CG_SEGMENT_LITERAL:
            cg_spelling_add_encoded(&spelling, segment->text);
            break;
        case CG_SEGMENT_HOLE:
            spell_hole(&spelling, pattern->hole_types[segment->hole]);
            break;
        case CG_SEGMENT_ANY:
            cg_spelling_add_char(&spelling, '*');
            break;
        case CG_SEGMENT_REST:
            cg_spelling_add(&spelling, CG_STR("**"));
            break;
        }
    }
    if (pattern->segment_count == 0)
        cg_spelling_add_char(&spelling, '/');
    for (size_t i = 0; i < pattern->term_count; i++) {
        const struct cg_term *term = &pattern->terms[i];
        cg_spelling_add_char(&spelling, i == 0 ? '?' : '&');
        cg_spelling_add_encoded(&spelling, term->name);
        cg_spelling_add_char(&spelling, '=');
        if (term->is_hole)
            spell_hole(&spelling, pattern->hole_types[term->hole]);
        else
            cg_spelling_add_encoded(&spelling, term->text);
    }
    return cg_spelling_str(&spelling);
}

bool cg_build_shape(struct cg_build *build, const struct cg_pattern *pattern,
                    const struct cg_node *where, unsigned *ret_shape)
{
    struct cg_ruleset *ruleset = build->ruleset;
    struct cg_str text = spell_shape(build->arena, pattern);
    for (size_t i = 0; i < ruleset->shape_count; i++)
        if (cg_str_eq(ruleset->shapes[i].text, text)) {
            *ret_shape = (unsigned)i;
            return true;
        }
    if (ruleset->shape_count == CG_BUILD_SHAPES_MAX) {
        CG_BUILD_ERROR(build, where, "more than %d different purge patterns",
                       (int)CG_BUILD_SHAPES_MAX);
        return false;
    }
    if (ruleset->shape_count == build->shape_capacity) {
        size_t capacity = build->shape_capacity == 0 ? 16 : build->shape_capacity * 2;
        struct cg_shape *shapes = CG_ARENA_ARRAY(build->arena, struct cg_shape, capacity);
        const struct cg_node **wheres =
            CG_ARENA_ARRAY(build->arena, const struct cg_node *, capacity);
        if (ruleset->shape_count > 0) {
            memcpy(shapes, ruleset->shapes, ruleset->shape_count * sizeof *shapes);
            memcpy(wheres, build->shape_wheres,
                   ruleset->shape_count * sizeof(const struct cg_node *));
        }
        ruleset->shapes = shapes;
        build->shape_wheres = wheres;
        build->shape_capacity = capacity;
    }
    ruleset->shapes[ruleset->shape_count] = (struct cg_shape){.pattern = pattern, .text = text};
    build->shape_wheres[ruleset->shape_count] = where;
    *ret_shape = (unsigned)ruleset->shape_count++;
    return true;
}

bool cg_build_is_full(struct cg_build *build, const struct cg_node *where)
{
    if (build->problems->error_count >= build->errors_before + CG_PROBLEMS_MAX)
        return true;
    if (build->purge_total == CG_BUILD_PURGES_ALL) {
        CG_BUILD_ERROR(build, where, "more than %d purge patterns in all, groups unfolded",
                       (int)CG_BUILD_PURGES_ALL);
        return true;
    }
    build->purge_total++;
    return false;
}

/* ---- groups ---- */

/* What a group may not be called: DELETE /cache/{group}/{value} would mean something else. */
static const char *const reserved_names[] = {"user",    "flush",   "purge", "stats", "health",
                                             "refresh", "metrics", "livez", "readyz"};
/* What a placeholder of a group may not be called: `invalidate` gives values beside these keys. */
static const char *const reserved_params[] = {"group", "pattern", "audience", "when"};

static bool is_among(struct cg_str name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (cg_str_eq(name, cg_str_from(names[i])))
            return true;
    return false;
}

static bool is_group_name(struct cg_str name)
{
    for (size_t i = 0; i < name.length; i++) {
        char c = name.bytes[i];
        if (!cg_is_alpha(c) && !cg_is_digit(c) && c != '-' && c != '_')
            return false;
    }
    return name.length > 0 && name.length <= CG_BUILD_NAME_BYTES_MAX;
}

/* The index of a placeholder's name among the group's params, added where it is new. */
static bool find_param(struct cg_build *build, struct cg_group *group, struct cg_str name,
                       const struct cg_node *where, unsigned *ret_param)
{
    for (size_t i = 0; i < group->param_count; i++)
        if (cg_str_eq(group->params[i], name)) {
            *ret_param = (unsigned)i;
            return true;
        }
    if (is_among(name, reserved_params, sizeof reserved_params / sizeof *reserved_params)) {
        CG_BUILD_ERROR(build, where, "a group's placeholder cannot be called `%.*s`",
                       CG_STR_SHOWN(name));
        return false;
    }
    if (group->param_count == CG_HOLES_MAX) {
        CG_BUILD_ERROR(build, where, "the group has more than %d different placeholders",
                       (int)CG_HOLES_MAX);
        return false;
    }
    group->params[group->param_count] = cg_arena_copy(build->arena, name);
    *ret_param = (unsigned)group->param_count++;
    return true;
}

/* Holes are numbered with query terms sorted; params count in the order they were written in. */
static bool map_holes(struct cg_build *build, struct cg_group *group,
                      const struct cg_pattern *pattern, const struct cg_node *where,
                      unsigned params[CG_HOLES_MAX])
{
    bool done[CG_HOLES_MAX] = {false};
    for (unsigned turn = 0; turn < pattern->hole_count; turn++) {
        unsigned first = CG_HOLES_MAX;
        for (unsigned i = 0; i < pattern->hole_count; i++)
            if (!done[i] && (first == CG_HOLES_MAX ||
                             pattern->hole_names[i].bytes < pattern->hole_names[first].bytes))
                first = i;
        done[first] = true;
        if (!find_param(build, group, pattern->hole_names[first], where, &params[first]))
            return false;
    }
    return true;
}

static void read_members(struct cg_build *build, const struct cg_node *list, struct cg_group *group)
{
    group->params = CG_ARENA_ARRAY(build->arena, struct cg_str, CG_HOLES_MAX);
    group->shapes = CG_ARENA_ARRAY(build->arena, unsigned, list->count);
    group->holes = cg_arena_alloc(build->arena, list->count * sizeof *group->holes);
    for (size_t i = 0; i < list->count; i++) {
        const struct cg_node *item = list->items[i];
        if (cg_build_is_full(build, item))
            return;
        if (!cg_node_expect(item, CG_NODE_SCALAR, build->problems))
            continue;
        const struct cg_pattern *pattern =
            cg_pattern_compile(item->text, false, build->arena, build->problems, item);
        size_t member = group->member_count;
        if (pattern == NULL || !map_holes(build, group, pattern, item, group->holes[member]) ||
            !cg_build_shape(build, pattern, item, &group->shapes[member]))
            continue;
        /* Purged by name through the admin API, which is for everyone. */
        build->ruleset->shapes[group->shapes[member]].for_everyone = true;
        group->member_count++;
    }
}

static void read_group(struct cg_build *build, const struct cg_node *key,
                       const struct cg_node *value)
{
    struct cg_ruleset *ruleset = build->ruleset;
    struct cg_str name = key->text;
    if (!is_group_name(name)) {
        CG_BUILD_ERROR(build, key, "`%.*s` is no group name; expected letters, digits, `-` and `_`",
                       CG_STR_SHOWN(name));
        return;
    }
    if (is_among(name, reserved_names, sizeof reserved_names / sizeof *reserved_names)) {
        CG_BUILD_ERROR(build, key,
                       "a group cannot be called `%.*s`: the admin API uses /cache/%.*s itself",
                       CG_STR_SHOWN(name), CG_STR_SHOWN(name));
        return;
    }
    if (cg_ruleset_group(ruleset, name) != NULL) {
        CG_BUILD_ERROR(build, key,
                       "the group `%.*s` is defined twice; names are shared by all "
                       "rule files",
                       CG_STR_SHOWN(name));
        return;
    }
    if (ruleset->group_count == CG_BUILD_GROUPS_MAX) {
        CG_BUILD_ERROR(build, key, "more than %d groups", (int)CG_BUILD_GROUPS_MAX);
        return;
    }
    struct cg_group *group = &ruleset->groups[ruleset->group_count++];
    group->name = cg_arena_copy(build->arena, name);
    if (!cg_node_expect(value, CG_NODE_LIST, build->problems))
        return;
    if (value->count == 0 || value->count > CG_BUILD_MEMBERS_MAX)
        CG_BUILD_ERROR(build, value, "a group has 1 to %d patterns", (int)CG_BUILD_MEMBERS_MAX);
    else
        read_members(build, value, group);
}

void cg_build_groups(struct cg_build *build, const struct cg_rule_source *sources,
                     size_t source_count)
{
    build->ruleset->groups = CG_ARENA_ARRAY(build->arena, struct cg_group, CG_BUILD_GROUPS_MAX);
    for (size_t i = 0; i < source_count; i++) {
        const struct cg_node *groups = cg_node_get(sources[i].root, "groups");
        if (groups == NULL || groups->kind == CG_NODE_NULL ||
            !cg_node_expect(groups, CG_NODE_MAP, build->problems))
            continue;
        for (size_t j = 0; j < groups->count; j++)
            read_group(build, groups->keys[j], groups->items[j]);
    }
    const size_t count = build->ruleset->group_count;
    build->group_names = CG_ARENA_ARRAY(build->arena, const char *, count);
    for (size_t i = 0; i < count; i++)
        build->group_names[i] = build->ruleset->groups[i].name.bytes; /* a copy, so terminated */
}
