/*
 * What clients say about caches, and get: conditions, ranges, and directives of requests. Most
 * requests say nothing, and then nothing here costs more than a look at the names of their fields.
 */
#include "gateway/request/machine.h"

static bool speaks_to_caches(const struct cg_fields *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        struct cg_str name = fields->items[i].name;
        if (cg_str_starts_with(name, CG_STR("if-")) || cg_str_eq(name, CG_STR("range")) ||
            cg_str_eq(name, CG_STR("cache-control")) || cg_str_eq(name, CG_STR("pragma")))
            return true;
    }
    return false;
}

enum cg_step_result cg_request_refuse_unasked(struct cg_request *request)
{
    cg_request_go(request, CG_REQUEST_await_client);
    cg_request_reply_error(request, 504, CG_REASON_ONLY_IF_CACHED, CG_STR(""), NULL);
    return CG_CONTINUE;
}

bool cg_request_read_wishes(struct cg_request *request)
{
    const struct cg_fields *fields = request->facts->fields;
    request->speaks_to_caches = speaks_to_caches(fields);
    if (request->speaks_to_caches)
        cg_wishes_of(request->plan.route, fields, &request->wishes);
    return request->wishes.only_if_cached;
}

bool cg_request_asks_origin(struct cg_request *request)
{
    struct cg_str field;
    if (!request->speaks_to_caches ||
        cg_precondition_of(request->facts->fields, &field) != CG_PRECONDITION_ORIGIN)
        return false;
    request->plan.detail = field;
    return true;
}

void cg_request_apply_wishes(struct cg_request *request)
{
    if (!request->speaks_to_caches)
        return;
    request->verdict = cg_verdict_for(request->verdict, &request->entry, &request->wishes);
    /* What stands under the other secret is never fetched anew under it. */
    if (request->first == NULL || request->verdict.kind != CG_VERDICT_MISS)
        return;
    cg_request_look_back(request);
    request->verdict.alive = request->verdict.may_validate = false;
}

bool cg_request_has_it_already(const struct cg_request *request)
{
    const struct cg_flight *flight = request->flight;
    /* Of a request that was forwarded as it came the origin has judged the conditions. */
    return request->speaks_to_caches && request->plan.kind == CG_PLAN_LOOKUP &&
           cg_is_not_modified(request->facts->fields, flight->status, &flight->fields,
                              flight->head_at_ms);
}

enum cg_step_result cg_request_step_deliver_parts(struct cg_request *request)
{
    if (request->client_busy || !cg_request_send_part(request))
        return CG_WAIT;
    cg_request_go(request, CG_REQUEST_await_client);
    return CG_CONTINUE;
}
