/*
 * The second look of a rotation (CONSISTENCY row 13): what is not there under our secret may stand
 * under the other accepted one. The request is planned again under that secret's keys, and looked
 * up as any other; whatever does not answer the client brings the first plan back, and with it the
 * versions that were read first: what is fetched is stored under our own secret only.
 *
 * A stale answer found so is no hit: its refresh would be stored where nobody looked.
 */
#include "gateway/request/machine.h"

struct cg_request_first {
    struct cg_plan plan;
    struct cg_key variant_key;
    struct cg_str variant;
    struct cg_store_view view;
};

const struct cg_ruleset *cg_request_rules(const struct cg_request *request)
{
    const struct cg_ruleset *ruleset = request->regime->ruleset;
    return request->first == NULL ? ruleset : ruleset->previous;
}

static void begin(struct cg_request *request)
{
    struct cg_request_first *first = CG_ARENA_NEW(&request->arena, struct cg_request_first);
    first->plan = request->plan;
    first->variant_key = request->variant_key;
    first->variant = request->variant;
    first->view = request->view;
    first->view.entry = NULL; /* there was none */
    first->view.bans = NULL;  /* request->bans, of the second look, knows more */
    request->first = first;
    request->looked_twice = true;
    cg_plan_make(request->regime->ruleset->previous, request->facts, false, &request->arena,
                 &request->plan);
    CG_ASSERT(request->plan.kind == CG_PLAN_LOOKUP); /* keys decide nothing */
    request->variant_key = request->plan.key;
    request->variant = (struct cg_str){NULL, 0};
}

void cg_request_look_back(struct cg_request *request)
{
    const struct cg_request_first *first = request->first;
    if (first == NULL)
        return;
    request->plan = first->plan;
    request->variant_key = first->variant_key;
    request->variant = first->variant;
    if (request->view.result == CG_STORE_OK)
        request->view = first->view;
    request->first = NULL;
}

/* `entry`, and what may be served of it if the upstream fails, stays the second look's. */
static void settle(struct cg_request *request)
{
    struct cg_verdict *verdict = &request->verdict;
    if (verdict->kind == CG_VERDICT_HIT)
        cg_count(request->machine->sheet, CG_METRIC_PREVIOUS_SECRET, 1);
    if (verdict->kind == CG_VERDICT_HIT || verdict->kind == CG_VERDICT_SELECT)
        return;
    bool usable_if_error = verdict->usable_if_error || verdict->kind == CG_VERDICT_STALE;
    cg_request_look_back(request);
    *verdict = (struct cg_verdict){
        .kind = CG_VERDICT_MISS, .reason = CG_REASON_ABSENT, .usable_if_error = usable_if_error};
}

bool cg_request_look_twice(struct cg_request *request)
{
    const struct cg_verdict *verdict = &request->verdict;
    if (request->first != NULL) {
        settle(request);
        return false;
    }
    if (request->regime->ruleset->previous == NULL || request->looked_twice ||
        request->view.stand_in != NULL || /* which holds nothing from before */
        verdict->kind != CG_VERDICT_MISS || verdict->reason != CG_REASON_ABSENT)
        return false;
    begin(request);
    return true;
}
