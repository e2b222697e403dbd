#include "rules/plan_build.h"

#include "rules/spelling.h"

/* ---- names ---- */

/* The first byte of an instance's name: what kind it is. */
static const char own_path_tag = 'p', user_tag = 'u', digest_tag = 'd', shape_tag = 's',
                  group_tag = 'g', group_counter_tag = 'c';

void cg_instance_of_path(const struct cg_ruleset *ruleset, unsigned upstream,
                         const struct cg_path *path, struct cg_arena *arena,
                         struct cg_instance *ret_instance)
{
    struct cg_spelling name;
    cg_spelling_init(&name, arena, 128);
    cg_spelling_add_char(&name, own_path_tag);
    cg_spelling_add_u32(&name, upstream);
    for (size_t i = 0; i < path->count; i++)
        cg_spelling_add_prefixed(&name, path->segments[i]);
    cg_instance_of(&ruleset->keys, cg_spelling_str(&name), ret_instance);
}

void cg_instance_of_user(const struct cg_ruleset *ruleset, const struct cg_identity *identity,
                         struct cg_arena *arena, struct cg_instance *ret_instance)
{
    struct cg_spelling name;
    cg_spelling_init(&name, arena, 64);
    bool plain = ruleset->identity.has_user && !cg_str_empty(identity->user);
    struct cg_str digest = {(const char *)identity->digest, sizeof identity->digest};
    cg_spelling_add_char(&name, plain ? user_tag : digest_tag);
    cg_spelling_add(&name, plain ? identity->user : digest);
    cg_instance_of(&ruleset->keys, cg_spelling_str(&name), ret_instance);
}

void cg_instance_of_group(const struct cg_ruleset *ruleset, unsigned upstream, struct cg_str group,
                          struct cg_arena *arena, struct cg_instance *ret_instance)
{
    struct cg_spelling name;
    cg_spelling_init(&name, arena, 64);
    cg_spelling_add_char(&name, group_tag);
    cg_spelling_add_u32(&name, upstream);
    cg_spelling_add_prefixed(&name, group);
    cg_instance_of(&ruleset->keys, cg_spelling_str(&name), ret_instance);
}

void cg_instance_of_group_counter(const struct cg_ruleset *ruleset, unsigned upstream,
                                  struct cg_arena *arena, struct cg_instance *ret_instance)
{
    struct cg_spelling name;
    cg_spelling_init(&name, arena, 16);
    cg_spelling_add_char(&name, group_counter_tag);
    cg_spelling_add_u32(&name, upstream);
    cg_instance_of(&ruleset->keys, cg_spelling_str(&name), ret_instance);
}

/* By hole: what its values are normalised as, and whether it stands in the path. */
static void find_path_holes(const struct cg_pattern *pattern, bool ret_in_path[CG_HOLES_MAX])
{
    memset(ret_in_path, 0, CG_HOLES_MAX * sizeof *ret_in_path);
    for (size_t i = 0; i < pattern->segment_count; i++)
        if (pattern->segments[i].kind == CG_SEGMENT_HOLE)
            ret_in_path[pattern->segments[i].hole] = true;
}

void cg_instance_of_shape(const struct cg_ruleset *ruleset, unsigned shape,
                          const struct cg_str values[CG_HOLES_MAX], bool lacking,
                          struct cg_str user, struct cg_arena *arena,
                          struct cg_instance *ret_instance)
{
    const struct cg_pattern *pattern = ruleset->shapes[shape].pattern;
    bool in_path[CG_HOLES_MAX];
    struct cg_spelling name;
    find_path_holes(pattern, in_path);
    cg_spelling_init(&name, arena, 192);
    cg_spelling_add_char(&name, shape_tag);
    cg_spelling_add_prefixed(&name, ruleset->shapes[shape].text);
    cg_spelling_add_char(&name, lacking ? 1 : 0);
    cg_spelling_add_prefixed(&name, user);
    for (unsigned hole = 0; hole < pattern->hole_count; hole++)
        if (in_path[hole] || !lacking)
            cg_spelling_add_prefixed(
                &name, cg_hole_normalise(pattern->hole_types[hole], values[hole], arena));
    cg_instance_of(&ruleset->keys, cg_spelling_str(&name), ret_instance);
}

/* ---- what a request depends on ---- */

static bool add_instance(struct cg_plan_build *build, const struct cg_instance *instance,
                         struct cg_str name)
{
    struct cg_plan *plan = build->plan;
    for (size_t i = 0; i < plan->instance_count; i++)
        if (cg_instance_eq(&plan->instances[i], instance))
            return true;
    if (plan->instance_count == CG_INSTANCES_MAX)
        return false;
    plan->instances[plan->instance_count] = *instance;
    if (build->names != NULL)
        build->names[plan->instance_count] = name;
    plan->instance_count++;
    return true;
}

