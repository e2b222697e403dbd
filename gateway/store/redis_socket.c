#include "gateway/store/redis_socket.h"

#include <openssl/err.h>
#include <sys/socket.h>

/* Fed at once: so much of a long string is copied twice, the rest to its blob. */
enum { PIECE_BYTES = 32 << 10 };

h2o_socket_t *cg_redis_socket_take_over(h2o_loop_t *loop, h2o_socket_t *socket)
{
    h2o_socket_export_t connection;
    if (h2o_socket_export(socket, &connection) != 0) {
        cg_redis_socket_close(socket);
        return NULL;
    }
    h2o_buffer_dispose(&connection.input);
    return h2o_evloop_socket_create(loop, connection.fd, H2O_SOCKET_FLAG_DONT_READ);
}

enum cg_redis_received cg_redis_socket_receive(h2o_socket_t *socket, bool tls, const char *error,
                                               struct cg_redis_reader *reader)
{
    if (error != NULL)
        return CG_REDIS_RECEIVED_END;
    if (!tls)
        return cg_redis_reader_receive(reader, h2o_socket_get_fd(socket));
    if (socket->input->size == 0)
        return CG_REDIS_RECEIVED_NONE;
    size_t length = socket->input->size < PIECE_BYTES ? socket->input->size : PIECE_BYTES;
    cg_redis_reader_feed(reader, socket->input->bytes, length);
    h2o_buffer_consume(&socket->input, length);
    return socket->input->size > 0 ? CG_REDIS_RECEIVED_MORE : CG_REDIS_RECEIVED_ALL;
}

void cg_redis_socket_close(h2o_socket_t *socket)
{
    shutdown(h2o_socket_get_fd(socket), SHUT_RDWR);
    h2o_socket_close(socket);
    ERR_clear_error();
}
