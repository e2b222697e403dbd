/*
 * server: listeners, threads, and the end of both.
 *
 * Each thread runs one libh2o loop with its own machine, store handle and upstream client. TCP
 * listeners are opened per thread with SO_REUSEPORT; UNIX sockets are shared. What a thread needs
 * from store/ and upstream/ comes through hooks, so that front/ knows neither.
 */
#ifndef GATEWAY_FRONT_SERVER_H
#define GATEWAY_FRONT_SERVER_H

#include "gateway/base/metrics.h"
#include "gateway/config/generation.h"
#include "gateway/config/settings.h"
#include "gateway/request/ports.h"

struct st_h2o_context_t;
struct cg_server;

struct cg_server_hooks {
    void *owner;
    /* On the new thread, before its loop turns. Never NULL results: what can fail was done before.
     */
    struct cg_store *(*store_open)(void *owner, struct st_h2o_context_t *context,
                                   struct cg_clock *clock);
    void (*store_close)(void *owner, struct cg_store *store);
    struct cg_origin *(*origin_open)(void *owner, struct st_h2o_context_t *context,
                                     struct cg_clock *clock);
    void (*origin_close)(void *owner, struct cg_origin *origin);
};

/* Binds all listeners and starts the threads. NULL and a sentence in *ret_error (to be freed). What
 * cannot change at run time is taken from this generation until the end. */
struct cg_server *cg_server_start(struct cg_generation *generation,
                                  const struct cg_server_hooks *hooks, struct cg_book *book,
                                  char **ret_error);
/* Where it listens, ports resolved: "127.0.0.1:8080 unix:/run/x". Borrowed. */
const char *cg_server_addresses(const struct cg_server *server);
/*
 * The four steps of an exchange, in this order (request.h); each returns when all threads have
 * taken it. One at a time, from one thread that is none of the server's. False: it was cancelled,
 * because the process ends; nothing else may then be asked but the end.
 *
 * Announce: writes cover both sets of rules from now on. Purge: what is open to be purged before
 * anybody reads under the next one; *ret_purged (or NULL) says whether the store took it. Adopt:
 * who comes now is served under the next one, and handshakes use `tls`, which is taken; NULL: as
 * before. Forget: nobody comes under the one before any more.
 */
bool cg_server_announce(struct cg_server *server, struct cg_generation *next);
bool cg_server_purge(struct cg_server *server, const struct cg_ban *bans, size_t count,
                     bool *ret_purged);
struct ssl_ctx_st;
bool cg_server_adopt(struct cg_server *server, struct ssl_ctx_st *tls);
bool cg_server_forget(struct cg_server *server);
/* Any thread. */
void cg_server_cancel_exchange(struct cg_server *server);
/* Says goodbye (Connection: close, GOAWAY), ends idle connections, and accepts on. Any thread. */
void cg_server_leave(struct cg_server *server);
/* Clients' connections that are open. Any thread. */
size_t cg_server_connections(const struct cg_server *server);
/* The same as leave, stops accepting, and waits for requests in flight. */
void cg_server_drain(struct cg_server *server, uint32_t timeout_ms);
/* Ends the threads. *ret_cut (or NULL): requests that were in flight still. Returns NULL. */
struct cg_server *cg_server_stop(struct cg_server *server, size_t *ret_cut);
/* For livez: how many loops turned within the last `within_ms`. */
unsigned cg_server_loops_alive(const struct cg_server *server, uint32_t within_ms);
struct cg_warm_order;
/* From any thread: takes a list to be fetched (fetches.h). False: not now, it is the caller's. */
bool cg_server_fetch(struct cg_server *server, struct cg_warm_order *order);
/* Whether what is warmed at the start was asked for (request/warm.h). */
bool cg_server_is_warm(const struct cg_server *server);
unsigned cg_server_threads(const struct cg_server *server);

#endif