/* One instance per audience that some clause purges. */
static bool add_shape_instances(struct cg_plan_build *build, unsigned shape,
                                const struct cg_str values[CG_HOLES_MAX], bool lacking)
{
    const struct cg_shape *row = &build->ruleset->shapes[shape];
    struct cg_str user = build->plan->identity.user;
    const struct cg_str audiences[2] = {{NULL, 0}, user};
    bool wanted[2] = {row->for_everyone,
                      row->for_self && build->plan->route->scope_user && !cg_str_empty(user)};
    for (size_t i = 0; i < 2; i++) {
        struct cg_instance instance;
        struct cg_str name = {NULL, 0};
        if (!wanted[i])
            continue;
        cg_instance_of_shape(build->ruleset, shape, values, lacking, audiences[i], build->arena,
                             &instance);
        if (build->names != NULL)
            name = cg_shape_name(row->pattern, values, lacking, audiences[i], build->arena);
        if (!add_instance(build, &instance, name))
            return false;
    }
    return true;
}

/* The distinct values that a hole's parameter has in the request. */
struct hole_values {
    unsigned hole;
    struct cg_str *items;
    size_t count;
};

struct fit {
    bool lacks; /* some parameter of the shape is not sent, or empty, which often means the same */
    bool excluded; /* a literal term's parameter is sent, with other values only */
    struct hole_values holes[CG_PATTERN_TERMS_MAX];
    size_t hole_count;
    size_t combinations; /* capped: more than CG_INSTANCES_MAX is too many anyway */
};

static void add_value(struct hole_values *values, struct cg_str value)
{
    for (size_t i = 0; i < values->count; i++)
        if (cg_str_eq(values->items[i], value))
            return;
    values->items[values->count++] = value;
}

static void fit_hole_term(const struct cg_plan_build *build, const struct cg_pattern *pattern,
                          const struct cg_term *term, size_t sent, struct fit *fit)
{
    const struct cg_query *query = &build->plan->query;
    struct hole_values *values = &fit->holes[fit->hole_count++];
    values->hole = term->hole;
    values->items = CG_ARENA_ARRAY(build->arena, struct cg_str, sent);
    for (size_t i = 0; i < query->count; i++)
        if (cg_str_eq(query->params[i].name, term->name))
            add_value(values, cg_hole_normalise(pattern->hole_types[term->hole],
                                                query->params[i].value, build->arena));
    if (fit->combinations <= CG_INSTANCES_MAX)
        fit->combinations *= values->count;
}

static void fit_term(const struct cg_plan_build *build, const struct cg_pattern *pattern,
                     const struct cg_term *term, struct fit *fit)
{
    const struct cg_query *query = &build->plan->query;
    size_t sent = 0, empty = 0, equal = 0;
    for (size_t i = 0; i < query->count; i++)
        if (cg_str_eq(query->params[i].name, term->name)) {
            sent++;
            empty += cg_str_empty(query->params[i].value);
            equal += !term->is_hole && cg_str_eq(query->params[i].value, term->text);
        }
    if (sent == 0 || empty > 0)
        fit->lacks = true;
    else if (term->is_hole)
        fit_hole_term(build, pattern, term, sent, fit);
    else if (equal == 0)
        fit->excluded = true;
}

static bool add_shape(struct cg_plan_build *build, unsigned shape)
{
    const struct cg_pattern *pattern = build->ruleset->shapes[shape].pattern;
    struct cg_str values[CG_HOLES_MAX] = {{NULL, 0}};
    struct fit fit = {.combinations = 1};
    if (!cg_pattern_match_path(pattern, &build->plan->path, values))
        return true;
    for (size_t i = 0; i < pattern->term_count; i++)
        fit_term(build, pattern, &pattern->terms[i], &fit);
    if (fit.excluded)
        return true;
    if (fit.lacks)
        return add_shape_instances(build, shape, values, true);
    if (fit.combinations > CG_INSTANCES_MAX)
        return false;
    for (size_t n = 0; n < fit.combinations; n++) {
        size_t rest = n;
        for (size_t i = 0; i < fit.hole_count; i++) {
            const struct hole_values *hole = &fit.holes[i];
            values[hole->hole] = hole->items[rest % hole->count];
            rest /= hole->count;
        }
        if (!add_shape_instances(build, shape, values, false))
            return false;
    }
    return true;
}

bool cg_instances_make(struct cg_plan_build *build)
{
    struct cg_plan *plan = build->plan;
    const struct cg_ruleset *ruleset = build->ruleset;
    struct cg_instance instance;
    struct cg_str name = {NULL, 0};
    cg_instance_of_path(ruleset, plan->upstream, &plan->path, build->arena, &instance);
    if (build->names != NULL)
        name = cg_arena_printf(build->arena, "path %.*s",
                               CG_STR_ARG(cg_path_spell(&plan->path, build->arena)));
    (void)add_instance(build, &instance, name);
    /* A shared answer is nobody's: with the reader's own instance no two could share it. */
    if (plan->route->scope_user) {
        cg_instance_of_user(ruleset, &plan->identity, build->arena, &instance);
        if (build->names != NULL)
            name = cg_user_name(ruleset, &plan->identity, build->arena);
        (void)add_instance(build, &instance, name);
    }
    for (size_t i = 0; i < plan->route->shape_count; i++)
        if (!add_shape(build, plan->route->shapes[i]))
            return false;
    plan->watched_count = plan->instance_count;
    if (plan->route->groups != CG_GROUPS_IGNORE && plan->instance_count < CG_INSTANCES_MAX)
        cg_instance_of_group_counter(ruleset, plan->upstream, build->arena,
                                     &plan->instances[plan->watched_count++]);
    return true;
}
