/*
 * The write path of a request (DESIGN.md, "Write intent"; CONSISTENCY rows 6 to 8).
 *
 * mark → forward → (purge early what no mark protects) → head → body but its last byte → settle:
 * purge, end the marks → the last byte. A client that leaves changes nothing but who listens. What
 * becomes of a write that the store could not be told of is in request_unpurged.c.
 */
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/request/machine.h"

void cg_request_on_done(void *owner, enum cg_store_result result)
{
    struct cg_request *request = cg_request_of(owner);
    if (result != CG_STORE_OK) {
        request->store_result = result;
        cg_count_store_error(request->machine->sheet, CG_OPERATION_PURGE);
    }
    cg_request_answered(request);
}

static void on_marked(void *owner, enum cg_store_result result)
{
    struct cg_request *request = cg_request_of(owner);
    if (result == CG_STORE_OK)
        request->marked_until_ms = request->mark_deadline_ms;
    else
        cg_count_store_error(request->machine->sheet, CG_OPERATION_MARK);
    cg_request_answered(request);
}

/* When it fails, the marks that are there do not cover all that is intended. */
static void on_more_marked(void *owner, enum cg_store_result result)
{
    struct cg_request *request = cg_request_of(owner);
    if (result != CG_STORE_OK)
        request->marked_until_ms = 0;
    cg_request_extended(request);
    on_marked(request, result);
}

static void on_released(void *owner, enum cg_store_result result)
{
    struct cg_request *request = cg_request_of(owner);
    request->release_failed = result != CG_STORE_OK;
    if (request->release_failed)
        cg_count_store_error(request->machine->sheet, CG_OPERATION_PURGE);
    cg_request_answered(request);
}

static void on_held(void *owner, enum cg_store_result result)
{
    struct cg_request *request = cg_request_of(owner);
    if (result != CG_STORE_OK) {
        cg_count_store_error(request->machine->sheet, CG_OPERATION_MARK);
        cg_request_complain(request, "hold-failed",
                            "what a write of unknown outcome touches is not kept out of the cache");
    }
    cg_request_answered(request);
}

void cg_request_complain(struct cg_request *request, const char *event, const char *sentence)
{
    struct cg_machine *machine = request->machine;
    uint64_t held;
    if (cg_log_gate_open(&machine->store_gate, cg_now_ms(machine->clock), &held))
        cg_log(CG_LOG_WARN, event, "%s (%llu more not logged)", sentence, (unsigned long long)held);
}

/* ---- before ---- */

static void name_writer(struct cg_machine *machine, struct cg_writer *writer)
{
    uint64_t parts[2] = {machine->writer_seed[0],
                         machine->writer_seed[1] + machine->writer_count++};
    memcpy(writer->id, parts, sizeof(writer->id));
}

static void mark(struct cg_request *request, cg_store_done_fn answer)
{
    struct cg_machine *machine = request->machine;
    const struct cg_purge_set *set = &request->intent;
    cg_request_await(request);
    request->mark_deadline_ms = cg_now_ms(machine->clock) + request->regime->limits.write_mark_ms;
    machine->store->port->mark(machine->store, set->instances, set->instance_count,
                               &request->writer, request->mark_deadline_ms, answer, request);
}

enum cg_step_result cg_request_step_write_mark(struct cg_request *request)
{
    cg_request_intend(request);
    cg_request_list_write(request);
    cg_request_go(request, CG_REQUEST_write_marked);
    if (request->intent.instance_count == 0)
        return CG_CONTINUE;
    name_writer(request->machine, &request->writer);
    request->marked = true;
    mark(request, on_marked);
    return CG_WAIT;
}

static void arm_renewal(struct cg_request *request)
{
    if (request->marked)
        cg_timer_arm(request->machine->clock, &request->timer,
                     request->regime->limits.write_mark_ms / 3);
}

void cg_request_mark_more(struct cg_request *request)
{
    if (!request->marked) {
        name_writer(request->machine, &request->writer);
        request->marked = true;
        arm_renewal(request);
    }
    mark(request, on_more_marked);
}

/* A slow write's marks must not run out under it. */
bool cg_request_renew_marks(struct cg_request *request)
{
    if (!request->timed_out)
        return false;
    request->timed_out = false;
    mark(request, on_marked);
    arm_renewal(request);
    return true;
}

