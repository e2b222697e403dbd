/*
 * redis_journal: the purges of this process that no Redis has acknowledged yet.
 *
 * Whoever could not deliver a purge adds it here before anybody is told; from that moment until all
 * of them were delivered no thread of the process believes what it reads (CONSISTENCY row 3).
 * Bounded: more than `entries` become one flush. With a spool file they outlive the process, and
 * a later one owes them from its start. It neither connects nor sends: a thread claims what is
 * there, purges it under fresh tokens (repeating does no harm), and settles. Thread-safe.
 */
#ifndef GATEWAY_STORE_REDIS_JOURNAL_H
#define GATEWAY_STORE_REDIS_JOURNAL_H

#include "cachegate/version.h"

enum { CG_REDIS_BATCH_MAX = 1024 };

struct cg_redis_journal;

/* What one thread delivers, at most CG_REDIS_BATCH_MAX of them unless it is a flush; the instances
 * are the journal's and stay until it settles. */
struct cg_redis_batch {
    const struct cg_instance *instances;
    size_t count;
    bool flush; /* covers the instances too */
};

/* `spool_path` NULL: it ends with the process. NULL and a sentence, to be freed, in *ret_error. */
struct cg_redis_journal *cg_redis_journal_create(size_t entries, const char *spool_path,
                                                 char **ret_error);
/*
 * Orderly: no write is in progress any more, so there is no doubt, only what is still owed. Takes
 * NULL; returns NULL.
 */
struct cg_redis_journal *cg_redis_journal_destroy(struct cg_redis_journal *journal);

/* Who this process is to the store: random, but as in the spool file if there is one. */
const uint8_t *cg_redis_journal_process(const struct cg_redis_journal *journal);
/* Those of `instances` for which `which` says so; NULL: all. False when there was none. */
bool cg_redis_journal_add(struct cg_redis_journal *journal, const struct cg_instance *instances,
                          const bool *which, size_t count);
void cg_redis_journal_add_flush(struct cg_redis_journal *journal);
/* A write may go out that nothing in the store marks: should this process die, its spool stands
 * for a flush. Lasts until an orderly end. */
void cg_redis_journal_doubt(struct cg_redis_journal *journal);

/* True from the first add until all was delivered. Cheap: asked before every lookup. */
bool cg_redis_journal_owes(const struct cg_redis_journal *journal);
/* Purges that are owed, a flush being one. */
uint64_t cg_redis_journal_length(struct cg_redis_journal *journal);
/* False when there is nothing, or another thread delivers it just now. */
bool cg_redis_journal_claim(struct cg_redis_journal *journal, struct cg_redis_batch *ret_batch);
/* Ends the claim. True when nothing is owed any more. */
bool cg_redis_journal_settle(struct cg_redis_journal *journal, bool delivered);

#endif
