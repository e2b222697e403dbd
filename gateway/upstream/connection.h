/*
 * connection: one connection to an upstream: lookup, connect, TLS, bytes in, bytes out.
 *
 * Knows nothing of HTTP. Bytes that arrived wait in its input until they are consumed. In the clear
 * it reads at most CG_CONNECTION_READ_BYTES a turn of the loop and nothing at all between stop and
 * start, and it knows exactly what the kernel took; over TLS libh2o reads and writes, so a turn may
 * bring as much as the socket's receive window and what TLS took counts as sent. It never closes
 * itself: its owner (an exchange, or the pool while idle) destroys it, also from inside an event.
 */
#ifndef GATEWAY_UPSTREAM_CONNECTION_H
#define GATEWAY_UPSTREAM_CONNECTION_H

#include "gateway/upstream/resolver.h"

enum { CG_CONNECTION_READ_BYTES = 64 * 1024, CG_CONNECTION_TLS_WRITE_BYTES = 64 * 1024 };

/* Where connections lead; one per upstream and thread, outlives them. */
struct cg_endpoint {
    const struct cg_upstream *upstream;
    h2o_loop_t *loop;
    struct cg_clock *clock;
    struct cg_resolver resolver;
};

/* Each is the last thing its cause does: the connection may be destroyed in it. */
struct cg_connection_events {
    void (*on_open)(void *owner);
    /* One of UNRESOLVED, REFUSED, TLS_FAILED. `why` is static. */
    void (*on_open_failed)(void *owner, enum cg_origin_outcome outcome, const char *why);
    /* There is more input, or `end` changed. */
    void (*on_input)(void *owner);
    /* What a BLOCKED send took has left. */
    void (*on_drained)(void *owner, bool failed);
};

enum cg_connection_end {
    CG_CONNECTION_GOES_ON,
    CG_CONNECTION_ENDED, /* in an orderly way; over TLS that takes a close_notify (RFC 9112 9.8) */
    CG_CONNECTION_BROKEN,
};

struct cg_pool;
struct cg_connection {
    struct cg_endpoint *endpoint;
    const struct cg_connection_events *events;
    void *owner;
    enum cg_connection_end end; /* of the input */
    bool reused;
    /* The pool's, while idle. */
    struct cg_pool *pool;
    struct cg_connection *newer, *older;
    struct cg_timer timer; /* idle; while opening: the next attempt */
    /* Private. */
    h2o_socket_t *socket; /* owned; NULL until connected */
    const SSL *session;   /* the socket's; NULL in the clear */
    struct cg_resolver_waiter waiter;
    size_t attempts;
    size_t input_known; /* bytes of the input that the owner was told of */
};

struct cg_connection *cg_connection_create(struct cg_endpoint *endpoint,
                                           const struct cg_connection_events *events, void *owner);
/* Starts opening; on_open or on_open_failed follows, perhaps before this returns. */
void cg_connection_open(struct cg_connection *connection);
/* `politely`: with a close_notify, for idle connections; else at once. Returns NULL. */
struct cg_connection *cg_connection_destroy(struct cg_connection *connection, bool politely);

/* Idempotent, both. */
void cg_connection_read_start(struct cg_connection *connection);
void cg_connection_read_stop(struct cg_connection *connection);
/* What arrived and was not consumed; valid until the loop turns or it is consumed. */
struct cg_str cg_connection_input(const struct cg_connection *connection);
void cg_connection_consume(struct cg_connection *connection, size_t length);

enum cg_connection_sent {
    CG_CONNECTION_SENT_ALL,
    CG_CONNECTION_BLOCKED, /* on_drained follows; no send until then */
    CG_CONNECTION_FAILED,
};
/* Sends first, then second; *ret_taken says how many bytes of both. The bytes stay valid meanwhile.
 */
enum cg_connection_sent cg_connection_send(struct cg_connection *connection, struct cg_str first,
                                           struct cg_str second, size_t *ret_taken);
bool cg_connection_is_sending(const struct cg_connection *connection);

/* For an idle one: nothing arrived and the peer did not close, as far as the kernel knows. */
bool cg_connection_is_quiet(const struct cg_connection *connection);
/* Gives the input's memory back. The input must be empty. */
void cg_connection_trim(struct cg_connection *connection);

#endif
