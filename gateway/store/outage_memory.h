/*
 * outage_memory: short-lived entries in the gateway's own memory, for while a shared store is away
 * (store.on_outage: memory).
 *
 * cg_outage_memory is what the threads of a process have in common; cg_outage_memory_open puts a
 * handle in front of a handle of the shared store. As long as that answers, nothing is read here.
 * Where it says UNAVAILABLE, an embedded store (memory.h) answers in its place, with versions of
 * its own: views then name a `stand_in`, which takes what is fetched under them.
 *
 * - Every mark, purge, release, ban and flush of this process is applied here first, also while
 *   the shared store answers. So nothing is served that was fetched before a write through this
 *   process, whenever that began: promise 2 holds for one gateway by itself.
 * - Writes through other gateways are not seen. So an entry lives for store.outage_ttl at most, and
 *   all are forgotten whenever the shared store goes or comes back: a documented weakening, which
 *   is why this is not the default.
 * - Tokens and epochs of the two stores are never equal, so what was read in one mode cannot be
 *   used, joined or filled in the other.
 *
 * Results of changes are the shared store's: a purge that only this memory knows of is not
 * acknowledged. Entries are sealed if the shared store's are.
 */
#ifndef GATEWAY_STORE_OUTAGE_MEMORY_H
#define GATEWAY_STORE_OUTAGE_MEMORY_H

#include "gateway/request/ports.h"
#include "gateway/store/store.h"

struct cg_outage_memory;

/* `ban_horizon_ms` and `random` as for cg_memory_create. */
struct cg_outage_memory *cg_outage_memory_create(size_t bytes_max, uint64_t ban_horizon_ms,
                                                 uint32_t ttl_ms, uint64_t random);
/* As cg_memory_outlive. */
void cg_outage_memory_outlive(struct cg_outage_memory *outage, uint64_t lifetime_ms);
/* All handles must have been closed. Takes NULL; returns NULL. */
struct cg_outage_memory *cg_outage_memory_destroy(struct cg_outage_memory *outage);

/* A handle for the thread of `inner`, which is borrowed until it is closed, like the clock. */
struct cg_store *cg_outage_memory_open(struct cg_outage_memory *outage, struct cg_store *inner,
                                       struct cg_clock *clock);
struct cg_store *cg_outage_memory_inner(struct cg_store *store);
/* After the inner handle was closed, which may answer what is in flight; what it did not answer
 * never is. Not from inside a callback. Takes NULL; returns NULL. */
struct cg_store *cg_outage_memory_close(struct cg_store *store);

#endif
