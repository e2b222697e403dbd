#include "gateway/upstream/exchange.h"

#include "cachegate/assert.h"
#include "cachegate/http1_response.h"
#include "gateway/base/clock.h"
#include "gateway/upstream/request_head.h"

enum stage { QUEUED, OPENING, TALKING };

struct cg_origin_exchange {
    struct cg_pool *pool;
    struct cg_pool_ticket ticket;
    struct cg_origin_request request; /* its slices are the owner's */
    struct cg_origin_events events;
    void *owner;
    enum stage stage;
    bool over;
    unsigned depth; /* how many calls from outside are on the stack */

    struct cg_connection *connection; /* owned; NULL until opening */
    struct cg_timer wait;             /* for whatever comes next */
    struct cg_timer total;

    struct cg_buf head; /* the request's */
    struct cg_str head_left, body_left;
    bool sent;      /* a byte left, on whatever connection */
    bool sent_here; /* on this connection */
    bool send_failed;

    struct cg_arena arena; /* of the answer's head */
    struct cg_http1_response response;
    bool answered; /* a byte of the answer came */
    bool has_head;
    bool paused;
    bool feeding; /* the loop of feed is on the stack */
    bool told;    /* … it told its owner of something */
};

enum { BLOCK_MEMORY_BYTES = 2048 };
struct block {
    struct cg_origin_exchange exchange;                    /* first */
    _Alignas(16) unsigned char memory[BLOCK_MEMORY_BYTES]; /* of its arena */
};
_Static_assert(sizeof(struct block) <= CG_EXCHANGE_BLOCK_BYTES, "the pool keeps such blocks");

static void on_turn(void *owner);
static void on_wait_over(void *owner);
static void on_total_over(void *owner);
static const struct cg_connection_events connection_events;

/* ---- its frame ---- */

static struct cg_clock *clock_of(const struct cg_origin_exchange *exchange)
{
    return exchange->pool->endpoint.clock;
}

static const struct cg_upstream_settings *settings_of(const struct cg_origin_exchange *exchange)
{
    return exchange->pool->endpoint.upstream->settings;
}

static size_t arena_ceiling(const struct cg_upstream_settings *settings)
{
    /* The shortest field line, 4 bytes, takes slots of a growing list; the lines are copied once.
     */
    return (size_t)settings->head_bytes_max * 32 + 256 * (size_t)1024;
}

static void arm(struct cg_origin_exchange *exchange, struct cg_timer *timer, uint32_t delay_ms)
{
    if (delay_ms == 0)
        cg_timer_disarm(clock_of(exchange), timer);
    else
        cg_timer_arm(clock_of(exchange), timer, delay_ms);
}

/* Lets go of all that others share. Idempotent. */
static void release(struct cg_origin_exchange *exchange)
{
    cg_timer_disarm(clock_of(exchange), &exchange->wait);
    cg_timer_disarm(clock_of(exchange), &exchange->total);
    exchange->connection = cg_connection_destroy(exchange->connection, false);
    cg_pool_leave(exchange->pool, &exchange->ticket);
}

static void enter(struct cg_origin_exchange *exchange)
{
    exchange->depth++;
}

static void leave(struct cg_origin_exchange *exchange)
{
    CG_ASSERT(exchange->depth > 0);
    if (--exchange->depth > 0 || !exchange->over)
        return;
    struct cg_pool *pool = exchange->pool;
    release(exchange);
    cg_arena_fini(&exchange->arena);
    cg_buf_fini(&exchange->head);
    cg_recycler_give(&pool->exchanges, exchange);
    cg_pool_dispatch(pool);
}

/* `why` is static text. */
static void end(struct cg_origin_exchange *exchange, enum cg_origin_outcome outcome,
                const char *why)
{
    CG_ASSERT(!exchange->over && exchange->depth > 0);
    exchange->over = true;
    /* First, so that the owner's next request may have the connection. */
    release(exchange);
    exchange->events.on_end(exchange->owner, outcome, exchange->sent, cg_str_from(why));
}

