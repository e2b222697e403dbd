/*
 * Groups that answers name (groups.h; CONSISTENCY row 1), at both ends: a stored answer counts only
 * while its groups are as they were, which is a second, small question to the store; and whoever
 * purges a group moves the counter of its upstream first. What a fetch does is in flight_groups.c.
 */
#include "cachegate/groups.h"
#include "gateway/request/machine.h"

bool cg_request_depends_on_groups(struct cg_request *request)
{
    if (!request->verdict.alive || request->plan.route->groups == CG_GROUPS_IGNORE)
        return false;
    struct cg_group_check *check = CG_ARENA_NEW(&request->arena, struct cg_group_check);
    check->count = cg_group_note_read(&request->entry.fields, check->instances, check->tokens);
    request->groups = check;
    return check->count > 0;
}

static void on_versions(void *owner, const struct cg_store_view *view)
{
    struct cg_request *request = cg_request_of(owner);
    struct cg_group_check *check = request->groups;
    check->result = view->result;
    check->hold = cg_versions_concrete(view->versions, check->count);
    for (size_t i = 0; i < check->count && check->hold; i++)
        check->hold = cg_token_eq(&view->versions[i].token, &check->tokens[i]);
    cg_request_answered(request);
}

enum cg_step_result cg_request_step_group_versions(struct cg_request *request)
{
    struct cg_store *store = request->machine->store;
    struct cg_group_check *check = request->groups;
    cg_request_go(request, CG_REQUEST_group_verdict);
    cg_request_await(request);
    store->port->lookup(store, NULL, check->instances, check->count, on_versions, request);
    return CG_WAIT;
}

/* As for any other version that moved: the answer is good for nothing. */
enum cg_step_result cg_request_step_group_verdict(struct cg_request *request)
{
    const struct cg_group_check *check = request->groups;
    if (check->result == CG_STORE_OK && !check->hold) {
        cg_request_look_back(request);
        request->verdict = (struct cg_verdict){.kind = CG_VERDICT_MISS,
                                               .reason = CG_REASON_PURGED,
                                               .refused = request->wishes.only_if_cached};
    }
    return cg_request_follow_verdict(request, check->result, CG_REASON_ABSENT);
}

/* ---- purges ---- */

static void on_moved(void *owner, enum cg_store_result result)
{
    struct cg_request *request = cg_request_of(owner);
    if (result != CG_STORE_OK) {
        request->counter_result = result;
        cg_count_store_error(request->machine->sheet, CG_OPERATION_PURGE);
    }
    cg_request_answered(request);
}

bool cg_request_move_counters(struct cg_request *request)
{
    struct cg_store *store = request->machine->store;
    const struct cg_purge_set *after = &request->after;
    request->counter_result = CG_STORE_OK;
    if (after->counter_count == 0)
        return false;
    cg_request_await(request);
    store->port->purge(store, after->counters, after->counter_count, on_moved, request);
    return true;
}
