/*
 * How a request gets its answer from the upstream: through a flight that it founds or shares.
 */
#include "gateway/base/clock.h"
#include "gateway/request/machine.h"

/* How long it waits for what others fetch, over all that it waits for. */
static void begin_to_wait(struct cg_request *request)
{
    struct cg_machine *machine = request->machine;
    if (!request->timer.armed && !request->timed_out)
        cg_timer_arm(machine->clock, &request->timer, request->regime->limits.flight_wait_ms);
}

enum cg_step_result cg_request_step_join(struct cg_request *request)
{
    cg_request_keep(request); /* from here on things outlive the client */
    struct cg_flight *flight = cg_flight_find(request, CG_SHARING_VERSIONS);
    cg_request_go(request, CG_REQUEST_await_head);
    begin_to_wait(request);
    if (flight != NULL) {
        request->collapsed = true;
        cg_flight_join(flight, request);
        return CG_CONTINUE;
    }
    flight = cg_flight_create(request, true, request->regime->limits.entry_bytes_max);
    /* Who wants a newer one than what is stored would not be content with what others store. */
    if (request->reason != CG_REASON_CLIENT_FRESHER)
        cg_flight_claims(flight);
    cg_flight_list(flight);
    cg_flight_join(flight, request);
    cg_flight_start(flight);
    cg_flight_unref(flight);
    return CG_CONTINUE;
}

/* One refresh per key: whoever comes while it flies finds it listed, and who fetches elsewhere has
 * the claim. */
void cg_request_refresh(struct cg_request *request)
{
    cg_request_keep(request);
    if (cg_flight_find(request, CG_SHARING_VERSIONS) != NULL)
        return;
    struct cg_flight *flight =
        cg_flight_create(request, true, request->regime->limits.entry_bytes_max);
    flight->outlives_waiters = true;
    flight->refreshes = true;
    cg_flight_claims(flight);
    cg_flight_list(flight);
    cg_flight_start(flight);
    cg_flight_unref(flight);
}

/* In an outage: while such a fetch waits for its place, others with the same request may join it.
 */
static bool shares_unsent(const struct cg_request *request)
{
    return request->in_outage && !request->alone && !request->may_store &&
           request->plan.kind == CG_PLAN_LOOKUP && !request->plan.head && !request->plan.has_range;
}

enum cg_step_result cg_request_step_forward(struct cg_request *request)
{
    cg_request_keep(request);
    bool shares = shares_unsent(request);
    struct cg_flight *flight = shares ? cg_flight_find(request, CG_SHARING_UNSENT) : NULL;
    cg_request_go(request, CG_REQUEST_await_head);
    if (flight != NULL) {
        request->collapsed = true;
        cg_flight_join(flight, request);
        return CG_CONTINUE;
    }
    size_t keep_max = request->may_store ? request->regime->limits.entry_bytes_max : 0;
    if (!request->may_store && !shares && request->plan.kind == CG_PLAN_LOOKUP)
        request->plan.kind = CG_PLAN_PASS; /* so that conditions and ranges travel */
    flight = cg_flight_create(request, request->may_store, keep_max);
    if (shares) {
        flight->sharing = CG_SHARING_UNSENT;
        cg_flight_list(flight);
    }
    cg_flight_join(flight, request);
    cg_flight_start(flight);
    cg_flight_unref(flight);
    return CG_CONTINUE;
}

/* Leaves a flight that cannot be shared, or takes too long, and fetches alone; it may store. */
static enum cg_step_result go_own_way(struct cg_request *request)
{
    cg_flight_leave(request);
    cg_timer_disarm(request->machine->clock, &request->timer);
    request->timed_out = false;
    request->reason = CG_REASON_FLIGHT_LEFT;
    request->collapsed = false;
    request->alone = true;
    cg_request_go(request, CG_REQUEST_forward);
    return CG_CONTINUE;
}

static enum cg_step_result serve_stale(struct cg_request *request)
{
    cg_flight_leave(request);
    cg_timer_disarm(request->machine->clock, &request->timer);
    request->reason = CG_REASON_STALE_IF_ERROR;
    request->stale_at_hand = false;
    cg_request_go(request, CG_REQUEST_deliver_hit);
    return CG_CONTINUE;
}

