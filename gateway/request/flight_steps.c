/*
 * The life of a fetch, in order.
 */
#include "cachegate/groups.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/request/machine.h"

/* RFC 9110 9.2.2. */
static bool is_idempotent(struct cg_str method)
{
    static const char *const names[] = {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (cg_str_eq(method, cg_str_from(names[i])))
            return true;
    return false;
}

static void fail(struct cg_flight *flight, enum cg_origin_outcome outcome, struct cg_str detail)
{
    if (flight->exchange != NULL)
        flight->machine->origin->port->cancel(flight->exchange);
    flight->exchange = NULL;
    flight->ended = true;
    flight->ended_us = cg_clock_monotonic_us();
    flight->outcome = outcome;
    flight->detail = detail;
}

/* ---- a place ---- */

/* Nobody waits for it any more before it was sent; a refresh has nobody from the start. */
static bool was_left(const struct cg_flight *flight)
{
    return flight->waiter_count == 0 && !flight->outlives_waiters;
}

static enum cg_step_result leave_unsent(struct cg_flight *flight, struct cg_str detail)
{
    fail(flight, CG_ORIGIN_QUEUE_FULL, detail);
    cg_flight_go(flight, CG_FLIGHT_done);
    return CG_CONTINUE;
}

static enum cg_step_result crowd_out(struct cg_flight *flight)
{
    flight->crowded = true;
    return leave_unsent(flight, CG_STR("too many fetches wait for the upstream"));
}

enum cg_step_result cg_flight_step_enter(struct cg_flight *flight)
{
    struct cg_machine *machine = flight->machine;
    if (flight->lane == NULL) {
        cg_flight_go(flight, CG_FLIGHT_ask);
        return CG_CONTINUE;
    }
    switch (cg_lane_enter(flight->lane, &flight->ticket)) {
    case CG_LANE_PLACED:
        cg_flight_go(flight, CG_FLIGHT_ask);
        return CG_CONTINUE;
    case CG_LANE_QUEUED:
        cg_count(machine->sheet,
                 flight->capped ? CG_METRIC_FETCHES_QUEUED : CG_METRIC_OUTAGE_QUEUED, 1);
        cg_timer_arm(machine->clock, &flight->queue_timer,
                     flight->founder->regime->limits.outage_wait_ms);
        cg_flight_go(flight, CG_FLIGHT_queue);
        return CG_WAIT;
    case CG_LANE_OUTSIDE:
        return crowd_out(flight);
    }
    CG_UNREACHABLE();
}

enum cg_step_result cg_flight_step_queue(struct cg_flight *flight)
{
    if (flight->ticket.state == CG_LANE_PLACED) {
        cg_timer_disarm(flight->machine->clock, &flight->queue_timer);
        cg_flight_go(flight, CG_FLIGHT_ask);
        return CG_CONTINUE;
    }
    if (was_left(flight))
        return leave_unsent(flight, CG_STR("nobody waits for it any more"));
    return flight->queue_over ? crowd_out(flight) : CG_WAIT;
}

/* The upstream is done with it. */
static void leave_lane(struct cg_flight *flight)
{
    if (flight->lane == NULL)
        return;
    cg_timer_disarm(flight->machine->clock, &flight->queue_timer);
    cg_lane_leave(flight->lane, &flight->ticket);
}

/* ---- the exchange ---- */

enum cg_step_result cg_flight_step_ask(struct cg_flight *flight)
{
    struct cg_machine *machine = flight->machine;
    struct cg_request *founder = flight->founder;
    const struct cg_request_facts *facts = founder->facts;
    cg_flight_go(flight, CG_FLIGHT_await_head);
    if (flight->sharing == CG_SHARING_UNSENT)
        cg_flight_delist(flight);
    flight->sought = true;
    cg_flight_note_asked(flight);
    flight->asked_at_ms = cg_now_ms(machine->clock);
    if (!cg_forward_fields(&founder->plan, facts, founder->regime->via,
                           cg_request_traceparent(founder), &founder->arena, &flight->forwarded)) {
        fail(flight, CG_ORIGIN_BAD_ANSWER, CG_STR("the request has too many fields to forward"));
        return CG_CONTINUE;
    }
    cg_flight_ask_about_entry(flight);
    flight->asked = (struct cg_origin_request){
        .upstream = founder->plan.upstream,
        .method = facts->method,
        .target = founder->plan.target,
        .authority = cg_forward_authority(&founder->plan, facts, &founder->arena),
        .fields = &flight->forwarded,
        .body = facts->body,
        .has_body = facts->has_body,
        .may_retry = is_idempotent(facts->method),
    };
    cg_count(machine->sheet, CG_METRIC_UPSTREAM_REQUESTS, 1);
    machine->origin->port->start(machine->origin, &flight->asked, &cg_flight_origin_events, flight,
                                 &flight->exchange);
    return CG_CONTINUE;
}

/* Its waiters are gone, and what it brings will not be stored either. */
static bool nobody_needs(const struct cg_flight *flight)
{
    if (flight->waiter_count > 0 || flight->outlives_waiters || flight->ended)
        return false;
    if (!flight->has_head)
        return !flight->may_store;
    return (!flight->storable.store && !flight->storable.store_expired) || !flight->kept;
}

static enum cg_step_result give_up(struct cg_flight *flight)
{
    fail(flight, CG_ORIGIN_CUT, CG_STR("nobody waits for it any more"));
    cg_flight_go(flight, CG_FLIGHT_done);
    return CG_CONTINUE;
}

/* May the answer be stored? One that may not is not shared either. */
static void judge(struct cg_flight *flight)
{
    struct cg_request *founder = flight->founder;
    if (flight->sharing == CG_SHARING_NOBODY)
        return;
    cg_storable_of(&founder->plan, founder->facts, flight->status, &flight->fields,
                   flight->asked_at_ms, flight->head_at_ms, &founder->arena, &flight->storable);
    if (flight->may_store && (flight->storable.store || flight->storable.store_expired) &&
        flight->has_length && flight->content_length > flight->keep_max) {
        flight->storable.store = flight->storable.store_expired = false;
        flight->storable.reason = CG_REASON_TOO_LARGE;
    }
    if (flight->may_store && !cg_flight_find_groups(flight)) {
        flight->storable.store = flight->storable.store_expired = false;
        flight->storable.reason = CG_REASON_TOO_COMPLEX;
    }
    flight->shareable = flight->storable.store;
    bool keeps = flight->storable.store || (flight->may_store && flight->storable.store_expired);
    if (keeps) {
        flight->signature =
            cg_vary_signature(flight->storable.vary, founder->facts->fields, &founder->arena);
    } else {
        flight->kept = false;
    }
    if (!flight->shareable)
        cg_flight_delist(flight);
    if (!flight->may_store) {
        flight->storable.store = false;
        flight->storable.store_expired = false;
        flight->storable.reason = CG_REASON_NOT_STORABLE;
    }
}

enum cg_step_result cg_flight_step_await_head(struct cg_flight *flight)
{
    if (flight->has_head) {
        if (!cg_flight_take_validation(flight))
            return cg_flight_ask_again(flight);
        judge(flight);
        cg_flight_learn_from_head(flight);
        cg_flight_go(flight, CG_FLIGHT_refused);
        return CG_CONTINUE;
    }
    if (nobody_needs(flight))
        return give_up(flight);
    if (!flight->ended)
        return CG_WAIT;
    cg_flight_go(flight, CG_FLIGHT_store);
    return CG_CONTINUE;
}

static void mark_unshared(struct cg_flight *flight);

static void on_refusal_purged(void *owner, enum cg_store_result result)
{
    struct cg_flight *flight = cg_flight_of(owner);
    if (result != CG_STORE_OK)
        cg_count_store_error(flight->machine->sheet, CG_OPERATION_PURGE);
    cg_flight_answered(flight);
}

/* A 401 ends what is stored for that identity, a 403 what is stored for that URL, before anybody
 * is told (CONSISTENCY row 24). */
enum cg_step_result cg_flight_step_refused(struct cg_flight *flight)
{
    struct cg_machine *machine = flight->machine;
    struct cg_request *founder = flight->founder;
    struct cg_purge_set set = {0};
    cg_flight_go(flight, CG_FLIGHT_body);
    if (flight->may_store && !flight->storable.store && !flight->storable.store_expired)
        mark_unshared(flight);
    if (flight->status != 401 && flight->status != 403)
        return CG_CONTINUE;
    cg_request_purge_on_refusal(founder, flight->status, &set);
    if (set.instance_count == 0)
        return CG_CONTINUE;
    cg_request_note_purge(machine, founder->plan.route, &set);
    cg_flight_await(flight);
    machine->store->port->purge(machine->store, set.instances, set.instance_count,
                                on_refusal_purged, flight);
    return CG_WAIT;
}

/* More than may be kept: what was promised to the store is off, and nobody else may join. */
static void stop_keeping(struct cg_flight *flight)
{
    flight->kept = false;
    cg_flight_delist(flight);
    if (!flight->storable.store && !flight->storable.store_expired)
        return;
    flight->storable.store = flight->storable.store_expired = false;
    flight->shareable = false;
    flight->storable.reason = CG_REASON_TOO_LARGE;
    mark_unshared(flight);
    cg_flight_disclaim(flight);
}

enum cg_step_result cg_flight_step_body(struct cg_flight *flight)
{
    if (!flight->head_ready && !flight->shareable)
        cg_flight_disclaim(flight);
    flight->head_ready = true;
    if (nobody_needs(flight))
        return give_up(flight);
    if (flight->body.overflowed)
        fail(flight, CG_ORIGIN_CUT, CG_STR("more than the buffer takes at once"));
    if (flight->kept && flight->received > flight->keep_max)
        stop_keeping(flight);
    if (flight->ended) {
        cg_flight_go(flight, CG_FLIGHT_store);
        return CG_CONTINUE;
    }
    cg_flight_consumed(flight);
    cg_flight_notify(flight);
    return CG_WAIT;
}

/* ---- storing ---- */

static void end_fill(struct cg_flight *flight)
{
    CG_ASSERT(flight->fills > 0);
    flight->fills--;
    cg_flight_disclaim(flight);
    cg_flight_unref(flight);
}

static void on_filled(void *owner, enum cg_store_result result)
{
    struct cg_flight *flight = cg_flight_of(owner);
    struct cg_machine *machine = flight->machine;
    cg_flight_note_filled(flight);
    if (result == CG_STORE_OK) {
        flight->stored = flight->shareable;
        cg_count(machine->sheet, CG_METRIC_SETS, 1);
        cg_count_route(machine->sheet, cg_request_slot(flight->founder), CG_ROUTE_SETS);
    } else {
        cg_count_store_error(machine->sheet, CG_OPERATION_FILL);
        cg_count_reason(machine->sheet, CG_REASON_STORE_REFUSED);
    }
    end_fill(flight);
}

static void on_marker_filled(void *owner, enum cg_store_result result)
{
    struct cg_flight *flight = cg_flight_of(owner);
    if (result != CG_STORE_OK)
        cg_count_store_error(flight->machine->sheet, CG_OPERATION_FILL);
    end_fill(flight);
}

/* Takes the encoded entry; a salt of its own for each. */
static struct cg_blob *seal(struct cg_flight *flight, struct cg_blob *encoded)
{
    struct cg_machine *machine = flight->machine;
    uint8_t salt[CG_SEAL_SALT_BYTES];
    machine->random_bytes(salt, sizeof(salt));
    struct cg_blob *sealed = cg_seal_close(flight->founder->regime->sealer, cg_blob_str(encoded),
                                           cg_request_owner(flight->founder), salt);
    cg_blob_unref(encoded);
    return sealed;
}

static void fill(struct cg_flight *flight, const struct cg_key *key, const struct cg_entry *entry,
                 uint64_t after_ms, cg_store_done_fn answer)
{
    struct cg_store *store = flight->store;
    struct cg_blob *blob = cg_entry_encode(entry);
    if (store->port->seals)
        blob = seal(flight, blob);
    cg_flight_ref(flight);
    flight->fills++;
    store->port->fill(store, key, blob, entry->lifetime_ms + after_ms, answer, flight);
    cg_flight_note_fill(flight);
    cg_blob_unref(blob);
}

static void name_versions(const struct cg_flight *flight, struct cg_entry *entry)
{
    const struct cg_plan *plan = &flight->founder->plan;
    entry->epoch = flight->epoch;
    entry->instance_count = plan->instance_count;
    entry->route = plan->route->index;
    for (size_t i = 0; i < plan->instance_count; i++) {
        entry->instances[i] = plan->instances[i];
        entry->tokens[i] = flight->versions[i].token;
    }
}

/* It may be over at once, and is no time to send everybody; a refusal purges. */
static bool says_nothing_of_later(unsigned status)
{
    return status >= 500 || status == 408 || status == 429 || status == 401 || status == 403;
}

/*
 * Hit-for-miss: for a while nobody waits for what cannot be shared. The marker takes the place of
 * what was stored, which the origin's answer has made old, and makes place for the next that can be
 * stored; an answer that says nothing about the resource leaves both as they are.
 */
static void mark_unshared(struct cg_flight *flight)
{
    struct cg_request *founder = flight->founder;
    const struct cg_route *route = founder->plan.route;
    if (flight->sharing != CG_SHARING_VERSIONS || founder->alone || !flight->may_store ||
        says_nothing_of_later(flight->status) || route->hit_for_miss_ms == 0)
        return;
    struct cg_entry marker = {
        .kind = CG_ENTRY_PASS,
        .canonical = founder->plan.canonical,
        .variant = founder->variant,
        .stored_at_ms = flight->head_at_ms,
        .lifetime_ms = route->hit_for_miss_ms,
    };
    name_versions(flight, &marker);
    fill(flight, &founder->variant_key, &marker, 0, on_marker_filled);
}

/* The clock may be set meanwhile. */
static uint32_t cost_ms_of(const struct cg_flight *flight)
{
    int64_t cost_ms = flight->head_at_ms - flight->asked_at_ms;
    return cost_ms < 0 ? 0 : cost_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)cost_ms;
}