void cg_exchange_start(struct cg_pool *pool, const struct cg_origin_request *request,
                       const struct cg_origin_events *events, void *owner,
                       struct cg_origin_exchange **ret_exchange)
{
    struct block *block = cg_recycler_take(&pool->exchanges);
    struct cg_origin_exchange *exchange = &block->exchange;
    *exchange = (struct cg_origin_exchange){
        .pool = pool,
        .ticket = {.on_turn = on_turn, .owner = exchange},
        .request = *request,
        .events = *events,
        .owner = owner,
        .wait = {.on_expiry = on_wait_over, .owner = exchange},
        .total = {.on_expiry = on_total_over, .owner = exchange},
    };
    cg_arena_init_with(&exchange->arena, arena_ceiling(settings_of(exchange)), block->memory,
                       sizeof(block->memory));
    cg_buf_init(&exchange->head, CG_REQUEST_HEAD_BYTES_MAX);
    *ret_exchange = exchange;

    enter(exchange);
    arm(exchange, &exchange->total, settings_of(exchange)->total_timeout_ms);
    if (!cg_request_head_print(&exchange->head, settings_of(exchange), request))
        end(exchange, CG_ORIGIN_BAD_ANSWER, "request cannot be written");
    else if (!cg_pool_ask(pool, &exchange->ticket))
        end(exchange, CG_ORIGIN_QUEUE_FULL, "all connections are busy and the queue is full");
    else if (exchange->stage == QUEUED && !exchange->over)
        arm(exchange, &exchange->wait, settings_of(exchange)->connect_timeout_ms);
    leave(exchange);
}

/* ---- opening ---- */

static void open_connection(struct cg_origin_exchange *exchange)
{
    exchange->stage = OPENING;
    if (!exchange->wait.armed) /* since it waits for its turn */
        arm(exchange, &exchange->wait, settings_of(exchange)->connect_timeout_ms);
    exchange->connection =
        cg_connection_create(&exchange->pool->endpoint, &connection_events, exchange);
    cg_connection_open(exchange->connection);
}

/* Whether the death of this connection is no verdict on the request (RFC 9112 9.3.1). The next one
 * is fresh, so this is true once at most. */
static bool may_retry(const struct cg_origin_exchange *exchange)
{
    return exchange->connection->reused && !exchange->answered &&
           (exchange->request.may_retry || !exchange->sent_here);
}

static void retry(struct cg_origin_exchange *exchange)
{
    exchange->connection = cg_connection_destroy(exchange->connection, false);
    cg_timer_disarm(clock_of(exchange), &exchange->wait);
    open_connection(exchange);
}

static void on_open_failed(void *owner, enum cg_origin_outcome outcome, const char *why)
{
    struct cg_origin_exchange *exchange = owner;
    enter(exchange);
    end(exchange, outcome, why);
    leave(exchange);
}

/* ---- talking ---- */

static bool request_is_sent(const struct cg_origin_exchange *exchange)
{
    return cg_str_empty(exchange->head_left) && cg_str_empty(exchange->body_left);
}

/* The first byte is still awaited when only 1xx answers came: 103 is not the answer. */
static bool awaits_first_byte(const struct cg_origin_exchange *exchange)
{
    return !exchange->has_head && cg_str_empty(cg_connection_input(exchange->connection));
}

static void arm_wait(struct cg_origin_exchange *exchange)
{
    if (!exchange->paused)
        arm(exchange, &exchange->wait,
            awaits_first_byte(exchange) ? settings_of(exchange)->first_byte_timeout_ms
                                        : settings_of(exchange)->between_bytes_timeout_ms);
}

static void send_on(struct cg_origin_exchange *exchange)
{
    size_t taken;
    if (exchange->send_failed || request_is_sent(exchange))
        return;
    switch (cg_connection_send(exchange->connection, exchange->head_left, exchange->body_left,
                               &taken)) {
    case CG_CONNECTION_SENT_ALL:
    case CG_CONNECTION_BLOCKED:
        break;
    case CG_CONNECTION_FAILED:
        exchange->send_failed = true;
        break;
    }
    if (taken > 0)
        exchange->sent = exchange->sent_here = true;
    size_t head_taken = taken < exchange->head_left.length ? taken : exchange->head_left.length;
    exchange->head_left = cg_str_skip(exchange->head_left, head_taken);
    exchange->body_left = cg_str_skip(exchange->body_left, taken - head_taken);
}

