/* A URL. Masking it again changes nothing, it never grows by more than the marks, and a secret put
 * behind it, or in place of one of its parts, is not seen. */
#include "cachegate/assert.h"
#include "cachegate/mask.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_in(struct cg_str needle, struct cg_str text)
{
    return text.length > 0 && memmem(text.bytes, text.length, needle.bytes, needle.length) != NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cg_arena arena;
    static struct cg_mask mask;
    static const char marker[] = "QXZWJV", tail[] = "&token=QXZWJV";
    struct cg_str url = cg_str_of((const char *)data, size);
    struct cg_buf once, twice, joined;
    if (size > 8192)
        return 0;
    if (mask.count == 0) {
        cg_arena_init(&arena, 1 << 16);
        cg_mask_make(NULL, 0, &arena, &mask);
    }
    cg_buf_init(&once, 1 << 20);
    cg_buf_init(&twice, 1 << 20);
    cg_buf_init(&joined, 1 << 20);
    cg_mask_url(&mask, url, &once);
    CG_ASSERT(!once.overflowed && once.length <= 4 * size + 4);
    cg_mask_url(&mask, cg_buf_str(&once), &twice);
    CG_ASSERT(cg_str_eq(cg_buf_str(&once), cg_buf_str(&twice)));
    if (!is_in(cg_str_from(marker), url)) {
        cg_buf_add_str(&joined, url);
        cg_buf_add_text(&joined, tail);
        cg_buf_clear(&once);
        cg_mask_url(&mask, cg_buf_str(&joined), &once);
        CG_ASSERT(!is_in(cg_str_from(marker), cg_buf_str(&once)));
    }
    cg_buf_fini(&once);
    cg_buf_fini(&twice);
    cg_buf_fini(&joined);
    return 0;
}
