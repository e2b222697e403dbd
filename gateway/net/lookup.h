/*
 * lookup: the addresses of a name, asked of the system's resolver off the loop.
 *
 * libh2o's own lookup can be cancelled, but its answer still arrives on the thread that asked, and
 * libh2o aborts when that thread's context is gone by then. So a lookup here is never cancelled,
 * only disowned, and a thread lets all of them come back before it ends. Belongs to one thread.
 */
#ifndef GATEWAY_NET_LOOKUP_H
#define GATEWAY_NET_LOOKUP_H

#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>

struct cg_lookup;
struct st_h2o_context_t;

/* `found` is valid during the call, and NULL with a sentence in `error`. Not from inside start. */
typedef void (*cg_lookup_fn)(void *owner, const char *error, const struct addrinfo *found);

struct cg_lookup *cg_lookup_start(struct st_h2o_context_t *context, const char *host, uint16_t port,
                                  cg_lookup_fn answer, void *owner);
/* The answer is not wanted any more. Takes NULL; returns NULL. */
struct cg_lookup *cg_lookup_cancel(struct cg_lookup *lookup);
/*
 * Before the context is disposed of: turns its loop until no lookup of this thread is under way.
 * False when some name server took longer than `within_ms`: the context must then not be disposed
 * of.
 */
bool cg_lookups_drain(struct st_h2o_context_t *context, uint32_t within_ms);

#endif
