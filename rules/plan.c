#include "rules/plan_build.h"

static const char *path_error_detail(enum cg_path_error error)
{
    switch (error) {
    case CG_PATH_OK:
        break;
    case CG_PATH_DOT_SEGMENT:
        return "a dot segment in the path";
    case CG_PATH_BAD_ENCODING:
        return "a broken or forbidden encoding in the target";
    case CG_PATH_TOO_COMPLEX:
        return "too many path segments";
    }
    return "";
}

static void decide(struct cg_plan *plan, enum cg_plan_kind kind, enum cg_reason reason,
                   struct cg_str detail)
{
    plan->kind = kind;
    plan->reason = reason;
    plan->detail = detail;
}

static void refuse(struct cg_plan *plan, unsigned status, const char *detail)
{
    decide(plan, CG_PLAN_REFUSE, CG_REASON_BAD_REQUEST, cg_str_from(detail));
    plan->refuse_status = status;
}

bool cg_method_is_safe(struct cg_str method)
{
    static const struct cg_str safe[] = {
        {"GET", 3},      {"HEAD", 4},   {"OPTIONS", 7}, {"TRACE", 5},
        {"PROPFIND", 8}, {"REPORT", 6}, {"SEARCH", 6},  {"QUERY", 5},
    };
    for (size_t i = 0; i < sizeof safe / sizeof safe[0]; i++)
        if (cg_str_eq(safe[i], method))
            return true;
    return false;
}

/* Takes the target apart. False: refused. A query that is too long leaves an empty one, with
 * `*ret_query_known` false. */
static bool read_target(struct cg_plan_build *build, bool *ret_query_known)
{
    struct cg_plan *plan = build->plan;
    struct cg_str method = build->facts->method, path, query;
    bool has_query;
    *ret_query_known = true;
    if (cg_str_eq(method, CG_STR("CONNECT"))) {
        refuse(plan, 501, "CONNECT is not supported");
        return false;
    }
    if (cg_str_eq(method, CG_STR("TRACE"))) {
        refuse(plan, 405, "TRACE is not allowed");
        return false;
    }
    if (cg_str_eq(method, CG_STR("OPTIONS")) && cg_str_eq(build->target, CG_STR("*")))
        return true; /* of the server as a whole (RFC 9110 9.3.7): an empty path */
    struct cg_query none;
    cg_target_split(build->target, &path, &query, &has_query);
    enum cg_path_error error = cg_path_parse(path, build->arena, &plan->path, &none);
    if (error == CG_PATH_OK)
        error = cg_query_parse(query, build->arena, &plan->query);
    else
        plan->path.count = 0;
    if (error == CG_PATH_TOO_COMPLEX && plan->query.count > 0) {
        plan->query.count = 0;
        *ret_query_known = false;
        return true;
    }
    if (error != CG_PATH_OK) {
        refuse(plan, 400, path_error_detail(error));
        return false;
    }
    return true;
}

/* Unsafe requests, and those whose route invalidates. True when it is one. */
static bool plan_write(struct cg_plan_build *build)
{
    struct cg_plan *plan = build->plan;
    struct cg_str nothing = {NULL, 0};
    if (!cg_method_is_safe(build->facts->method))
        decide(plan, CG_PLAN_WRITE, CG_REASON_WRITE, nothing);
    else if (plan->route != NULL && plan->route->invalidate == CG_INVALIDATE_LIST)
        decide(plan, CG_PLAN_WRITE, CG_REASON_RULE_INVALIDATES, nothing);
    else
        return false;
    return true;
}

/* Reads that the cache has nothing to do with. True when it is one. */
static bool plan_pass(struct cg_plan_build *build)
{
    struct cg_plan *plan = build->plan;
    struct cg_str method = build->facts->method, nothing = {NULL, 0};
    bool is_get = cg_str_eq(method, CG_STR("GET"));
    if (plan->route == NULL)
        decide(plan, CG_PLAN_PASS, CG_REASON_NO_ROUTE, nothing);
    else if (!is_get && !plan->head)
        decide(plan, CG_PLAN_PASS, CG_REASON_METHOD, method);
    else if (!build->ruleset->cache_enabled)
        decide(plan, CG_PLAN_PASS, CG_REASON_CACHE_OFF, nothing);
    else if (plan->route->cache == CG_CACHE_NEVER)
        decide(plan, CG_PLAN_PASS, CG_REASON_RULE_NEVER, nothing);
    else if (build->facts->has_body)
        decide(plan, CG_PLAN_PASS, CG_REASON_REQUEST_BODY, nothing);
    else
        return false;
    return true;
}

