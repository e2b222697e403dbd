/*
 * A bound on what unfinished and unanswered requests hold in memory.
 *
 * libh2o takes a request's body whole before a handler sees it, and limits each body, but not their
 * sum: one HTTP/2 connection may bring a hundred at once. So what connections hold is added up in
 * every tick, and when it is too much, those that hold most are ended. Between two ticks it may
 * be more, by what the network brings in that time.
 *
 * The machine keeps a body until its request is done, also when the client has left. It is asked
 * for no more of that than the same amount again.
 */
#include "gateway/front/front.h"

#include <h2o/http2.h>
#include <h2o/http2_internal.h>

static int add_body(h2o_req_t *request, void *owner)
{
    const h2o_http2_stream_t *stream = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, req, request);
    struct cg_downstream *connection =
        request->conn->callbacks->get_socket(request->conn)->on_close.data;
    (void)owner;
    if (stream->_req_body != NULL)
        connection->held_bytes += stream->_req_body->size;
    return 0;
}

/* HTTP/1.1 has head and body in the input until the answer is complete, HTTP/2 in its streams. */
static void measure(struct cg_worker *worker)
{
    for (h2o_linklist_t *at = worker->connections.next; at != &worker->connections; at = at->next) {
        struct cg_downstream *connection = H2O_STRUCT_FROM_MEMBER(struct cg_downstream, link, at);
        connection->held_bytes = connection->socket->input->size;
    }
    worker->context.globalconf->http2.callbacks.foreach_request(&worker->context, add_body, NULL);
}

/* A thread's share; two of the largest requests always have room. */
static size_t share_of(const struct cg_worker *worker)
{
    const struct cg_limits *limits = &worker->server->settings->limits;
    size_t share = limits->request_bodies_max / worker->server->settings->threads;
    size_t least = 2 * (limits->request_body_max + limits->request_head_max);
    return share > least ? share : least;
}

bool cg_uploads_take(const struct cg_worker *worker, size_t bytes)
{
    size_t share = share_of(worker), kept = worker->machine.kept_bytes;
    return bytes == 0 || (kept < share && bytes <= share - kept);
}

/* What all hold, and what the one holds that holds most. */
static size_t sum_up(const struct cg_worker *worker, size_t *ret_most)
{
    size_t sum = 0;
    *ret_most = 0;
    for (h2o_linklist_t *at = worker->connections.next; at != &worker->connections; at = at->next) {
        size_t held = H2O_STRUCT_FROM_MEMBER(struct cg_downstream, link, at)->held_bytes;
        sum += held;
        if (held > *ret_most)
            *ret_most = held;
    }
    return sum;
}

void cg_uploads_bound(struct cg_worker *worker)
{
    size_t share = share_of(worker), most;
    measure(worker);
    size_t sum = sum_up(worker, &most);
    h2o_linklist_t *next;
    for (h2o_linklist_t *at = worker->connections.next; sum > share && at != &worker->connections;
         at = next) {
        struct cg_downstream *connection = H2O_STRUCT_FROM_MEMBER(struct cg_downstream, link, at);
        size_t held = connection->held_bytes;
        next = at->next;
        if (held < most / 2) /* its turn comes with the next tick, if they are many */
            continue;
        sum -= held;
        cg_count_trouble(worker->machine.sheet, CG_TROUBLE_BODIES);
        cg_worker_log_refused(worker, cg_downstream_peer(connection),
                              "requests in progress hold more than limits.request_bodies");
        cg_downstream_kill(connection);
    }
}
