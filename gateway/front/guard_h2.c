/*
 * The guard before libh2o's HTTP/2 (PROTOCOL.md 2, 4).
 *
 * It owns the socket's read callback: bytes are inspected (h2_frames.h, header_blocks.h) and then
 * passed on by calling libh2o's callback, in moments that libh2o 2.2.5 survives:
 *
 * - Not while a write is unfinished, nor while a stream waits for one: a stream whose last DATA
 *   used up its window is still linked then, and a WINDOW_UPDATE for it ends in an assertion.
 *   Reading stops instead, the write's completion callback is borrowed, and goes on with the input
 *   when libh2o is done with the write. This is back-pressure as well.
 * - Only whole header blocks: a block that is open while the connection becomes half closed makes
 *   libh2o loop for ever. Bytes from the start of an open block on are kept back.
 *
 * libh2o starts and stops reading by itself, with its own callback. It starts only where it finds
 * that nobody reads, so after each call into it the callback is put back (keep_watch): between two
 * turns of the loop the socket is either read by us, or held with the write callback borrowed.
 *
 * Connections end through the loop of libh2o, with the callback's error. TLS sockets close in the
 * same moment as their connection, see tls.c: so on_close always tells when that is gone.
 */
#include "gateway/front/front.h"

#include "cachegate/assert.h"
#include "cachegate/h2_frames.h"
#include "gateway/front/header_blocks.h"

#include <h2o/http2.h>
#include <h2o/http2_internal.h>
#include <stdlib.h>

#if H2O_VERSION_MAJOR != 2 || H2O_VERSION_MINOR != 2 || H2O_VERSION_PATCH != 5
#error "the guard knows the inside of libh2o 2.2.5 only"
#endif

enum { PREFACE_BYTES = 24, DRAIN_IDLE_MS = 1000 };

struct cg_guard {
    struct cg_h2_inspector inspector;
    struct cg_header_blocks blocks;
    uint32_t provoked; /* stream errors that libh2o was made to answer in this window */
    bool preface_passed;
    size_t inspected;    /* of socket->input */
    size_t walked;       /* of socket->input: whole frames */
    size_t settled;      /* … in front of an open header block, which libh2o will take all */
    h2o_socket_cb read;  /* libh2o's */
    h2o_socket_cb write; /* libh2o's, while held */
    bool held;
    bool inside; /* libh2o runs, called by us: keep_watch follows */
    bool refused;
    bool warned; /* the first GOAWAY was said here, to a connection that came after libh2o's */
    bool said_goodbye;
};

static void on_read(h2o_socket_t *socket, const char *error);
static void on_write(h2o_socket_t *socket, const char *error);

static h2o_http2_conn_t *h2o_of(const struct cg_downstream *connection)
{
    return connection->socket->data;
}

static bool must_hold(const struct cg_downstream *connection)
{
    h2o_http2_conn_t *conn = h2o_of(connection);
    return conn->_write.buf_in_flight != NULL ||
           !h2o_linklist_is_empty(&conn->_write.streams_to_proceed);
}

static bool is_closing(const struct cg_downstream *connection)
{
    return h2o_of(connection)->state == H2O_HTTP2_CONN_STATE_IS_CLOSING;
}

/* ---- calls into libh2o, after which the connection may be gone ---- */

static void keep_watch(struct cg_downstream *connection)
{
    h2o_socket_t *socket = connection->socket;
    if (is_closing(connection)) { /* it ends with its last write, and reads no more */
        if (socket->_cb.read != NULL)
            h2o_socket_read_stop(socket);
    } else if (socket->_cb.read == NULL) {
        h2o_socket_read_start(socket, on_read);
    } else {
        socket->_cb.read = on_read;
    }
}

/* False when it is gone. */
static bool call(struct cg_downstream *connection, h2o_socket_cb callback, const char *error)
{
    bool gone = false;
    bool *outer = connection->ret_gone;
    bool was_inside = connection->guard->inside;
    connection->ret_gone = &gone;
    connection->guard->inside = true;
    callback(connection->socket, error);
    if (gone) {
        if (outer != NULL)
            *outer = true;
        return false;
    }
    connection->ret_gone = outer;
    connection->guard->inside = was_inside;
    keep_watch(connection);
    return true;
}

/* A write that libh2o planned for the end of this turn happens now. */
static bool flush(struct cg_downstream *connection)
{
    h2o_timeout_entry_t *planned = &h2o_of(connection)->_write.timeout_entry;
    if (!h2o_timeout_is_linked(planned))
        return true;
    bool gone = false;
    bool *outer = connection->ret_gone;
    connection->ret_gone = &gone;
    h2o_timeout_unlink(planned);
    planned->cb(planned);
    if (gone) {
        if (outer != NULL)
            *outer = true;
        return false;
    }
    connection->ret_gone = outer;
    return true;
}

static void refuse(struct cg_downstream *connection, const char *why)
{
    connection->guard->refused = true;
    cg_count_trouble(connection->worker->machine.sheet, CG_TROUBLE_HTTP2);
    cg_worker_log_refused(connection->worker, cg_downstream_peer(connection), why);
    cg_downstream_kill(connection);
    call(connection, connection->guard->read, "refused by the guard");
}

