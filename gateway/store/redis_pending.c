#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_parts.h"

enum { DELIVER_AGAIN_MS = 50 };

static void lock(struct cg_redis_pending *pending)
{
    CG_ASSERT(pthread_mutex_lock(&pending->lock) == 0);
}

static void unlock(struct cg_redis_pending *pending)
{
    CG_ASSERT(pthread_mutex_unlock(&pending->lock) == 0);
}

void cg_redis_pending_init(struct cg_redis *redis)
{
    struct cg_redis_pending *pending = &redis->pending;
    pending->instances = calloc(CG_REDIS_PENDING_MAX, sizeof(struct cg_instance));
    CG_ASSERT(pending->instances != NULL);
    CG_ASSERT(pthread_mutex_init(&pending->lock, NULL) == 0);
}

void cg_redis_pending_fini(struct cg_redis *redis)
{
    struct cg_redis_pending *pending = &redis->pending;
    if (atomic_load(&pending->distrust))
        cg_log(CG_LOG_WARN, "redis", "purges were never delivered; flush before trusting it");
    free(pending->instances);
    CG_ASSERT(pthread_mutex_destroy(&pending->lock) == 0);
}

/* ---- keeping ---- */

/* Under the lock. What a delivery has taken stays at the front. */
static void add(struct cg_redis_pending *pending, const struct cg_instance *instance)
{
    for (size_t i = pending->taken; i < pending->count; i++)
        if (cg_instance_eq(&pending->instances[i], instance))
            return;
    if (pending->count == CG_REDIS_PENDING_MAX)
        pending->flush = true; /* covers them all, and what follows */
    if (!pending->flush)
        pending->instances[pending->count++] = *instance;
}

static void deliver_soon(struct cg_redis_handle *handle)
{
    if (!handle->closing)
        cg_timer_arm(handle->clock, &handle->delivery, DELIVER_AGAIN_MS);
}

void cg_redis_pend(struct cg_redis_handle *handle, const struct cg_instance *instances,
                   const bool *which, size_t count)
{
    struct cg_redis_pending *pending = &handle->redis->pending;
    bool any = false;
    lock(pending);
    for (size_t i = 0; i < count; i++)
        if (which == NULL || which[i]) {
            add(pending, &instances[i]);
            any = true;
        }
    if (any)
        atomic_store(&pending->distrust, true);
    unlock(pending);
    if (any)
        deliver_soon(handle);
}

void cg_redis_pend_flush(struct cg_redis_handle *handle)
{
    struct cg_redis_pending *pending = &handle->redis->pending;
    lock(pending);
    pending->flush = true;
    atomic_store(&pending->distrust, true);
    unlock(pending);
    deliver_soon(handle);
}

/* ---- delivering ---- */

static void on_delivered(void *owner, enum cg_store_result result)
{
    struct cg_redis_handle *handle = owner;
    struct cg_redis_pending *pending = &handle->redis->pending;
    bool good = result == CG_STORE_OK;
    lock(pending);
    if (good) {
        pending->count -= pending->taken;
        memmove(pending->instances, pending->instances + pending->taken,
                pending->count * sizeof(pending->instances[0]));
    } else if (pending->flush_taken) {
        pending->flush = true;
    }
    pending->taken = 0;
    pending->flush_taken = false;
    pending->claimed = false;
    bool over = pending->count == 0 && !pending->flush;
    if (over)
        atomic_store(&pending->distrust, false);
    unlock(pending);
    if (over)
        cg_log(CG_LOG_INFO, "redis", "all pending purges were delivered");
    else
        deliver_soon(handle);
}

/* A flush covers the instances too. What is added meanwhile comes next. */
void cg_redis_deliver(struct cg_redis_handle *handle)
{
    static const struct cg_ban everything;
    struct cg_redis_pending *pending = &handle->redis->pending;
    if (!atomic_load(&pending->distrust))
        return;
    if (!handle->trusted) {
        deliver_soon(handle);
        return;
    }
    lock(pending);
    bool mine = !pending->claimed && (pending->count > 0 || pending->flush);
    bool flush = pending->flush;
    size_t count = pending->count;
    if (mine) {
        pending->claimed = true;
        pending->taken = count;
        pending->flush_taken = flush;
        pending->flush = false;
    }
    unlock(pending);
    if (!mine) {
        deliver_soon(handle); /* whoever has it may fail */
        return;
    }
    struct cg_redis_call *call =
        cg_redis_call_create(handle, flush ? CG_REDIS_BAN : CG_REDIS_CHANGE, handle);
    call->answer_done = on_delivered;
    call->internal = true;
    if (flush) {
        cg_redis_start_bans(call, &everything, 1);
        return;
    }
    /* The front of the list is nobody else's until it was delivered. */
    cg_redis_start_changes(call, pending->instances, count, CG_REDIS_PURGE);
}
