/*
 * Which trace a request belongs to: the client's, or a new one. Nobody asks for it but the access
 * log and whatever is sent upstream, so a hit that is not logged costs nothing here.
 */
#include "gateway/request/machine.h"

#include <string.h>

static uint64_t rotate(uint64_t value, unsigned by)
{
    return value << by | value >> (64 - by);
}

/* xoshiro256**: ids must differ, not be secret. One sequence for each thread, so its beginning is
 * random, and too long to meet another's. */
static uint64_t draw(struct cg_machine *machine)
{
    uint64_t *state = machine->trace_state;
    while ((state[0] | state[1] | state[2] | state[3]) == 0)
        machine->random_bytes(state, sizeof(machine->trace_state));
    uint64_t result = rotate(state[1] * 5, 7) * 9, shifted = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotate(state[3], 45);
    return result;
}

bool cg_machine_trace(struct cg_machine *machine, const struct cg_fields *fields,
                      struct cg_trace *ret_trace)
{
    bool inbound = fields != NULL && cg_trace_of_fields(fields, ret_trace);
    if (!inbound) {
        uint64_t high = draw(machine);
        cg_trace_draw(ret_trace, high, draw(machine));
        ret_trace->flags = machine->tracing == CG_TRACING_SAMPLED ? CG_TRACE_SAMPLED : 0;
    }
    cg_trace_draw_span(ret_trace, draw(machine));
    return inbound;
}

const struct cg_trace *cg_request_trace(struct cg_request *request)
{
    if (!request->has_trace)
        request->trace_is_theirs =
            cg_machine_trace(request->machine, request->facts->fields, &request->trace);
    request->has_trace = true;
    return &request->trace;
}

struct cg_str cg_request_traceparent(struct cg_request *request)
{
    const struct cg_trace *trace = cg_request_trace(request);
    if (request->machine->tracing != CG_TRACING_PASS)
        return cg_traceparent_print(trace, cg_arena_alloc(&request->arena, CG_TRACEPARENT_LENGTH));
    /* Who changes nothing is no node of the trace. */
    return request->trace_is_theirs ? cg_fields_value(request->facts->fields, CG_STR("traceparent"))
                                    : CG_STR("");
}
