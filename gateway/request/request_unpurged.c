/*
 * Writes that the store could not be told of (CONSISTENCY row 3).
 *
 * A mark that was acknowledged protects by itself: while it lives readers pass, when it ends its
 * instances get new versions. So a write needs nothing more where its marks were there until the
 * upstream was done. Where they were not, or what the answer named could not be purged, the
 * operator chose: `journal` answers as ever and leaves the purge to the driver's journal; `refuse`
 * does not forward what cannot be marked, and holds what is known too late; `lease` holds the
 * answer for as long as the driver says that others may still trust what it made wrong.
 *
 * A held answer is released as soon as its purge was acknowledged, and at the latest when its time
 * is over. The store does not tell when it is back: it is asked now and then.
 */
#include "gateway/base/clock.h"
#include "gateway/request/machine.h"

enum { TRY_MS = 100, RETRY_AFTER_S = 5 };

static uint32_t lease_hold_ms(const struct cg_machine *machine)
{
    struct cg_store *store = machine->store;
    return store->port->unpurged_hold_ms == NULL ? 0 : store->port->unpurged_hold_ms(store);
}

/* ---- before it is forwarded ---- */

/* A write that nothing was marked for may still purge what its answer names. */
static bool may_purge(const struct cg_request *request)
{
    const struct cg_route *route = request->plan.route;
    return route == NULL || route->invalidate != CG_INVALIDATE_NONE;
}

static bool was_told(const struct cg_request *request)
{
    struct cg_store *store = request->machine->store;
    if (request->marked)
        return request->marked_until_ms != 0;
    return !may_purge(request) || store->port->reachable(store);
}

bool cg_request_refuses_write(const struct cg_request *request)
{
    switch (request->machine->unpurgeable) {
    case CG_UNPURGEABLE_JOURNAL:
        return false;
    case CG_UNPURGEABLE_REFUSE:
        return !was_told(request);
    case CG_UNPURGEABLE_LEASE:
        return !was_told(request) && lease_hold_ms(request->machine) == CG_STORE_HOLD_REFUSE;
    }
    CG_UNREACHABLE();
}

enum cg_step_result cg_request_step_write_refused(struct cg_request *request)
{
    request->is_write = false;
    cg_request_go(request, CG_REQUEST_await_client);
    cg_count(request->machine->sheet, CG_METRIC_WRITES_REFUSED, 1);
    if (request->client != NULL)
        cg_request_reply_busy(request, CG_REASON_UNPURGEABLE, RETRY_AFTER_S,
                              "proxy_internal_response");
    return CG_CONTINUE;
}

/* ---- after the upstream answered ---- */

bool cg_request_unpurged(const struct cg_request *request)
{
    bool protects = request->marked_until_ms > request->answered_at_ms;
    return request->store_result != CG_STORE_OK ||
           (request->release_failed && request->after.instance_count > 0 && !protects);
}

/* Where only waiting helps; what an answer was held for before its head counts. */
static int64_t patience_ms(const struct cg_request *request)
{
    const struct cg_machine *machine = request->machine;
    int64_t left_ms = machine->limits.write_hold_ms;
    if (request->hold_ends_ms != 0)
        left_ms = request->hold_ends_ms - cg_now_ms(machine->clock);
    return left_ms < 0 ? 0 : left_ms;
}

static int64_t hold_ms_of(const struct cg_request *request)
{
    uint32_t hold_ms;
    switch (request->machine->unpurgeable) {
    case CG_UNPURGEABLE_JOURNAL:
        return 0;
    case CG_UNPURGEABLE_REFUSE:
        return patience_ms(request);
    case CG_UNPURGEABLE_LEASE:
        hold_ms = lease_hold_ms(request->machine);
        return hold_ms == CG_STORE_HOLD_REFUSE ? patience_ms(request) : hold_ms;
    }
    CG_UNREACHABLE();
}

static void arm_try(struct cg_request *request)
{
    struct cg_clock *clock = request->machine->clock;
    int64_t left_ms = request->hold_ends_ms - cg_now_ms(clock);
    cg_timer_arm(clock, &request->hold_timer, left_ms < TRY_MS ? (uint32_t)left_ms : TRY_MS);
}

/* With fresh tokens, so that it does no harm that the driver's journal does the same. */
static void purge_again(struct cg_request *request)
{
    bool release_again = request->release_failed;
    cg_request_purge_unmarked(request);
    if (release_again)
        cg_request_release(request);
}

static enum cg_step_result end_hold(struct cg_request *request, enum cg_request_step next)
{
    cg_timer_disarm(request->machine->clock, &request->hold_timer);
    request->held = request->hold_due = false;
    cg_request_go(request, next);
    return CG_CONTINUE;
}

static enum cg_step_result begin_hold(struct cg_request *request, enum cg_request_step next)
{
    struct cg_machine *machine = request->machine;
    int64_t hold_ms = cg_request_unpurged(request) ? hold_ms_of(request) : 0;
    if (hold_ms == 0)
        return end_hold(request, next);
    if (request->hold_ends_ms == 0)
        cg_count(machine->sheet, CG_METRIC_WRITES_HELD, 1);
    request->held = true;
    request->hold_ends_ms = cg_now_ms(machine->clock) + hold_ms;
    arm_try(request);
    return CG_WAIT;
}

static enum cg_step_result hold(struct cg_request *request, enum cg_request_step next)
{
    struct cg_machine *machine = request->machine;
    if (request->client == NULL) /* nobody to hold it from */
        return end_hold(request, next);
    if (!request->held)
        return begin_hold(request, next);
    if (!cg_request_unpurged(request) || cg_now_ms(machine->clock) >= request->hold_ends_ms)
        return end_hold(request, next);
    if (cg_request_renew_marks(request) || !request->hold_due)
        return CG_WAIT;
    request->hold_due = false;
    arm_try(request);
    if (machine->store->port->reachable(machine->store))
        purge_again(request);
    return CG_WAIT;
}

enum cg_step_result cg_request_step_write_hold_early(struct cg_request *request)
{
    return hold(request, CG_REQUEST_write_begin);
}

enum cg_step_result cg_request_step_write_hold(struct cg_request *request)
{
    return hold(request, CG_REQUEST_write_end);
}
