#include "gateway/request/record.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/recent.h"
#include "gateway/request/machine.h"

static void count(struct cg_machine *machine, size_t slot, struct cg_str method, unsigned status,
                  enum cg_result result)
{
    const struct cg_request_labels labels = {
        .slot = slot,
        .method = cg_method_of(method),
        .status_class = cg_class_of(status),
        .result = result,
    };
    cg_count_request(machine->sheet, &labels);
}

static uint64_t since(int64_t begin_us, int64_t now_us)
{
    return now_us > begin_us ? (uint64_t)(now_us - begin_us) : 0;
}

/* ---- routes ---- */

size_t *cg_route_slots_create(struct cg_book *book, const struct cg_ruleset *ruleset)
{
    size_t *slots = calloc(ruleset->route_count + 1, sizeof *slots);
    CG_ASSERT(slots != NULL);
    for (size_t i = 0; i < ruleset->route_count; i++)
        slots[i] = cg_book_route_slot(book, ruleset->routes[i].name);
    return slots;
}

size_t cg_request_slot(const struct cg_request *request)
{
    const struct cg_route *route = request->plan.route;
    return route == NULL ? CG_ROUTE_SLOT_NONE : request->regime->route_slots[route->index];
}

/* ---- purges ---- */

static void list_purge(const struct cg_machine *machine, const struct cg_route *route,
                       const struct cg_purge_set *set, enum cg_purge_cause cause)
{
    const struct cg_recent_note note = {
        .at_ms = cg_now_ms(machine->clock),
        .cause = cg_purge_cause_word(cause),
        .route = route == NULL ? CG_STR("") : route->name,
        .shapes = set->shapes,
        .shape_count = set->shape_count,
        .instances = set->instance_count,
        .open = set->ban_count,
        .widened = set->widened > 0,
    };
    cg_recent_add(cg_recent_process(), &note);
}

void cg_request_note_purge(struct cg_machine *machine, const struct cg_route *route,
                           const struct cg_purge_set *set)
{
    enum cg_purge_cause first = CG_PURGE_CAUSE_COUNT;
    cg_count(machine->sheet, CG_METRIC_DELETES, set->instance_count);
    cg_count(machine->sheet, CG_METRIC_BANS, set->ban_count);
    cg_count(machine->sheet, CG_METRIC_WIDENED, set->widened);
    for (unsigned i = 0; i < CG_PURGE_CAUSE_COUNT; i++) {
        if (set->causes[i] == 0)
            continue;
        cg_count_purge(machine->sheet, (enum cg_purge_cause)i, set->causes[i]);
        if (first == CG_PURGE_CAUSE_COUNT)
            first = (enum cg_purge_cause)i;
    }
    if (first != CG_PURGE_CAUSE_COUNT)
        list_purge(machine, route, set, first);
}

/* ---- the times of a request ---- */

void cg_request_note_store_wait(struct cg_request *request)
{
    if (request->store_since_us == 0)
        request->store_since_us = cg_clock_monotonic_us();
}

/* By the step that goes on when the store has answered. */
static enum cg_operation operation_of(const struct cg_request *request)
{
    if (request->step == CG_REQUEST_write_marked)
        return CG_OPERATION_MARK;
    return request->is_write ? CG_OPERATION_PURGE : CG_OPERATION_LOOKUP;
}

void cg_request_note_store_answer(struct cg_request *request)
{
    if (request->store_since_us == 0)
        return; /* it answered inside the call, as the embedded store does */
    uint64_t us = since(request->store_since_us, cg_clock_monotonic_us());
    cg_observe(request->machine->sheet, CG_TIMING_STORE, operation_of(request), us);
    request->store_us += us;
    request->store_since_us = 0;
}

void cg_flight_note_asked(struct cg_flight *flight)
{
    flight->ended_us = 0; /* it may be asked again */
    flight->sent_us = cg_clock_monotonic_us();
    if (flight->asked_us == 0)
        flight->asked_us = flight->sent_us;
}

void cg_flight_note_head(struct cg_flight *flight, unsigned status)
{
    flight->origin_status = status;
    cg_observe(flight->machine->sheet, CG_TIMING_UPSTREAM, flight->founder->plan.upstream,
               since(flight->sent_us, cg_clock_monotonic_us()));
}

void cg_flight_note_store_wait(struct cg_flight *flight)
{
    if (flight->store_since_us == 0)
        flight->store_since_us = cg_clock_monotonic_us();
}

void cg_flight_note_store_answer(struct cg_flight *flight)
{
    if (flight->store_since_us == 0)
        return;
    bool purges = flight->step == CG_FLIGHT_body; /* after a refusal */
    cg_observe(flight->machine->sheet, CG_TIMING_STORE,
               purges ? CG_OPERATION_PURGE : CG_OPERATION_PREPARE,
               since(flight->store_since_us, cg_clock_monotonic_us()));
    flight->store_since_us = 0;
}

