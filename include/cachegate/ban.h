/*
 * ban: open purges, whose instances cannot be named one by one (wildcards, widened patterns,
 * flushes).
 *
 * A snapshot is immutable and reference-counted; appending makes a new one. It is complete from
 * `first` on: an entry whose epoch is older than that, or of another generation, is dead whatever
 * it holds, so trimming the list can only cause misses. It also says which routes all gateways
 * agreed on when it was made: whoever comes with other rules moves the epoch.
 */
#ifndef CACHEGATE_BAN_H
#define CACHEGATE_BAN_H

#include "cachegate/path.h"
#include "cachegate/version.h"

enum { CG_BANS_MAX = 1024, CG_BAN_TEXT_MAX = 8192 };

/*
 * One open purge: a pattern in the rule language whose holes were filled in (values
 * percent-encoded, so that they cannot be mistaken for syntax) or left as `*`; empty: everything.
 * `user`: only answers of that plain user value; empty: of everyone.
 */
struct cg_ban {
    struct cg_str pattern;
    struct cg_str user;
};

struct cg_bans;

struct cg_bans *cg_bans_create(uint64_t generation);
struct cg_bans *cg_bans_ref(struct cg_bans *bans);
/* Takes NULL; returns NULL. */
struct cg_bans *cg_bans_unref(struct cg_bans *bans);
/*
 * A new snapshot with `count` bans appended, each raising the counter by one; those appended before
 * `now_ms - horizon_ms` and those beyond CG_BANS_MAX are dropped. A pattern that does not compile
 * or is over CG_BAN_TEXT_MAX counts as "everything".
 */
struct cg_bans *cg_bans_append(const struct cg_bans *bans, const struct cg_ban *added, size_t count,
                               int64_t now_ms, uint64_t horizon_ms);
/*
 * The snapshot of a history kept elsewhere, which ends at `epoch` with these `count` bans (at most
 * CG_BANS_MAX and epoch.counter), oldest first; what was stored before the first of them is dead.
 */
struct cg_bans *cg_bans_restore(struct cg_epoch epoch, const struct cg_ban *added, size_t count,
                                int64_t now_ms);
/* Before the snapshot is shared: of the routes, all gateways agree on that set only (agreement.h).
 * Copied. */
void cg_bans_restrict(struct cg_bans *bans, struct cg_str route_set);
/* Whether all of them agree on the route of that digest (cg_route_digest). */
bool cg_bans_agree(const struct cg_bans *bans, const uint8_t digest[CG_DIGEST_BYTES]);
struct cg_epoch cg_bans_epoch(const struct cg_bans *bans);
size_t cg_bans_count(const struct cg_bans *bans);
/* Whether an answer to that path and query, stored under `epoch`, is covered. */
bool cg_bans_cover(const struct cg_bans *bans, struct cg_epoch epoch, const struct cg_path *path,
                   const struct cg_query *query, struct cg_str user);

#endif
