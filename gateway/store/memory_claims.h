/*
 * memory_claims: the claims (claims.h) of one process, shared by its threads.
 *
 * A table under one lock, answered before the call returns. Who ends a claim leaves its name with
 * every thread that has somebody waiting, and notifies it; that thread then delivers. What is left
 * is bounded: a thread that does not come to deliver finds that all are to be woken.
 */
#ifndef GATEWAY_STORE_MEMORY_CLAIMS_H
#define GATEWAY_STORE_MEMORY_CLAIMS_H

#include "gateway/request/ports.h"
#include "gateway/store/claims.h"

struct cg_memory_claims;   /* of the process */
struct cg_memory_claimant; /* of one thread */

struct cg_memory_claims *cg_memory_claims_create(void);
/* Nobody may be left. Takes NULL; returns NULL. */
struct cg_memory_claims *cg_memory_claims_destroy(struct cg_memory_claims *claims);

/* `clock` is borrowed. */
struct cg_memory_claimant *cg_memory_claimant_create(struct cg_memory_claims *claims,
                                                     struct cg_clock *clock);
struct cg_memory_claimant *cg_memory_claimant_destroy(struct cg_memory_claimant *claimant);
struct cg_claims *cg_memory_claimant_claims(struct cg_memory_claimant *claimant);

/* `notify` is called on any thread and under a lock: it may only make this thread deliver soon.
 * Without one (NULL, as at first) nobody here is ever woken. Returns the owner of the one before.
 */
void *cg_memory_claimant_notify(struct cg_memory_claimant *claimant, void (*notify)(void *owner),
                                void *owner);
/* On its own thread: wakes whom it concerns. */
void cg_memory_claimant_deliver(struct cg_memory_claimant *claimant);

#endif
