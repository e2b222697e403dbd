#include "gateway/store/redis_store.h"

#include <openssl/rand.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_parts.h"

/* How much longer versions and the epoch live than any answer: the longest marks with all renewals
 * that a gateway may still send. */
static const uint64_t margin_ms = 3 * 60 * 60 * 1000;
static const uint64_t lifetime_longest_ms = UINT64_C(3650) * 24 * 60 * 60 * 1000;

bool cg_redis_usable(const struct cg_redis_handle *handle)
{
    return handle->ready && !atomic_load(&handle->redis->pending.distrust);
}

/* ---- what the threads share ---- */

struct cg_redis *cg_redis_create(const struct cg_settings *settings, char **ret_error)
{
    struct cg_redis *redis = calloc(1, sizeof(*redis));
    CG_ASSERT(redis != NULL);
    redis->settings = settings;
    if (!cg_redis_peer_init(&redis->peer, settings->redis_url, ret_error)) {
        cg_redis_peer_fini(&redis->peer);
        free(redis);
        return NULL;
    }
    uint64_t longest_ms = settings->ruleset == NULL ? 0 : settings->ruleset->lifetime_max_ms;
    if (longest_ms > lifetime_longest_ms)
        longest_ms = lifetime_longest_ms;
    cg_redis_number(longest_ms + margin_ms, redis->lifetime_ms);
    cg_redis_keys_init(redis);
    cg_redis_scripts_init(redis);
    cg_redis_pending_init(redis);
    CG_ASSERT(pthread_mutex_init(&redis->trust_lock, NULL) == 0);
    return redis;
}

struct cg_redis *cg_redis_destroy(struct cg_redis *redis)
{
    if (redis == NULL)
        return NULL;
    cg_redis_pending_fini(redis);
    cg_redis_keys_fini(redis);
    cg_redis_peer_fini(&redis->peer);
    CG_ASSERT(pthread_mutex_destroy(&redis->trust_lock) == 0);
    free(redis);
    return NULL;
}

/* ---- the greeting ---- */

static void complain(struct cg_redis_handle *handle, const char *what, const char *why)
{
    uint64_t held;
    if (cg_log_gate_open(&handle->log_gate, cg_clock_monotonic_ms(), &held))
        cg_log(CG_LOG_WARN, "redis", "%s: %s (%llu more were not logged)", what, why,
               (unsigned long long)held);
}

static const char *reason_of(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected reply";
}

static void give_up(struct cg_redis_handle *handle, const char *what, const redisReply *reply)
{
    if (reply == NULL) /* lost; the link has said so */
        return;
    complain(handle, what, reason_of(reply));
    cg_redis_link_give_up(&handle->link);
}

/* The server's run id among the lines of INFO. */
static bool find_run_id(struct cg_str info, char ret_run_id[CG_REDIS_RUN_ID_MAX])
{
    struct cg_str line;
    while (cg_str_split(&info, '\n', &line)) {
        if (!cg_str_starts_with(line, CG_STR("run_id:")))
            continue;
        struct cg_str run_id = cg_str_skip(line, 7);
        if (cg_str_ends_with(run_id, CG_STR("\r")))
            run_id.length--;
        if (cg_str_empty(run_id) || run_id.length >= CG_REDIS_RUN_ID_MAX ||
            cg_str_find(run_id, ':') < run_id.length)
            return false;
        memcpy(ret_run_id, run_id.bytes, run_id.length);
        ret_run_id[run_id.length] = '\0';
        return true;
    }
    return false;
}

static void send_hello(struct cg_redis_handle *handle, bool whole);

static void on_hello(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    struct cg_redis *redis = handle->redis;
    if (cg_redis_is_noscript(reply) && index == 0) {
        send_hello(handle, true);
        return;
    }
    if (reply == NULL || handle->ready)
        return;
    if (cg_redis_is_error(reply)) {
        give_up(handle, "the server cannot be used", reply);
        return;
    }
    CG_ASSERT(pthread_mutex_lock(&redis->trust_lock) == 0);
    memcpy(redis->trusted_run_id, handle->run_id, sizeof(handle->run_id));
    CG_ASSERT(pthread_mutex_unlock(&redis->trust_lock) == 0);
    handle->ready = true;
    cg_redis_link_settled(&handle->link);
    cg_log(CG_LOG_INFO, "redis", "connected");
    cg_redis_deliver(handle);
}

