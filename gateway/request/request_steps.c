/*
 * The read path of a request, in the order of its life. Writes are in request_write.c.
 */
#include "cachegate/early_refresh.h"
#include "cachegate/freshness.h"
#include "gateway/base/clock.h"
#include "gateway/request/machine.h"

static void count(struct cg_request *request, enum cg_metric metric)
{
    cg_count(request->machine->sheet, metric, 1);
}

static void count_route(struct cg_request *request, enum cg_route_metric metric)
{
    if (request->plan.route != NULL)
        cg_count_route(request->machine->sheet, cg_request_slot(request), metric);
}

static enum cg_step_result refuse(struct cg_request *request)
{
    count(request, CG_METRIC_REFUSED);
    request->result = CG_RESULT_ERROR;
    cg_request_reply_error(request, request->plan.refuse_status, request->plan.reason,
                           request->plan.detail, NULL);
    cg_request_go(request, CG_REQUEST_await_client);
    return CG_CONTINUE;
}

enum cg_step_result cg_request_pass(struct cg_request *request, enum cg_reason reason)
{
    request->may_store = false;
    request->reason = reason;
    cg_request_go(request, CG_REQUEST_forward);
    return CG_CONTINUE;
}

/* RFC 9111 5.2.1.7: whoever asks for what is stored alone is not given anything else. */
static enum cg_step_result begin_read(struct cg_request *request)
{
    bool only_if_cached = cg_request_read_wishes(request);
    bool is_pass = request->plan.kind == CG_PLAN_PASS;
    request->variant_key = request->plan.key;
    request->result = CG_RESULT_MISS; /* until more is known */
    if (!is_pass && !cg_request_asks_origin(request)) {
        cg_request_go(request, CG_REQUEST_lookup);
        return CG_CONTINUE;
    }
    count(request, CG_METRIC_PASSES);
    request->result = CG_RESULT_PASS;
    if (only_if_cached)
        return cg_request_refuse_unasked(request);
    return cg_request_pass(request, is_pass ? request->plan.reason : CG_REASON_CONDITION);
}

enum cg_step_result cg_request_step_receive(struct cg_request *request)
{
    count(request, CG_METRIC_REQUESTS);
    cg_plan_make(request->regime->ruleset, request->facts, false, &request->arena, &request->plan);
    request->reason = request->plan.reason;
    memset(request->view.versions, 0,
           request->plan.watched_count * sizeof(request->view.versions[0]));
    if (cg_str_eq(request->facts->method, CG_STR("PURGE")) &&
        request->plan.kind != CG_PLAN_REFUSE) {
        request->result = CG_RESULT_PURGE;
        cg_request_go(request, CG_REQUEST_purge_method);
        return CG_CONTINUE;
    }
    switch (request->plan.kind) {
    case CG_PLAN_LOOKUP:
    case CG_PLAN_PASS:
        return begin_read(request);
    case CG_PLAN_WRITE:
        count(request, CG_METRIC_WRITES);
        request->result = CG_RESULT_WRITE;
        request->is_write = true;
        cg_request_keep(request);
        cg_request_go(request, CG_REQUEST_write_mark);
        return CG_CONTINUE;
    case CG_PLAN_REFUSE:
        return refuse(request);
    }
    CG_UNREACHABLE();
}

/* ---- lookup ---- */

static void on_view(void *owner, const struct cg_store_view *view)
{
    struct cg_request *request = cg_request_of(owner);
    request->entry_blob = cg_blob_unref(request->entry_blob);
    request->bans = cg_bans_unref(request->bans);
    memcpy(&request->view, view, offsetof(struct cg_store_view, versions));
    memcpy(request->view.versions, view->versions,
           request->plan.watched_count * sizeof(view->versions[0]));
    request->view.given = NULL;
    if (view->given != NULL) {
        request->entry_blob = *view->given;
        *view->given = NULL;
    } else if (view->entry != NULL) {
        request->entry_blob = cg_blob_ref(view->entry);
    }
    if (view->bans != NULL)
        request->bans = cg_bans_ref(view->bans);
    cg_request_answered(request);
}

enum cg_step_result cg_request_step_lookup(struct cg_request *request)
{
    struct cg_store *store = request->machine->store;
    cg_request_go(request, CG_REQUEST_looked_up);
    cg_request_await(request);
    store->port->lookup(store, &request->variant_key, request->plan.instances,
                        request->plan.watched_count, on_view, request);
    return CG_WAIT;
}

