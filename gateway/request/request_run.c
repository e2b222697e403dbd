/*
 * The dispatcher of requests: the only loop, the only setter of steps, the client's two events.
 */
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/request/machine.h"

static const struct {
    const char *name;
    enum cg_step_result (*run)(struct cg_request *request);
} steps[] = {
#define STEP(name) {#name, cg_request_step_##name},
    CG_REQUEST_STEPS(STEP)
#undef STEP
};

/* A request and what it needs first, in one block of memory that is used again. */
enum { MEMORY_BYTES = 4096 };
struct block {
    struct cg_request request;                       /* first */
    _Alignas(16) unsigned char memory[MEMORY_BYTES]; /* of its arena */
};

const char *cg_request_step_name(enum cg_request_step step)
{
    return steps[step].name;
}

struct cg_request *cg_request_of(void *owner)
{
    struct cg_request *request = owner;
    CG_ASSERT(request != NULL && request->magic == CG_REQUEST_MAGIC);
    return request;
}

struct cg_request *cg_request_ref(struct cg_request *request)
{
    CG_ASSERT(request->references > 0);
    request->references++;
    return request;
}

static void destroy(struct cg_request *request)
{
    CG_ASSERT(request->finished && request->client == NULL && request->flight == NULL);
    CG_ASSERT(!request->listed_write);
    cg_timer_disarm(request->machine->clock, &request->timer);
    cg_timer_disarm(request->machine->clock, &request->hold_timer);
    if (request->kept)
        request->machine->kept_bytes -= request->facts->body.length;
    cg_blob_unref(request->entry_blob);
    cg_bans_unref(request->bans);
    cg_buf_fini(&request->sending);
    cg_arena_fini(&request->arena);
    cg_regime_unref(request->regime);
    request->machine->live--;
    request->magic = 0;
    cg_recycler_give(&request->machine->requests, request);
}

void cg_request_unref(struct cg_request *request)
{
    CG_ASSERT(request->references > 0);
    if (--request->references == 0)
        destroy(request);
}

void cg_request_go(struct cg_request *request, enum cg_request_step step)
{
    CG_ASSERT(request->step != CG_REQUEST_finished);
    if (cg_log_enabled(CG_LOG_DEBUG))
        cg_log(CG_LOG_DEBUG, "request-step", "%p %s -> %s", (void *)request,
               steps[request->step].name, steps[step].name);
    request->step = step;
}

/* A read whose client left has nothing left to do; a write must still settle what it touched. */
static bool nobody_cares(const struct cg_request *request)
{
    return request->client == NULL && !request->is_write && request->step != CG_REQUEST_finished;
}

static void run(struct cg_request *request)
{
    cg_request_ref(request);
    request->running = true;
    for (unsigned turns = 0; !request->finished; turns++) {
        CG_ASSERT(turns < CG_TURNS_MAX);
        if (nobody_cares(request)) {
            cg_request_go(request, CG_REQUEST_finished);
        } else if (request->pending > 0) {
            break; /* the last answer wakes us */
        }
        request->woken = false;
        if (steps[request->step].run(request) == CG_WAIT && !request->woken)
            break;
    }
    if (request->pending > 0)
        cg_request_note_store_wait(request);
    request->running = false;
    cg_request_unref(request);
}

void cg_request_wake(struct cg_request *request)
{
    if (request->finished)
        return;
    if (request->running)
        request->woken = true;
    else
        run(request);
}

void cg_request_await(struct cg_request *request)
{
    cg_request_ref(request);
    request->pending++;
}

void cg_request_answered(struct cg_request *request)
{
    CG_ASSERT(request->pending > 0);
    if (--request->pending == 0) {
        cg_request_note_store_answer(request);
        cg_request_wake(request);
    }
    cg_request_unref(request);
}

static void on_hold_timer(void *owner)
{
    struct cg_request *request = cg_request_of(owner);
    request->hold_due = true;
    cg_request_wake(request);
}

static void on_timer(void *owner)
{
    struct cg_request *request = cg_request_of(owner);
    request->timed_out = true;
    cg_request_wake(request);
}

void cg_machine_init(struct cg_machine *machine)
{
    machine->regime->references++;
    machine->other = NULL;
    cg_recycler_init(&machine->requests, sizeof(struct block), CG_REQUESTS_KEPT_MAX);
    cg_recycler_init(&machine->fetches, sizeof(struct cg_flight_block), CG_FLIGHTS_KEPT_MAX);
    machine->flights = calloc(1, sizeof(*machine->flights));
    CG_ASSERT(machine->flights != NULL);
    CG_ASSERT(machine->upstream_count > 0);
    machine->lanes = calloc(machine->upstream_count, sizeof(*machine->lanes));
    CG_ASSERT(machine->lanes != NULL);
    for (size_t i = 0; i < machine->upstream_count; i++)
        machine->lanes[i] =
            (struct cg_lane){.places_max = machine->regime->limits.outage_fetches_max,
                             .queue_max = machine->regime->limits.outage_queue_max};
    machine->caps = calloc(machine->upstream_count, sizeof(*machine->caps));
    CG_ASSERT(machine->caps != NULL);
    machine->live = 0;
    machine->kept_bytes = 0;
}

