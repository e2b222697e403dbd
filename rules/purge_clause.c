#include "rules/purge_build.h"

/* What a clause comes to: the values of each hole of its shape. */
struct clause_values {
    const struct cg_clause *clause;
    const struct cg_pattern *pattern;
    struct cg_purge_values holes[CG_HOLES_MAX];
    size_t combinations;
    bool too_many; /* more combinations than the limit */
    int unknown;   /* the first hole whose values are not known, or -1 */
    bool is_empty; /* some list of values is empty: there is nothing to purge */
};

static void resolve(struct cg_purge_build *build, const struct cg_clause *clause,
                    struct clause_values *values)
{
    *values = (struct clause_values){
        .clause = clause,
        .pattern = build->ruleset->shapes[clause->shape].pattern,
        .combinations = 1,
        .unknown = -1,
    };
    for (unsigned hole = 0; hole < values->pattern->hole_count; hole++) {
        struct cg_purge_values *found = &values->holes[hole];
        *found = cg_purge_value(build, &clause->values[hole]);
        if (found->unknown != NULL) {
            if (values->unknown < 0)
                values->unknown = (int)hole;
            continue;
        }
        if (found->count == 0)
            values->is_empty = true;
        if (found->count > 0 && values->combinations > build->limits->instances_max / found->count)
            values->too_many = true;
        else
            values->combinations *= found->count;
    }
}

static const char *source_name(enum cg_value_source source)
{
    switch (source) {
    case CG_VALUE_LITERAL:
        return "literal ";
    case CG_VALUE_PATH:
        return "path.";
    case CG_VALUE_QUERY:
        return "query.";
    case CG_VALUE_HEADER:
        return "header.";
    case CG_VALUE_REQUEST:
        return "request.";
    case CG_VALUE_RESPONSE:
        return "response.";
    case CG_VALUE_USER:
        return "user";
    case CG_VALUE_STATUS:
        return "status";
    }
    return "";
}

static void count_widened(struct cg_purge_build *build, const struct clause_values *values)
{
    struct cg_purge_set *set = build->set;
    if (!build->open_too || set->widened++ > 0)
        return;
    if (values->unknown < 0) {
        set->widened_detail = cg_arena_printf(build->arena, "%.*s: more values than the limit",
                                              CG_STR_ARG(values->pattern->text));
        return;
    }
    const struct cg_value *value = &values->clause->values[values->unknown];
    bool is_nameless = value->source == CG_VALUE_USER || value->source == CG_VALUE_STATUS;
    struct cg_str name = is_nameless ? CG_STR("") : value->name;
    set->widened_detail = cg_arena_printf(
        build->arena, "%.*s: {%s%.*s}: %s", CG_STR_ARG(values->pattern->text),
        source_name(value->source), CG_STR_ARG(name), values->holes[values->unknown].unknown);
}

/* The shape with what is known for certain filled in, and the rest left open. */
static void add_widened(struct cg_purge_build *build, const struct clause_values *values,
                        struct cg_str user)
{
    struct cg_str known[CG_HOLES_MAX] = {{NULL, 0}};
    for (unsigned hole = 0; hole < values->pattern->hole_count; hole++)
        if (values->holes[hole].unknown == NULL && values->holes[hole].count == 1)
            known[hole] = values->holes[hole].items[0];
    build->set->cause = CG_PURGE_WIDENED;
    cg_purge_set_note_shape(build->set, build->arena, values->pattern);
    cg_purge_add_open(build, values->clause->shape, known, user);
    count_widened(build, values);
}

static void add_combinations(struct cg_purge_build *build, const struct clause_values *values,
                             struct cg_str user)
{
    struct cg_str filled[CG_HOLES_MAX] = {{NULL, 0}};
    for (size_t n = 0; n < values->combinations; n++) {
        size_t rest = n;
        for (unsigned hole = 0; hole < values->pattern->hole_count; hole++) {
            filled[hole] = values->holes[hole].items[rest % values->holes[hole].count];
            rest /= values->holes[hole].count;
        }
        cg_purge_add_shape(build, values->clause->shape, filled, user);
    }
}

void cg_purge_add_clause(struct cg_purge_build *build, const struct cg_clause *clause)
{
    struct clause_values values;
    struct cg_str user = {NULL, 0};
    /* Of an unknown user's answers there is only one safe set: everyone's (CONSISTENCY row 23). */
    if (clause->self)
        user = build->plan->identity.user;
    build->set->cause = CG_PURGE_RULE;
    resolve(build, clause, &values);
    if (values.is_empty)
        return;
    if (values.unknown >= 0 || values.too_many)
        add_widened(build, &values, user);
    else
        add_combinations(build, &values, user);
}
