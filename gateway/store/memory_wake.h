/*
 * memory_wake: a handle of the embedded store on a loop, which delivers what other threads left for
 * its claims (memory_claims.h).
 *
 * A receiver in the loop's queue of messages, with one message that carries nothing. It is apart so
 * that the embedded store itself knows no loop.
 */
#ifndef GATEWAY_STORE_MEMORY_WAKE_H
#define GATEWAY_STORE_MEMORY_WAKE_H

#include "gateway/store/memory.h"

struct st_h2o_context_t;

/* As cg_memory_open and cg_memory_close, both on the thread of `context`. */
struct cg_store *cg_memory_wake_open(struct cg_memory *memory, struct st_h2o_context_t *context,
                                     struct cg_clock *clock);
struct cg_store *cg_memory_wake_close(struct cg_store *store);

#endif
