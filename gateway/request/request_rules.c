/*
 * Requests under several sets of rules (CONSISTENCY row 14).
 *
 * A request obeys the regime that was in force when it came, to its end. What it makes wrong is
 * asked of every set of rules that matters when it settles: its own, the one in force, and the
 * other one of an exchange. Each is asked with a plan of its own, made from the same facts; what
 * cannot be had (the answer's body was not captured, because its own rules did not ask for it)
 * widens, as anywhere.
 */
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/request/machine.h"

enum { RULES_MAX = 3 };

/* ---- regimes ---- */

void cg_regime_unref(struct cg_regime *regime)
{
    CG_ASSERT(regime->references > 0);
    if (--regime->references == 0 && regime->on_end != NULL)
        regime->on_end(regime);
}

/* A bound that grows lets those in who wait for it when the next one leaves. */
static void move_lanes(struct cg_machine *machine)
{
    const struct cg_machine_limits *limits = &machine->regime->limits;
    for (size_t i = 0; i < machine->upstream_count; i++) {
        uint32_t cap = machine->caps[i].places_max, places = limits->outage_fetches_max;
        machine->lanes[i].places_max = cap > 0 && cap < places ? cap : places;
        machine->lanes[i].queue_max = machine->caps[i].queue_max = limits->outage_queue_max;
    }
}

void cg_machine_adopt(struct cg_machine *machine)
{
    struct cg_regime *before = machine->regime;
    CG_ASSERT(machine->other != NULL && machine->extending == 0);
    machine->regime = machine->other;
    machine->other = before;
    move_lanes(machine);
}

void cg_machine_forget(struct cg_machine *machine)
{
    struct cg_regime *other = machine->other;
    CG_ASSERT(other != NULL);
    machine->other = NULL;
    cg_regime_unref(other);
}

/* ---- which rules ---- */

static size_t rules_that_matter(const struct cg_request *request,
                                const struct cg_ruleset *ret_rules[RULES_MAX])
{
    const struct cg_machine *machine = request->machine;
    const struct cg_regime *const regimes[RULES_MAX] = {request->regime, machine->regime,
                                                        machine->other};
    size_t count = 0;
    for (size_t i = 0; i < RULES_MAX; i++) {
        bool known = regimes[i] == NULL;
        for (size_t j = 0; j < count && !known; j++)
            known = ret_rules[j] == regimes[i]->ruleset;
        if (!known)
            ret_rules[count++] = regimes[i]->ruleset;
    }
    return count;
}

/* The request as these rules see it. */
static const struct cg_plan *plan_under(struct cg_request *request,
                                        const struct cg_ruleset *ruleset)
{
    if (ruleset == request->regime->ruleset)
        return &request->plan;
    struct cg_plan *plan = CG_ARENA_NEW(&request->arena, struct cg_plan);
    cg_plan_make(ruleset, request->facts, false, &request->arena, plan);
    return plan;
}

static struct cg_purge_limits limits_of(const struct cg_request *request)
{
    const struct cg_machine_limits *limits = &request->regime->limits;
    return (struct cg_purge_limits){
        .json_body_max = limits->json_body_max,
        .json_depth_max = limits->json_depth_max,
        .instances_max = limits->purge_instances_max,
    };
}

/* ---- what is purged ---- */

void cg_request_intend(struct cg_request *request)
{
    struct cg_purge_limits limits = limits_of(request);
    const struct cg_ruleset *rules[RULES_MAX];
    size_t count = rules_that_matter(request, rules);
    for (size_t i = 0; i < count; i++) {
        struct cg_purge_set set;
        cg_purge_before(rules[i], plan_under(request, rules[i]), request->facts, &limits, false,
                        &request->arena, &set);
        cg_purge_set_join(&request->intent, &set, &request->arena);
    }
}

void cg_request_decide(struct cg_request *request, const struct cg_write_answer *answer)
{
    struct cg_purge_limits limits = limits_of(request);
    const struct cg_ruleset *rules[RULES_MAX];
    size_t count = rules_that_matter(request, rules);
    memset(&request->after, 0, sizeof(request->after));
    for (size_t i = 0; i < count; i++) {
        struct cg_purge_set set;
        cg_purge_after(rules[i], plan_under(request, rules[i]), request->facts, answer, &limits,
                       false, &request->arena, &set);
        cg_purge_set_join(&request->after, &set, &request->arena);
    }
}

void cg_request_purge_on_refusal(struct cg_request *request, unsigned status,
                                 struct cg_purge_set *ret_set)
{
    const struct cg_ruleset *rules[RULES_MAX];
    size_t count = rules_that_matter(request, rules);
    *ret_set = (struct cg_purge_set){0};
    for (size_t i = 0; i < count; i++) {
        struct cg_purge_set set;
        cg_purge_on_refusal(rules[i], plan_under(request, rules[i]), status, false, &request->arena,
                            &set);
        cg_purge_set_join(ret_set, &set, &request->arena);
    }
}

void cg_request_intend_path(struct cg_request *request)
{
    const struct cg_ruleset *rules[RULES_MAX];
    size_t count = rules_that_matter(request, rules);
    for (size_t i = 0; i < count; i++) {
        struct cg_purge_set set = {.cause = CG_PURGE_METHOD};
        cg_purge_of_path(rules[i], &request->plan.path, &request->arena, &set);
        cg_purge_set_join(&request->intent, &set, &request->arena);
    }
}

/* ---- announcing ---- */

void cg_request_list_write(struct cg_request *request)
{
    struct cg_machine *machine = request->machine;
    CG_ASSERT(!request->listed_write);
    request->listed_write = true;
    request->previous_write = NULL;
    request->next_write = machine->writes;
    if (machine->writes != NULL)
        machine->writes->previous_write = request;
    machine->writes = request;
}

void cg_request_unlist_write(struct cg_request *request)
{
    if (!request->listed_write)
        return;
    request->listed_write = request->extends = false;
    if (request->previous_write != NULL)
        request->previous_write->next_write = request->next_write;
    else
        request->machine->writes = request->next_write;
    if (request->next_write != NULL)
        request->next_write->previous_write = request->previous_write;
}

static void one_less(struct cg_machine *machine)
{
    CG_ASSERT(machine->extending > 0);
    if (--machine->extending == 0)
        machine->on_announced(machine->announcer);
}

void cg_request_extended(struct cg_request *request)
{
    one_less(request->machine);
}

static struct cg_request *next_to_extend(const struct cg_machine *machine)
{
    struct cg_request *request = machine->writes;
    while (request != NULL && !request->extends)
        request = request->next_write;
    return request;
}

/*
 * Readers under the next rules may not store what a write in flight is about to make wrong: it is
 * made busy before anybody reads under them. Answers may come at once and run any step, so the list
 * is searched anew for each.
 */
void cg_machine_announce(struct cg_machine *machine, struct cg_regime *next,
                         void (*on_announced)(void *owner), void *owner)
{
    struct cg_request *request;
    CG_ASSERT(machine->other == NULL && machine->extending == 0);
    next->references++;
    machine->other = next;
    machine->on_announced = on_announced;
    machine->announcer = owner;
    machine->extending = 1;
    for (request = machine->writes; request != NULL; request = request->next_write) {
        size_t before = request->intent.instance_count;
        cg_request_intend(request);
        request->extends = request->intent.instance_count > before;
    }
    while ((request = next_to_extend(machine)) != NULL) {
        request->extends = false;
        machine->extending++;
        cg_request_mark_more(request);
    }
    one_less(machine);
}