static void tell_head(struct cg_origin_exchange *exchange)
{
    const struct cg_http1_response *response = &exchange->response;
    struct cg_origin_head head = {
        .status = response->status,
        .fields = &response->fields,
        .has_length = response->has_content_length,
        .content_length = response->content_length,
        .no_body = response->framing == CG_HTTP1_NO_BODY,
    };
    exchange->has_head = exchange->told = true;
    exchange->events.on_head(exchange->owner, &head);
}

static void complete(struct cg_origin_exchange *exchange)
{
    struct cg_connection *connection = exchange->connection;
    /* An early answer leaves a request half said: nobody may say another behind it. */
    bool reusable = exchange->response.keep_alive && request_is_sent(exchange) &&
                    !exchange->send_failed && !cg_connection_is_sending(connection) &&
                    connection->end == CG_CONNECTION_GOES_ON &&
                    cg_str_empty(cg_connection_input(connection));
    if (reusable) {
        cg_pool_keep(exchange->pool, connection);
        exchange->connection = NULL;
    }
    end(exchange, CG_ORIGIN_COMPLETE, "");
}

/* The input is used up and no more will come. */
static void meet_the_end(struct cg_origin_exchange *exchange)
{
    struct cg_connection *connection = exchange->connection;
    bool orderly = connection->end == CG_CONNECTION_ENDED;
    if (may_retry(exchange))
        retry(exchange);
    else if (orderly && cg_http1_response_end(&exchange->response) == CG_HTTP1_COMPLETE)
        complete(exchange);
    else if (!exchange->answered)
        end(exchange, CG_ORIGIN_CUT, "the connection ended before an answer");
    else
        end(exchange, CG_ORIGIN_CUT,
            orderly ? "the connection ended before the answer did" : "the connection broke");
}

/* One step of the parser; false when it must wait or nothing is left to do. */
static bool feed_once(struct cg_origin_exchange *exchange)
{
    struct cg_connection *connection = exchange->connection;
    struct cg_str input = cg_connection_input(connection), body;
    size_t used;
    if (!cg_str_empty(input))
        exchange->answered = true;
    switch (cg_http1_response_feed(&exchange->response, input, &used, &body)) {
    case CG_HTTP1_NEEDS_MORE:
        cg_connection_consume(connection, used);
        if (connection->end != CG_CONNECTION_GOES_ON)
            meet_the_end(exchange);
        return false;
    case CG_HTTP1_HAS_HEAD:
        cg_connection_consume(connection, used);
        tell_head(exchange);
        return true;
    case CG_HTTP1_HAS_BODY:
        exchange->told = true;
        /* The connection outlives a cancel in there: it dies in leave. */
        exchange->events.on_body(exchange->owner, body);
        cg_connection_consume(connection, used);
        return true;
    case CG_HTTP1_COMPLETE:
        cg_connection_consume(connection, used);
        complete(exchange);
        return false;
    case CG_HTTP1_FAILED:
        end(exchange, CG_ORIGIN_BAD_ANSWER, cg_http1_error_text(exchange->response.error));
        return false;
    }
    CG_UNREACHABLE();
}

/* Takes out of the input what it gives and the owner wants; then waits for more, or not. */
static void feed(struct cg_origin_exchange *exchange)
{
    if (exchange->feeding)
        return;
    exchange->feeding = true;
    bool goes_on = true;
    do {
        exchange->told = false;
        while (goes_on && !exchange->over && !exchange->paused)
            goes_on = feed_once(exchange);
        if (exchange->told && !exchange->over)
            exchange->events.on_lull(exchange->owner);
    } while (exchange->told && !exchange->over); /* it may have resumed in there */
    exchange->feeding = false;
    if (exchange->over || exchange->stage != TALKING)
        return;
    if (exchange->paused) {
        cg_connection_read_stop(exchange->connection);
        cg_timer_disarm(clock_of(exchange), &exchange->wait);
    } else {
        cg_connection_read_start(exchange->connection);
        arm_wait(exchange);
    }
}

