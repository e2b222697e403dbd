#include "gateway/store/redis_journal.h"

#include <errno.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/store/redis_spool.h"

struct cg_redis_journal {
    pthread_mutex_t lock;
    uint8_t process[CG_DIGEST_BYTES];
    struct cg_redis_spool *spool;  /* NULL without */
    struct cg_instance *instances; /* owned: the `taken` of a claim, then the others */
    struct cg_instance *fresh;     /* owned: room for those that go to the spool together */
    size_t room, count, taken;
    bool flush;       /* owed, and not taken */
    bool flush_taken; /* by the claim */
    bool claimed;
    bool doubt;
    bool flush_spooled; /* the file says flush until it is emptied: it needs no more records */
    atomic_bool owes;
    struct cg_log_gate log_gate;
};

static void lock(struct cg_redis_journal *journal)
{
    CG_ASSERT(pthread_mutex_lock(&journal->lock) == 0);
}

static void unlock(struct cg_redis_journal *journal)
{
    CG_ASSERT(pthread_mutex_unlock(&journal->lock) == 0);
}

struct cg_redis_journal *cg_redis_journal_create(size_t entries, const char *spool_path,
                                                 char **ret_error)
{
    struct cg_redis_journal *journal = calloc(1, sizeof(*journal));
    struct cg_spool content = {0};
    CG_ASSERT(journal != NULL && entries > 0);
    journal->room = entries;
    journal->instances = calloc(entries, sizeof(struct cg_instance));
    journal->fresh = calloc(entries, sizeof(struct cg_instance));
    CG_ASSERT(journal->instances != NULL && journal->fresh != NULL);
    CG_ASSERT(RAND_bytes(journal->process, sizeof(journal->process)) == 1);
    CG_ASSERT(pthread_mutex_init(&journal->lock, NULL) == 0);
    if (spool_path == NULL)
        return journal;
    journal->spool = cg_redis_spool_open(spool_path, journal->process, journal->instances, entries,
                                         &content, ret_error);
    if (journal->spool == NULL)
        return cg_redis_journal_destroy(journal);
    memcpy(journal->process, content.process, sizeof(journal->process));
    journal->count = content.count;
    journal->flush = journal->flush_spooled = content.flush || content.doubt;
    atomic_store(&journal->owes, journal->count > 0 || journal->flush);
    if (atomic_load(&journal->owes))
        cg_log(CG_LOG_WARN, "redis", "the spool owes %zu purges%s, which are delivered first",
               journal->count, journal->flush ? " and a flush" : "");
    return journal;
}

struct cg_redis_journal *cg_redis_journal_destroy(struct cg_redis_journal *journal)
{
    if (journal == NULL)
        return NULL;
    bool owes = atomic_load(&journal->owes);
    if (owes && journal->spool == NULL)
        cg_log(CG_LOG_WARN, "redis", "purges were never delivered; flush before trusting it");
    else if (owes)
        cg_log(CG_LOG_WARN, "redis", "purges were not delivered; the spool keeps them");
    if (journal->spool != NULL && !owes)
        (void)cg_redis_spool_empty(journal->spool, false);
    else if (journal->spool != NULL && journal->doubt)
        (void)cg_redis_spool_settle(journal->spool);
    cg_redis_spool_close(journal->spool);
    free(journal->instances);
    free(journal->fresh);
    CG_ASSERT(pthread_mutex_destroy(&journal->lock) == 0);
    free(journal);
    return NULL;
}

const uint8_t *cg_redis_journal_process(const struct cg_redis_journal *journal)
{
    return journal->process;
}

bool cg_redis_journal_owes(const struct cg_redis_journal *journal)
{
    return atomic_load(&journal->owes);
}

uint64_t cg_redis_journal_length(struct cg_redis_journal *journal)
{
    lock(journal);
    uint64_t length = journal->count + (journal->flush || journal->flush_taken ? 1 : 0);
    unlock(journal);
    return length;
}

/* ---- adding ---- */

