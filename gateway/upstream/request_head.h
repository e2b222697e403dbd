/*
 * request_head: prints the head of a request to an upstream (RFC 9112 3, 5).
 *
 * Pure: settings and request in, bytes out. Its input was validated long before; it checks again,
 * because a CR, LF or space let through here would become a second request on a shared connection
 * (RFC 9112 11.1). It never repairs: a part that is not fit makes the whole head unfit. Host and
 * Content-Length come from here alone, so the caller's fields must hold no framing.
 */
#ifndef GATEWAY_UPSTREAM_REQUEST_HEAD_H
#define GATEWAY_UPSTREAM_REQUEST_HEAD_H

#include "cachegate/buf.h"
#include "gateway/config/settings.h"
#include "gateway/request/ports.h"

/* The buf's ceiling: above every limit that a client's head can have. */
enum { CG_REQUEST_HEAD_BYTES_MAX = 1024 * 1024 };

/* False when the request cannot be written; `out` then holds nothing of use. */
bool cg_request_head_print(struct cg_buf *out, const struct cg_upstream_settings *settings,
                           const struct cg_origin_request *request);

#endif
