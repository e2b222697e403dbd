/* First two bytes: the length; the rest: the Range field. What is planned lies inside, and adds up.
 */
#include "cachegate/assert.h"
#include "cachegate/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint64_t length = (uint64_t)data[0] << 8 | data[1], content = 0, framed = 0;
    struct cg_field item = {CG_STR("range"), cg_str_of((const char *)data + 2, size - 2)};
    struct cg_field type = {CG_STR("content-type"), CG_STR("a/b")};
    struct cg_fields request = {.items = &item, .count = 1, .capacity = 1};
    struct cg_fields answer = {.items = &type, .count = 1, .capacity = 1};
    struct cg_range_plan plan;
    struct cg_arena arena;
    cg_arena_init(&arena, 1 << 20);
    CG_ASSERT(cg_range_plan_make(CG_STR("GET"), &request, 200, &answer, length, 0, CG_STR("xyz"),
                                 &arena, &plan));
    CG_ASSERT(plan.status == 200 || plan.status == 206 || plan.status == 416);
    for (size_t i = 0; i < plan.piece_count; i++) {
        const struct cg_range_piece *piece = &plan.pieces[i];
        CG_ASSERT(piece->content.first <= length);
        CG_ASSERT(piece->content.length <= length - piece->content.first);
        content += piece->content.length;
        framed += piece->content.length + piece->text.length;
    }
    CG_ASSERT(content <= length && framed == plan.content_length);
    CG_ASSERT(plan.status != 200 || content == length);
    cg_arena_fini(&arena);
    return 0;
}
