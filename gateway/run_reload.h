/*
 * run_reload: what a running gateway does to get another configuration in force: reads the same
 * file, flags and environment again, judges all of it, and exchanges it on all threads.
 */
#ifndef GATEWAY_RUN_RELOAD_H
#define GATEWAY_RUN_RELOAD_H

#include "gateway/admin/admin.h"
#include "gateway/config/settings_load.h"
#include "gateway/front/server.h"
#include "gateway/reload/reload.h"
#include "gateway/store/memory.h"
#include "gateway/store/outage_memory.h"
#include "gateway/store/redis_store.h"

/* The parts that take notice; all borrowed, and NULL where there are none. */
struct cg_run_parts {
    const struct cg_settings_source *source;
    struct cg_server *server;
    struct cg_admin *admin;
    struct cg_memory *memory;
    struct cg_outage_memory *outage;
    struct cg_redis *redis;
    struct cg_book *book;
    atomic_uint *generations_alive;
};

struct cg_run_reload;

/* `generation` is in force. Starts the thread that waits for reasons to change it. */
struct cg_run_reload *cg_run_reload_start(const struct cg_run_parts *parts,
                                          struct cg_generation *generation);
/* Any thread; as cg_reload_ask. */
void cg_run_reload_ask(struct cg_run_reload *run, cg_reload_done_fn on_done, void *owner);
void cg_run_reload_status(struct cg_run_reload *run, struct cg_admin_reload_status *ret_status);
/* After it was stopped: what is in force. Borrowed until the end. */
const struct cg_settings *cg_run_reload_settings(const struct cg_run_reload *run);
/* Before the parts end: no change is begun any more. Takes NULL. */
void cg_run_reload_stop(struct cg_run_reload *run);
/* When nobody asks any more. Takes NULL; returns NULL. */
struct cg_run_reload *cg_run_reload_destroy(struct cg_run_reload *run);

#endif