static void talk(struct cg_origin_exchange *exchange)
{
    exchange->stage = TALKING;
    exchange->head_left = cg_buf_str(&exchange->head);
    exchange->body_left = exchange->request.has_body ? exchange->request.body : CG_STR("");
    exchange->sent_here = exchange->send_failed = false;
    cg_http1_response_init(&exchange->response, &exchange->arena,
                           cg_str_eq(exchange->request.method, CG_STR("HEAD")),
                           settings_of(exchange)->head_bytes_max);
    send_on(exchange);
    if (exchange->send_failed && may_retry(exchange))
        retry(exchange);
    else
        feed(exchange);
}

static void on_turn(void *owner)
{
    struct cg_origin_exchange *exchange = owner;
    enter(exchange);
    exchange->connection = cg_pool_take(exchange->pool);
    if (exchange->connection == NULL) {
        open_connection(exchange);
    } else {
        exchange->connection->events = &connection_events;
        exchange->connection->owner = exchange;
        talk(exchange);
    }
    leave(exchange);
}

static void on_open(void *owner)
{
    struct cg_origin_exchange *exchange = owner;
    enter(exchange);
    talk(exchange);
    leave(exchange);
}

static void on_input(void *owner)
{
    struct cg_origin_exchange *exchange = owner;
    enter(exchange);
    feed(exchange);
    leave(exchange);
}

static void on_drained(void *owner, bool failed)
{
    struct cg_origin_exchange *exchange = owner;
    enter(exchange);
    if (failed)
        exchange->send_failed = true;
    send_on(exchange);
    /* After a failure an answer may still be readable: why the upstream would not listen. */
    if (exchange->send_failed && may_retry(exchange))
        retry(exchange);
    else
        arm_wait(exchange);
    leave(exchange);
}

static const struct cg_connection_events connection_events = {on_open, on_open_failed, on_input,
                                                              on_drained};

/* ---- time ---- */

static void on_wait_over(void *owner)
{
    struct cg_origin_exchange *exchange = owner;
    enter(exchange);
    if (exchange->stage != TALKING)
        end(exchange, CG_ORIGIN_CONNECT_TIMEOUT,
            exchange->stage == QUEUED ? "no connection became free" : "connecting took too long");
    else if (awaits_first_byte(exchange))
        end(exchange, CG_ORIGIN_FIRST_BYTE_TIMEOUT, "no answer in time");
    else
        end(exchange, CG_ORIGIN_BETWEEN_BYTES_TIMEOUT, "the answer stopped");
    leave(exchange);
}

static void on_total_over(void *owner)
{
    struct cg_origin_exchange *exchange = owner;
    enter(exchange);
    end(exchange, CG_ORIGIN_TOTAL_TIMEOUT, "the exchange took too long");
    leave(exchange);
}

/* ---- what the owner says ---- */

void cg_exchange_pause(struct cg_origin_exchange *exchange)
{
    if (exchange->paused || exchange->over)
        return;
    exchange->paused = true;
    if (exchange->stage != TALKING || exchange->feeding)
        return;
    cg_connection_read_stop(exchange->connection);
    cg_timer_disarm(clock_of(exchange), &exchange->wait);
}

void cg_exchange_resume(struct cg_origin_exchange *exchange)
{
    if (!exchange->paused || exchange->over)
        return;
    enter(exchange);
    exchange->paused = false;
    if (exchange->stage == TALKING)
        feed(exchange);
    leave(exchange);
}

void cg_exchange_cancel(struct cg_origin_exchange *exchange)
{
    if (exchange->over)
        return;
    enter(exchange);
    exchange->over = true;
    leave(exchange);
}
