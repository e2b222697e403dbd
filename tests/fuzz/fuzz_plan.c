/*
 * Any request over fixed rules: "METHOD target\nfields\n\nbody", then, behind a NUL, the answer to
 * it. A lookup's target must be its own canonical form; forwarding and purging must not fail.
 */
#include "cachegate/assert.h"
#include "cachegate/purge.h"
#include "tests/make_request.h"
#include "tests/make_ruleset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char rules[] =
    "defaults: {ttl: 5m}\n"
    "groups: {g: ['/a/{x}?q={y:nocase}', '/b/**', '/c/{x:int}']}\n"
    "routes:\n"
    "  - {match: 'GET /a/**', key: {query: {ignore: ['utm*']}, headers: [x-k], cookies: [k]}}\n"
    "  - {match: 'GET /b/*', scope: shared, forward: keyed, inert: {cookies: ['t*']}}\n"
    "  - {match: 'GET /**', scope: [user, {tenant: query t}]}\n"
    "  - match: POST /a/{p}\n"
    "    invalidate:\n"
    "      - {group: g, x: '{request.x[*]}', y: '{query.y}', when: {status: 2xx}}\n"
    "      - {pattern: '/b/{p}/{header.x-h}', audience: self, when: {response.ok: 'true'}}\n"
    "      - '/c/{response.a.b:int}'\n";

static const struct cg_purge_limits limits = {4096, 8, 16};

static void check_lookup(const struct cg_ruleset *ruleset, const struct cg_request_facts *facts,
                         const struct cg_plan *plan, struct cg_arena *arena)
{
    struct cg_request_facts forwarded = *facts;
    struct cg_plan again;
    forwarded.target = plan->target;
    cg_plan_make(ruleset, &forwarded, true, arena, &again);
    CG_ASSERT(again.kind == CG_PLAN_LOOKUP);
    CG_ASSERT(cg_str_eq(again.target, plan->target));
    CG_ASSERT(cg_str_eq(again.canonical, plan->canonical));
    CG_ASSERT(again.instance_count == plan->instance_count);
    for (size_t i = 0; i < plan->instance_count; i++)
        CG_ASSERT(cg_instance_eq(&again.instances[i], &plan->instances[i]));
}

static void check_purges(const struct cg_ruleset *ruleset, const struct cg_request_facts *facts,
                         const struct cg_plan *plan, const char *answer, struct cg_arena *arena)
{
    struct cg_request_facts parsed = make_request(arena, "GET /", answer);
    struct cg_write_answer facts_of_answer = {true, 200, parsed.fields, parsed.body, true};
    struct cg_purge_set before, after;
    cg_purge_before(ruleset, plan, facts, &limits, false, arena, &before);
    cg_purge_after(ruleset, plan, facts, &facts_of_answer, &limits, true, arena, &after);
    struct cg_problems problems = {.arena = arena};
    for (size_t i = 0; i < after.ban_count; i++)
        CG_ASSERT(cg_pattern_compile(after.bans[i].pattern, false, arena, &problems,
                                     &(struct cg_node){.file = "ban"}) != NULL);
    cg_purge_on_refusal(ruleset, plan, 401, false, arena, &after);
    cg_purge_on_refusal(ruleset, plan, 403, true, arena, &after);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cg_ruleset *ruleset;
    struct cg_arena arena;
    struct cg_plan plan;
    struct cg_fields fields;
    if (ruleset == NULL)
        ruleset = make_ruleset(rules, "[{header: x-user, name: user}, {cookie: sid}]");
    CG_ASSERT(ruleset != NULL);
    if (size > 8192)
        return 0;
    cg_arena_init(&arena, 256 << 20);
    char *text = cg_arena_alloc(&arena, size + 2); /* ends with two NULs */
    if (size > 0)
        memcpy(text, data, size);
    const char *answer = text + strlen(text) + 1;
    char *head_end = strchr(text, '\n');
    if (head_end != NULL)
        *head_end = '\0';
    struct cg_request_facts facts =
        make_request(&arena, text, head_end == NULL ? "" : head_end + 1);
    cg_plan_make(ruleset, &facts, true, &arena, &plan);
    if (plan.kind == CG_PLAN_LOOKUP)
        check_lookup(ruleset, &facts, &plan, &arena);
    (void)cg_forward_fields(&plan, &facts, CG_STR("gate"), CG_STR(""), &arena, &fields);
    (void)cg_vary_signature(CG_STR("accept-encoding,accept-language,x-k"), facts.fields, &arena);
    check_purges(ruleset, &facts, &plan, answer, &arena);
    cg_arena_fini(&arena);
    return 0;
}