void cg_flight_fill(struct cg_flight *flight, const struct cg_key *key,
                    const struct cg_entry *entry, uint64_t after_ms)
{
    fill(flight, key, entry, after_ms, on_filled);
}

/* Under the versions that were read before the fetch: a purge in between makes it dead on arrival.
 */
void cg_flight_put_in_store(struct cg_flight *flight)
{
    const struct cg_plan *plan = &flight->founder->plan;
    const struct cg_storable *storable = &flight->storable;
    uint64_t after_ms = cg_storable_after_ms(storable);
    struct cg_entry entry = {
        .kind = CG_ENTRY_ANSWER,
        .canonical = plan->canonical,
        .variant = flight->signature,
        .stored_at_ms = flight->head_at_ms,
        .initial_age_ms = storable->initial_age_ms,
        .lifetime_ms = storable->lifetime_ms,
        .stale_while_revalidate_ms = storable->stale_while_revalidate_ms,
        .stale_if_error_ms = storable->stale_if_error_ms,
        .must_revalidate = storable->must_revalidate,
        .cost_ms = cost_ms_of(flight),
        .status = flight->status,
        .body = cg_buf_str(&flight->body),
    };
    name_versions(flight, &entry);
    if (!cg_stored_fields_on(plan->route, &flight->fields, &flight->arena, &entry.fields) ||
        (flight->group_count > 0 &&
         !cg_group_note_add(flight->groups, flight->group_versions, flight->group_count,
                            &flight->arena, &entry.fields)))
        return;
    const struct cg_key *key = &plan->key; /* borrowed by the store until it has answered */
    if (!cg_str_empty(storable->vary)) {
        struct cg_entry marker = entry;
        marker.kind = CG_ENTRY_VARY;
        marker.variant = CG_STR("");
        marker.vary = storable->vary;
        marker.fields.count = 0;
        marker.body = CG_STR("");
        fill(flight, key, &marker, after_ms, on_marker_filled);
        flight->variant_key = plan->key;
        cg_key_of(&flight->founder->regime->ruleset->keys, plan->canonical, flight->signature,
                  &flight->variant_key);
        key = &flight->variant_key;
    }
    fill(flight, key, &entry, after_ms, on_filled);
}

