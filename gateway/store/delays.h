/*
 * delays: a store in front of another that makes every trip take a random time. For tests.
 *
 * Each call waits before it reaches the inner store, and each answer before it reaches the caller,
 * so that a test meets the interleavings that a fast store on the same machine never shows. Changes
 * (fill, purge, mark, release, ban, flush) keep the order in which they were called, as every
 * driver does; lookups and prepares overtake them and one another. Answers come in any order.
 *
 * Exists only in builds with CACHEGATE_TEST_CLOCK, and does nothing unless the environment variable
 * CACHEGATE_TEST_STORE_DELAYS says `<seed>:<milliseconds>`, the longest wait of one way.
 */
#ifndef GATEWAY_STORE_DELAYS_H
#define GATEWAY_STORE_DELAYS_H

#include "gateway/store/store.h"

#ifdef CACHEGATE_TEST_CLOCK

struct cg_clock;
struct cg_delays;

/*
 * Wraps `inner`, or returns it as it is where no delays are asked for. A handle for the thread of
 * `inner`; `clock` is borrowed until it is closed.
 */
struct cg_store *cg_delays_open(struct cg_store *inner, struct cg_clock *clock);
/* The wrapper behind a handle; NULL when there is none. */
struct cg_delays *cg_delays_of(struct cg_store *store);
/* Drops what waits, lets no further answer through, and returns the inner store, which is to be
 * closed before the wrapper is destroyed. */
struct cg_store *cg_delays_detach(struct cg_delays *delays);
/* Takes NULL; returns NULL. */
struct cg_delays *cg_delays_destroy(struct cg_delays *delays);

#endif

#endif
