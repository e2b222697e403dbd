/* Any bytes: not an entry, or one that encodes to exactly these bytes. */
#include "cachegate/assert.h"
#include "cachegate/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cg_arena arena;
    struct cg_entry entry;
    struct cg_str bytes = cg_str_of((const char *)data, size);
    cg_arena_init(&arena, 1 << 20);
    if (cg_entry_decode(bytes, &arena, &entry)) {
        struct cg_blob *again = cg_entry_encode(&entry);
        CG_ASSERT(cg_str_eq(cg_blob_str(again), bytes));
        cg_blob_unref(again);
    }
    cg_arena_fini(&arena);
    return 0;
}
