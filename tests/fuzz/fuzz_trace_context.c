/* A traceparent: what is taken is well formed, and is taken again as it is printed. */
#include "cachegate/assert.h"
#include "cachegate/trace_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_str text = cg_str_of((const char *)data, size);
    struct cg_trace trace, again;
    char printed[CG_TRACEPARENT_LENGTH];
    if (!cg_traceparent_parse(text, &trace))
        return 0;
    struct cg_str canonical = cg_traceparent_print(&trace, printed);
    CG_ASSERT(size >= CG_TRACEPARENT_LENGTH && size <= CG_TRACE_FIELD_MAX);
    CG_ASSERT(cg_traceparent_parse(canonical, &again));
    CG_ASSERT(memcmp(&trace, &again, sizeof(trace)) == 0);
    /* The ids come through letter by letter, whatever the version. */
    CG_ASSERT(cg_str_eq(cg_str_sub(text, 2, 51), cg_str_sub(canonical, 2, 51)));
    CG_ASSERT(cg_str_eq(cg_str_sub(text, 0, 2), CG_STR("00")) == (size == CG_TRACEPARENT_LENGTH) ||
              !cg_str_eq(cg_str_sub(text, 0, 2), CG_STR("00")));
    return 0;
}