/* Under the lock. Without the disk the process goes on, and says what it lost. */
static void spool(struct cg_redis_journal *journal, enum cg_spool_kind kind,
                  const struct cg_instance *ids, size_t count)
{
    uint64_t held;
    if (journal->spool == NULL || journal->flush_spooled || count == 0)
        return;
    if (cg_redis_spool_add(journal->spool, kind, ids, count)) {
        journal->flush_spooled = kind == CG_SPOOL_FLUSH;
        return;
    }
    if (cg_log_gate_open(&journal->log_gate, cg_clock_monotonic_ms(), &held))
        cg_log(CG_LOG_ERROR, "redis", "the spool cannot be written: %s", strerror(errno));
}

/* Under the lock. */
static void owe_flush(struct cg_redis_journal *journal)
{
    if (journal->flush)
        return;
    journal->flush = true;
    spool(journal, CG_SPOOL_FLUSH, NULL, 1);
}

/* Under the lock. What a delivery has taken stays at the front, and does not cover this one. */
static bool is_listed(const struct cg_redis_journal *journal, const struct cg_instance *instance)
{
    for (size_t i = journal->taken; i < journal->count; i++)
        if (cg_instance_eq(&journal->instances[i], instance))
            return true;
    return false;
}

bool cg_redis_journal_add(struct cg_redis_journal *journal, const struct cg_instance *instances,
                          const bool *which, size_t count)
{
    size_t fresh = 0;
    bool any = false;
    lock(journal);
    for (size_t i = 0; i < count; i++) {
        if (which != NULL && !which[i])
            continue;
        any = true;
        /* A flush that nobody has taken yet covers whatever comes before it leaves. */
        if (journal->flush || is_listed(journal, &instances[i]))
            continue;
        bool fits =
            journal->count < journal->room && (journal->spool == NULL || journal->flush_spooled ||
                                               fresh < cg_redis_spool_room(journal->spool));
        if (!fits) {
            owe_flush(journal);
            fresh = 0;
            continue;
        }
        journal->fresh[fresh++] = instances[i];
        journal->instances[journal->count++] = instances[i];
    }
    spool(journal, CG_SPOOL_PURGE, journal->fresh, fresh);
    if (any)
        atomic_store(&journal->owes, true);
    unlock(journal);
    return any;
}

void cg_redis_journal_add_flush(struct cg_redis_journal *journal)
{
    lock(journal);
    owe_flush(journal);
    atomic_store(&journal->owes, true);
    unlock(journal);
}

void cg_redis_journal_doubt(struct cg_redis_journal *journal)
{
    lock(journal);
    if (!journal->doubt) {
        journal->doubt = true;
        spool(journal, CG_SPOOL_DOUBT, NULL, 1);
    }
    unlock(journal);
}

/* ---- delivering ---- */

bool cg_redis_journal_claim(struct cg_redis_journal *journal, struct cg_redis_batch *ret_batch)
{
    if (!atomic_load(&journal->owes))
        return false;
    lock(journal);
    bool mine = !journal->claimed && (journal->count > 0 || journal->flush);
    if (mine) {
        journal->claimed = true;
        journal->taken = journal->count;
        /* What is delivered at once has to be answered within one timeout. */
        if (!journal->flush && journal->taken > CG_REDIS_BATCH_MAX)
            journal->taken = CG_REDIS_BATCH_MAX;
        journal->flush_taken = journal->flush;
        journal->flush = false;
        *ret_batch =
            (struct cg_redis_batch){journal->instances, journal->taken, journal->flush_taken};
    }
    unlock(journal);
    return mine;
}

bool cg_redis_journal_settle(struct cg_redis_journal *journal, bool delivered)
{
    lock(journal);
    CG_ASSERT(journal->claimed);
    if (delivered) {
        journal->count -= journal->taken;
        memmove(journal->instances, journal->instances + journal->taken,
                journal->count * sizeof(journal->instances[0]));
    } else if (journal->flush_taken) {
        journal->flush = true; /* the spool still says so */
    }
    journal->taken = 0;
    journal->flush_taken = false;
    journal->claimed = false;
    bool over = journal->count == 0 && !journal->flush;
    if (over && journal->spool != NULL && cg_redis_spool_empty(journal->spool, journal->doubt))
        journal->flush_spooled = false;
    if (over)
        atomic_store(&journal->owes, false);
    unlock(journal);
    return over;
}