/* ---- input ---- */

static void hold(struct cg_downstream *connection)
{
    h2o_socket_t *socket = connection->socket;
    struct cg_guard *guard = connection->guard;
    if (socket->_cb.write == NULL) {
        if (!flush(connection))
            return;
        if (socket->_cb.write == NULL) { /* a stream waits for a write that nobody planned */
            refuse(connection, "a stream of HTTP/2 is stuck");
            return;
        }
    }
    guard->held = true;
    guard->write = socket->_cb.write;
    socket->_cb.write = on_write;
    h2o_socket_read_stop(socket);
}

/* Streams that libh2o was made to reset, all kinds (CVE-2025-8671). */
static uint64_t stream_errors(const struct cg_downstream *connection)
{
    const h2o_context_t *context = &connection->worker->context;
    uint64_t sum = 0;
    for (size_t i = 0; i < H2O_HTTP2_ERROR_MAX; i++)
        sum += context->http2.events.protocol_level_errors[i];
    return sum;
}

/* Calls libh2o with the settled part of the input; what follows is put back afterwards. */
static bool call_with_settled(struct cg_downstream *connection, size_t *ret_left)
{
    h2o_socket_t *socket = connection->socket;
    size_t length = socket->input->size - connection->guard->settled;
    char *kept = NULL;
    if (connection->guard->blocks.open && length > 0) { /* at most a header block and a frame */
        kept = malloc(length);
        CG_ASSERT(kept != NULL);
        memcpy(kept, socket->input->bytes + connection->guard->settled, length);
        socket->input->size -= length;
    }
    bool lives = call(connection, connection->guard->read, NULL);
    if (lives) {
        *ret_left = socket->input->size;
        if (kept != NULL) {
            *ret_left += length;
            h2o_iovec_t space = h2o_buffer_reserve(&socket->input, length);
            CG_ASSERT(space.base != NULL);
            memcpy(space.base, kept, length);
            socket->input->size += length;
        }
    }
    free(kept);
    return lives;
}

static void pass_on(struct cg_downstream *connection)
{
    struct cg_guard *guard = connection->guard;
    size_t before = connection->socket->input->size, left = 0;
    uint64_t errors = stream_errors(connection);
    if (!call_with_settled(connection, &left) || is_closing(connection))
        return;
    size_t taken = before - left;
    if (taken != guard->settled) { /* from here on we would look at other frames than it takes */
        refuse(connection, "the guard and libh2o disagree about a frame");
        return;
    }
    guard->inspected -= taken;
    guard->walked -= taken;
    guard->settled = 0;
    guard->provoked += (uint32_t)(stream_errors(connection) - errors);
    if (guard->provoked > guard->inspector.budgets.resets_max)
        refuse(connection, "a client provokes too many stream errors");
}

/* Finds the frames in what is new. The offset is 0 only before the preface. */
static void walk(struct cg_downstream *connection, bool has_unknown)
{
    struct cg_guard *guard = connection->guard;
    h2o_buffer_t *input = connection->socket->input;
    if (!guard->preface_passed) {
        if (input->size < PREFACE_BYTES)
            return;
        guard->preface_passed = true;
        guard->walked = guard->settled = PREFACE_BYTES;
    }
    if (has_unknown) {
        input->size =
            guard->walked + cg_header_blocks_strip(&guard->blocks, input->bytes + guard->walked,
                                                   input->size - guard->walked);
        guard->inspected = input->size;
    }
    struct cg_str rest = cg_str_of(input->bytes + guard->walked, input->size - guard->walked);
    size_t walked = cg_header_blocks_walk(&guard->blocks, rest);
    if (guard->blocks.settled > 0)
        guard->settled = guard->walked + guard->blocks.settled;
    guard->walked += walked;
}

/* Looks at what is new; false when the connection was refused for it. */
static bool inspect(struct cg_downstream *connection)
{
    struct cg_guard *guard = connection->guard;
    const h2o_buffer_t *input = connection->socket->input;
    struct cg_str fresh = cg_str_skip(cg_str_of(input->bytes, input->size), guard->inspected);
    enum cg_h2_finding finding = cg_h2_inspect(&guard->inspector, fresh);
    guard->inspected = input->size;
    if (finding != CG_H2_SOUND) {
        refuse(connection, cg_h2_finding_text(finding));
        return false;
    }
    /* Some of these came in this window; looking for them twice does no harm. */
    walk(connection, guard->inspector.window.others > 0);
    if (guard->blocks.over) {
        refuse(connection, "a header block has too many or too often repeated fields");
        return false;
    }
    return true;
}

static void take_input(struct cg_downstream *connection)
{
    struct cg_guard *guard = connection->guard;
    if (connection->socket->input->size > guard->inspected && !inspect(connection))
        return;
    if (guard->settled == 0)
        return;
    if (must_hold(connection))
        hold(connection);
    else
        pass_on(connection);
}

static void on_read(h2o_socket_t *socket, const char *error)
{
    struct cg_downstream *connection = socket->on_close.data;
    if (error != NULL)
        call(connection, connection->guard->read, error);
    else
        take_input(connection);
}

