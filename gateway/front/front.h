/*
 * front: the inside of front/, shared by the files of this folder and nobody else.
 *
 * A server owns what threads share: the libh2o configuration, the TLS context, the listeners' file
 * descriptors. A worker is one thread: its loop, machine and connections. A connection is ours from
 * accept until its socket closes; libh2o owns the protocol on it, and we keep beside it what libh2o
 * 2.2.5 lacks: timeouts, the HTTP/2 guard, the text of its peer's address.
 *
 * Rules that hold everywhere here:
 * - A connection is found through its socket: `socket->on_close.data`. It dies in that callback.
 * - A connection under a protocol is only ever closed by shutting its socket down: libh2o then
 *   reads the end, or fails to write, and cleans up after itself.
 * - HTTP/2 internals (h2o/http2_internal.h) are read, and the socket's callbacks are wrapped, in
 *   guard_h2.c only. They belong to libh2o 2.2.5: the package version is pinned.
 */
#ifndef GATEWAY_FRONT_FRONT_H
#define GATEWAY_FRONT_FRONT_H

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/config/generation.h"
#include "gateway/front/fetches.h"
#include "gateway/front/server.h"
#include "gateway/request/request.h"

#include <h2o.h>

#include <pthread.h>
#include <stdatomic.h>

enum {
    CG_LISTENER_SOCKETS_MAX = 8, /* addresses that one name may have */
    CG_PEER_TEXT_MAX = 48,
};

/* ---- listener.c ---- */

/* One configured address, opened. */
struct cg_listener {
    const struct cg_listener_settings *settings; /* borrowed */
    int *fds; /* owned: per thread, then per address; -1 once handed to a thread's loop */
    size_t address_count;
    size_t thread_count;
    bool handover; /* another process may listen there too */
    char *text;    /* owned: where it listens, port resolved */
    /* Of a UNIX socket: removed at the end if it is still the one we made. */
    bool unlink_at_end;
    dev_t device;
    ino_t inode;
};

/* False and a sentence in *ret_error (to be freed). The listener is then empty. */
bool cg_listener_open(struct cg_listener *listener, const struct cg_listener_settings *settings,
                      size_t thread_count, bool handover, char **ret_error);
void cg_listener_close(struct cg_listener *listener);
/* Gives a thread's descriptor away. */
int cg_listener_take(struct cg_listener *listener, size_t thread, size_t address);

/* ---- server.c ---- */

/* Taken by all threads, one after the other; each is over when all have taken it (exchange.c). */
enum cg_exchange_step {
    CG_EXCHANGE_FORGET,
    CG_EXCHANGE_ANNOUNCE,
    CG_EXCHANGE_PURGE,
    CG_EXCHANGE_ADOPT,
    CG_EXCHANGE_STEPS
};

struct cg_exchange {
    struct cg_generation *next; /* a reference; NULL outside of an exchange */
    SSL_CTX *tls;               /* owned; NULL: stays as it is */
    const struct cg_ban *bans;  /* borrowed during the step */
    size_t ban_count;
    _Atomic int purged;      /* enum cg_store_result */
    _Atomic unsigned wanted; /* how many steps were ordered; the step is that, modulo */
    bool cancelled;          /* under the lock */
};

struct cg_server {
    struct cg_generation *generation;   /* the first; a reference */
    const struct cg_settings *settings; /* its */
    struct cg_server_hooks hooks;
    struct cg_book *book;           /* borrowed */
    h2o_globalconf_t configuration; /* shared by the workers, immutable once they run */
    bool configured;
    SSL_CTX *tls; /* owned; NULL without a TLS listener */
    struct cg_exchange exchange;
    struct cg_listener *listeners;
    size_t listener_count;
    char *addresses; /* owned */
    struct cg_worker *workers;
    size_t worker_count;
    _Atomic size_t connection_count; /* over all threads */
    _Atomic size_t listening_count;  /* threads whose doors are open */
    atomic_bool warm;
    struct cg_fetches *fetches; /* owned; on the first thread */
    pthread_mutex_t lock;       /* for `changed`, and held while orders are sent */
    pthread_cond_t changed;
};

/* Tells who waits in cg_server_start, _drain and _stop. */
void cg_server_notify(struct cg_server *server);

/* ---- worker.c ---- */

/* A listening socket in one thread's loop. */
struct cg_door {
    struct cg_worker *worker;
    const struct cg_listener_settings *settings;
    h2o_socket_t *socket; /* owned; NULL once closed */
    bool paused;
};

