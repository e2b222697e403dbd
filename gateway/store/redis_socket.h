/*
 * redis_socket: the socket of a connection to Redis on a libh2o loop.
 *
 * In the clear libh2o only tells when there is something to read: its own reading would put the
 * bytes into one more buffer to copy them from. Over TLS it reads and decrypts.
 */
#ifndef GATEWAY_STORE_REDIS_SOCKET_H
#define GATEWAY_STORE_REDIS_SOCKET_H

#include <h2o.h>

#include "gateway/store/redis_reader.h"

/* Ends a connected socket in the clear, from which nothing was read; returns another one of the
 * same connection, without its data, or NULL when it cannot be used. */
h2o_socket_t *cg_redis_socket_take_over(h2o_loop_t *loop, h2o_socket_t *socket);
/* What there is, as on_readable was told of it. */
enum cg_redis_received cg_redis_socket_receive(h2o_socket_t *socket, bool tls, const char *error,
                                               struct cg_redis_reader *reader);
/* At once: over TLS libh2o would wait until the peer has room for a close_notify. */
void cg_redis_socket_close(h2o_socket_t *socket);

#endif
