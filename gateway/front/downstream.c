/*
 * A client's connection and its clock: what must arrive, be taken or be used in time. libh2o has
 * timers for waiting requests only, so everything is looked at once in a tick.
 */
#include "gateway/front/front.h"

#include "cachegate/assert.h"

#include <arpa/inet.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* Who uses an idle connection within it is answered, with `Connection: close`. */
enum { DRAIN_IDLE_MS = 1000 };

static enum cg_gauge gauge_of(const struct cg_downstream *connection)
{
    bool tls = connection->tls;
    if (connection->stage < CG_STAGE_HTTP1)
        return CG_GAUGE_CONNECTIONS_OPENING;
    if (connection->stage == CG_STAGE_HTTP1)
        return tls ? CG_GAUGE_CONNECTIONS_HTTP1_TLS : CG_GAUGE_CONNECTIONS_HTTP1;
    return tls ? CG_GAUGE_CONNECTIONS_HTTP2_TLS : CG_GAUGE_CONNECTIONS_HTTP2;
}

static void on_close(void *data)
{
    struct cg_downstream *connection = data;
    struct cg_worker *worker = connection->worker;
    cg_gauge_add(worker->machine.sheet, gauge_of(connection), -1);
    CG_ASSERT(h2o_linklist_is_empty(&connection->clients));
    if (connection->ret_gone != NULL)
        *connection->ret_gone = true;
    cg_guard_destroy(connection->guard);
    h2o_linklist_unlink(&connection->link);
    worker->connection_count--;
    atomic_fetch_sub_explicit(&worker->server->connection_count, 1, memory_order_relaxed);
    free(connection);
    cg_doors_resume(worker);
}

struct cg_downstream *cg_downstream_create(struct cg_worker *worker, h2o_socket_t *socket)
{
    struct cg_downstream *connection = calloc(1, sizeof(*connection));
    CG_ASSERT(connection != NULL);
    connection->worker = worker;
    connection->socket = socket;
    h2o_linklist_init_anchor(&connection->clients);
    h2o_linklist_insert(&worker->connections, &connection->link);
    worker->connection_count++;
    cg_count(worker->machine.sheet, CG_METRIC_CONNECTIONS, 1);
    cg_gauge_add(worker->machine.sheet, gauge_of(connection), 1);
    atomic_fetch_add_explicit(&worker->server->connection_count, 1, memory_order_relaxed);
    socket->on_close.cb = on_close;
    socket->on_close.data = connection;
    return connection;
}

void cg_downstream_enter(struct cg_downstream *connection, enum cg_downstream_stage stage)
{
    struct cg_sheet *sheet = connection->worker->machine.sheet;
    cg_gauge_add(sheet, gauge_of(connection), -1);
    connection->stage = stage;
    cg_gauge_add(sheet, gauge_of(connection), 1);
    connection->stage_since_ms = cg_clock_monotonic_ms();
}

void cg_downstream_kill(struct cg_downstream *connection)
{
    switch (connection->stage) {
    case CG_STAGE_PROXY_LINE:
    case CG_STAGE_TLS:
    case CG_STAGE_PEEK:
        h2o_socket_close(connection->socket);
        return;
    case CG_STAGE_HTTP1:
    case CG_STAGE_HTTP2:
        shutdown(h2o_socket_get_fd(connection->socket), SHUT_RDWR);
        return;
    }
}

void cg_downstream_reset(struct cg_downstream *connection)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    int fd = h2o_socket_get_fd(connection->socket);
    /* Over TLS the end of the stream without close_notify says that something is missing. */
    if (connection->tls)
        shutdown(fd, SHUT_RDWR);
    else
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

const char *cg_downstream_peer(struct cg_downstream *connection)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage storage;
    } address = {.storage = {0}};
    const char *text = NULL;
    if (connection->peer[0] != '\0')
        return connection->peer;
    if (h2o_socket_getpeername(connection->socket, &address.any) != 0) {
        if (address.any.sa_family == AF_INET)
            text = inet_ntop(AF_INET, &address.v4.sin_addr, connection->peer, CG_PEER_TEXT_MAX);
        else if (address.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address.v6.sin6_addr))
            text = inet_ntop(AF_INET, &address.v6.sin6_addr.s6_addr[12], connection->peer,
                             CG_PEER_TEXT_MAX);
        else if (address.any.sa_family == AF_INET6)
            text = inet_ntop(AF_INET6, &address.v6.sin6_addr, connection->peer, CG_PEER_TEXT_MAX);
    }
    if (text == NULL)
        memcpy(connection->peer, "unknown", sizeof("unknown"));
    return connection->peer;
}

/* ---- the clock ---- */

/* Whether `condition` has held for longer than that. */
static bool outlasts(bool condition, int64_t *since_ms, int64_t now_ms, uint32_t limit_ms)
{
    if (!condition)
        *since_ms = 0;
    else if (*since_ms == 0)
        *since_ms = now_ms;
    return condition && now_ms - *since_ms > (int64_t)limit_ms;
}