/* Leaving a fetch that waits for its place would only make the queue longer. */
static enum cg_step_result await_longer(struct cg_request *request)
{
    struct cg_machine *machine = request->machine;
    bool waits_for_others = request->collapsed || request->flight->step == CG_FLIGHT_wait;
    if (!request->timed_out || !waits_for_others)
        return CG_WAIT;
    if (request->flight->step != CG_FLIGHT_queue)
        return go_own_way(request);
    request->timed_out = false;
    cg_timer_arm(machine->clock, &request->timer, request->regime->limits.flight_wait_ms);
    return CG_WAIT;
}

/* What was learned of the store is forgotten: somebody else stored something, or did not. */
static enum cg_step_result look_again(struct cg_request *request)
{
    cg_flight_leave(request);
    request->collapsed = false;
    request->looked_again = true;
    request->stale_at_hand = false;
    request->variant = (struct cg_str){NULL, 0};
    request->variant_key = request->plan.key;
    cg_request_go(request, CG_REQUEST_lookup);
    return CG_CONTINUE;
}

static enum cg_step_result go_on_without(struct cg_request *request, enum cg_dissolved why)
{
    switch (why) {
    case CG_DISSOLVED_NOT:
        break;
    case CG_DISSOLVED_LOOK_AGAIN:
        return look_again(request);
    case CG_DISSOLVED_BUSY:
        cg_flight_leave(request);
        request->collapsed = false;
        return cg_request_pass(request, CG_REASON_WRITE_IN_FLIGHT);
    case CG_DISSOLVED_OUTAGE:
        cg_flight_leave(request);
        request->collapsed = false;
        return cg_request_pass_in_outage(request);
    }
    CG_UNREACHABLE();
}

/*
 * The one who fetched has failed; of those who waited for it one tries in its place, and the others
 * wait for that one, as often as the limit says.
 */
static bool takes_over(struct cg_request *request)
{
    const struct cg_flight *flight = request->flight;
    if (!request->collapsed || flight->crowded || flight->outcome == CG_ORIGIN_QUEUE_FULL ||
        request->takeovers >= request->regime->limits.flight_takeovers_max)
        return false;
    request->takeovers++;
    cg_count(request->machine->sheet, CG_METRIC_TAKEOVERS, 1);
    return true;
}

enum cg_step_result cg_request_step_await_head(struct cg_request *request)
{
    struct cg_flight *flight = request->flight;
    if (!flight->head_ready && !flight->finished)
        return await_longer(request);
    if (flight->dissolved != CG_DISSOLVED_NOT)
        return go_on_without(request, flight->dissolved);
    if (request->stale_at_hand && (!flight->head_ready || flight->status >= 500))
        return serve_stale(request);
    if (!flight->head_ready && takes_over(request))
        return look_again(request);
    if (!flight->head_ready) {
        cg_request_reply_failure(request);
        cg_flight_leave(request);
        cg_request_go(request, CG_REQUEST_await_client);
        return CG_CONTINUE;
    }
    if (request->collapsed && !cg_flight_shares_with(flight, request))
        return go_own_way(request);
    cg_timer_disarm(request->machine->clock, &request->timer);
    if (request->collapsed)
        cg_count(request->machine->sheet, CG_METRIC_COLLAPSED, 1);
    if (cg_request_has_it_already(request)) {
        cg_request_reply_not_modified(request);
        cg_flight_leave(request);
        cg_request_go(request, CG_REQUEST_await_client);
        return CG_CONTINUE;
    }
    cg_request_go(request, CG_REQUEST_stream);
    cg_request_begin_flight(request);
    return CG_CONTINUE;
}

enum cg_step_result cg_request_step_stream(struct cg_request *request)
{
    struct cg_flight *flight = request->flight;
    if (request->client_busy)
        return CG_WAIT;
    bool whole = flight->finished && flight->outcome == CG_ORIGIN_COMPLETE;
    if (cg_request_send_piece(request, cg_flight_releasable(flight), whole)) {
        if (!request->reply_ended)
            return CG_WAIT;
    } else if (!flight->finished) {
        return CG_WAIT;
    } else {
        cg_request_abort_client(request);
    }
    cg_flight_leave(request);
    cg_request_go(request, CG_REQUEST_await_client);
    return CG_CONTINUE;
}
