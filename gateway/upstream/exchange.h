/*
 * exchange: one request to an upstream and its answer, from the queue to the last byte.
 *
 * Its stages: queued (for a place), opening (a connection), talking (writing and reading at the
 * same time, since an answer may come early), over. Every way in from outside passes enter and
 * leave, so that an owner may pause, resume or cancel from inside any event; what is over dies in
 * the outermost leave. Owns its connection while it has one, its timers and the answer's head.
 */
#ifndef GATEWAY_UPSTREAM_EXCHANGE_H
#define GATEWAY_UPSTREAM_EXCHANGE_H

#include "gateway/request/ports.h"
#include "gateway/upstream/pool.h"

/* The calls of cg_origin_port, once the pool is known. */
void cg_exchange_start(struct cg_pool *pool, const struct cg_origin_request *request,
                       const struct cg_origin_events *events, void *owner,
                       struct cg_origin_exchange **ret_exchange);
void cg_exchange_pause(struct cg_origin_exchange *exchange);
void cg_exchange_resume(struct cg_origin_exchange *exchange);
void cg_exchange_cancel(struct cg_origin_exchange *exchange);

#endif
