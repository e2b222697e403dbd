/* An accepted head is sound by the plainest reading, ends where it says, and nowhere before. */
#include "cachegate/assert.h"
#include "cachegate/http1_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_str input = cg_str_of((const char *)data, size);
    struct cg_http1_request_line line, again;
    enum cg_http1_refusal refusal = cg_http1_request_check(input, &line);
    CG_ASSERT(cg_http1_refusal_text(refusal) != NULL);
    if (refusal != CG_REFUSED_NOT)
        return 0;
    struct cg_str head = cg_str_sub(input, 0, line.head_length);
    CG_ASSERT(head.length == line.head_length && cg_str_ends_with(head, CG_STR("\r\n\r\n")));
    for (size_t i = 0; i < head.length; i++) {
        CG_ASSERT(head.bytes[i] != '\0');
        CG_ASSERT(head.bytes[i] != '\n' || head.bytes[i - 1] == '\r');
        CG_ASSERT(head.bytes[i] != '\r' || head.bytes[i + 1] == '\n');
    }
    CG_ASSERT(cg_http1_request_check(head, &again) == CG_REFUSED_NOT);
    CG_ASSERT(cg_http1_request_check(cg_str_sub(head, 0, head.length - 1), &again) ==
              CG_REFUSED_HEAD);
    CG_ASSERT(cg_is_token(line.method) &&
              (cg_target_valid(line.target) || cg_str_eq(line.target, CG_STR("*"))));
    CG_ASSERT(line.minor == 0 || cg_authority_valid(line.host));
    CG_ASSERT(!(line.has_content_length && line.chunked));
    return 0;
}