/* What the main thread wants; only ever more. LEAVE says goodbye and accepts on. */
enum cg_orders { CG_ORDERS_SERVE, CG_ORDERS_LEAVE, CG_ORDERS_DRAIN, CG_ORDERS_STOP };
/* How far the worker is; only ever more. */
enum cg_progress { CG_PROGRESS_NEW, CG_PROGRESS_RUNS, CG_PROGRESS_DRAINED, CG_PROGRESS_ENDED };

struct cg_worker {
    struct cg_server *server; /* borrowed */
    pthread_t thread;
    bool started;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    h2o_multithread_receiver_t receiver; /* only to wake the loop */
    struct cg_clock *clock;              /* owned */
    struct cg_machine machine;
    SSL_CTX *tls;            /* owned reference: of connections to come */
    unsigned exchange_begun; /* as cg_exchange.wanted */
    _Atomic unsigned exchange_done;
    struct cg_access *access;    /* owned; NULL without an access log */
    struct cg_warm_wish *wishes; /* owned; of the first thread */
    struct cg_warm *warm;        /* owned; of the first thread, where anything is warmed */
    struct cg_door *doors;       /* owned */
    size_t door_count;
    h2o_linklist_t connections;
    size_t connection_count;
    struct cg_timer tick; /* timeouts of connections */
    uint32_t tick_ms;
    int64_t window_started_ms; /* monotonic; the rate budgets of HTTP/2 */
    bool draining;
    int64_t drain_started_ms;       /* monotonic; the goodbye */
    int64_t doors_open_ms;          /* monotonic; the latest; 0: they are open */
    int64_t doors_close_ms;         /* monotonic; 0: not yet known, or closed */
    size_t cut_count;               /* requests that the end cut; for who joined the thread */
    h2o_timestamp_string_t *date;   /* shared (ref): the last Date field passed on */
    struct cg_log_gate refused_log; /* at most one line a second about hostile input */
    _Atomic int orders;             /* enum cg_orders */
    _Atomic int progress;           /* enum cg_progress */
    _Atomic int64_t turned_ms;      /* monotonic time of the loop's last turn */
};

static inline struct cg_worker *cg_worker_of(h2o_context_t *context)
{
    return H2O_STRUCT_FROM_MEMBER(struct cg_worker, context, context);
}

/* Takes the listeners' descriptors and starts the thread. False when no thread can be had. */
bool cg_worker_start(struct cg_worker *worker, struct cg_server *server, size_t index);
/* From any thread. */
void cg_worker_order(struct cg_worker *worker, enum cg_orders orders);
/* The loop turns once more; from any thread, under the server's lock. */
void cg_worker_wake(struct cg_worker *worker);
/* Logs that something was refused, at most once a second. */
void cg_worker_log_refused(struct cg_worker *worker, const char *peer, const char *why);

/* ---- exchange.c ---- */

/* What that generation means to this worker. */
struct cg_regime *cg_worker_regime(struct cg_worker *worker, struct cg_generation *generation);
/* This thread's share of what the process may do; nobody is left without. */
uint32_t cg_worker_share(const struct cg_worker *worker, uint32_t total);
/* The step that was ordered, if it was not taken yet. */
void cg_worker_exchange(struct cg_worker *worker);

/* ---- access.c ---- */

struct cg_access;
/* Whether there is an access log; whoever runs the server opens it first (base/access_log.h). */
bool cg_access_is_wanted(const struct cg_settings *settings);
/* A thread's. Copies of the settings what it needs. */
struct cg_access *cg_access_create(const struct cg_settings *settings, struct cg_sheet *sheet);
/* Other settings hold from the next line on; where the log goes stays. */
void cg_access_adopt(struct cg_access *access, const struct cg_settings *settings);
struct cg_access *cg_access_destroy(struct cg_access *access);
/* The machine's observer. */
void cg_access_observe(void *observer, const struct cg_request_record *record);
/* At the end of a turn. */
void cg_access_flush(struct cg_access *access);

/* ---- uploads.c ---- */

/* Ends the connections whose requests hold most when all of them hold too much. */
void cg_uploads_bound(struct cg_worker *worker);
/* Whether the machine may keep a body of that length beside those it keeps. */
bool cg_uploads_take(const struct cg_worker *worker, size_t bytes);

/* ---- downstream.c ---- */

enum cg_downstream_stage {
    CG_STAGE_PROXY_LINE, /* waiting for the PROXY line */
    CG_STAGE_TLS,        /* in the handshake */
    CG_STAGE_PEEK,       /* cleartext: HTTP/1.1 or the HTTP/2 preface? */
    CG_STAGE_HTTP1,
    CG_STAGE_HTTP2,
};