enum cg_step_result cg_request_step_write_marked(struct cg_request *request)
{
    if (cg_request_refuses_write(request)) {
        cg_request_unlist_write(request);
        if (request->marked)
            cg_request_release(request); /* some may be there all the same */
        cg_request_go(request, CG_REQUEST_write_refused);
        return CG_CONTINUE;
    }
    if (request->marked && request->marked_until_ms == 0)
        cg_request_complain(request, "mark-failed", "a write goes out without its marks");
    arm_renewal(request);
    size_t capture = cg_purge_needs_answer_body(&request->plan)
                         ? request->regime->limits.response_capture_max
                         : 0;
    struct cg_flight *flight = cg_flight_create(request, false, capture);
    flight->outlives_waiters = true;
    cg_request_go(request, CG_REQUEST_write_answer);
    cg_flight_join(flight, request);
    cg_flight_start(flight);
    cg_flight_unref(flight);
    return CG_CONTINUE;
}

/* ---- the answer ---- */

static bool answer_has_no_body(const struct cg_flight *flight)
{
    return flight->no_body || (flight->has_length && flight->content_length == 0);
}

enum cg_step_result cg_request_step_write_answer(struct cg_request *request)
{
    struct cg_flight *flight = request->flight;
    if (cg_request_renew_marks(request))
        return CG_WAIT;
    if (flight->finished) {
        cg_request_go(request, CG_REQUEST_write_settle);
        return CG_CONTINUE;
    }
    if (!flight->head_ready)
        return CG_WAIT;
    /* A head alone is an answer: where nothing follows it, wait for the end. */
    if (answer_has_no_body(flight))
        return CG_WAIT;
    if (cg_purge_needs_answer_body(&request->plan) && flight->kept)
        return CG_WAIT;
    cg_request_go(request, CG_REQUEST_write_early);
    return CG_CONTINUE;
}

static struct cg_write_answer answer_of(const struct cg_flight *flight)
{
    return (struct cg_write_answer){
        .known = flight->has_head,
        .status = flight->status,
        .fields = flight->has_head ? &flight->fields : NULL,
        .body = flight->kept ? cg_buf_str(&flight->body) : (struct cg_str){NULL, 0},
        .body_complete = flight->kept && flight->finished && flight->outcome == CG_ORIGIN_COMPLETE,
    };
}

static bool intended(const struct cg_request *request, const struct cg_instance *instance)
{
    for (size_t i = 0; i < request->intent.instance_count; i++)
        if (cg_instance_eq(&request->intent.instances[i], instance))
            return true;
    return false;
}

bool cg_request_purge_unmarked(struct cg_request *request)
{
    struct cg_store *store = request->machine->store;
    const struct cg_purge_set *after = &request->after;
    size_t count = 0;
    bool settles = request->answered_at_ms != 0; /* the release renews what was marked */
    bool covers = settles || request->marked_until_ms > cg_now_ms(request->machine->clock);
    request->store_result = request->counter_result;
    request->counter_result = CG_STORE_OK;
    struct cg_instance *unmarked = CG_ARENA_ARRAY(&request->arena, struct cg_instance,
                                                  after->counter_count + after->instance_count + 1);
    /* Once more, in front: an earlier try may have failed. */
    for (size_t i = 0; i < after->counter_count; i++)
        unmarked[count++] = after->counters[i];
    for (size_t i = 0; i < after->instance_count; i++)
        if (!covers || !intended(request, &after->instances[i]))
            unmarked[count++] = after->instances[i];
    if (count > 0) {
        cg_request_await(request);
        store->port->purge(store, unmarked, count, cg_request_on_done, request);
    }
    if (after->ban_count > 0) {
        cg_request_await(request);
        store->port->ban(store, after->bans, after->ban_count, cg_request_on_done, request);
    }
    return count > 0 || after->ban_count > 0;
}

static void decide(struct cg_request *request)
{
    struct cg_write_answer answer = answer_of(request->flight);
    cg_request_decide(request, &answer);
}

/*
 * The head is about to be released while the upstream still talks. What is marked stays busy; what
 * only the answer names (Location), or widened, is purged now and once more at the end.
 */
enum cg_step_result cg_request_step_write_early(struct cg_request *request)
{
    cg_request_go(request, CG_REQUEST_write_early_purge);
    decide(request);
    return cg_request_move_counters(request) ? CG_WAIT : CG_CONTINUE;
}