/* How far the peer's kernel took what we wrote. Any change is progress. */
static uint64_t acknowledged(h2o_socket_t *socket)
{
    int fd = h2o_socket_get_fd(socket), queued = 0;
    struct tcp_info information;
    socklen_t length = sizeof(information);
    memset(&information, 0, sizeof(information));
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &information, &length) == 0)
        return information.tcpi_bytes_acked;
    if (ioctl(fd, SIOCOUTQ, &queued) != 0)
        return 0;
    return socket->bytes_written - (uint64_t)(queued < 0 ? 0 : queued);
}

/* An answer waits for its client, and nothing of it moved. */
static bool is_stalled(struct cg_downstream *connection, int64_t now_ms, uint32_t limit_ms)
{
    bool http2 = connection->stage == CG_STAGE_HTTP2;
    bool writing =
        http2 ? cg_guard_writing(connection) : h2o_socket_is_writing(connection->socket) != 0;
    if (!writing && !cg_clients_wait(connection)) {
        connection->stalled_since_ms = 0;
        return false;
    }
    uint64_t data = connection->bytes_done + cg_clients_bytes(connection);
    uint64_t taken = writing ? acknowledged(connection->socket) : connection->acknowledged_seen;
    bool moved = data != connection->data_seen || taken != connection->acknowledged_seen;
    connection->data_seen = data;
    connection->acknowledged_seen = taken;
    return outlasts(!moved, &connection->stalled_since_ms, now_ms, limit_ms);
}

/* Part of a request is here and the rest does not come; requests that do come reset the time. */
static bool is_slow(struct cg_downstream *connection, int64_t now_ms, uint32_t limit_ms)
{
    bool arriving = connection->stage == CG_STAGE_HTTP2
                        ? cg_guard_arriving(connection) > 0
                        : connection->client_count == 0 && connection->socket->input->size > 0;
    if (connection->requests != connection->requests_seen) {
        connection->requests_seen = connection->requests;
        connection->arriving_since_ms = connection->idle_since_ms = 0;
    }
    return outlasts(arriving, &connection->arriving_since_ms, now_ms, limit_ms);
}

/* Bytes that the loop has not read yet: a connection that has some is not idle. */
static bool has_unread(const struct cg_downstream *connection)
{
    int unread = 0;
    return ioctl(h2o_socket_get_fd(connection->socket), FIONREAD, &unread) == 0 && unread > 0;
}

/* Nothing ever came from a client that connected in advance. */
static bool is_silent(const struct cg_downstream *connection)
{
    struct tcp_info information = {0};
    socklen_t length = sizeof(information);
    if (connection->stage != CG_STAGE_TLS)
        return connection->socket->input->size == 0 && !has_unread(connection);
    return getsockopt(h2o_socket_get_fd(connection->socket), IPPROTO_TCP, TCP_INFO, &information,
                      &length) == 0 &&
           information.tcpi_bytes_received == 0;
}

/* Nothing is asked and nothing is answered. HTTP/2 has libh2o's own timer, which says GOAWAY. */
static bool is_idle(struct cg_downstream *connection, int64_t now_ms, uint32_t limit_ms)
{
    bool idle = connection->stage == CG_STAGE_HTTP1 && connection->client_count == 0 &&
                connection->socket->input->size == 0;
    return outlasts(idle, &connection->idle_since_ms, now_ms, limit_ms);
}

static void count_trouble(const struct cg_downstream *connection, enum cg_trouble trouble)
{
    cg_count_trouble(connection->worker->machine.sheet, trouble);
}

static bool is_over(struct cg_downstream *connection, int64_t now_ms)
{
    const struct cg_worker *worker = connection->worker;
    const struct cg_limits *limits = &worker->server->settings->limits;
    int64_t age_ms = now_ms - connection->stage_since_ms;
    if (connection->stage < CG_STAGE_HTTP1 && age_ms > (int64_t)limits->request_timeout_ms)
        count_trouble(connection, CG_TROUBLE_SLOW);
    if (connection->stage < CG_STAGE_HTTP1)
        return age_ms > (int64_t)limits->request_timeout_ms ||
               (worker->draining && age_ms > DRAIN_IDLE_MS && is_silent(connection));
    uint32_t idle_ms = limits->idle_timeout_ms;
    if (worker->draining)
        idle_ms = idle_ms < DRAIN_IDLE_MS ? idle_ms : DRAIN_IDLE_MS;
    bool slow = is_slow(connection, now_ms, limits->request_timeout_ms);
    bool idle = is_idle(connection, now_ms, idle_ms) && !has_unread(connection);
    bool stalled = is_stalled(connection, now_ms, limits->send_timeout_ms);
    if (slow || stalled)
        count_trouble(connection, slow ? CG_TROUBLE_SLOW : CG_TROUBLE_STALLED);
    return stalled || slow || idle;
}

void cg_downstreams_tick(struct cg_worker *worker, int64_t now_ms, bool new_window)
{
    h2o_linklist_t *next;
    for (h2o_linklist_t *at = worker->connections.next; at != &worker->connections; at = next) {
        struct cg_downstream *connection = H2O_STRUCT_FROM_MEMBER(struct cg_downstream, link, at);
        next = at->next;
        if (new_window && connection->guard != NULL)
            cg_guard_new_window(connection->guard);
        if (is_over(connection, now_ms))
            cg_downstream_kill(connection); /* closes no other connection */
        else if (connection->stage == CG_STAGE_HTTP2 && worker->draining)
            cg_guard_drain(connection);
    }
}