void cg_flight_note_fill(struct cg_flight *flight)
{
    if (flight->fills > 0) /* else it was stored inside the call */
        flight->fill_since_us = cg_clock_monotonic_us();
}

void cg_flight_note_filled(struct cg_flight *flight)
{
    if (flight->fill_since_us == 0)
        return;
    cg_observe(flight->machine->sheet, CG_TIMING_STORE, CG_OPERATION_FILL,
               since(flight->fill_since_us, cg_clock_monotonic_us()));
}

/* Who joined late did not wait for all of it. */
static void take_upstream(struct cg_request *request, const struct cg_flight *flight,
                          int64_t now_us)
{
    if (flight->asked_us == 0)
        return;
    int64_t begin_us =
        flight->asked_us > request->started_us ? flight->asked_us : request->started_us;
    request->has_fetch_trace = flight->founder != request && flight->founder->has_trace;
    if (request->has_fetch_trace)
        request->fetch_trace = flight->founder->trace;
    request->upstream = (int)flight->founder->plan.upstream;
    request->upstream_status = flight->origin_status;
    request->upstream_us += since(begin_us, flight->ended_us == 0 ? now_us : flight->ended_us);
}

void cg_request_note_flight_left(struct cg_request *request)
{
    if (request->client != NULL)
        take_upstream(request, request->flight, cg_clock_monotonic_us());
}

/* What goes out in one piece with its head, as small stored answers do, needs no reading of the
 * clock for it: it is all there at the end. */
void cg_request_note_head(struct cg_request *request, unsigned status)
{
    bool at_once = (request->result == CG_RESULT_HIT || request->result == CG_RESULT_STALE) &&
                   request->entry.body.length <= CG_SEND_BYTES_MAX;
    request->reply_status = status;
    count(request->machine, cg_request_slot(request), request->facts->method, status,
          request->result);
    if (!at_once)
        request->head_us = since(request->started_us, cg_clock_monotonic_us());
}

static void count_times(struct cg_sheet *sheet, const struct cg_request_record *record)
{
    if (record->status == 0)
        return;
    cg_observe(sheet, CG_TIMING_REQUEST, record->result, record->duration_us);
    cg_observe(sheet, CG_TIMING_HEAD, record->result, record->head_us);
}

static void observe(struct cg_machine *machine, struct cg_request_record *record)
{
    struct cg_trace trace;
    if (machine->observe == NULL)
        return;
    if (record->trace == NULL) {
        (void)cg_machine_trace(machine, record->fields, &trace);
        record->trace = &trace;
    }
    record->started_ms = cg_now_ms(machine->clock) - (int64_t)(record->duration_us / 1000);
    machine->observe(machine->observer, record);
}

void cg_request_note_end(struct cg_request *request)
{
    const struct cg_request_facts *facts = request->facts;
    const struct cg_client *client = request->client;
    int64_t now_us = cg_clock_monotonic_us();
    if (request->flight != NULL)
        take_upstream(request, request->flight, now_us);
    if (request->store_since_us != 0)
        request->store_us += since(request->store_since_us, now_us);
    struct cg_request_record record = {
        .duration_us = since(request->started_us, now_us),
        .store_us = request->store_us,
        .upstream_us = request->upstream_us,
        .method = facts->method,
        .scheme = facts->scheme,
        .authority = facts->authority,
        .target = facts->target,
        .fields = facts->fields,
        .peer = facts->peer_address,
        .protocol = client->protocol,
        .status = request->reply_status,
        .request_body_bytes = facts->body.length,
        .response_body_bytes = client->body_bytes,
        .complete = client->whole,
        .route = request->plan.route,
        .result = request->result,
        .reason = request->reason,
        .has_key = !cg_str_empty(request->plan.canonical),
        .upstream = request->upstream,
        .upstream_status = request->upstream_status,
        .trace = request->has_trace ? &request->trace : NULL,
        .fetch_trace = request->has_fetch_trace ? &request->fetch_trace : NULL,
    };
    if (request->reply_begun)
        record.head_us = request->head_us != 0 ? request->head_us : record.duration_us;
    memcpy(record.key_id, request->variant_key.id, sizeof(record.key_id));
    cg_gauge_add(request->machine->sheet, CG_GAUGE_REQUESTS, -1);
    if (!request->reply_begun)
        count(request->machine, cg_request_slot(request), facts->method, 0, request->result);
    count_times(request->machine->sheet, &record);
    observe(request->machine, &record);
}

void cg_machine_note_refusal(struct cg_machine *machine, const struct cg_request_record *record)
{
    struct cg_request_record own = *record;
    cg_count(machine->sheet, CG_METRIC_REFUSED, 1);
    cg_count_reason(machine->sheet, record->reason);
    count(machine, CG_ROUTE_SLOT_NONE, record->method, record->status, record->result);
    observe(machine, &own);
}
