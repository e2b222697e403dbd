/*
 * tls: the client's side of TLS on libh2o sockets.
 *
 * libh2o 2.2.5 checks a certificate's name itself, but not on TLS 1.3, and never matches an
 * address; so the name is a condition of OpenSSL's own verification here (RFC 9110 4.3.4) and
 * libh2o's verdict on it is ignored. TLS 1.2 at least. Contexts may be shared by threads.
 */
#ifndef GATEWAY_UPSTREAM_TLS_H
#define GATEWAY_UPSTREAM_TLS_H

#include <h2o/socket.h>
#include <stdbool.h>

#include "gateway/upstream/upstreams.h"

/* Fills tls, tls_name and tls_name_is_ip. On failure a sentence in *ret_error (to be freed). */
bool cg_tls_prepare(struct cg_upstream *upstream, char **ret_error);

/*
 * Starts the handshake. *ret_session is set before `on_done` fires (which it may before this
 * returns) and lives as long as the socket.
 */
void cg_tls_start(const struct cg_upstream *upstream, h2o_socket_t *socket, h2o_socket_cb on_done,
                  const SSL **ret_session);
/* What libh2o told `on_done`, judged: NULL when the peer is who it should be, else a sentence. */
const char *cg_tls_error(const struct cg_upstream *upstream, const char *handshake_error);

#endif