static void on_write(h2o_socket_t *socket, const char *error)
{
    struct cg_downstream *connection = socket->on_close.data;
    struct cg_guard *guard = connection->guard;
    h2o_socket_cb write = guard->write;
    guard->held = false;
    guard->write = NULL;
    if (call(connection, write, error) && !is_closing(connection))
        take_input(connection);
}

/* ---- called from outside ---- */

void cg_guard_accept(struct cg_downstream *connection)
{
    struct cg_worker *worker = connection->worker;
    const struct cg_limits *limits = &worker->server->settings->limits;
    h2o_socket_t *socket = connection->socket;
    struct cg_guard *guard = calloc(1, sizeof(*guard));
    CG_ASSERT(guard != NULL);
    struct cg_h2_budgets budgets = cg_h2_budgets_default();
    if (limits->request_head_max < budgets.header_block_bytes_max)
        budgets.header_block_bytes_max = (uint32_t)limits->request_head_max;
    cg_h2_inspector_init(&guard->inspector, &budgets);
    /* Twice what a handler lets pass, so that most who send too much are told 431. */
    cg_header_blocks_init(&guard->blocks, 2 * limits->request_fields_max + 32);
    connection->guard = guard;
    cg_downstream_enter(connection, CG_STAGE_HTTP2);
    /* libh2o would take what is in the input at once, unseen. */
    h2o_buffer_t *early = socket->input;
    h2o_buffer_init(&socket->input, &h2o_socket_buffer_prototype);
    h2o_http2_accept(&worker->accept, socket, *h2o_get_timestamp(&worker->context, NULL, NULL));
    h2o_buffer_dispose(&socket->input);
    socket->input = early;
    /* Its structs are as our header says. */
    CG_ASSERT(h2o_of(connection)->sock == socket && !must_hold(connection) &&
              h2o_of(connection)->_write.timeout_entry.cb != NULL);
    guard->read = socket->_cb.read;
    socket->_cb.read = on_read;
    take_input(connection);
}

void cg_guard_destroy(struct cg_guard *guard)
{
    free(guard);
}

void cg_guard_watch(struct cg_downstream *connection)
{
    const struct cg_guard *guard = connection->guard;
    if (guard != NULL && !guard->inside && !guard->held)
        keep_watch(connection);
}

void cg_guards_watch(struct cg_worker *worker)
{
    for (h2o_linklist_t *at = worker->connections.next; at != &worker->connections; at = at->next)
        cg_guard_watch(H2O_STRUCT_FROM_MEMBER(struct cg_downstream, link, at));
}

void cg_guard_new_window(struct cg_guard *guard)
{
    cg_h2_inspector_new_window(&guard->inspector);
    guard->provoked = 0;
}

size_t cg_guard_arriving(const struct cg_downstream *connection)
{
    const h2o_http2_conn_t *conn = h2o_of(connection);
    const struct cg_guard *guard = connection->guard;
    size_t unfinished = conn->num_streams.pull.open - conn->num_streams.pull.half_closed;
    return unfinished + (guard->blocks.open || !guard->preface_passed ? 1 : 0);
}

bool cg_guard_writing(const struct cg_downstream *connection)
{
    return h2o_of(connection)->_write.buf_in_flight != NULL;
}

static void say_goodbye(struct cg_downstream *connection, uint32_t last_stream)
{
    h2o_http2_conn_t *conn = h2o_of(connection);
    h2o_http2_encode_goaway_frame(&conn->_write.buf, last_stream, 0, (h2o_iovec_t){NULL, 0});
    h2o_http2_conn_request_write(conn);
    cg_guard_watch(connection);
}

/*
 * libh2o's own graceful end has three faults: it stops taking the bodies of requests in progress,
 * it may close before its last answer is written, and it loops on an open header block. All need
 * the state "half closed", so it only says its first GOAWAY (worker.c); the last one, with the
 * number of the last request, is said here when nothing is in progress (RFC 9113 6.8).
 */
void cg_guard_drain(struct cg_downstream *connection)
{
    struct cg_guard *guard = connection->guard;
    h2o_http2_conn_t *conn = h2o_of(connection);
    int64_t started_ms = connection->worker->drain_started_ms;
    if (is_closing(connection) || guard->held)
        return;
    if (connection->stage_since_ms >= started_ms) { /* drain_accept let it in */
        started_ms = connection->stage_since_ms;
        if (!guard->warned && guard->preface_passed) {
            guard->warned = true;
            say_goodbye(connection, INT32_MAX);
        }
    }
    if (conn->num_streams.pull.open > 0 || conn->_write.buf_in_flight != NULL ||
        conn->_write.buf->size > 0 || guard->blocks.open)
        return;
    /* A client that just opened a stream has not seen the first GOAWAY yet. */
    if (cg_clock_monotonic_ms() - started_ms < DRAIN_IDLE_MS)
        return;
    if (guard->said_goodbye) {
        cg_downstream_kill(connection);
        return;
    }
    guard->said_goodbye = true;
    say_goodbye(connection, conn->pull_stream_ids.max_open);
}