/* As the configuration calls it. What no route names goes to the first. */
static struct cg_str name_of_upstream(const struct cg_flight *flight)
{
    const struct cg_route *route = flight->founder->plan.route;
    return route == NULL ? CG_STR("the first upstream") : route->upstream_name;
}

enum cg_step_result cg_flight_step_store(struct cg_flight *flight)
{
    cg_flight_go(flight, CG_FLIGHT_done);
    leave_lane(flight);
    if (flight->outcome != CG_ORIGIN_COMPLETE) {
        cg_count_upstream_error(flight->machine->sheet, flight->founder->plan.upstream,
                                (unsigned)flight->outcome);
        uint64_t held;
        if (cg_log_gate_open(&flight->machine->failure_gate, cg_now_ms(flight->machine->clock),
                             &held))
            cg_log(CG_LOG_WARN, "upstream-failed", "%.*s: %.*s%s%.0llu%s",
                   CG_STR_ARG(name_of_upstream(flight)), CG_STR_ARG(flight->detail),
                   held == 0 ? "" : " (", (unsigned long long)held,
                   held == 0 ? "" : " more since the last such line)");
        return CG_CONTINUE;
    }
    if ((!flight->storable.store && !flight->storable.store_expired) || !flight->kept)
        return CG_CONTINUE;
    if (flight->group_count > 0)
        cg_flight_go(flight, CG_FLIGHT_groups);
    else
        cg_flight_put_in_store(flight);
    return CG_CONTINUE;
}

/* Also the end of the flight's own work; its waiters may still drain the buffer. */
enum cg_step_result cg_flight_step_done(struct cg_flight *flight)
{
    if (flight->finished)
        return CG_WAIT;
    flight->finished = true;
    leave_lane(flight);
    cg_flight_delist(flight);
    cg_flight_disclaim(flight);
    cg_flight_notify(flight);
    cg_flight_unref(flight);
    return CG_WAIT;
}
