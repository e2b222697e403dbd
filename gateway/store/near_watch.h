/*
 * near_watch: what is known of versions and open purges because the store says what changes.
 *
 * A table from instances to their current tokens, and the epoch with its bans, shared by all
 * threads. It is filled by the answers of lookups and emptied by pushes: one connection of the
 * process (redis_tracking.h) is told of every change. A hit out of it asks nobody. It implements
 * CONSISTENCY row 12:
 *
 * - What a lookup brought is taken in only if nothing that it says was changed (pushed, or changed
 *   by this process) since the lookup was sent. Moments are numbers that grow with every change.
 * - Changes of this process are applied when their outcome is known, before anybody is told.
 * - A push without names, a lost connection and a new one empty all.
 * - What is here counts only as long as the connection is proven: all that was changed before some
 *   moment has arrived, and that moment is less than `timeout_ms` ago. So a hit is never older than
 *   that, whatever happened.
 *
 * It trades promise 2 for that bound, for the routes that say so (`consistency: pushed`). Time is
 * the monotonic clock (cg_clock_monotonic_ms). Any thread may call any of it.
 */
#ifndef GATEWAY_STORE_NEAR_WATCH_H
#define GATEWAY_STORE_NEAR_WATCH_H

#include "gateway/store/near_copies.h"

enum { CG_NEAR_SERVER_MAX = 64 };

struct cg_near_watch;

struct cg_near_watch *cg_near_watch_create(size_t tokens_max, uint32_t timeout_ms);
/* Takes NULL; returns NULL. */
struct cg_near_watch *cg_near_watch_destroy(struct cg_near_watch *watch);

/* ---- whoever listens for pushes ---- */

/* From now on every change on that server (its name is compared, no more) will be pushed. */
void cg_near_watch_attach(struct cg_near_watch *watch, const char *server);
/* Pushes may have been lost. Idempotent. */
void cg_near_watch_detach(struct cg_near_watch *watch);
/* Every change before `moment_ms` has been pushed, and applied here. */
void cg_near_watch_proven(struct cg_near_watch *watch, int64_t moment_ms);
/* Whether it is attached and proven now. */
bool cg_near_watch_is_up(struct cg_near_watch *watch);
/* How many tokens are known. */
size_t cg_near_watch_tokens(struct cg_near_watch *watch);

/* ---- changes, pushed or our own ---- */

void cg_near_watch_instance_changed(struct cg_near_watch *watch,
                                    const struct cg_instance *instance);
void cg_near_watch_epoch_changed(struct cg_near_watch *watch);
void cg_near_watch_all_changed(struct cg_near_watch *watch);

/* ---- lookups ---- */

/* To be taken before a lookup is sent. */
uint64_t cg_near_watch_moment(struct cg_near_watch *watch);
/* What the lookup sent at `moment` brought (result OK). */
void cg_near_watch_learn(struct cg_near_watch *watch, uint64_t moment,
                         const struct cg_instance *instances, const struct cg_store_view *view,
                         size_t count);

/* One handle's memory of what changes rarely, so that hits share no lock for it. Zeroed at first.
 */
struct cg_near_sight {
    uint64_t stamp;
    bool known;
    struct cg_epoch epoch;
    struct cg_bans *bans; /* one reference */
    char server[CG_NEAR_SERVER_MAX];
};
void cg_near_sight_fini(struct cg_near_sight *sight);

/*
 * Whether `copy` is current as far as is known, on that server. Fills in versions, epoch and bans
 * of *ret_view (not NULL), with one reference to the bans for the caller.
 */
bool cg_near_watch_confirms(struct cg_near_watch *watch, struct cg_near_sight *sight,
                            const struct cg_near_copy *copy, const char *server,
                            struct cg_store_view *ret_view);

#endif
