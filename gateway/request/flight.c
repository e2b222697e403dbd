/*
 * What a flight is made of: its waiters, its place in the table, its buffer, its events. What it
 * does is in flight_steps.c.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/request/machine.h"

static const struct {
    const char *name;
    enum cg_step_result (*run)(struct cg_flight *flight);
} steps[] = {
#define STEP(name) {#name, cg_flight_step_##name},
    CG_FLIGHT_STEPS(STEP)
#undef STEP
};

struct cg_flight *cg_flight_of(void *owner)
{
    struct cg_flight *flight = owner;
    CG_ASSERT(flight != NULL && flight->magic == CG_FLIGHT_MAGIC);
    return flight;
}

static void on_place(void *owner)
{
    cg_flight_wake(cg_flight_of(owner));
}

static void on_queue_over(void *owner)
{
    struct cg_flight *flight = cg_flight_of(owner);
    flight->queue_over = true;
    cg_flight_wake(flight);
}

struct cg_flight *cg_flight_create(struct cg_request *founder, bool may_store, size_t keep_max)
{
    struct cg_machine *machine = founder->machine;
    CG_ASSERT(founder->kept);
    struct cg_flight_block *block = cg_recycler_take(&machine->fetches);
    struct cg_flight *flight = &block->flight;
    memset(flight, 0, offsetof(struct cg_flight, versions));
    flight->magic = CG_FLIGHT_MAGIC;
    flight->references = 1;
    flight->machine = machine;
    flight->step = may_store ? CG_FLIGHT_prepare : CG_FLIGHT_enter;
    flight->founder = cg_request_ref(founder);
    flight->may_store = may_store;
    flight->sharing = may_store ? CG_SHARING_VERSIONS : CG_SHARING_NOBODY;
    flight->store = founder->view.stand_in != NULL ? founder->view.stand_in : machine->store;
    if (founder->in_outage)
        flight->lane = &machine->lanes[founder->plan.upstream];
    flight->ticket = (struct cg_lane_ticket){.on_place = on_place, .owner = flight};
    flight->queue_timer.on_expiry = on_queue_over;
    flight->queue_timer.owner = flight;
    flight->keep_max = keep_max;
    flight->kept = keep_max > 0;
    flight->storable.reason = CG_REASON_NOT_STORABLE;
    size_t watched_bytes = founder->plan.watched_count * sizeof(flight->versions[0]);
    if (may_store) {
        memcpy(flight->versions, founder->view.versions, watched_bytes);
        flight->epoch = founder->view.epoch;
    } else {
        memset(flight->versions, 0, watched_bytes);
    }
    cg_arena_init_with(&flight->arena, CG_REQUEST_ARENA_MAX, block->memory, sizeof(block->memory));
    /* A read of the upstream may overshoot both marks by what one socket read brings. */
    cg_buf_init(&flight->body, keep_max + 2 * founder->regime->limits.flight_buffer + (16u << 20));
    machine->live++;
    return flight;
}

struct cg_flight *cg_flight_ref(struct cg_flight *flight)
{
    CG_ASSERT(flight->references > 0);
    flight->references++;
    return flight;
}

static void destroy(struct cg_flight *flight)
{
    CG_ASSERT(flight->waiters == NULL && flight->exchange == NULL && !flight->listed);
    CG_ASSERT(flight->ticket.state == CG_LANE_OUTSIDE && !flight->queue_timer.armed);
    CG_ASSERT(!flight->leads && !flight->waits && !flight->claim_timer.armed);
    cg_buf_fini(&flight->body);
    cg_arena_fini(&flight->arena);
    struct cg_machine *machine = flight->machine;
    machine->live--;
    flight->magic = 0;
    cg_request_unref(flight->founder);
    cg_recycler_give(&machine->fetches, flight);
}

void cg_flight_unref(struct cg_flight *flight)
{
    CG_ASSERT(flight->references > 0);
    if (--flight->references == 0)
        destroy(flight);
}

/* ---- the dispatcher ---- */

void cg_flight_go(struct cg_flight *flight, enum cg_flight_step step)
{
    if (cg_log_enabled(CG_LOG_DEBUG))
        cg_log(CG_LOG_DEBUG, "flight-step", "%p %s -> %s", (void *)flight, steps[flight->step].name,
               steps[step].name);
    flight->step = step;
}

static void run(struct cg_flight *flight)
{
    cg_flight_ref(flight);
    flight->running = true;
    for (unsigned turns = 0; flight->pending == 0; turns++) {
        CG_ASSERT(turns < CG_TURNS_MAX);
        flight->woken = false;
        if (steps[flight->step].run(flight) == CG_WAIT && !flight->woken)
            break;
    }
    if (flight->pending > 0)
        cg_flight_note_store_wait(flight);
    flight->running = false;
    cg_flight_unref(flight);
}

