#include "gateway/base/clock.h"
#include "gateway/store/redis_journal.h"
#include "gateway/store/redis_parts.h"

/* What is owed is delivered by whichever thread gets to it first, each trying by its own timer. */
enum { DELIVER_AGAIN_MS = 50 };

static void deliver_soon(struct cg_redis_handle *handle)
{
    if (!handle->closing)
        cg_timer_arm(handle->clock, &handle->delivery, DELIVER_AGAIN_MS);
}

void cg_redis_pend(struct cg_redis_handle *handle, const struct cg_instance *instances,
                   const bool *which, size_t count)
{
    if (cg_redis_journal_add(handle->redis->journal, instances, which, count))
        deliver_soon(handle);
}

void cg_redis_pend_flush(struct cg_redis_handle *handle)
{
    cg_redis_journal_add_flush(handle->redis->journal);
    deliver_soon(handle);
}

static void on_delivered(void *owner, enum cg_store_result result)
{
    struct cg_redis_handle *handle = owner;
    bool delivered = result == CG_STORE_OK;
    if (!cg_redis_journal_settle(handle->redis->journal, delivered)) {
        if (delivered)
            cg_redis_deliver(handle);
        else
            deliver_soon(handle);
        return;
    }
    cg_log(CG_LOG_INFO, "redis", "all purges were delivered");
    if (!handle->closing)
        cg_redis_member_beat(handle);
}

/* A flush covers the instances too. What is added meanwhile comes next. */
void cg_redis_deliver(struct cg_redis_handle *handle)
{
    static const struct cg_ban everything;
    struct cg_redis_batch batch;
    if (!cg_redis_journal_owes(handle->redis->journal) || handle->closing)
        return;
    if (!cg_redis_trusts(handle) || !cg_redis_journal_claim(handle->redis->journal, &batch)) {
        deliver_soon(handle); /* whoever has claimed it may fail */
        return;
    }
    struct cg_redis_call *call =
        cg_redis_call_create(handle, batch.flush ? CG_REDIS_BAN : CG_REDIS_CHANGE, handle);
    call->answer_done = on_delivered;
    call->internal = true;
    if (batch.flush)
        cg_redis_start_bans(call, &everything, 1);
    else
        cg_redis_start_changes(call, batch.instances, batch.count, CG_REDIS_PURGE);
}
