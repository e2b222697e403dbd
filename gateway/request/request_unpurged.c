/*
 * Writes that the store could not be told of (CONSISTENCY row 3).
 *
 * A mark that was acknowledged protects by itself: while it lives readers pass, when it ends its
 * instances get new versions. Unless the store lost it while the write was at the upstream: so only
 * `journal` relies on it, which answers as ever and leaves the purge to the driver's journal.
 * `refuse` does not forward what cannot be marked, and holds what could not be purged afterwards;
 * `lease` holds the answer for as long as the driver says that others may still trust what it made
 * wrong.
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

bool cg_request_is_heard(const struct cg_request *request)
{
    return request->client != NULL && !request->reply_ended;
}

bool cg_request_unpurged(const struct cg_request *request)
{
    bool protects = request->machine->unpurgeable == CG_UNPURGEABLE_JOURNAL &&
                    request->marked_until_ms > request->answered_at_ms;
    return request->store_result != CG_STORE_OK ||
           (request->release_failed && request->after.instance_count > 0 && !protects);
}

enum fate { RELEASED, HELD, FAILED };

/* What is to become of the answer now; while it is held, *ret_ms says when to look again. */
static enum fate fate_of(const struct cg_request *request, uint32_t *ret_ms)
{
    const struct cg_machine *machine = request->machine;
    int64_t left_ms = request->patience_ends_ms - cg_now_ms(machine->clock);
    bool patient = left_ms > 0;
    uint32_t hold_ms = 0;
    *ret_ms = patient && left_ms < TRY_MS ? (uint32_t)left_ms : TRY_MS;
    switch (machine->unpurgeable) {
    case CG_UNPURGEABLE_JOURNAL:
        return RELEASED;
    case CG_UNPURGEABLE_REFUSE:
        return patient ? HELD : RELEASED;
    case CG_UNPURGEABLE_LEASE:
        hold_ms = lease_hold_ms(machine);
        if (hold_ms == CG_STORE_HOLD_REFUSE)
            return patient ? HELD : FAILED;
        if (hold_ms > 0 && hold_ms < TRY_MS)
            *ret_ms = hold_ms;
        return hold_ms > 0 ? HELD : RELEASED;
    }
    CG_UNREACHABLE();
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
    request->hold_due = false;
    cg_request_go(request, next);
    return CG_CONTINUE;
}

/*
 * Others may take its lease for forgotten, and believe what this write made wrong. What the
 * upstream did stays done, so nothing is said of it: to the client its outcome is unknown, and to a
 * gateway in front of us too, which knows a 502 for that.
 */
static enum cg_step_result fail(struct cg_request *request, enum cg_request_step next)
{
    cg_count(request->machine->sheet, CG_METRIC_WRITES_FAILED, 1);
    if (request->reply_begun)
        cg_request_abort_client(request);
    else
        cg_request_reply_error(request, 502, CG_REASON_UNPURGED, CG_STR(""),
                               "proxy_internal_error");
    return end_hold(request, next);
}

static void begin_hold(struct cg_request *request)
{
    struct cg_machine *machine = request->machine;
    request->patience_ends_ms = cg_now_ms(machine->clock) + request->regime->limits.write_hold_ms;
    cg_count(machine->sheet, CG_METRIC_WRITES_HELD, 1);
}

/* Before the head and again at the end: what was held in between counts for both. */
static enum cg_step_result hold(struct cg_request *request, enum cg_request_step next)
{
    struct cg_machine *machine = request->machine;
    if (!cg_request_is_heard(request) || machine->unpurgeable == CG_UNPURGEABLE_JOURNAL ||
        !cg_request_unpurged(request))
        return end_hold(request, next);
    if (request->patience_ends_ms == 0)
        begin_hold(request);
    if (cg_request_renew_marks(request))
        return CG_WAIT;
    uint32_t wait_ms;
    switch (fate_of(request, &wait_ms)) {
    case RELEASED:
        return end_hold(request, next);
    case FAILED:
        return fail(request, next);
    case HELD:
        break;
    }
    bool due = request->hold_due;
    request->hold_due = false;
    if (!request->hold_timer.armed)
        cg_timer_arm(machine->clock, &request->hold_timer, wait_ms);
    if (due && machine->store->port->reachable(machine->store))
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
