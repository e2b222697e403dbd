/* First byte: which field; the rest: its value. Names are distinct, sorted and bounded. */
#include "cachegate/assert.h"
#include "cachegate/groups.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct cg_groups *groups)
{
    CG_ASSERT(groups->count <= CG_GROUPS_MAX);
    for (size_t i = 0; i < groups->count; i++) {
        CG_ASSERT(groups->names[i].length <= CG_GROUP_NAME_BYTES_MAX);
        CG_ASSERT(i == 0 || cg_str_cmp(groups->names[i - 1], groups->names[i]) < 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cg_str names[] = {{"cache-groups", 12},
                                          {"surrogate-key", 13},
                                          {"cache-tag", 9},
                                          {"cache-group-invalidation", 24}};
    struct cg_groups groups;
    struct cg_arena arena;
    if (size == 0)
        return 0;
    struct cg_field item = {names[data[0] % 4], cg_str_of((const char *)data + 1, size - 1)};
    struct cg_fields fields = {.items = &item, .count = 1, .capacity = 1};
    cg_arena_init(&arena, 1 << 22);
    cg_groups_of(&fields, &arena, &groups);
    check(&groups);
    CG_ASSERT(!groups.malformed || data[0] % 4 == 0);
    cg_groups_invalidated(CG_STR("POST"), &fields, &arena, &groups);
    check(&groups);
    CG_ASSERT(!groups.malformed || data[0] % 4 == 3);
    cg_arena_fini(&arena);
    return 0;
}
