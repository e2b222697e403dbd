/*
 * reload: the thread that changes what is in force, when it is asked to or when files change.
 *
 * It knows when to try, not what there is to do: reading, judging and exchanging are hooks, called
 * on its thread, one attempt at a time. Who asks while an attempt runs gets the next one. An
 * attempt that files changed under is read again before anything is exchanged, so that no half of a
 * set gets in force.
 */
#ifndef GATEWAY_RELOAD_RELOAD_H
#define GATEWAY_RELOAD_RELOAD_H

#include "cachegate/buf.h"

struct cg_reload;

enum cg_reload_watch {
    CG_RELOAD_WATCH_OFF,
    CG_RELOAD_WATCH_POLL,
    CG_RELOAD_WATCH_ON, /* events, and polls */
};

struct cg_reload_hooks {
    void *owner;
    /* Reads and judges. Adds a line to the report for each mistake and warning. False: nothing was
     * loaded. */
    bool (*load)(void *owner, struct cg_buf *report);
    /* What was loaded gets in force. False: the process ends. */
    bool (*exchange)(void *owner);
    /* What was loaded is not wanted. */
    void (*discard)(void *owner);
    /* The files that matter now; borrowed until the next call of a hook. */
    size_t (*files)(void *owner, const char *const **ret_files);
    /* Whether they have changed since what is in force was read; asked once, at the start. */
    bool (*changed)(void *owner);
};

/* On the reload thread; `report` has a line for each mistake or warning. */
typedef void (*cg_reload_done_fn)(void *owner, bool good, struct cg_str report);

enum { CG_RELOAD_ERROR_MAX = 512, CG_RELOAD_REPORT_BYTES_MAX = 1 << 20 };

struct cg_reload_status {
    bool successful;                 /* the last attempt; true before the first */
    int64_t since_ms;                /* wall clock: of the last that was successful, or the start */
    char error[CG_RELOAD_ERROR_MAX]; /* the first mistake; "" when successful */
};

struct cg_reload *cg_reload_start(const struct cg_reload_hooks *hooks, enum cg_reload_watch watch,
                                  uint32_t debounce_ms, uint32_t poll_ms);
/* From any thread. `on_done` may be NULL; else it is called once, also when the thread ends. */
void cg_reload_ask(struct cg_reload *reload, cg_reload_done_fn on_done, void *owner);
/* From any thread. */
void cg_reload_status(struct cg_reload *reload, struct cg_reload_status *ret_status);
/* Waits for the attempt that runs, which whoever calls must let end; who asks from then on is told
 * so at once. */
void cg_reload_stop(struct cg_reload *reload);
/* After it was stopped, and when nobody asks any more. Takes NULL; returns NULL. */
struct cg_reload *cg_reload_destroy(struct cg_reload *reload);

#endif
