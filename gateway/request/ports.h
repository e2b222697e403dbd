/*
 * ports: the four small doors through which the machines see the world.
 *
 * The request and flight machines know neither libh2o nor hiredis: front/, store/ and upstream/
 * implement these tables, tests/machine/ implements them as fakes under virtual time. Everything
 * here belongs to one thread. Any callback may fire before the call that asked for it returns; the
 * machines are written for that (request_run.c).
 */
#ifndef GATEWAY_REQUEST_PORTS_H
#define GATEWAY_REQUEST_PORTS_H

#include "cachegate/fields.h"
#include "cachegate/str.h"
#include "gateway/store/store.h"

/* ---- client: the one who asked ---- */

struct cg_client;

struct cg_reply_head {
    unsigned status;
    const struct cg_fields *fields; /* borrowed during the call; no framing fields */
    bool has_length;                /* content_length is known (also for answers to HEAD) */
    uint64_t content_length;
    bool no_body; /* HEAD, 204, 304: nothing follows whatever content_length says */
};

struct cg_client_port {
    /* The answer's head. Once; then `send` until final, or `abort`. */
    void (*begin)(struct cg_client *client, const struct cg_reply_head *head);
    /*
     * Body bytes, which stay valid until cg_request_client_ready or, after `final`, until
     * cg_request_client_gone. One send may be outstanding. An empty final send ends the body.
     */
    void (*send)(struct cg_client *client, struct cg_str bytes, bool final);
    /* Cuts an answer that cannot be completed: the client must not take it for whole. */
    void (*abort)(struct cg_client *client);
};

struct cg_client {
    const struct cg_client_port *port;
    unsigned protocol;   /* 10, 11 or 20; 0: nobody outside */
    uint64_t body_bytes; /* of the answer, that the connection took; kept by the port */
    bool whole;          /* the connection took all of it; kept by the port */
};
/* The client's own events are cg_request_client_ready and cg_request_client_gone (request.h). */

/* ---- origin: the upstream ---- */

enum cg_origin_outcome {
    CG_ORIGIN_COMPLETE,
    CG_ORIGIN_UNRESOLVED, /* its name has no address */
    CG_ORIGIN_REFUSED,    /* no connection */
    CG_ORIGIN_CONNECT_TIMEOUT,
    CG_ORIGIN_TLS_FAILED, /* handshake or certificate */
    CG_ORIGIN_QUEUE_FULL, /* connections_max reached and the queue too */
    CG_ORIGIN_FIRST_BYTE_TIMEOUT,
    CG_ORIGIN_BETWEEN_BYTES_TIMEOUT,
    CG_ORIGIN_TOTAL_TIMEOUT,
    CG_ORIGIN_BAD_ANSWER, /* not HTTP, or ambiguous framing */
    CG_ORIGIN_CUT,        /* the connection ended before the answer did */
};

struct cg_origin_request {
    unsigned upstream; /* index into settings.upstreams */
    struct cg_str method;
    struct cg_str target;           /* path and query */
    struct cg_str authority;        /* the client's Host */
    const struct cg_fields *fields; /* end-to-end fields to send, Host and framing not among them */
    struct cg_str body;
    bool has_body;  /* Content-Length is sent, 0 included */
    bool may_retry; /* idempotent: once more on a fresh connection when a reused one
                       died before its first byte (RFC 9110 9.2.2) */
};                  /* all borrowed until on_end or cancel */

struct cg_origin_head {
    unsigned status;
    const struct cg_fields *fields; /* borrowed until on_end; as received, lower-case names */
    bool has_length;
    uint64_t content_length;
    bool no_body;
};

/*
 * on_head and on_body tell what came. After all that came at once follows on_end, where the answer
 * is over, or on_lull: who acts on these two passes an answer that came in one read on in one
 * write.
 */
struct cg_origin_events {
    void (*on_head)(void *owner, const struct cg_origin_head *head);
    void (*on_body)(void *owner, struct cg_str bytes); /* borrowed during the call */
    void (*on_lull)(void *owner);
    /*
     * Once, the last event. `sent`: some byte of the request left, so a write may have happened.
     * `detail`: a sentence for the log, borrowed during the call.
     */
    void (*on_end)(void *owner, enum cg_origin_outcome outcome, bool sent, struct cg_str detail);
};

struct cg_origin_exchange;
struct cg_origin;

struct cg_origin_port {
    /*
     * Starts an exchange. *ret_exchange is set before any event fires and is dead after on_end or
     * cancel. The owner may cancel from inside an event.
     */
    void (*start)(struct cg_origin *origin, const struct cg_origin_request *request,
                  const struct cg_origin_events *events, void *owner,
                  struct cg_origin_exchange **ret_exchange);
    /* Back-pressure: while paused no on_body fires and the connection is not read. Idempotent. */
    void (*pause)(struct cg_origin_exchange *exchange);
    void (*resume)(struct cg_origin_exchange *exchange);
    /* No event fires any more; the connection is closed. */
    void (*cancel)(struct cg_origin_exchange *exchange);
};

struct cg_origin {
    const struct cg_origin_port *port;
};

/* ---- timer ---- */

struct cg_timer {
    void (*on_expiry)(void *owner);
    void *owner;
    bool armed;
    /* Private to the implementation: big enough for a libh2o timeout entry or a fake's deadline. */
    union {
        int64_t deadline_ms;
        void *words[8];
    } slot;
};

struct cg_clock;
struct cg_clock_port {
    int64_t (*now_ms)(struct cg_clock *clock); /* wall clock, Unix time */
    void (*arm)(struct cg_clock *clock, struct cg_timer *timer, uint32_t delay_ms); /* re-arms */
    void (*disarm)(struct cg_clock *clock, struct cg_timer *timer);                 /* idempotent */
};
struct cg_clock {
    const struct cg_clock_port *port;
};

#endif