void cg_flight_wake(struct cg_flight *flight)
{
    if (flight->running)
        flight->woken = true;
    else
        run(flight);
}

void cg_flight_start(struct cg_flight *flight)
{
    cg_flight_ref(flight); /* its own work, until `done` */
    run(flight);
}

void cg_flight_await(struct cg_flight *flight)
{
    cg_flight_ref(flight);
    flight->pending++;
}

void cg_flight_answered(struct cg_flight *flight)
{
    CG_ASSERT(flight->pending > 0);
    if (--flight->pending == 0) {
        cg_flight_note_store_answer(flight);
        cg_flight_wake(flight);
    }
    cg_flight_unref(flight);
}

/* ---- the table ---- */

static size_t bucket_of(const struct cg_key *key)
{
    size_t hash;
    memcpy(&hash, key->id, sizeof(hash));
    return hash % CG_FLIGHT_BUCKETS;
}

static bool same_versions(const struct cg_flight *flight, const struct cg_request *request)
{
    return flight->founder->plan.watched_count == request->plan.watched_count &&
           cg_versions_same(flight->versions, request->view.versions,
                            request->plan.watched_count) &&
           cg_epoch_eq(flight->epoch, request->view.epoch) && flight->kept;
}

/*
 * Nobody who comes after a write may join a fetch from before it: only equal, concrete versions and
 * an equal epoch share, or a fetch that is yet to be sent, whatever it is stored under. The
 * canonical request is compared, not its hash (CONSISTENCY row 2); it names the identity too.
 */
static bool joinable(const struct cg_flight *flight, const struct cg_request *request,
                     enum cg_sharing sharing)
{
    const struct cg_request *founder = flight->founder;
    if (flight->sharing != sharing ||
        !cg_str_eq(founder->plan.canonical, request->plan.canonical) ||
        !cg_str_eq(founder->variant, request->variant) ||
        flight->waiter_count >= flight->founder->regime->limits.flight_waiters_max)
        return false;
    if (sharing == CG_SHARING_UNSENT)
        return flight->step == CG_FLIGHT_queue;
    return !flight->sought || same_versions(flight, request);
}

struct cg_flight *cg_flight_find(const struct cg_request *request, enum cg_sharing sharing)
{
    struct cg_flight *flight = request->machine->flights->buckets[bucket_of(&request->plan.key)];
    while (flight != NULL && !joinable(flight, request, sharing))
        flight = flight->next_listed;
    return flight;
}

void cg_flight_list(struct cg_flight *flight)
{
    CG_ASSERT(!flight->listed && flight->sharing != CG_SHARING_NOBODY);
    struct cg_flight **bucket =
        &flight->machine->flights->buckets[bucket_of(&flight->founder->plan.key)];
    flight->listed = true;
    flight->next_listed = *bucket;
    *bucket = flight;
}

void cg_flight_delist(struct cg_flight *flight)
{
    if (!flight->listed)
        return;
    struct cg_flight **link =
        &flight->machine->flights->buckets[bucket_of(&flight->founder->plan.key)];
    while (*link != flight)
        link = &(*link)->next_listed;
    *link = flight->next_listed;
    flight->listed = false;
}

/* ---- waiters ---- */

void cg_flight_join(struct cg_flight *flight, struct cg_request *request)
{
    CG_ASSERT(request->flight == NULL);
    /* Who read other versions came after a purge, and must not get what stood before it. */
    if (!same_versions(flight, request))
        flight->asks_for_whole = true;
    request->flight = cg_flight_ref(flight);
    request->offset = 0;
    request->previous_waiter = NULL;
    request->next_waiter = flight->waiters;
    if (flight->waiters != NULL)
        flight->waiters->previous_waiter = request;
    flight->waiters = request;
    flight->waiter_count++;
}

static void unlink_waiter(struct cg_flight *flight, struct cg_request *request)
{
    if (request->previous_waiter != NULL)
        request->previous_waiter->next_waiter = request->next_waiter;
    else
        flight->waiters = request->next_waiter;
    if (request->next_waiter != NULL)
        request->next_waiter->previous_waiter = request->previous_waiter;
    request->next_waiter = request->previous_waiter = NULL;
}

void cg_flight_leave(struct cg_request *request)
{
    struct cg_flight *flight = request->flight;
    if (flight == NULL)
        return;
    cg_request_note_flight_left(request);
    unlink_waiter(flight, request);
    flight->waiter_count--;
    request->flight = NULL;
    if (flight->step != CG_FLIGHT_done)
        cg_flight_wake(flight); /* perhaps nobody needs it now, or the slowest left */
    cg_flight_unref(flight);
}

