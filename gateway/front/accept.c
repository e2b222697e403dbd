/*
 * From a new connection to its protocol: PROXY line, TLS, and for cleartext the first bytes, which
 * tell HTTP/1.1 from HTTP/2 with prior knowledge (RFC 9113 3.3). libh2o's own h2o_accept would do
 * this too, but hands over to HTTP/2 without a place for the guard.
 */
#include "gateway/front/front.h"

#include "cachegate/assert.h"
#include "gateway/front/proxy_line.h"

#include <errno.h>
#include <h2o/http1.h>

enum {
    ACCEPTS_PER_TURN = 64,
    ACCEPTS_AT_END_MAX = 65536, /* more than a queue holds; who comes on and on is not waited for */
};

static struct cg_downstream *connection_of(h2o_socket_t *socket)
{
    return socket->on_close.data;
}

static void start_http1(struct cg_downstream *connection)
{
    struct cg_worker *worker = connection->worker;
    cg_downstream_enter(connection, CG_STAGE_HTTP1);
    h2o_http1_accept(&worker->accept, connection->socket,
                     *h2o_get_timestamp(&worker->context, NULL, NULL));
}

/* ---- cleartext ---- */

static void peek(struct cg_downstream *connection)
{
    struct cg_str preface = CG_STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const h2o_buffer_t *input = connection->socket->input;
    struct cg_str start = cg_str_sub(cg_str_of(input->bytes, input->size), 0, preface.length);
    if (!cg_str_eq(start, cg_str_sub(preface, 0, start.length)))
        start_http1(connection);
    else if (start.length == preface.length)
        cg_guard_accept(connection);
}

static void on_peek(h2o_socket_t *socket, const char *error)
{
    if (error != NULL)
        h2o_socket_close(socket);
    else if (socket->input->size > 0)
        peek(connection_of(socket));
}

static void start_peek(struct cg_downstream *connection)
{
    cg_downstream_enter(connection, CG_STAGE_PEEK);
    h2o_socket_read_start(connection->socket, on_peek);
    if (connection->socket->input->size > 0)
        peek(connection);
}

/* ---- TLS ---- */

static void on_handshake(h2o_socket_t *socket, const char *error)
{
    struct cg_downstream *connection = connection_of(socket);
    if (error != NULL) {
        cg_count_trouble(connection->worker->machine.sheet, CG_TROUBLE_TLS);
        h2o_socket_close(socket);
        return;
    }
    h2o_iovec_t chosen = h2o_socket_ssl_get_selected_protocol(socket);
    if (cg_str_eq(cg_str_of(chosen.base, chosen.len), CG_STR("h2")))
        cg_guard_accept(connection);
    else
        start_http1(connection);
}

static void start_protocol(struct cg_downstream *connection)
{
    if (!connection->tls) {
        start_peek(connection);
        return;
    }
    cg_downstream_enter(connection, CG_STAGE_TLS);
    h2o_socket_ssl_handshake(connection->socket, connection->worker->tls, NULL, on_handshake);
}

/* ---- PROXY line ---- */

static void on_proxy_bytes(h2o_socket_t *socket, const char *error)
{
    struct cg_downstream *connection = connection_of(socket);
    struct cg_proxy_line line = {0};
    if (error != NULL) {
        h2o_socket_close(socket);
        return;
    }
    switch (cg_proxy_line_parse(cg_str_of(socket->input->bytes, socket->input->size), &line)) {
    case CG_PROXY_NEEDS_MORE:
        return;
    case CG_PROXY_BAD:
        cg_count_trouble(connection->worker->machine.sheet, CG_TROUBLE_PROXY_LINE);
        cg_worker_log_refused(connection->worker, cg_downstream_peer(connection),
                              "a connection does not begin with a PROXY line");
        h2o_socket_close(socket);
        return;
    case CG_PROXY_WHOLE:
        break;
    }
    h2o_buffer_consume(&socket->input, line.length);
    if (line.known)
        h2o_socket_setpeername(socket, &line.peer.address, line.peer_length);
    h2o_socket_read_stop(socket);
    start_protocol(connection);
}

/* ---- accepting ---- */

static void pause_door(struct cg_door *door)
{
    door->paused = true;
    cg_count(door->worker->machine.sheet, CG_METRIC_ACCEPT_PAUSES, 1);
    h2o_socket_read_stop(door->socket);
}

static bool has_room(const struct cg_worker *worker)
{
    return atomic_load_explicit(&worker->server->connection_count, memory_order_relaxed) <
           worker->server->settings->limits.connections_max;
}

static void accept_one(struct cg_door *door, h2o_socket_t *socket)
{
    struct cg_downstream *connection = cg_downstream_create(door->worker, socket);
    connection->tls = door->settings->tls;
    if (!door->settings->proxy_protocol) {
        start_protocol(connection);
        return;
    }
    cg_downstream_enter(connection, CG_STAGE_PROXY_LINE);
    h2o_socket_read_start(socket, on_proxy_bytes);
}

static void on_connection(h2o_socket_t *listening, const char *error)
{
    struct cg_door *door = listening->data;
    (void)error;
    for (int turn = 0; turn < ACCEPTS_PER_TURN; turn++) {
        if (!has_room(door->worker)) { /* who comes now waits in the kernel's queue */
            pause_door(door);
            return;
        }
        errno = 0;
        h2o_socket_t *socket = h2o_evloop_socket_accept(listening);
        if (socket == NULL) {
            /* Without a pause, having no descriptors left would be a busy loop. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                pause_door(door);
            return;
        }
        accept_one(door, socket);
    }
}

void cg_door_open(struct cg_door *door, struct cg_worker *worker,
                  const struct cg_listener_settings *settings, int fd)
{
    *door = (struct cg_door){.worker = worker, .settings = settings, .paused = true};
    door->socket = h2o_evloop_socket_create(worker->context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    door->socket->data = door;
}

/* Above limits.connections too: they were let in, and only the end of the process is ahead. */
static void accept_rest(struct cg_door *door)
{
    for (int i = 0; i < ACCEPTS_AT_END_MAX; i++) {
        errno = 0;
        h2o_socket_t *socket = h2o_evloop_socket_accept(door->socket);
        if (socket != NULL)
            accept_one(door, socket);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

void cg_door_close(struct cg_door *door)
{
    if (door->socket == NULL)
        return;
    accept_rest(door);
    h2o_socket_read_stop(door->socket);
    h2o_socket_close(door->socket);
    door->socket = NULL;
}

void cg_doors_resume(struct cg_worker *worker)
{
    if (worker->doors_open_ms != 0 || !has_room(worker))
        return;
    for (size_t i = 0; i < worker->door_count; i++) {
        struct cg_door *door = &worker->doors[i];
        if (door->socket == NULL || !door->paused)
            continue;
        door->paused = false;
        h2o_socket_read_start(door->socket, on_connection);
    }
}
