/*
 * version: what an answer depends on, and what a write makes wrong.
 *
 * A purge pattern with its placeholders filled in is a *pattern instance*; its name here is a keyed
 * 128-bit digest (a collision can only purge too much). Each instance has a *version*, an opaque
 * token in the store. An entry is valid while the versions it was stored under are still current.
 * An absent version never equals anything; nor does a busy one (a write is in flight).
 */
#ifndef CACHEGATE_VERSION_H
#define CACHEGATE_VERSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CG_DIGEST_BYTES = 16,
    CG_INSTANCES_MAX = 64, /* that one answer may depend on; a request with more is not cached */
};

struct cg_instance {
    uint8_t id[CG_DIGEST_BYTES];
};

struct cg_token {
    uint8_t bytes[CG_DIGEST_BYTES];
};

enum cg_version_state { CG_VERSION_ABSENT, CG_VERSION_BUSY, CG_VERSION_CURRENT };

struct cg_version {
    enum cg_version_state state;
    struct cg_token token; /* zero unless CURRENT */
};

/*
 * Where in the history of open purges (bans, flushes) a moment lies. `generation` is random and
 * changes when the history was lost; `counter` grows by one with each ban of that generation.
 */
struct cg_epoch {
    uint64_t generation;
    uint64_t counter;
};

static inline bool cg_epoch_eq(struct cg_epoch a, struct cg_epoch b)
{
    return a.generation == b.generation && a.counter == b.counter;
}

bool cg_instance_eq(const struct cg_instance *a, const struct cg_instance *b);
bool cg_token_eq(const struct cg_token *a, const struct cg_token *b);
/* True when both have `count` CURRENT versions with equal tokens: the condition to share a fetch.
 */
bool cg_versions_same(const struct cg_version *a, const struct cg_version *b, size_t count);
/* True when all are CURRENT. */
bool cg_versions_concrete(const struct cg_version *versions, size_t count);

#endif
