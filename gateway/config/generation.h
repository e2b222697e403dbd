/*
 * generation: one complete set of settings, shared by all who still obey it.
 *
 * Settings are immutable; what changes at run time is which generation of them is in force. Each
 * reload that is accepted makes one, with a number that only grows. It goes away with its last
 * reference, on whatever thread that is dropped. The first one lasts as long as the process,
 * because what cannot change at run time (listeners, upstreams, the store) borrows from it.
 */
#ifndef GATEWAY_CONFIG_GENERATION_H
#define GATEWAY_CONFIG_GENERATION_H

#include "gateway/config/settings.h"

#include <stdatomic.h>

struct cg_generation {
    uint64_t number; /* 1: what the process started with */
    const struct cg_settings *settings;
    struct cg_settings *owned; /* the same */
    struct cg_arena *arena;    /* owned: where they live */
    atomic_uint references;
    atomic_uint *alive; /* borrowed: how many there are */
};

/* Takes the settings and the arena, which is from malloc. One reference. `alive` is counted up, and
 * down at the end. */
struct cg_generation *cg_generation_create(struct cg_settings *settings, struct cg_arena *arena,
                                           uint64_t number, atomic_uint *alive);
/* Any thread. */
struct cg_generation *cg_generation_ref(struct cg_generation *generation);
/* Takes NULL. */
void cg_generation_unref(struct cg_generation *generation);

#endif