enum cg_step_result cg_request_step_write_early_purge(struct cg_request *request)
{
    cg_request_go(request, CG_REQUEST_write_hold_early);
    return cg_request_purge_unmarked(request) ? CG_WAIT : CG_CONTINUE;
}

enum cg_step_result cg_request_step_write_begin(struct cg_request *request)
{
    cg_request_go(request, CG_REQUEST_write_stream);
    if (cg_request_is_heard(request))
        cg_request_begin_flight(request);
    return CG_CONTINUE;
}

enum cg_step_result cg_request_step_write_stream(struct cg_request *request)
{
    struct cg_flight *flight = request->flight;
    if (cg_request_renew_marks(request))
        return CG_WAIT;
    if (flight->finished) {
        cg_request_go(request, CG_REQUEST_write_settle);
        return CG_CONTINUE;
    }
    if (!cg_request_is_heard(request)) { /* the upstream must still be read */
        request->offset = flight->received;
        cg_flight_consumed(flight);
        return CG_WAIT;
    }
    /* With one byte held back the client cannot take the answer for whole. */
    if (!request->client_busy && flight->received > request->offset + 1)
        cg_request_send_piece(request, flight->received - 1, false);
    return CG_WAIT;
}

/* ---- settling ---- */

static void count_purge(struct cg_request *request)
{
    struct cg_machine *machine = request->machine;
    const struct cg_purge_set *after = &request->after;
    cg_request_note_purge(machine, request->plan.route, after);
    uint64_t held;
    if (after->widened > 0 &&
        cg_log_gate_open(&machine->widened_gate, cg_now_ms(machine->clock), &held))
        cg_log(CG_LOG_WARN, "purge-widened", "route %.*s: %.*s (%llu more not logged)",
               CG_STR_ARG(request->plan.route == NULL ? CG_STR("-") : request->plan.route->name),
               CG_STR_ARG(after->widened_detail), (unsigned long long)held);
}

void cg_request_release(struct cg_request *request)
{
    struct cg_store *store = request->machine->store;
    const struct cg_purge_set *intent = &request->intent;
    bool *renew = CG_ARENA_ARRAY(&request->arena, bool, intent->instance_count);
    for (size_t i = 0; i < intent->instance_count; i++)
        for (size_t j = 0; j < request->after.instance_count && !renew[i]; j++)
            renew[i] = cg_instance_eq(&intent->instances[i], &request->after.instances[j]);
    cg_request_await(request);
    store->port->release(store, intent->instances, renew, intent->instance_count, &request->writer,
                         on_released, request);
}

/*
 * The upstream may still commit: what a commit would touch stays busy for a while, under a name of
 * its own, so that the write's marks can end now (a mark's deadline only ever grows). The hold goes
 * out first: stores keep the order.
 */
static void hold(struct cg_request *request)
{
    struct cg_machine *machine = request->machine;
    if (request->after.instance_count == 0)
        return;
    name_writer(machine, &request->holder);
    cg_request_await(request);
    machine->store->port->mark(
        machine->store, request->after.instances, request->after.instance_count, &request->holder,
        cg_now_ms(machine->clock) + request->regime->limits.write_hold_ms, on_held, request);
}

/* A gateway behind us says of its own upstream what a cut or a timeout says of ours. */
static bool is_anothers_doubt(const struct cg_flight *flight)
{
    return flight->has_head && (flight->status == 502 || flight->status == 504);
}

enum cg_step_result cg_request_step_write_settle(struct cg_request *request)
{
    struct cg_flight *flight = request->flight;
    cg_request_go(request, CG_REQUEST_write_settle_purge);
    cg_timer_disarm(request->machine->clock, &request->timer);
    cg_request_unlist_write(request);
    bool reached = flight->sent || flight->has_head;
    bool nothing_left = flight->outcome != CG_ORIGIN_COMPLETE && !reached;
    if (nothing_left)
        memset(&request->after, 0, sizeof(request->after)); /* it never reached the upstream */
    else
        decide(request);
    count_purge(request);
    return cg_request_move_counters(request) ? CG_WAIT : CG_CONTINUE;
}