/* Nothing is believed before the epoch is known to be of this server: see redis_store.h. */
static void send_hello(struct cg_redis_handle *handle, bool whole)
{
    struct cg_redis *redis = handle->redis;
    CG_ASSERT(pthread_mutex_lock(&redis->trust_lock) == 0);
    bool other =
        redis->trusted_run_id[0] != '\0' && strcmp(redis->trusted_run_id, handle->run_id) != 0;
    CG_ASSERT(pthread_mutex_unlock(&redis->trust_lock) == 0);
    cg_redis_bans_send(handle, other ? "renew" : "hello", whole, NULL, 0, on_hello, handle,
                       whole ? 1 : 0);
}

static void on_info(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    (void)index;
    if (reply == NULL || handle->greeting_failed)
        return;
    if (find_run_id(cg_redis_reply_str(reply), handle->run_id))
        send_hello(handle, false);
    else
        give_up(handle, "the server does not tell its run id (INFO)", reply);
}

/* `index`: 1 when the connection is of no use without it. */
static void on_greeted(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    if (reply == NULL || handle->greeting_failed || index == 0 || !cg_redis_is_error(reply))
        return;
    handle->greeting_failed = true;
    give_up(handle, "the server refuses us", reply);
}

static void greet(struct cg_redis_handle *handle, const char *const *items, size_t count,
                  cg_redis_reply_fn answer, size_t index)
{
    struct cg_redis_words words = {0};
    for (size_t i = 0; i < count; i++)
        cg_redis_words_add(&words, cg_str_from(items[i]));
    (void)cg_redis_link_send(&handle->link, &words, answer, handle, index);
}

static void on_open(void *owner)
{
    struct cg_redis_handle *handle = owner;
    const struct cg_redis_url *url = &handle->redis->peer.url;
    char database[24];
    handle->greeting_failed = false;
    if (url->has_password && url->user[0] != '\0')
        greet(handle, (const char *const[]){"AUTH", url->user, url->password}, 3, on_greeted, 1);
    else if (url->has_password)
        greet(handle, (const char *const[]){"AUTH", url->password}, 2, on_greeted, 1);
    if (url->database != 0) {
        database[cg_redis_number(url->database, database).length] = '\0';
        greet(handle, (const char *const[]){"SELECT", database}, 2, on_greeted, 1);
    }
    greet(handle, (const char *const[]){"CLIENT", "SETNAME", "cachegate"}, 3, on_greeted, 0);
    greet(handle, (const char *const[]){"INFO", "server"}, 2, on_info, 0);
}

static void on_closed(void *owner, const char *why)
{
    struct cg_redis_handle *handle = owner;
    handle->ready = false;
    if (!handle->greeting_failed)
        complain(handle, "no connection", why);
}

/* ---- handles ---- */

static void on_delivery(void *owner)
{
    cg_redis_deliver(owner);
}

struct cg_store *cg_redis_open(struct cg_redis *redis, struct st_h2o_context_t *context,
                               struct cg_clock *clock)
{
    struct cg_redis_handle *handle = calloc(1, sizeof(*handle));
    CG_ASSERT(handle != NULL);
    handle->base.port = &cg_redis_port;
    handle->redis = redis;
    handle->clock = clock;
    handle->random_used = sizeof(handle->random);
    handle->delivery = (struct cg_timer){.on_expiry = on_delivery, .owner = handle};
    handle->link = (struct cg_redis_link){
        .peer = &redis->peer,
        .context = context,
        .clock = clock,
        .timeout_ms = redis->settings->store_timeout_ms,
        .on_open = on_open,
        .on_closed = on_closed,
        .owner = handle,
    };
    cg_redis_link_start(&handle->link);
    return &handle->base;
}

struct cg_store *cg_redis_close(struct cg_store *store)
{
    if (store == NULL)
        return NULL;
    struct cg_redis_handle *handle = (struct cg_redis_handle *)store;
    handle->closing = true;
    handle->ready = false;
    cg_redis_link_stop(&handle->link);
    cg_timer_disarm(handle->clock, &handle->delivery);
    CG_ASSERT(handle->waiting_for_bans == NULL);
    cg_bans_unref(handle->bans);
    free(handle);
    return NULL;
}
