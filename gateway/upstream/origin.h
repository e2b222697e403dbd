/*
 * origin: the HTTP/1.1 client towards upstreams, on libh2o sockets; implements cg_origin_port.
 *
 * One per thread. Answers are parsed by http1_response.h; anything ambiguous ends the exchange
 * with CG_ORIGIN_BAD_ANSWER and the connection. A connection returns to the pool only after a whole
 * answer with nothing behind it.
 */
#ifndef GATEWAY_UPSTREAM_ORIGIN_H
#define GATEWAY_UPSTREAM_ORIGIN_H

#include "gateway/config/settings.h"
#include "gateway/request/ports.h"

struct st_h2o_context_t;

/* `upstreams` and the TLS contexts made from them are shared by threads: created once. */
struct cg_upstreams;
/* NULL and a sentence in *ret_error (to be freed) when a CA file cannot be read and the like. */
struct cg_upstreams *cg_upstreams_create(const struct cg_settings *settings, char **ret_error);
struct cg_upstreams *cg_upstreams_destroy(struct cg_upstreams *upstreams);

/* On the thread that runs `context`'s loop. */
struct cg_origin *cg_origin_create(struct cg_upstreams *upstreams, struct st_h2o_context_t *context,
                                   struct cg_clock *clock);
/* Closes idle connections; no exchange may be left. */
struct cg_origin *cg_origin_destroy(struct cg_origin *origin);

#endif