enum cg_step_result cg_request_step_write_settle_purge(struct cg_request *request)
{
    const struct cg_flight *flight = request->flight;
    bool reached = flight->sent || flight->has_head;
    bool in_doubt = (flight->outcome != CG_ORIGIN_COMPLETE && reached) || is_anothers_doubt(flight);
    cg_request_go(request, CG_REQUEST_write_hold);
    request->answered_at_ms = cg_now_ms(request->machine->clock);
    cg_request_purge_unmarked(request);
    bool refused = flight->has_head && flight->status >= 400 && flight->status < 500;
    if (in_doubt && !refused)
        hold(request);
    if (request->marked)
        cg_request_release(request);
    return CG_CONTINUE;
}

static void count_unpurged(struct cg_request *request)
{
    if (request->settled)
        return;
    request->settled = true;
    if (request->store_result != CG_STORE_OK || request->release_failed)
        cg_request_complain(request, "purge-failed", "a purge was not acknowledged by the store");
    bool failed = request->client != NULL && request->reply_ended;
    if (cg_request_unpurged(request) && !failed)
        cg_count(request->machine->sheet, CG_METRIC_WRITES_UNPURGED, 1);
}

static enum cg_step_result leave_settled(struct cg_request *request)
{
    cg_flight_leave(request);
    request->is_write = false; /* nothing left to settle */
    cg_request_go(request, CG_REQUEST_await_client);
    return CG_CONTINUE;
}

enum cg_step_result cg_request_step_write_end(struct cg_request *request)
{
    struct cg_flight *flight = request->flight;
    count_unpurged(request);
    if (!cg_request_is_heard(request))
        return leave_settled(request);
    if (!request->reply_begun && flight->has_head) {
        cg_request_begin_flight(request);
        return CG_CONTINUE; /* the client may have left meanwhile: look again */
    }
    if (!flight->has_head) {
        cg_request_reply_failure(request);
    } else {
        if (request->client_busy)
            return CG_WAIT;
        bool whole = flight->outcome == CG_ORIGIN_COMPLETE;
        if (cg_request_send_piece(request, flight->received, whole)) {
            if (!request->reply_ended)
                return CG_WAIT;
        } else {
            cg_request_abort_client(request);
        }
    }
    return leave_settled(request);
}

/* ---- PURGE on the traffic port (CONSISTENCY row 32) ---- */

static bool is_admin(const struct cg_request *request)
{
    struct cg_str token = request->regime->admin_token;
    struct cg_str sent = cg_fields_value(request->facts->fields, CG_STR("authorization"));
    struct cg_str scheme = CG_STR("Bearer ");
    if (cg_fields_count(request->facts->fields, CG_STR("authorization")) != 1)
        return false; /* two credentials are none, as at the admin API */
    if (cg_str_empty(token) || sent.length != scheme.length + token.length ||
        !cg_str_eq_ci(cg_str_sub(sent, 0, scheme.length), scheme))
        return false;
    return CRYPTO_memcmp(sent.bytes + scheme.length, token.bytes, token.length) == 0;
}

enum cg_step_result cg_request_step_purge_method(struct cg_request *request)
{
    struct cg_store *store = request->machine->store;
    if (!is_admin(request)) {
        cg_count(request->machine->sheet, CG_METRIC_REFUSED, 1);
        cg_request_go(request, CG_REQUEST_await_client);
        cg_request_reply_error(request, 405, CG_REASON_BAD_REQUEST,
                               CG_STR("PURGE needs the admin token as a Bearer credential"), NULL);
        return CG_CONTINUE;
    }
    cg_request_intend_path(request);
    cg_request_note_purge(request->machine, request->plan.route, &request->intent);
    request->is_write = true;
    request->reason = CG_REASON_WRITE;
    cg_request_go(request, CG_REQUEST_purged);
    cg_request_await(request);
    store->port->purge(store, request->intent.instances, request->intent.instance_count,
                       cg_request_on_done, request);
    return CG_WAIT;
}

enum cg_step_result cg_request_step_purged(struct cg_request *request)
{
    request->is_write = false;
    cg_request_go(request, CG_REQUEST_await_client);
    if (request->client == NULL)
        return CG_CONTINUE;
    if (request->store_result == CG_STORE_OK)
        cg_request_reply_error(request, 200, CG_REASON_WRITE, CG_STR("purged"), NULL);
    else
        cg_request_reply_error(request, 503, CG_REASON_STORE_UNAVAILABLE,
                               CG_STR("the store did not acknowledge the purge"), NULL);
    return CG_CONTINUE;
}
