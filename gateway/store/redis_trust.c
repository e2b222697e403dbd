#include <openssl/evp.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_parts.h"

/*
 * Nothing that was read is believed before the epoch is known to be of the servers that are asked:
 * see redis_store.h. The epoch holds the record that it was made under: of one primary its run id,
 * of several a digest of all.
 */

static int compare_run_ids(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void write_record(struct cg_redis_handle *handle)
{
    static const char digits[] = "0123456789abcdef";
    const char *run_ids[CG_REDIS_SHARDS_MAX];
    unsigned char digest[20];
    struct cg_buf text;
    if (handle->node_count == 1) {
        memcpy(handle->record, handle->nodes[0]->run_id, sizeof(handle->record));
        return;
    }
    for (size_t i = 0; i < handle->node_count; i++)
        run_ids[i] = handle->nodes[i]->run_id;
    qsort(run_ids, handle->node_count, sizeof(run_ids[0]), compare_run_ids);
    cg_buf_init(&text, (size_t)CG_REDIS_SHARDS_MAX * (CG_REDIS_RUN_ID_MAX + 1));
    for (size_t i = 0; i < handle->node_count; i++)
        cg_buf_printf(&text, "%s\n", run_ids[i]);
    CG_ASSERT(!text.overflowed &&
              EVP_Q_digest(NULL, "SHA1", NULL, text.bytes, text.length, digest, NULL) == 1);
    cg_buf_fini(&text);
    for (size_t i = 0; i < sizeof(digest); i++) {
        handle->record[2 * i] = digits[digest[i] >> 4];
        handle->record[2 * i + 1] = digits[digest[i] & 15];
    }
    handle->record[2 * sizeof(digest)] = '\0';
}

static void send_hello(struct cg_redis_handle *handle, bool whole);

/* The servers that were greeted are still those that the hello spoke of. */
static bool is_current(const struct cg_redis_handle *handle)
{
    return !handle->closing && handle->hello_greetings == handle->greetings;
}

static void on_hello(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    struct cg_redis *redis = handle->redis;
    if (!is_current(handle))
        return; /* another one follows, or has */
    if (cg_redis_is_noscript(reply) && index == 0) {
        send_hello(handle, true);
        return;
    }
    if (cg_redis_is_error(reply)) {
        struct cg_redis_node *node = cg_redis_bans_owner(handle);
        if (reply != NULL && node != NULL)
            cg_redis_node_complain(node, "the server cannot be used", reply->str);
        /* Greeted again, there is another hello. */
        if (node != NULL)
            cg_redis_node_give_up(node, "the server cannot be used");
        return;
    }
    CG_ASSERT(pthread_mutex_lock(&redis->trust_lock) == 0);
    memcpy(redis->trusted_record, handle->record, sizeof(handle->record));
    CG_ASSERT(pthread_mutex_unlock(&redis->trust_lock) == 0);
    handle->trusted = true;
    for (size_t i = 0; i < handle->node_count; i++) {
        handle->nodes[i]->believed = true;
        cg_redis_node_settled(handle->nodes[i]);
    }
    cg_log(CG_LOG_INFO, "redis", "connected");
    cg_redis_deliver(handle);
}

static void send_hello(struct cg_redis_handle *handle, bool whole)
{
    struct cg_redis *redis = handle->redis;
    CG_ASSERT(pthread_mutex_lock(&redis->trust_lock) == 0);
    bool other =
        redis->trusted_record[0] != '\0' && strcmp(redis->trusted_record, handle->record) != 0;
    CG_ASSERT(pthread_mutex_unlock(&redis->trust_lock) == 0);
    handle->hello_greetings = handle->greetings;
    cg_redis_bans_send(handle, other ? "renew" : "hello", whole, NULL, 0, on_hello, handle,
                       whole ? 1 : 0);
}

void cg_redis_handle_greeted(struct cg_redis_handle *handle)
{
    char before[CG_REDIS_RUN_ID_MAX];
    memcpy(before, handle->record, sizeof(before));
    write_record(handle);
    if (strcmp(before, handle->record) != 0)
        cg_redis_handle_distrust(handle);
    send_hello(handle, false);
}

void cg_redis_handle_distrust(struct cg_redis_handle *handle)
{
    handle->trusted = false;
    for (size_t i = 0; i < handle->node_count; i++)
        handle->nodes[i]->believed = false;
}

void cg_redis_trust_init(struct cg_redis *redis)
{
    CG_ASSERT(pthread_mutex_init(&redis->trust_lock, NULL) == 0);
}

void cg_redis_trust_fini(struct cg_redis *redis)
{
    CG_ASSERT(pthread_mutex_destroy(&redis->trust_lock) == 0);
}