enum cg_step_result cg_request_pass_in_outage(struct cg_request *request)
{
    cg_count_store_error(request->machine->sheet, CG_OPERATION_LOOKUP);
    if (request->wishes.only_if_cached)
        return cg_request_refuse_unasked(request);
    request->in_outage = true;
    return cg_request_pass(request, CG_REASON_STORE_UNAVAILABLE);
}

/* Once, however often it looks. */
static void count_miss(struct cg_request *request)
{
    if (request->missed)
        return;
    request->missed = true;
    count(request, CG_METRIC_MISSES);
    count_route(request, CG_ROUTE_MISSES);
}

/* Nobody waits for what could not be stored lately, or is never fresh: one after the other would be
 * told so. What this request fetches for itself may be stored. */
static bool is_no_use_to_others(const struct cg_request *request)
{
    const struct cg_entry *entry = &request->entry;
    return request->verdict.reason == CG_REASON_HIT_FOR_MISS ||
           (request->verdict.alive && entry->lifetime_ms <= entry->initial_age_ms);
}

static enum cg_step_result miss(struct cg_request *request)
{
    count_miss(request);
    if (request->plan.head)
        return cg_request_pass(request, CG_REASON_HEAD_MISS);
    if (request->plan.has_range)
        return cg_request_pass(request, CG_REASON_RANGE);
    request->may_store = true;
    request->alone = request->alone || is_no_use_to_others(request);
    cg_request_go(request, request->alone ? CG_REQUEST_forward : CG_REQUEST_join);
    return CG_CONTINUE;
}

/* Looks again, under the values of the fields that the Vary marker names. */
static enum cg_step_result select_variant(struct cg_request *request)
{
    request->variant =
        cg_vary_signature(request->entry.vary, request->facts->fields, &request->arena);
    cg_key_of(&cg_request_rules(request)->keys, request->plan.canonical, request->variant,
              &request->variant_key);
    request->variant_key.route = request->plan.key.route;
    cg_request_go(request, CG_REQUEST_lookup);
    return CG_CONTINUE;
}

/* Opens what a shared store gave: the seal proves that it is ours, this user's and this request's.
 */
static enum cg_seal_result unseal(struct cg_request *request, struct cg_str *ret_encoded)
{
    struct cg_seal_claim claim = {
        .identity = cg_request_owner(request),
        .canonical = request->plan.canonical,
        .variant = request->variant,
        .instances = request->plan.instances,
        .versions = request->view.versions,
        .count = request->plan.instance_count,
    };
    return cg_seal_open_blob(request->regime->sealer, &request->entry_blob, &claim, ret_encoded);
}

/* NULL when there is none that can be used; `*ret_unreadable` then says why, if something was. */
static const struct cg_entry *read_entry(struct cg_request *request, enum cg_reason *ret_unreadable)
{
    struct cg_str encoded;
    if (request->entry_blob == NULL)
        return NULL;
    if (request->machine->store->port->seals) {
        enum cg_seal_result result = unseal(request, &encoded);
        if (request->entry_blob == NULL) {
            *ret_unreadable = cg_seal_reason(result);
            return NULL;
        }
    } else {
        encoded = cg_blob_str(request->entry_blob);
    }
    if (cg_entry_decode(encoded, &request->arena, &request->entry))
        return &request->entry;
    *ret_unreadable = CG_REASON_UNREADABLE;
    return NULL;
}

enum cg_step_result cg_request_step_looked_up(struct cg_request *request)
{
    if (request->view.result != CG_STORE_OK)
        return cg_request_follow_verdict(request, request->view.result, CG_REASON_ABSENT);
    request->in_outage = request->view.stand_in != NULL;
    if (!cg_bans_agree(request->bans, cg_route_digest(request->plan.route))) {
        count_miss(request);
        return cg_request_pass(request, CG_REASON_RULES_DIFFER);
    }
    enum cg_reason unreadable = CG_REASON_ABSENT;
    const struct cg_entry *entry = read_entry(request, &unreadable);
    request->judged_at_ms = cg_now_ms(request->machine->clock);
    request->verdict =
        cg_verdict_of(entry, &request->plan, request->variant, request->view.versions,
                      request->view.epoch, request->bans, request->judged_at_ms);
    if ((unreadable == CG_REASON_ABSENT || request->first != NULL) &&
        cg_request_look_twice(request)) {
        cg_request_go(request, CG_REQUEST_lookup);
        return CG_CONTINUE;
    }
    cg_request_apply_wishes(request);
    if (cg_request_depends_on_groups(request)) {
        cg_request_go(request, CG_REQUEST_group_versions);
        return CG_CONTINUE;
    }
    return cg_request_follow_verdict(request, CG_STORE_OK, unreadable);
}

