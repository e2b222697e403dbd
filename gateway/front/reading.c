/*
 * Reading while a request of HTTP/1 is answered. libh2o stops reading when the request is complete
 * and starts again behind the answer. When the answer needs another turn of the loop (it waits for
 * the store or for the upstream) that costs two changes of the poller's set, a tenth of a hit from
 * Redis. So the socket stays in the set, as one that reports and is not read, and really stops when
 * something comes: the next request too early, or the end. What has arrived stays in the kernel
 * either way, and libh2o's input, which the facts of the request borrow, does not move.
 */
#include "gateway/front/front.h"

static void on_early(h2o_socket_t *socket, const char *error)
{
    (void)error;
    h2o_socket_read_stop(socket);
}

void cg_reading_pause(struct cg_downstream *connection)
{
    if (connection->stage != CG_STAGE_HTTP1 || h2o_socket_is_reading(connection->socket))
        return;
    h2o_socket_dont_read(connection->socket, 1);
    h2o_socket_read_start(connection->socket, on_early);
}

void cg_reading_resume(struct cg_downstream *connection)
{
    if (connection->stage == CG_STAGE_HTTP1)
        h2o_socket_dont_read(connection->socket, 0);
}
