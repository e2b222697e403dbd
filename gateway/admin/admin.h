/*
 * admin: the operator's API, on a thread and a listener of its own.
 *
 * Statistics, health, probes and Prometheus metrics are open to whoever reaches the listener;
 * purges and flushes need the admin token. A purge is answered when the store has acknowledged it.
 * Its loop, clock, store handle and sheet of counters are its own, so traffic never waits for it.
 */
#ifndef GATEWAY_ADMIN_ADMIN_H
#define GATEWAY_ADMIN_ADMIN_H

#include "gateway/base/metrics.h"
#include "gateway/config/generation.h"
#include "gateway/request/ports.h"

struct st_h2o_context_t;

struct cg_admin;
struct cg_warm_order;

/* What became of attempts to change what is in force. */
struct cg_admin_reload_status {
    bool successful;  /* the last one; true before the first */
    int64_t since_ms; /* wall clock: of the last successful one, or of the start */
    char error[512];  /* the first mistake of one that failed */
    unsigned alive;   /* generations that somebody still obeys */
};

/* What it sees of the rest of the gateway. All borrowed until cg_admin_stop. */
struct cg_admin_world {
    const struct cg_settings *settings; /* of the start: of what cannot change */
    struct cg_generation *generation;   /* in force at the start; referenced */
    struct cg_book *book;
    void *owner; /* of the calls below */
    /* On the admin thread, as for the threads of traffic (front/server.h). */
    struct cg_store *(*store_open)(void *owner, struct st_h2o_context_t *context,
                                   struct cg_clock *clock);
    void (*store_close)(void *owner, struct cg_store *store);
    /* How many threads carry traffic, and how many of their loops turned lately. */
    unsigned (*threads)(void *owner);
    unsigned (*loops_alive)(void *owner, uint32_t within_ms);
    /* Whether what is warmed at the start was asked for. */
    bool (*is_warm)(void *owner);
    /* Traffic is told to go elsewhere, and served on; how many connections have not gone yet. */
    void (*leave)(void *owner);
    size_t (*connections)(void *owner);
    /* Everything is to be read again; `on_done` is called once, on any thread, with a line for each
     * mistake and warning. */
    void (*reload)(void *owner, void (*on_done)(void *owner, bool good, struct cg_str report),
                   void *done_owner);
    void (*reload_status)(void *owner, struct cg_admin_reload_status *ret_status);
    /* Takes a list to be fetched by the traffic's machinery. False: not now, it is the caller's. */
    bool (*fetch)(void *owner, struct cg_warm_order *order);
};

/* Binds settings->admin and starts the thread. NULL and a sentence in *ret_error (to be freed). */
struct cg_admin *cg_admin_start(const struct cg_admin_world *world, char **ret_error);
/* Where it listens, port resolved. Borrowed. */
const char *cg_admin_address(const struct cg_admin *admin);
/* What readyz says; false from the start. Any thread. */
void cg_admin_set_ready(struct cg_admin *admin, bool ready);
/*
 * What requests from now on are answered by; purges cover the other one too (request.h,
 * cg_machine_announce), NULL: there is none. Any thread; references are taken.
 */
void cg_admin_obey(struct cg_admin *admin, struct cg_generation *generation,
                   struct cg_generation *other);
/* Ends the thread. Takes NULL; returns NULL. */
struct cg_admin *cg_admin_stop(struct cg_admin *admin);

#endif
