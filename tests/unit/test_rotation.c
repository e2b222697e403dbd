/* Two secrets at once: what a write purges, and what a reader looks for. */
#include <criterion/criterion.h>

#include "cachegate/purge.h"
#include "tests/make_request.h"
#include "tests/make_ruleset.h"

static struct cg_arena arena;

static void init(void)
{
    cg_arena_init(&arena, 64 << 20);
}

static void fini(void)
{
    cg_arena_fini(&arena);
}

TestSuite(rotation, .init = init, .fini = fini);

#define RULES                                                                                      \
    "groups:\n"                                                                                    \
    "  session: ['/transactions?session_id={id}', '/summary/{id}']\n"                              \
    "routes:\n"                                                                                    \
    "  - {match: GET /transactions, ttl: 5m}\n"                                                    \
    "  - {match: 'GET /summary/{id}', ttl: 5m}\n"                                                  \
    "  - {match: 'GET /users/**', ttl: 5m}\n"                                                      \
    "  - match: PUT /transactions/{id}\n"                                                          \
    "    invalidate:\n"                                                                            \
    "      - {group: session, id: '{request.session}'}\n"

/* With users by name, and with users that only a digest names. */
static const char *const rules[] = {
    RULES "      - {pattern: '/users/{user}/feed', audience: self}\n", RULES};
static const char *const identities[] = {"[{header: X-User, name: user}]", "[{header: X-User}]"};

/* The stages of a rotation, as one gateway sees them. */
static const struct {
    const char *secret, *previous;
} stages[] = {{"old", NULL}, {"old", "new"}, {"new", "old"}, {"new", NULL}};

enum { OLD, ACCEPTS, SWITCHED, NEW, STAGES };

static const struct cg_purge_limits limits = {
    .json_body_max = 1000, .json_depth_max = 8, .instances_max = 8};

enum action { BEFORE, AFTER, REFUSAL, FORBIDDEN, PATTERN, PATH, GROUP, USER, ACTIONS };

static struct cg_request_facts request_of(enum action action)
{
    if (action == REFUSAL || action == FORBIDDEN)
        return make_request(&arena, "GET /summary/1", "X-User: ann");
    return make_request(&arena, "PUT /transactions/1", "X-User: ann\n\n{\"session\": \"s\"}");
}

static struct cg_purge_set purged(const struct cg_ruleset *ruleset, enum action action)
{
    struct cg_request_facts facts = request_of(action);
    struct cg_problems problems = {.arena = &arena};
    struct cg_write_answer answer = {.known = true, .status = 200};
    struct cg_str id = CG_STR("s");
    struct cg_purge_set set = {0};
    struct cg_plan plan;
    cg_plan_make(ruleset, &facts, false, &arena, &plan);
    switch (action) {
    case BEFORE:
        cg_purge_before(ruleset, &plan, &facts, &limits, true, &arena, &set);
        break;
    case AFTER:
        cg_purge_after(ruleset, &plan, &facts, &answer, &limits, true, &arena, &set);
        break;
    case REFUSAL:
        cg_purge_on_refusal(ruleset, &plan, 401, true, &arena, &set);
        break;
    case FORBIDDEN:
        cg_purge_on_refusal(ruleset, &plan, 403, true, &arena, &set);
        break;
    case PATTERN:
        cr_assert(cg_purge_of_pattern(ruleset, CG_STR("/summary/7"), &arena, &problems, &set));
        break;
    case PATH:
        cg_purge_of_path(ruleset, &plan.path, &arena, &set);
        break;
    case GROUP:
        cg_purge_of_group(ruleset, &ruleset->groups[0], &id, &arena, &set);
        break;
    case USER:
        cg_purge_of_user(ruleset, CG_STR("ann"), &arena, &set);
        break;
    case ACTIONS:
        break;
    }
    return set;
}

static bool holds(const struct cg_purge_set *set, const struct cg_instance *instance)
{
    for (size_t i = 0; i < set->instance_count; i++)
        if (cg_instance_eq(&set->instances[i], instance))
            return true;
    return false;
}

static bool covers(const struct cg_purge_set *all, const struct cg_purge_set *part)
{
    for (size_t i = 0; i < part->instance_count; i++)
        if (!holds(all, &part->instances[i]))
            return false;
    return true;
}

/* The heart of the matter: whichever half of the fleet carries the write, it names what either half
 * reads. */
Test(rotation, purge_names_the_instances_of_both_secrets_whichever_is_current)
{
    for (size_t user = 0; user < 2; user++)
        for (enum action action = BEFORE; action < ACTIONS; action++) {
            struct cg_purge_set sets[STAGES];
            for (size_t stage = 0; stage < STAGES; stage++)
                sets[stage] =
                    purged(make_ruleset_under(rules[user], identities[user], stages[stage].secret,
                                              stages[stage].previous),
                           action);
            cr_expect_gt(sets[OLD].instance_count, 0, "%d", action);
            cr_expect_not(covers(&sets[OLD], &sets[NEW]), "%d", action);
            for (size_t stage = ACCEPTS; stage <= SWITCHED; stage++) {
                cr_expect(covers(&sets[stage], &sets[OLD]), "%d in stage %zu", action, stage);
                cr_expect(covers(&sets[stage], &sets[NEW]), "%d in stage %zu", action, stage);
                cr_expect_eq(sets[stage].instance_count, 2 * sets[OLD].instance_count);
            }
        }
}

/* What a gateway looks for under the previous secret is just what one stored that wrote under it.
 */
Test(rotation, plan_under_the_previous_secret_is_that_of_a_gateway_which_uses_it)
{
    struct cg_plan theirs, ours;
    struct cg_request_facts facts = request_of(REFUSAL);
    struct cg_ruleset *switched = make_ruleset_under(rules[0], identities[0], "new", "old");
    cg_plan_make(make_ruleset_under(rules[0], identities[0], "old", NULL), &facts, false, &arena,
                 &theirs);
    cg_plan_make(switched->previous, &facts, false, &arena, &ours);
    cr_expect_null(switched->previous->previous);
    cr_expect(cg_str_eq(ours.canonical, theirs.canonical));
    cr_expect_arr_eq(ours.key.id, theirs.key.id, sizeof ours.key.id);
    cr_expect_arr_eq(ours.identity.digest, theirs.identity.digest, 32);
    cr_expect_eq(ours.instance_count, theirs.instance_count);
    for (size_t i = 0; i < ours.instance_count; i++)
        cr_expect(cg_instance_eq(&ours.instances[i], &theirs.instances[i]));
    cg_plan_make(switched, &facts, false, &arena, &ours);
    cr_expect_arr_neq(ours.key.id, theirs.key.id, sizeof ours.key.id);
}

Test(rotation, explain_tells_the_two_names_apart)
{
    struct cg_purge_set set =
        purged(make_ruleset_under(rules[0], identities[0], "new", "old"), BEFORE);
    size_t marked = 0;
    for (size_t i = 0; i < set.instance_count; i++)
        marked += cg_str_ends_with(set.names[i], CG_STR(" (previous secret)"));
    cr_expect_eq(2 * marked, set.instance_count);
}
