#include "cachegate/assert.h"
#include "cachegate/version_value.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_parts.h"

/*
 * One MGET of entry, versions and epoch where one server owns all keys. A Cluster refuses that
 * across slots, so there each key is asked for by itself, all at once: what goes to one server
 * leaves in one write. The keys are then read at different moments, which is good enough: each is
 * read after the lookup began, so a purge that was acknowledged before is seen.
 */

void cg_redis_take_epoch(struct cg_redis_call *call, struct cg_str text)
{
    struct cg_str record;
    call->has_epoch = cg_redis_epoch_read(text, &call->view.epoch, &record);
}

static void take_version(struct cg_redis_call *call, size_t index, const redisReply *reply,
                         int64_t now_ms)
{
    bool ended;
    cg_version_value_read(cg_redis_reply_str(reply), now_ms, &call->view.versions[index], &ended);
}

static void take_entry(struct cg_redis_call *call, const redisReply *reply)
{
    if (!cg_str_empty(cg_redis_reply_str(reply)))
        call->view.entry = cg_redis_reply_take(reply);
}

/* ---- one server ---- */

/* `index`: how many entries were asked for, before the versions and the epoch. */
static void on_all(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_call *call = owner;
    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY ||
        reply->elements != call->count + 1 + index) {
        call->failed = true;
        cg_redis_call_step(call);
        return;
    }
    int64_t now_ms = cg_now_ms(call->handle->clock);
    for (size_t i = 0; i < call->count; i++)
        take_version(call, i, reply->element[index + i], now_ms);
    cg_redis_take_epoch(call, cg_redis_reply_str(reply->element[index + call->count]));
    /* Without an epoch nothing is known about open purges: no entry matches. */
    if (index == 1 && call->has_epoch)
        take_entry(call, reply->element[0]);
    cg_redis_call_step(call);
}

static void ask_for_all(struct cg_redis_call *call, const struct cg_key *key,
                        const struct cg_instance *instances)
{
    const struct cg_redis *redis = call->handle->redis;
    struct cg_redis_words words; /* large: not zeroed for each lookup */
    char keys[CG_INSTANCES_MAX + 2][CG_REDIS_KEY_MAX];
    size_t count = call->count;
    struct cg_str epoch_key = cg_redis_bans_key(redis, "epoch", keys[count]);
    words.count = 0;
    cg_redis_words_add(&words, CG_STR("MGET"));
    if (key != NULL)
        cg_redis_words_add(&words, cg_redis_entry_key(redis, key, keys[count + 1]));
    for (size_t i = 0; i < count; i++)
        cg_redis_words_add(&words, cg_redis_version_key(redis, &instances[i], keys[i]));
    cg_redis_words_add(&words, epoch_key);
    cg_redis_call_send(call, CG_REDIS_READS, epoch_key, &words, on_all, key == NULL ? 0 : 1);
}

/* ---- a Cluster ---- */

/* `index`: of the version, then the epoch, then the entry. */
static void on_part(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_call *call = owner;
    if (reply == NULL || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL))
        call->failed = true;
    else if (index < call->count)
        take_version(call, index, reply, cg_now_ms(call->handle->clock));
    else if (index == call->count)
        cg_redis_take_epoch(call, cg_redis_reply_str(reply));
    else
        take_entry(call, reply);
    cg_redis_call_step(call);
}

static void ask_for(struct cg_redis_call *call, struct cg_str key, size_t index)
{
    struct cg_redis_words words = {0};
    if (call->failed)
        return;
    cg_redis_words_add(&words, CG_STR("GET"));
    cg_redis_words_add(&words, key);
    cg_redis_call_send(call, CG_REDIS_READS, key, &words, on_part, index);
}

static void ask_for_each(struct cg_redis_call *call, const struct cg_key *key,
                         const struct cg_instance *instances)
{
    const struct cg_redis *redis = call->handle->redis;
    char room[CG_REDIS_KEY_MAX];
    for (size_t i = 0; i < call->count; i++)
        ask_for(call, cg_redis_version_key(redis, &instances[i], room), i);
    ask_for(call, cg_redis_bans_key(redis, "epoch", room), call->count);
    if (key != NULL)
        ask_for(call, cg_redis_entry_key(redis, key, room), call->count + 1);
}

void cg_redis_start_lookup(struct cg_redis_call *call, const struct cg_key *key,
                           const struct cg_instance *instances, size_t count)
{
    cg_redis_call_views(call, count);
    if (call->handle->one_shard)
        ask_for_all(call, key, instances);
    else
        ask_for_each(call, key, instances);
    cg_redis_call_step(call);
}