void cg_machine_cap(struct cg_machine *machine, size_t upstream, uint32_t places_max)
{
    CG_ASSERT(upstream < machine->upstream_count && places_max > 0);
    machine->caps[upstream] = (struct cg_lane){
        .places_max = places_max, .queue_max = machine->regime->limits.outage_queue_max};
    if (machine->lanes[upstream].places_max > places_max)
        machine->lanes[upstream].places_max = places_max;
}

void cg_machine_fini(struct cg_machine *machine)
{
    CG_ASSERT(machine->live == 0);
    cg_recycler_fini(&machine->requests);
    cg_recycler_fini(&machine->fetches);
    free(machine->flights);
    machine->flights = NULL;
    free(machine->lanes);
    machine->lanes = NULL;
    free(machine->caps);
    machine->caps = NULL;
    if (machine->other != NULL)
        cg_machine_forget(machine);
    cg_regime_unref(machine->regime);
}

static void clear(struct cg_request *request)
{
    memset(request, 0, offsetof(struct cg_request, plan));
    memset(&request->plan, 0, offsetof(struct cg_plan, instances));
    memset(&request->view, 0, offsetof(struct cg_store_view, versions));
    memset(&request->entry, 0, offsetof(struct cg_entry, instances));
}

void cg_request_start(struct cg_machine *machine, struct cg_client *client,
                      const struct cg_request_facts *facts, struct cg_request **ret_request)
{
    struct block *block = cg_recycler_take(&machine->requests);
    struct cg_request *request = &block->request;
    clear(request);
    request->magic = CG_REQUEST_MAGIC;
    request->references = 2; /* its client, and its own work */
    request->machine = machine;
    request->regime = machine->regime;
    request->regime->references++;
    request->client = client;
    request->facts = facts;
    request->step = CG_REQUEST_receive;
    request->timer.on_expiry = on_timer;
    request->timer.owner = request;
    request->hold_timer.on_expiry = on_hold_timer;
    request->hold_timer.owner = request;
    request->upstream = CG_RECORD_NO_UPSTREAM;
    request->started_us = cg_clock_monotonic_us();
    /* A body is kept, and the values that purges take from it are spelled into names. */
    cg_arena_init_with(&request->arena,
                       CG_REQUEST_ARENA_MAX +
                           16 * (facts->body.length + request->regime->limits.response_capture_max),
                       block->memory, sizeof(block->memory));
    cg_buf_init(&request->sending, CG_SEND_BYTES_MAX);
    machine->live++;
    cg_gauge_add(machine->sheet, CG_GAUGE_REQUESTS, 1);
    *ret_request = request;
    run(request);
}

void cg_request_client_ready(struct cg_request *request)
{
    CG_ASSERT(request->magic == CG_REQUEST_MAGIC && request->client_busy);
    request->client_busy = false;
    cg_request_wake(request);
}

void cg_request_client_gone(struct cg_request *request)
{
    CG_ASSERT(request->magic == CG_REQUEST_MAGIC && request->client != NULL);
    if (!request->reply_ended)
        cg_count(request->machine->sheet, CG_METRIC_CLIENTS_GONE, 1);
    cg_request_note_end(request);
    request->client = NULL;
    request->client_busy = false;
    if (!request->kept)
        request->facts = NULL; /* its memory goes away now */
    cg_request_wake(request);
    cg_request_unref(request);
}

const uint8_t *cg_request_owner(const struct cg_request *request)
{
    return request->plan.route->scope_user ? request->plan.identity.digest : NULL;
}

/* ---- facts that outlive the client ---- */

/* The plan borrows nothing from them (plan.h), nor does what was derived since. */
void cg_request_keep(struct cg_request *request)
{
    if (request->kept)
        return;
    const struct cg_request_facts *from = request->facts;
    struct cg_arena *arena = &request->arena;
    struct cg_fields *fields = CG_ARENA_NEW(arena, struct cg_fields);
    struct cg_request_facts *own = CG_ARENA_NEW(arena, struct cg_request_facts);
    cg_fields_copy(from->fields, arena, fields);
    *own = (struct cg_request_facts){
        .method = cg_arena_copy(arena, from->method),
        .scheme = cg_arena_copy(arena, from->scheme),
        .authority = cg_arena_copy(arena, from->authority),
        .target = cg_arena_copy(arena, from->target),
        .fields = fields,
        .body = cg_arena_copy(arena, from->body),
        .has_body = from->has_body,
        .peer_address = cg_arena_copy(arena, from->peer_address),
        .http2 = from->http2,
    };
    request->facts = own;
    request->kept = true;
    request->machine->kept_bytes += own->body.length;
}
