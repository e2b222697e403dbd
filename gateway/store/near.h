/*
 * near: copies of a shared store's entries in the gateway's own memory, in front of that store.
 *
 * cg_near is what the threads of a process have in common; cg_near_open puts a handle in front of
 * a handle of another store (redis_store.h; tests use others). Its copies are what the other store
 * holds, sealed if that seals. How a copy may be used is the route's choice (`consistency`):
 *
 * - strict: the other store is asked for versions, epoch and bans only (lookup with `key` NULL) and
 *   the copy answers if it was stored under just these tokens, is within its lifetime, and the
 *   store had it under this epoch. Tokens never come back, so such a copy was fetched after every
 *   purge that was acknowledged before the lookup. Everything else is looked up in full. All
 *   promises hold; no body travels.
 * - pushed: as long as a connection of the process is told of all that changes (near_watch.h), the
 *   other store is not asked at all. A hit may be as old as store.tracking_timeout after a write
 *   through another gateway; writes through this process are seen at once.
 *
 * A copy is taken when a lookup brought an entry that is current, and when a fill was
 * acknowledged. What is past its lifetime is looked up in full, stale windows or not: another
 * gateway may have refreshed it. It is not a store of its own: where the other one cannot answer,
 * neither does this one.
 */
#ifndef GATEWAY_STORE_NEAR_H
#define GATEWAY_STORE_NEAR_H

#include "gateway/base/metrics.h"
#include "gateway/config/settings.h"
#include "gateway/request/ports.h"
#include "gateway/store/near_watch.h"

struct cg_near;

/* The server that answers a handle, by a name that no other has; "" while it is not to be trusted.
 */
typedef const char *(*cg_near_server_fn)(struct cg_store *inner);

/*
 * Of settings: near_bytes (more than 0), tracking_timeout_ms and the ruleset's routes; borrowed, as
 * the book. `server_of` NULL: nothing is pushed, and all routes are strict.
 */
struct cg_near *cg_near_create(const struct cg_settings *settings, struct cg_book *book,
                               cg_near_server_fn server_of);
/* All handles must have been closed. Takes NULL; returns NULL. */
struct cg_near *cg_near_destroy(struct cg_near *near);
/* For whoever listens for pushes; NULL when no route asks for them. */
struct cg_near_watch *cg_near_watch_of(struct cg_near *near);

/* A handle for the thread of `inner`, which is borrowed until it is closed, like the clock. */
struct cg_store *cg_near_open(struct cg_near *near, struct cg_store *inner, struct cg_clock *clock);
/*
 * After the inner handle was closed or answers nothing any more; calls in flight are never
 * answered. Not from inside a callback. Takes NULL; returns NULL.
 */
struct cg_store *cg_near_close(struct cg_store *store);
struct cg_store *cg_near_inner(struct cg_store *store);
/* The handle's own sheet. */
struct cg_sheet *cg_near_sheet(struct cg_store *store);

#endif
