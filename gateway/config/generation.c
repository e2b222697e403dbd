#include "gateway/config/generation.h"

#include "cachegate/assert.h"

#include <stdlib.h>

struct cg_generation *cg_generation_create(struct cg_settings *settings, struct cg_arena *arena,
                                           uint64_t number, atomic_uint *alive)
{
    struct cg_generation *generation = calloc(1, sizeof *generation);
    CG_ASSERT(generation != NULL && settings != NULL && arena != NULL);
    generation->number = number;
    generation->settings = generation->owned = settings;
    generation->arena = arena;
    generation->alive = alive;
    atomic_init(&generation->references, 1);
    atomic_fetch_add(alive, 1);
    return generation;
}

struct cg_generation *cg_generation_ref(struct cg_generation *generation)
{
    unsigned before = atomic_fetch_add_explicit(&generation->references, 1, memory_order_relaxed);
    CG_ASSERT(before > 0);
    return generation;
}

void cg_generation_unref(struct cg_generation *generation)
{
    if (generation == NULL)
        return;
    unsigned before = atomic_fetch_sub_explicit(&generation->references, 1, memory_order_acq_rel);
    CG_ASSERT(before > 0);
    if (before > 1)
        return;
    cg_settings_free(generation->owned);
    cg_arena_fini(generation->arena);
    free(generation->arena);
    atomic_fetch_sub(generation->alive, 1);
    free(generation);
}
