#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_journal.h"
#include "gateway/store/redis_parts.h"

struct cg_redis_call *cg_redis_call_create(struct cg_redis_handle *handle, enum cg_redis_kind kind,
                                           void *owner)
{
    struct cg_redis_call *call = cg_recycler_take(&handle->calls);
    memset(call, 0, offsetof(struct cg_redis_call, view));
    memset(&call->view, 0, offsetof(struct cg_store_view, versions));
    call->handle = handle;
    call->kind = kind;
    call->owner = owner;
    call->remaining = 1; /* until all is sent */
    call->started_us = cg_clock_monotonic_us();
    return call;
}

void cg_redis_call_views(struct cg_redis_call *call, size_t count)
{
    CG_ASSERT(count <= CG_INSTANCES_MAX);
    call->count = count;
    memset(call->view.versions, 0, count * sizeof(call->view.versions[0]));
}

void cg_redis_call_changes(struct cg_redis_call *call, const struct cg_redis_node *node)
{
    const struct cg_redis_handle *handle = call->handle;
    for (size_t i = 0; i < handle->node_count && handle->wait_replicas > 0; i++)
        if (handle->nodes[i] == node)
            call->unwaited |= UINT64_C(1) << i;
}

void cg_redis_call_send(struct cg_redis_call *call, enum cg_redis_lane lane, struct cg_str key,
                        const struct cg_redis_words *words, cg_redis_reply_fn answer, size_t index)
{
    struct cg_redis_node *node = cg_redis_owner_of(call->handle, key);
    call->remaining++;
    if (node == NULL || !node->believed ||
        !cg_redis_send_to(call->handle, lane, node, words, answer, call, index)) {
        call->failed = true;
        call->remaining--;
    } else if (lane == CG_REDIS_WRITES) {
        cg_redis_call_changes(call, node);
    }
}

static void on_replicated(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_call *call = owner;
    (void)index;
    if (!cg_redis_is_replicated(call->handle, reply))
        call->failed = true;
    cg_redis_call_step(call);
}

void cg_redis_call_replicate(struct cg_redis_call *call)
{
    struct cg_redis_handle *handle = call->handle;
    for (size_t i = 0; i < handle->node_count && call->unwaited != 0; i++) {
        uint64_t bit = UINT64_C(1) << i;
        if ((call->unwaited & bit) == 0)
            continue;
        call->unwaited &= ~bit;
        call->remaining++;
        if (!cg_redis_send_wait(handle, handle->nodes[i], on_replicated, call, 0)) {
            call->failed = true;
            call->remaining--;
        }
    }
    call->unwaited = 0;
}

void cg_redis_call_step(struct cg_redis_call *call)
{
    CG_ASSERT(call->remaining > 0);
    if (--call->remaining > 0)
        return;
    if (call->answer_view != NULL && !call->failed)
        cg_redis_bans_then_answer(call);
    else
        cg_redis_call_finish(call);
}

/* Before the answer: who is told that a purge failed may release a write. */
static void pend(const struct cg_redis_call *call)
{
    if (call->internal)
        return;
    if (call->kind == CG_REDIS_BAN)
        cg_redis_pend_flush(call->handle);
    else if (call->kind == CG_REDIS_CHANGE && call->renew != NULL)
        cg_redis_pend(call->handle, call->instances, call->renew, call->count);
    else if (call->kind == CG_REDIS_CHANGE && call->change == CG_REDIS_PURGE)
        cg_redis_pend(call->handle, call->instances, NULL, call->count);
}

void cg_redis_call_finish(struct cg_redis_call *call)
{
    struct cg_redis_handle *handle = call->handle;
    enum cg_store_result result = call->full     ? CG_STORE_FULL
                                  : call->failed ? CG_STORE_UNAVAILABLE
                                                 : CG_STORE_OK;
    if (call->failed && call->kind == CG_REDIS_CHANGE && call->change == CG_REDIS_MARK)
        cg_redis_journal_doubt(handle->redis->journal);
    if (call->failed)
        pend(call);
    else
        handle->latency_ms = (double)(cg_clock_monotonic_us() - call->started_us) / 1000;
    if (handle->closing && !call->internal) {
        /* Its owner is gone. */
    } else if (call->answer_view != NULL) {
        struct cg_bans *bans = call->failed ? NULL : cg_bans_ref(call->view.bans);
        call->view.result = result;
        call->view.bans = bans;
        call->view.given = &call->view.entry;
        call->answer_view(call->owner, &call->view);
        cg_bans_unref(bans);
    } else {
        call->answer_done(call->owner, result);
    }
    cg_blob_unref(call->view.entry);
    cg_recycler_give(&handle->calls, call);
}

/* ---- scripts on versions ---- */

bool cg_redis_call_wants_text(struct cg_redis_call *call, const redisReply *reply)
{
    return cg_redis_is_noscript(reply) && call->whole_sent++ < call->count;
}

void cg_redis_call_change(struct cg_redis_call *call, size_t index, bool whole,
                          cg_redis_reply_fn answer)
{
    struct cg_redis *redis = call->handle->redis;
    struct cg_redis_words words = {0};
    struct cg_token fresh = cg_redis_new_token(call->handle);
    char room[CG_REDIS_KEY_MAX], lives[24], life[24];
    struct cg_str key = cg_redis_version_key(redis, &call->instances[index], room);
    char change = (char)call->change;
    if (call->renew != NULL)
        change = call->renew[index] ? CG_REDIS_RENEW : CG_REDIS_KEEP;
    if (call->kind == CG_REDIS_PREPARE)
        change = CG_REDIS_SETTLE;
    cg_redis_script_begin(&words, &redis->version_script, whole);
    cg_redis_words_add(&words, CG_STR("1"));
    cg_redis_words_add(&words, key);
    cg_redis_words_add(&words, cg_str_of(&change, 1));
    cg_redis_words_add(&words, cg_str_of((const char *)fresh.bytes, sizeof(fresh.bytes)));
    cg_redis_words_add(&words, cg_redis_lifetime(redis, life));
    cg_redis_words_add(&words, cg_str_of((const char *)call->writer.id, sizeof(call->writer.id)));
    cg_redis_words_add(&words, cg_redis_number(call->lives_ms, lives));
    /* A settled version is no purge: when a failover forgets it, it is absent. */
    enum cg_redis_lane lane = call->kind == CG_REDIS_PREPARE ? CG_REDIS_READS : CG_REDIS_WRITES;
    cg_redis_call_send(call, lane, key, &words, answer, index);
}

static void on_changed(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_call *call = owner;
    if (cg_redis_call_wants_text(call, reply)) {
        cg_redis_call_change(call, index, true, on_changed);
        cg_redis_call_replicate(call);
    } else if (cg_redis_is_error(reply)) {
        call->failed = true;
    }
    cg_redis_call_step(call);
}

void cg_redis_start_changes(struct cg_redis_call *call, const struct cg_instance *instances,
                            size_t count, enum cg_redis_change change)
{
    call->instances = instances;
    call->count = count;
    call->change = change;
    /* Where one of several servers is away the others are told all the same. */
    bool stop = call->failed;
    for (size_t i = 0; i < count && !stop; i++) {
        cg_redis_call_change(call, i, false, on_changed);
        stop = call->failed && call->handle->one_shard;
    }
    cg_redis_call_replicate(call);
    cg_redis_call_step(call);
}
