/*
 * redis_spool: the file that keeps a process's undelivered purges beyond its end (spool.h).
 *
 * Its whole room is allocated when it is opened, so that a full disk cannot refuse a purge later.
 * What was added is on the disk when the call returns. One process at a time: the file is locked
 * (flock) while it is open. Not thread-safe; the journal calls it under its lock. Writing blocks
 * the thread for as long as the disk takes, which only happens while Redis cannot be reached.
 */
#ifndef GATEWAY_STORE_REDIS_SPOOL_H
#define GATEWAY_STORE_REDIS_SPOOL_H

#include "cachegate/spool.h"

struct cg_redis_spool;

/*
 * Creates or takes over the file and says what it held; `room` takes its purges, and later at most
 * twice as many records. *ret_content names the process: as the file did, or `process`. NULL and a
 * sentence in *ret_error, to be freed, when the file cannot be used.
 */
struct cg_redis_spool *cg_redis_spool_open(const char *path, const uint8_t process[CG_DIGEST_BYTES],
                                           struct cg_instance *room, size_t room_count,
                                           struct cg_spool *ret_content, char **ret_error);
/* Takes NULL; returns NULL. The file stays. */
struct cg_redis_spool *cg_redis_spool_close(struct cg_redis_spool *spool);

/* How many more records fit; one is always kept for a flush. */
size_t cg_redis_spool_room(const struct cg_redis_spool *spool);
/* False when it did not reach the disk. `ids` NULL: a record without one. */
bool cg_redis_spool_add(struct cg_redis_spool *spool, enum cg_spool_kind kind,
                        const struct cg_instance *ids, size_t count);
/* Everything was delivered: only the header stays, and the doubt if there is one. */
bool cg_redis_spool_empty(struct cg_redis_spool *spool, bool doubt);
/* There is no doubt any more; what is owed stays. */
bool cg_redis_spool_settle(struct cg_redis_spool *spool);

#endif
