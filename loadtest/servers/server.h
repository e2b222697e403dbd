/*
 * A one-threaded libh2o server on 127.0.0.1: HTTP/1.1 and HTTP/2, cleartext and TLS, without logs.
 * The upstream and the two ceilings of the load test differ in their handlers alone. It ends the
 * process with a sentence when it cannot start, and is ended by a signal.
 */
#ifndef CACHEGATE_LOADTEST_SERVER_H
#define CACHEGATE_LOADTEST_SERVER_H

#include <h2o.h>

struct server {
    h2o_globalconf_t config;
    h2o_context_t context;
    h2o_pathconf_t *everything; /* all hosts, all paths: handlers go here */
    h2o_accept_ctx_t accept_plain;
    h2o_accept_ctx_t accept_tls;
};

/* After it handlers can be added. There is one per process. */
struct server *server_prepare(void);

/* Listens. argv[1..4]: port, TLS port, certificate, key; the last three may be missing. */
void server_start(struct server *server, int argc, char **argv);

_Noreturn void server_run(struct server *server);

/* The number that stands behind `name=` in the query, or 0. */
size_t server_query_number(const h2o_req_t *request, const char *name);

#endif
