/*
 * recent: the last purges of this process, for people who ask why an answer is gone.
 *
 * A ring of fixed size under a mutex: noting never fails and never allocates, and what does not fit
 * is cut. Purges are rare beside reads and talk to the store anyway, so a mutex costs nothing that
 * shows. It holds what rules say (names of routes, patterns with their placeholders unfilled) and
 * never what requests say: whoever reaches the admin listener may read it.
 */
#ifndef GATEWAY_BASE_RECENT_H
#define GATEWAY_BASE_RECENT_H

#include <stdbool.h>
#include <stdint.h>

#include "cachegate/str.h"

enum { CG_RECENT_PURGES_MAX = 256, CG_RECENT_ROUTE_BYTES = 128, CG_RECENT_SHAPE_BYTES = 384 };

/* One purge. Texts end with a NUL; UTF-8 is cut between characters. */
struct cg_recent_purge {
    uint64_t number;                   /* 1 is the first of the process */
    int64_t at_ms;                     /* wall time */
    const char *cause;                 /* static */
    char route[CG_RECENT_ROUTE_BYTES]; /* empty: no route is behind it */
    char shape[CG_RECENT_SHAPE_BYTES]; /* the patterns, as the rules write them; may be empty */
    uint64_t instances;
    uint64_t open; /* open purges: wildcards, widened patterns, flushes */
    bool widened;
};

/* What its caller knows. All borrowed but `cause`, which must be static. */
struct cg_recent_note {
    int64_t at_ms;
    const char *cause;
    struct cg_str route;
    const struct cg_str *shapes;
    size_t shape_count;
    uint64_t instances, open;
    bool widened;
};

struct cg_recent;

/* The one of this process. It is there before main and never ends. */
struct cg_recent *cg_recent_process(void);
struct cg_recent *cg_recent_create(void);
/* Takes NULL; returns NULL. */
struct cg_recent *cg_recent_destroy(struct cg_recent *recent);

/* Any thread. */
void cg_recent_add(struct cg_recent *recent, const struct cg_recent_note *note);
/* Copies the newest `room` purges numbered above `after`, newest first. Returns how many. */
size_t cg_recent_read(struct cg_recent *recent, uint64_t after, struct cg_recent_purge *ret_purges,
                      size_t room);
/* How many were ever noted. */
uint64_t cg_recent_count(struct cg_recent *recent);

#endif