struct cg_guard;

struct cg_downstream {
    struct cg_worker *worker; /* borrowed */
    h2o_linklist_t link;      /* in worker->connections */
    h2o_socket_t *socket;     /* of libh2o, or ours before a protocol runs on it */
    enum cg_downstream_stage stage;
    bool tls;
    bool *ret_gone;         /* set when the connection dies; see guard_h2.c */
    struct cg_guard *guard; /* owned; HTTP/2 only */
    h2o_linklist_t clients; /* the requests in progress, client_h2o.c */
    size_t client_count;
    uint64_t requests; /* ever begun */
    uint64_t bytes_done;
    size_t held_bytes;           /* by requests, when uploads.c last looked */
    char peer[CG_PEER_TEXT_MAX]; /* "" until asked for */
    /* Monotonic times; 0 is not running. */
    int64_t stage_since_ms;
    int64_t arriving_since_ms; /* part of a request is here */
    int64_t idle_since_ms;
    int64_t stalled_since_ms;
    /* What they are measured by. */
    uint64_t requests_seen;
    uint64_t data_seen;
    uint64_t acknowledged_seen;
};

/* Takes the socket. */
struct cg_downstream *cg_downstream_create(struct cg_worker *worker, h2o_socket_t *socket);
void cg_downstream_enter(struct cg_downstream *connection, enum cg_downstream_stage stage);
/* Ends it at once from outside: libh2o will notice. */
void cg_downstream_kill(struct cg_downstream *connection);
/* The same, so that the client cannot take what it has for the end of an answer. */
void cg_downstream_reset(struct cg_downstream *connection);
/* Text of the peer's address, "unknown" for a UNIX socket. */
const char *cg_downstream_peer(struct cg_downstream *connection);
/* All connections of the worker against the clock. */
void cg_downstreams_tick(struct cg_worker *worker, int64_t now_ms, bool new_window);

/* ---- reading.c ---- */

/* libh2o has stopped reading, because a request is complete: nothing is read, cheaply. */
void cg_reading_pause(struct cg_downstream *connection);
/* The request is over: libh2o starts again. */
void cg_reading_resume(struct cg_downstream *connection);

/* ---- accept.c ---- */

/* Clients wait in the kernel's queue until cg_doors_resume. */
void cg_door_open(struct cg_door *door, struct cg_worker *worker,
                  const struct cg_listener_settings *settings, int fd);
/* Connections that the kernel has made are taken first, so that none is reset. */
void cg_door_close(struct cg_door *door);
/* Accepts again after a pause, where there is room. */
void cg_doors_resume(struct cg_worker *worker);

/* ---- guard_h2.c ---- */

/* Hands the socket to libh2o's HTTP/2; bytes that were read already are in its input. */
void cg_guard_accept(struct cg_downstream *connection);
void cg_guard_destroy(struct cg_guard *guard);
/* After a call into libh2o that may have written: reading stays in our hands. */
void cg_guard_watch(struct cg_downstream *connection);
/* The same for all connections of the worker. */
void cg_guards_watch(struct cg_worker *worker);
/* A new window of the rate budgets. */
void cg_guard_new_window(struct cg_guard *guard);
/* Requests whose head or body is not complete. */
size_t cg_guard_arriving(const struct cg_downstream *connection);
/* Bytes handed to libh2o wait for the socket. */
bool cg_guard_writing(const struct cg_downstream *connection);
/* Draining: says goodbye, and ends the connection when it is idle. */
void cg_guard_drain(struct cg_downstream *connection);

/* ---- client_h2o.c ---- */

/* Registers the handler of all requests. */
void cg_client_register(h2o_pathconf_t *path);
/* Bytes of the answers in progress that libh2o took. */
uint64_t cg_clients_bytes(const struct cg_downstream *connection);
/* Whether libh2o has bytes of an answer that the client does not take. */
bool cg_clients_wait(const struct cg_downstream *connection);
/* Ends every request of the connection, which was killed. The connection may be gone afterwards. */
void cg_clients_cut(struct cg_downstream *connection);

/* ---- reason_phrase.c ---- */

const char *cg_reason_phrase(unsigned status);

/* ---- facts_h2o.c ---- */

struct cg_refusal {
    unsigned status; /* 0: not refused */
    enum cg_reason reason;
    const char *text;
};
/* What the machine is told about a request, in the memory of its pool. */
struct cg_refusal cg_facts_of(struct cg_downstream *connection, h2o_req_t *request,
                              struct cg_fields *fields, struct cg_request_facts *ret_facts);

#endif
