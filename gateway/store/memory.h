/*
 * memory: the embedded store. Entries, versions and bans of one process, shared by its threads.
 *
 * cg_memory is the store itself; cg_memory_open gives each thread a handle that implements
 * cg_store_port (store.h). All answers come before the call returns. Entries and versions lie in
 * shards under a mutex each, which is never held across a callback. Bytes are bounded, overhead
 * included, by evicting what was not used again (SIEVE); versions get at most a quarter. Losing an
 * entry or a version can only cause misses; a version with a live mark is never evicted.
 *
 * It forgets everything with the process, versions and entries alike, which is consistent. It is
 * not shared between processes: one gateway, or writes that nobody else needs to hear of.
 */
#ifndef GATEWAY_STORE_MEMORY_H
#define GATEWAY_STORE_MEMORY_H

#include "gateway/request/ports.h"
#include "gateway/store/store.h"

struct cg_memory;

/*
 * `ban_horizon_ms`: the longest that an entry can matter (ruleset.lifetime_max_ms); older bans are
 * dropped. `random` must differ from start to start: tokens and the epoch are named after it.
 */
struct cg_memory *cg_memory_create(size_t bytes_max, uint64_t ban_horizon_ms, uint64_t random);
/* Raises `ban_horizon_ms`, for rules that keep answers longer; any thread. It never falls: what was
 * kept under earlier rules may still be there. */
void cg_memory_outlive(struct cg_memory *memory, uint64_t lifetime_ms);
/* All handles must have been closed. Takes NULL; returns NULL. */
struct cg_memory *cg_memory_destroy(struct cg_memory *memory);

/* A handle for one thread; `clock` is borrowed until it is closed. Any thread may open. */
struct cg_store *cg_memory_open(struct cg_memory *memory, struct cg_clock *clock);
/* How claims of this handle are woken (memory_claims.h): `notify` is called on any thread, and
 * makes this one call cg_memory_deliver soon. Returns the owner of the one before. */
void *cg_memory_on_mail(struct cg_store *store, void (*notify)(void *owner), void *owner);
void cg_memory_deliver(struct cg_store *store);
/* Not from inside one of its callbacks. Takes NULL; returns NULL. */
struct cg_store *cg_memory_close(struct cg_store *store);

#endif
