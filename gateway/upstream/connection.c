#include "gateway/upstream/connection.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/upstream/tls.h"

enum {
    BACKLOG_RETRY_MS = 5,
    /* Bounds what one turn can bring over TLS. */
    TLS_RECEIVE_WINDOW_BYTES = 1024 * 1024,
};

/* What on_readable reserves is kept and used again, by thread; libh2o's own are smaller. */
static _Thread_local h2o_buffer_prototype_t input_prototype = {
    .allocator = {.max = 16},
    ._initial_buf = {.capacity = CG_CONNECTION_READ_BYTES},
    .mmap_settings = &h2o_socket_buffer_mmap_settings,
};

static void connect_next(struct cg_connection *connection);

static void on_resolved(void *owner)
{
    struct cg_connection *connection = owner;
    struct cg_resolver *resolver = &connection->endpoint->resolver;
    if (resolver->count == 0)
        connection->events->on_open_failed(connection->owner, CG_ORIGIN_UNRESOLVED,
                                           resolver->error);
    else
        connect_next(connection);
}

static void on_timer(void *owner)
{
    connect_next(owner);
}

struct cg_connection *cg_connection_create(struct cg_endpoint *endpoint,
                                           const struct cg_connection_events *events, void *owner)
{
    struct cg_connection *connection = calloc(1, sizeof(*connection));
    CG_ASSERT(connection != NULL);
    connection->endpoint = endpoint;
    connection->events = events;
    connection->owner = owner;
    connection->waiter =
        (struct cg_resolver_waiter){.on_resolved = on_resolved, .owner = connection};
    connection->timer = (struct cg_timer){.on_expiry = on_timer, .owner = connection};
    return connection;
}

static void close_socket(struct cg_connection *connection, bool politely)
{
    if (connection->socket == NULL)
        return;
    /* libh2o would wait until the peer has room for a close_notify. */
    if (connection->session != NULL && !politely)
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
    h2o_socket_close(connection->socket);
    connection->socket = NULL;
    connection->session = NULL;
    ERR_clear_error(); /* see cg_tls_error */
}

struct cg_connection *cg_connection_destroy(struct cg_connection *connection, bool politely)
{
    if (connection == NULL)
        return NULL;
    cg_resolver_forget(&connection->waiter);
    cg_timer_disarm(connection->endpoint->clock, &connection->timer);
    close_socket(connection, politely);
    free(connection);
    return NULL;
}

void cg_connection_open(struct cg_connection *connection)
{
    cg_resolver_ask(&connection->endpoint->resolver, &connection->waiter);
}

static void on_handshake(h2o_socket_t *socket, const char *error)
{
    struct cg_connection *connection = socket->data;
    error = cg_tls_error(connection->endpoint->upstream, error);
    if (error != NULL)
        connection->events->on_open_failed(connection->owner, CG_ORIGIN_TLS_FAILED, error);
    else
        connection->events->on_open(connection->owner);
}

static void start_tls(struct cg_connection *connection)
{
    int window = TLS_RECEIVE_WINDOW_BYTES;
    /* Fails on a UNIX socket, whose buffer is small anyway. */
    (void)setsockopt(h2o_socket_get_fd(connection->socket), IPPROTO_TCP, TCP_WINDOW_CLAMP, &window,
                     sizeof(window));
    cg_tls_start(connection->endpoint->upstream, connection->socket, on_handshake,
                 &connection->session);
}

static void on_connect(h2o_socket_t *socket, const char *error)
{
    struct cg_connection *connection = socket->data;
    if (error != NULL) {
        close_socket(connection, false);
        connect_next(connection);
        return;
    }
    cg_resolver_prefer(&connection->endpoint->resolver, connection->attempts - 1);
    if (connection->endpoint->upstream->tls != NULL) {
        start_tls(connection);
        return;
    }
    h2o_socket_dont_read(socket, 1); /* on_readable does, in measured pieces */
    cg_connection_trim(connection);
    connection->events->on_open(connection->owner);
}

static void connect_next(struct cg_connection *connection)
{
    struct cg_resolver *resolver = &connection->endpoint->resolver;
    const char *why = "connection refused";
    while (connection->attempts < resolver->count) {
        struct cg_socket_address *address = cg_resolver_address(resolver, connection->attempts++);
        errno = 0;
        connection->socket =
            h2o_socket_connect(connection->endpoint->loop, (struct sockaddr *)&address->storage,
                               address->length, on_connect);
        if (connection->socket != NULL) {
            connection->socket->data = connection;
            return;
        }
        /* A UNIX socket whose backlog is full says so at once; TCP would wait. */
        if (errno == EAGAIN && address->storage.ss_family == AF_UNIX) {
            connection->attempts--;
            cg_timer_arm(connection->endpoint->clock, &connection->timer, BACKLOG_RETRY_MS);
            return;
        }
        if (errno != 0)
            why = strerrordesc_np(errno);
    }
    connection->events->on_open_failed(connection->owner, CG_ORIGIN_REFUSED, why);
}

/* In the clear: the socket is readable, nothing was read yet. False when nothing is there after
 * all. */
