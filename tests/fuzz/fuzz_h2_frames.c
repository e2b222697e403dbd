/* The finding and every count are the same however the bytes are cut. Bit 0 of the first byte says
 * whether the preface is put before the input, the rest gives the size of the pieces. */
#include "cachegate/assert.h"
#include "cachegate/h2_frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct cg_h2_inspector *inspector, bool prefaced, struct cg_str input, size_t piece)
{
    const struct cg_h2_budgets budgets = {16384, 1000, 3, 4, 4, 4, 4, 4, 4, 4, true};
    cg_h2_inspector_init(inspector, &budgets);
    if (prefaced)
        cg_h2_inspect(inspector, CG_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    while (!cg_str_empty(input)) {
        cg_h2_inspect(inspector, cg_str_sub(input, 0, piece));
        input = cg_str_skip(input, piece);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct cg_str input = cg_str_of((const char *)data + 1, size - 1);
    bool prefaced = (data[0] & 1) != 0;
    struct cg_h2_inspector whole, pieces;
    run(&whole, prefaced, input, SIZE_MAX);
    run(&pieces, prefaced, input, 1 + (size_t)(data[0] >> 1));
    CG_ASSERT(whole.finding == pieces.finding);
    CG_ASSERT(cg_h2_finding_text(whole.finding) != NULL);
    CG_ASSERT(memcmp(&whole.window, &pieces.window, sizeof whole.window) == 0);
    CG_ASSERT(whole.header_block_open == pieces.header_block_open);
    CG_ASSERT(whole.header_block_bytes == pieces.header_block_bytes);
    CG_ASSERT(whole.continuations == pieces.continuations);
    CG_ASSERT(whole.last_stream_id == pieces.last_stream_id);
    CG_ASSERT(whole.trailer_blocks == pieces.trailer_blocks);
    CG_ASSERT(whole.payload_left == pieces.payload_left || whole.finding != CG_H2_SOUND);
    return 0;
}