/* A read of a cached route, which identity, credentials or size may still keep from the cache. */
static void plan_lookup(struct cg_plan_build *build, struct cg_str ambiguous_source)
{
    struct cg_plan *plan = build->plan;
    struct cg_str ambiguous =
        cg_str_empty(ambiguous_source) ? cg_ambiguous_part(build) : ambiguous_source;
    struct cg_str uncovered = cg_uncovered_credential(build);
    if (!cg_str_empty(ambiguous)) {
        decide(plan, CG_PLAN_PASS, CG_REASON_AMBIGUOUS_IDENTITY, ambiguous);
        return;
    }
    if (!cg_str_empty(uncovered)) {
        decide(plan, CG_PLAN_PASS, CG_REASON_UNCOVERED_CREDENTIAL, uncovered);
        return;
    }
    struct cg_query sent = plan->query;
    cg_canonical_make(build);
    if (cg_instances_make(build)) {
        decide(plan, CG_PLAN_LOOKUP, CG_REASON_ABSENT, (struct cg_str){NULL, 0});
        return;
    }
    plan->instance_count = 0;
    plan->query = sent;
    plan->target = build->target;
    decide(plan, CG_PLAN_PASS, CG_REASON_TOO_COMPLEX, CG_STR("purge patterns"));
}

static void make(struct cg_plan_build *build)
{
    const struct cg_request_facts *facts = build->facts;
    struct cg_plan *plan = build->plan;
    bool query_known;
    if (!read_target(build, &query_known))
        return;
    plan->route = cg_ruleset_route(build->ruleset, facts->method, facts->authority, &plan->path,
                                   plan->captures);
    if (plan->route != NULL)
        plan->upstream = plan->route->upstream;
    bool cookies_known = cg_cookies_parse(facts->fields, build->arena, &build->cookies);
    struct cg_str ambiguous_source = cg_identity_make(build);
    if (!cookies_known) { /* an identity cookie may be among those not seen */
        plan->identity.present = false;
        plan->identity.user = (struct cg_str){NULL, 0};
    }
    if (plan_write(build) || plan_pass(build))
        return;
    if (!query_known || !cookies_known)
        decide(plan, CG_PLAN_PASS, CG_REASON_TOO_COMPLEX,
               cg_str_from(query_known ? "cookies" : "query parameters"));
    else
        plan_lookup(build, ambiguous_source);
}

static struct cg_str own(struct cg_arena *arena, struct cg_str s)
{
    return s.bytes == NULL ? s : cg_arena_copy(arena, s);
}

/* Nothing in the plan points into the request: path, query and captures are cut from a copy of the
 * target, keys and canonical request are spelled anew, and what is left is copied at the end. */
void cg_plan_make(const struct cg_ruleset *ruleset, const struct cg_request_facts *facts,
                  bool explain, struct cg_arena *arena, struct cg_plan *ret_plan)
{
    struct cg_plan_build build = {ruleset, facts, arena, NULL, ret_plan, {NULL, 0}, {0}};
    memset(ret_plan, 0, offsetof(struct cg_plan, instances));
    ret_plan->target = build.target = cg_arena_copy(arena, facts->target);
    ret_plan->identity_rules = &ruleset->identity;
    ret_plan->head = cg_str_eq(facts->method, CG_STR("HEAD"));
    ret_plan->has_range = cg_fields_find(facts->fields, CG_STR("range")) != NULL;
    if (explain)
        ret_plan->instance_names = build.names =
            CG_ARENA_ARRAY(arena, struct cg_str, CG_INSTANCES_MAX);
    make(&build);
    ret_plan->detail = own(arena, ret_plan->detail);
    ret_plan->identity.user = own(arena, ret_plan->identity.user);
}
