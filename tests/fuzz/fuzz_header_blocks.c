/* Any bytes are walked without leaving them, and in two walks as in one. */
#include "cachegate/assert.h"
#include "gateway/front/header_blocks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_str bytes = cg_str_of((const char *)data, size);
    struct cg_header_blocks whole, parts;
    cg_header_blocks_init(&whole, 50);
    size_t walked = cg_header_blocks_walk(&whole, bytes);
    CG_ASSERT(walked <= size && whole.settled <= walked);
    for (size_t cut = 0; cut < size && cut < 64; cut++) {
        cg_header_blocks_init(&parts, 50);
        size_t first = cg_header_blocks_walk(&parts, cg_str_sub(bytes, 0, cut));
        size_t second = cg_header_blocks_walk(&parts, cg_str_skip(bytes, first));
        CG_ASSERT(first + second == walked);
        CG_ASSERT(parts.over == whole.over && parts.open == whole.open);
        CG_ASSERT(parts.lines == whole.lines && parts.inserted == whole.inserted);
    }
    return 0;
}
