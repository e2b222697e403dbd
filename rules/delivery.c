#include "cachegate/delivery.h"

#include "cachegate/assert.h"

bool cg_delivery_of(struct cg_str method, const struct cg_fields *request, unsigned status,
                    const struct cg_fields *answer, uint64_t length, int64_t received_at_ms,
                    struct cg_str boundary, struct cg_arena *arena, struct cg_range_plan *ret_plan)
{
    CG_ASSERT(cg_str_eq(method, CG_STR("GET")) || cg_str_eq(method, CG_STR("HEAD")));
    if (cg_is_not_modified(request, status, answer, received_at_ms)) {
        *ret_plan = (struct cg_range_plan){.status = 304};
        return cg_not_modified_fields(answer, arena, &ret_plan->fields);
    }
    return cg_range_plan_make(method, request, status, answer, length, received_at_ms, boundary,
                              arena, ret_plan);
}