/*
 * Waking a waiter may make any waiter leave, so the list is never walked across a wake: each turn
 * wakes one that was there at the start, holding it.
 */
void cg_flight_notify(struct cg_flight *flight)
{
    size_t count = flight->waiter_count, held = 0;
    if (count == 0)
        return;
    struct cg_request *few[8];
    struct cg_request **all = count <= 8 ? few : calloc(count, sizeof(struct cg_request *));
    CG_ASSERT(all != NULL);
    for (struct cg_request *waiter = flight->waiters; waiter != NULL; waiter = waiter->next_waiter)
        all[held++] = cg_request_ref(waiter);
    CG_ASSERT(held == count);
    for (size_t i = 0; i < held; i++) {
        if (all[i]->flight == flight)
            cg_request_wake(all[i]);
        cg_request_unref(all[i]);
    }
    if (all != few)
        free(all);
}

bool cg_flight_shares_with(const struct cg_flight *flight, const struct cg_request *request)
{
    if (!flight->shareable)
        return false;
    if (cg_str_empty(flight->storable.vary))
        return true;
    /* Of many waiters, and as long as they make it: nothing that the flight keeps. */
    struct cg_arena arena;
    cg_arena_init(&arena, CG_REQUEST_ARENA_MAX);
    struct cg_str mine = cg_vary_signature(flight->storable.vary, request->facts->fields, &arena);
    bool same = cg_str_eq(mine, flight->signature);
    cg_arena_fini(&arena);
    return same;
}

/* ---- the buffer ---- */

/* Forgets what every waiter has; only a body that is not kept whole may forget. */
static void trim(struct cg_flight *flight)
{
    if (flight->kept)
        return;
    uint64_t least = flight->received;
    for (const struct cg_request *waiter = flight->waiters; waiter != NULL;
         waiter = waiter->next_waiter)
        if (waiter->offset < least)
            least = waiter->offset;
    cg_buf_consume(&flight->body, (size_t)(least - flight->body_base));
    flight->body_base = least;
}

void cg_flight_consumed(struct cg_flight *flight)
{
    const struct cg_origin_port *port = flight->machine->origin->port;
    trim(flight);
    size_t high = flight->founder->regime->limits.flight_buffer;
    if (flight->kept || flight->exchange == NULL)
        return;
    if (!flight->paused && flight->body.length > high) {
        flight->paused = true;
        port->pause(flight->exchange);
    } else if (flight->paused && flight->body.length <= high / 2) {
        flight->paused = false;
        port->resume(flight->exchange);
    }
}

/* The last byte is only passed on once the answer is known to be whole and stored, so that whoever
 * has it finds a hit. */
uint64_t cg_flight_releasable(const struct cg_flight *flight)
{
    bool held = !flight->finished && flight->has_length && flight->received > 0 &&
                flight->received >= flight->content_length;
    return held ? flight->received - 1 : flight->received;
}

/* ---- the origin's events: record, and wake when that was all for now ---- */

static void on_head(void *owner, const struct cg_origin_head *head)
{
    struct cg_flight *flight = cg_flight_of(owner);
    CG_ASSERT(!flight->has_head && !flight->ended);
    flight->has_head = true;
    flight->head_at_ms = cg_now_ms(flight->machine->clock);
    flight->status = head->status;
    cg_flight_note_head(flight, head->status);
    flight->has_length = head->has_length;
    flight->content_length = head->content_length;
    flight->no_body = head->no_body;
    cg_fields_copy(head->fields, &flight->arena, &flight->fields);
}

static void on_body(void *owner, struct cg_str bytes)
{
    struct cg_flight *flight = cg_flight_of(owner);
    CG_ASSERT(flight->has_head && !flight->ended);
    cg_buf_add_str(&flight->body, bytes);
    if (!flight->body.overflowed) /* else the step ends the flight */
        flight->received += bytes.length;
}

static void on_lull(void *owner)
{
    cg_flight_wake(cg_flight_of(owner));
}

static void on_end(void *owner, enum cg_origin_outcome outcome, bool sent, struct cg_str detail)
{
    struct cg_flight *flight = cg_flight_of(owner);
    CG_ASSERT(!flight->ended);
    flight->ended = true;
    flight->ended_us = cg_clock_monotonic_us();
    flight->outcome = outcome;
    flight->sent = sent;
    flight->exchange = NULL;
    flight->detail = cg_arena_copy(&flight->arena, detail);
    cg_flight_wake(flight);
}

const struct cg_origin_events cg_flight_origin_events = {on_head, on_body, on_lull, on_end};