static bool read_some(struct cg_connection *connection)
{
    h2o_socket_t *socket = connection->socket;
    h2o_iovec_t room = h2o_buffer_reserve(&socket->input, CG_CONNECTION_READ_BYTES);
    CG_ASSERT(room.base != NULL);
    size_t length = room.len < CG_CONNECTION_READ_BYTES ? room.len : CG_CONNECTION_READ_BYTES;
    ssize_t got = recv(h2o_socket_get_fd(socket), room.base, length, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return false;
    if (got > 0)
        socket->input->size += (size_t)got;
    else
        connection->end = got == 0 ? CG_CONNECTION_ENDED : CG_CONNECTION_BROKEN;
    return true;
}

/* Over TLS: libh2o has read and decrypted. False when that gave nothing, as with a ticket. */
static bool judge_tls_input(struct cg_connection *connection, const char *error)
{
    bool closed = connection->session != NULL &&
                  (SSL_get_shutdown(connection->session) & SSL_RECEIVED_SHUTDOWN) != 0;
    if (closed)
        connection->end = CG_CONNECTION_ENDED;
    else if (error != NULL)
        connection->end = CG_CONNECTION_BROKEN;
    if (error != NULL)
        ERR_clear_error();
    return connection->end != CG_CONNECTION_GOES_ON ||
           connection->socket->input->size > connection->input_known;
}

static void on_readable(h2o_socket_t *socket, const char *error)
{
    struct cg_connection *connection = socket->data;
    bool is_tls = connection->endpoint->upstream->tls != NULL;
    if (!(is_tls ? judge_tls_input(connection, error) : read_some(connection)))
        return;
    if (connection->end != CG_CONNECTION_GOES_ON)
        cg_connection_read_stop(connection); /* the end would be reported every turn */
    connection->input_known = socket->input->size;
    connection->events->on_input(connection->owner);
}

void cg_connection_read_start(struct cg_connection *connection)
{
    if (connection->end == CG_CONNECTION_GOES_ON && !h2o_socket_is_reading(connection->socket))
        h2o_socket_read_start(connection->socket, on_readable);
}

void cg_connection_read_stop(struct cg_connection *connection)
{
    if (h2o_socket_is_reading(connection->socket))
        h2o_socket_read_stop(connection->socket);
}

struct cg_str cg_connection_input(const struct cg_connection *connection)
{
    const h2o_buffer_t *input = connection->socket->input;
    return cg_str_of(input->bytes, input->size);
}

void cg_connection_consume(struct cg_connection *connection, size_t length)
{
    h2o_buffer_consume(&connection->socket->input, length);
    connection->input_known = connection->socket->input->size;
}

static void on_writable(h2o_socket_t *socket, const char *error)
{
    struct cg_connection *connection = socket->data;
    connection->events->on_drained(connection->owner, error != NULL);
}

static enum cg_connection_sent send_in_the_clear(struct cg_connection *connection,
                                                 struct cg_str first, struct cg_str second,
                                                 size_t *ret_taken)
{
    /* h2o_iovec_init takes what is const; the kernel only reads it. */
    h2o_iovec_t parts[2] = {h2o_iovec_init(first.bytes, first.length),
                            h2o_iovec_init(second.bytes, second.length)};
    struct iovec vectors[2] = {{parts[0].base, parts[0].len}, {parts[1].base, parts[1].len}};
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = 2};
    ssize_t sent;
    do
        sent =
            sendmsg(h2o_socket_get_fd(connection->socket), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return CG_CONNECTION_FAILED;
    *ret_taken = sent < 0 ? 0 : (size_t)sent;
    if (*ret_taken == first.length + second.length)
        return CG_CONNECTION_SENT_ALL;
    h2o_socket_notify_write(connection->socket, on_writable);
    return CG_CONNECTION_BLOCKED;
}

enum cg_connection_sent cg_connection_send(struct cg_connection *connection, struct cg_str first,
                                           struct cg_str second, size_t *ret_taken)
{
    *ret_taken = 0;
    CG_ASSERT(!cg_connection_is_sending(connection));
    if (connection->endpoint->upstream->tls == NULL)
        return send_in_the_clear(connection, first, second, ret_taken);
    /* libh2o encrypts all it is given into memory: so not all at once. */
    second = cg_str_sub(second, 0, CG_CONNECTION_TLS_WRITE_BYTES);
    h2o_iovec_t vectors[2] = {h2o_iovec_init(first.bytes, first.length),
                              h2o_iovec_init(second.bytes, second.length)};
    *ret_taken = first.length + second.length;
    h2o_socket_write(connection->socket, vectors, 2, on_writable);
    return CG_CONNECTION_BLOCKED;
}

bool cg_connection_is_sending(const struct cg_connection *connection)
{
    return h2o_socket_is_writing(connection->socket);
}

bool cg_connection_is_quiet(const struct cg_connection *connection)
{
    char byte;
    if (connection->end != CG_CONNECTION_GOES_ON || connection->socket->input->size > 0)
        return false;
    ssize_t got = recv(h2o_socket_get_fd(connection->socket), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void cg_connection_trim(struct cg_connection *connection)
{
    h2o_socket_t *socket = connection->socket;
    CG_ASSERT(socket->input->size == 0);
    h2o_buffer_dispose(&socket->input);
    h2o_buffer_init(&socket->input, connection->endpoint->upstream->tls == NULL
                                        ? &input_prototype
                                        : &h2o_socket_buffer_prototype);
}
