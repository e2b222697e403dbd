/* First byte: bit 0 the request was HEAD, bit 1 the connection ends, the rest the size of pieces.
 */
#include "cachegate/assert.h"
#include "tests/read_response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t fixed_piece(void *context, size_t left)
{
    size_t length = *(const size_t *)context;
    return length < left ? length : left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct cg_str input = cg_str_of((const char *)data + 1, size - 1);
    size_t piece = 1 + (size_t)(data[0] >> 2);
    bool head_request = (data[0] & 1) != 0, ends = (data[0] & 2) != 0;
    struct read_response whole, pieces;
    read_response_run(&whole, input, head_request, ends, NULL, NULL);
    read_response_run(&pieces, input, head_request, ends, fixed_piece, &piece);
    CG_ASSERT(read_response_same(&whole, &pieces));
    read_response_fini(&whole);
    read_response_fini(&pieces);
    return 0;
}
