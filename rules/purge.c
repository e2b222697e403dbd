#include "cachegate/purge.h"
#include "cachegate/groups.h"

#include "rules/purge_build.h"

bool cg_purge_needs_answer_body(const struct cg_plan *plan)
{
    return plan->kind == CG_PLAN_WRITE && plan->route != NULL && plan->route->needs_response_body;
}

bool cg_purge_applies(const struct cg_write_answer *answer)
{
    if (!answer->known)
        return true;
    unsigned class = answer->status / 100;
    return class != 1 && class != 4;
}

static enum cg_invalidate_mode mode_of(const struct cg_plan *plan)
{
    return plan->route == NULL ? CG_INVALIDATE_DEFAULTS : plan->route->invalidate;
}

/*
 * A path of the host that was asked: of the upstream that the write goes to, and of the one that
 * answers a GET of it. Rules may send reads and writes of one URI to different upstreams, and what
 * is stored for that URI is wrong all the same (RFC 9111 4.4).
 */
static void add_path(struct cg_purge_build *build, const struct cg_path *path)
{
    struct cg_str captures[CG_HOLES_MAX];
    const struct cg_route *reader =
        cg_ruleset_route(build->ruleset, CG_STR("GET"), build->facts->authority, path, captures);
    cg_purge_add_path(build, build->plan->upstream, path);
    if (reader != NULL && reader->upstream != build->plan->upstream)
        cg_purge_add_path(build, reader->upstream, path);
}

/* The request's own path, and without a list the one above it (CONSISTENCY row 25). */
static void add_own_paths(struct cg_purge_build *build)
{
    const struct cg_plan *plan = build->plan;
    build->set->cause = CG_PURGE_DEFAULT;
    if (mode_of(plan) == CG_INVALIDATE_NONE)
        return;
    add_path(build, &plan->path);
    if (mode_of(plan) != CG_INVALIDATE_DEFAULTS || plan->path.count == 0)
        return;
    struct cg_path parent = {plan->path.segments, plan->path.count - 1};
    add_path(build, &parent);
}

/* RFC 9111 4.4. */
static void add_named_paths(struct cg_purge_build *build)
{
    const struct cg_fields *fields = build->answer->fields;
    build->set->cause = CG_PURGE_LOCATION;
    if (mode_of(build->plan) != CG_INVALIDATE_DEFAULTS || fields == NULL)
        return;
    for (size_t i = 0; i < fields->count; i++) {
        const struct cg_field *field = &fields->items[i];
        struct cg_path path;
        if ((cg_str_eq(field->name, CG_STR("location")) ||
             cg_str_eq(field->name, CG_STR("content-location"))) &&
            cg_reference_path(field->value, build->facts, build->arena, &path))
            add_path(build, &path);
    }
}

static bool reads_answer(const struct cg_purge_build *build, const struct cg_clause *clause)
{
    unsigned holes = build->ruleset->shapes[clause->shape].pattern->hole_count;
    for (unsigned i = 0; i < holes; i++)
        if (clause->values[i].source == CG_VALUE_RESPONSE)
            return true;
    return false;
}

static bool conditions_hold(struct cg_purge_build *build, const struct cg_clause *clause)
{
    for (size_t i = 0; i < clause->condition_count; i++)
        if (!cg_purge_condition_holds(build, &clause->conditions[i]))
            return false;
    return true;
}

static void add_clauses(struct cg_purge_build *build)
{
    const struct cg_route *route = build->plan->route;
    if (mode_of(build->plan) != CG_INVALIDATE_LIST)
        return;
    for (size_t i = 0; i < route->clause_count; i++) {
        const struct cg_clause *clause = &route->clauses[i];
        bool wanted =
            build->answer == NULL ? !reads_answer(build, clause) : conditions_hold(build, clause);
        if (wanted)
            cg_purge_add_clause(build, clause);
    }
}

/* RFC 9875 3: what the answer says of groups of its own origin. */
static void add_tags(struct cg_purge_build *build)
{
    struct cg_groups groups;
    bool known = false;
    for (size_t i = 0; i < build->ruleset->route_count; i++)
        known = known || (build->ruleset->routes[i].groups != CG_GROUPS_IGNORE &&
                          build->ruleset->routes[i].upstream == build->plan->upstream);
    if (!known || build->answer->fields == NULL)
        return;
    build->set->cause = CG_PURGE_GROUPS;
    cg_groups_invalidated(build->facts->method, build->answer->fields, build->arena, &groups);
    for (size_t i = 0; i < groups.count; i++)
        cg_purge_add_tag(build, build->plan->upstream, groups.names[i]);
    if (!groups.overflowed)
        return;
    build->set->cause = CG_PURGE_WIDENED;
    build->set->widened++;
    build->set->widened_detail = CG_STR("more groups than can be purged by name");
    cg_purge_set_ban(build->set, build->arena, (struct cg_str){NULL, 0}, (struct cg_str){NULL, 0});
}

static void finish(struct cg_purge_build *build)
{
    cg_json_free(&build->request.json);
    cg_json_free(&build->response.json);
}

void cg_purge_before(const struct cg_ruleset *ruleset, const struct cg_plan *plan,
                     const struct cg_request_facts *facts, const struct cg_purge_limits *limits,
                     bool explain, struct cg_arena *arena, struct cg_purge_set *ret_set)
{
    struct cg_purge_build build = {
        .ruleset = ruleset,
        .plan = plan,
        .facts = facts,
        .limits = limits,
        .arena = arena,
        .named = explain,
        .open_too = explain, /* an open purge cannot be marked */
        .set = ret_set,
    };
    *ret_set = (struct cg_purge_set){0};
    if (plan->kind != CG_PLAN_WRITE)
        return;
    add_own_paths(&build);
    add_clauses(&build);
    finish(&build);
}

void cg_purge_after(const struct cg_ruleset *ruleset, const struct cg_plan *plan,
                    const struct cg_request_facts *facts, const struct cg_write_answer *answer,
                    const struct cg_purge_limits *limits, bool explain, struct cg_arena *arena,
                    struct cg_purge_set *ret_set)
{
    struct cg_purge_build build = {
        .ruleset = ruleset,
        .plan = plan,
        .facts = facts,
        .answer = answer,
        .limits = limits,
        .arena = arena,
        .named = explain,
        .open_too = true,
        .set = ret_set,
    };
    *ret_set = (struct cg_purge_set){0};
    if (plan->kind != CG_PLAN_WRITE || !cg_purge_applies(answer))
        return;
    add_own_paths(&build);
    add_named_paths(&build);
    add_clauses(&build);
    add_tags(&build);
    finish(&build);
}

void cg_purge_on_refusal(const struct cg_ruleset *ruleset, const struct cg_plan *plan,
                         unsigned status, bool explain, struct cg_arena *arena,
                         struct cg_purge_set *ret_set)
{
    struct cg_purge_build build = {
        .ruleset = ruleset, .plan = plan, .arena = arena, .named = explain, .set = ret_set};
    *ret_set =
        (struct cg_purge_set){.cause = status == 401 ? CG_PURGE_REFUSED_401 : CG_PURGE_REFUSED_403};
    if (plan->kind == CG_PLAN_REFUSE)
        return;
    if (status == 401 && plan->identity.present)
        cg_purge_add_user(&build, &plan->identity);
    else if (status == 403)
        cg_purge_add_path(&build, plan->upstream, &plan->path);
}