enum cg_step_result cg_request_follow_verdict(struct cg_request *request,
                                              enum cg_store_result result,
                                              enum cg_reason unreadable)
{
    if (result != CG_STORE_OK) {
        cg_request_look_back(request);
        count(request, CG_METRIC_MISSES);
        return cg_request_pass_in_outage(request);
    }
    if (request->verdict.refused) {
        count(request, CG_METRIC_MISSES);
        return cg_request_refuse_unasked(request);
    }
    request->reason = request->verdict.reason;
    switch (request->verdict.kind) {
    case CG_VERDICT_HIT:
    case CG_VERDICT_STALE:
        cg_request_go(request, CG_REQUEST_deliver_hit);
        return CG_CONTINUE;
    case CG_VERDICT_SELECT:
        return select_variant(request);
    case CG_VERDICT_MISS:
        request->stale_at_hand = request->verdict.usable_if_error;
        if (unreadable != CG_REASON_ABSENT)
            request->reason = unreadable;
        else if (request->reason == CG_REASON_ABSENT && !cg_str_empty(request->variant))
            request->reason = CG_REASON_VARY; /* others are there (RFC 9211 2.2) */
        return miss(request);
    case CG_VERDICT_PASS:
        count_miss(request);
        return cg_request_pass(request, request->verdict.reason);
    }
    CG_UNREACHABLE();
}

/* ---- a stored answer ---- */

/* While it is fresh: so that what is often asked for does not expire under load. */
static bool refreshes_early(const struct cg_request *request)
{
    const struct cg_machine *machine = request->machine;
    const struct cg_entry *entry = &request->entry;
    uint32_t strength_percent = request->plan.route->early_refresh_percent;
    if (request->verdict.kind != CG_VERDICT_HIT || request->reason != CG_REASON_FRESH ||
        entry->must_revalidate || request->in_outage || request->first != NULL ||
        strength_percent == 0 || entry->cost_ms == 0)
        return false;
    uint64_t age_ms =
        cg_current_age_ms(entry->initial_age_ms, entry->stored_at_ms, request->judged_at_ms);
    uint64_t left_ms = entry->lifetime_ms > age_ms ? entry->lifetime_ms - age_ms : 0;
    if (cg_early_refresh_is_far(left_ms, entry->cost_ms, strength_percent))
        return false;
    uint64_t random;
    machine->random_bytes(&random, sizeof(random));
    return cg_early_refresh_is_due(left_ms, entry->cost_ms, strength_percent, random);
}

enum cg_step_result cg_request_step_deliver_hit(struct cg_request *request)
{
    bool stale = request->reason != CG_REASON_FRESH;
    request->result = stale ? CG_RESULT_STALE : CG_RESULT_HIT;
    count(request, CG_METRIC_HITS);
    count_route(request, CG_ROUTE_HITS);
    if (stale)
        count(request, CG_METRIC_STALE_HITS);
    bool wants_newer = request->verdict.kind == CG_VERDICT_STALE || refreshes_early(request);
    if (wants_newer && !request->plan.head)
        cg_request_refresh(
            request); /* before the answer: the client's memory may go away with it */
    bool in_parts = cg_request_cut_entry(request);
    cg_request_go(request, in_parts ? CG_REQUEST_deliver_parts : CG_REQUEST_await_client);
    cg_request_reply_entry(request);
    return CG_CONTINUE;
}

/* ---- the end ---- */

enum cg_step_result cg_request_step_await_client(struct cg_request *request)
{
    if (request->client != NULL)
        return CG_WAIT;
    cg_request_go(request, CG_REQUEST_finished);
    return CG_CONTINUE;
}

enum cg_step_result cg_request_step_finished(struct cg_request *request)
{
    cg_flight_leave(request);
    cg_timer_disarm(request->machine->clock, &request->timer);
    if (!request->reply_begun)
        cg_count_reason(request->machine->sheet, request->reason);
    request->finished = true;
    cg_request_unref(request);
    return CG_WAIT;
}
