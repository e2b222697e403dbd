#include <openssl/evp.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_journal.h"
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

/* ---- the belief that all threads share ---- */

static void lock(struct cg_redis_trust *trust)
{
    CG_ASSERT(pthread_mutex_lock(&trust->lock) == 0);
}

static void unlock(struct cg_redis_trust *trust)
{
    CG_ASSERT(pthread_mutex_unlock(&trust->lock) == 0);
}

void cg_redis_trust_init(struct cg_redis *redis)
{
    const struct cg_settings *settings = redis->settings;
    struct cg_redis_trust *trust = &redis->trust;
    const char *mode = settings->on_unpurgeable;
    trust->now_ms = cg_clock_monotonic_ms;
    trust->lease.terms = (struct cg_lease_terms){
        .lease_ms = settings->lease_ms,
        .gone_after_ms = settings->gone_after_ms,
        .failover_ms = settings->failover_ms,
        .binding = mode != NULL && strcmp(mode, "lease") == 0,
        .replicated = settings->wait_replicas > 0,
        .replaceable = redis->peer.url.form != CG_REDIS_STANDALONE,
    };
    CG_ASSERT(pthread_mutex_init(&trust->lock, NULL) == 0);
    cg_redis_trust_publish(redis);
}

void cg_redis_trust_fini(struct cg_redis *redis)
{
    CG_ASSERT(pthread_mutex_destroy(&redis->trust.lock) == 0);
}

void cg_redis_trust_publish(struct cg_redis *redis)
{
    atomic_store(&redis->trust.until_ms, cg_lease_trusted_until_ms(&redis->trust.lease));
}

void cg_redis_trust_unknown(struct cg_redis *redis)
{
    struct cg_lease *lease = &redis->trust.lease;
    int64_t now_ms = redis->trust.now_ms();
    redis->trust.joins = true;
    if (!lease->terms.binding || !redis->trust.has_others || !cg_lease_is_listed(lease, now_ms))
        return;
    cg_lease_doubt(lease, now_ms);
    cg_log(CG_LOG_WARN, "redis",
           "the list of gateways was lost; nothing is believed until all would be gone");
}

void cg_redis_trust_strange(struct cg_redis *redis)
{
    lock(&redis->trust);
    redis->trust.strange++;
    unlock(&redis->trust);
}

static bool is_within_lease(const struct cg_redis_handle *handle)
{
    struct cg_redis_trust *trust = &handle->redis->trust;
    long long until_ms = atomic_load(&trust->until_ms);
    return until_ms == INT64_MAX || (until_ms != INT64_MIN && trust->now_ms() < until_ms);
}

bool cg_redis_trusts(const struct cg_redis_handle *handle)
{
    return handle->trusted && handle->belief == atomic_load(&handle->redis->trust.belief);
}

bool cg_redis_usable(const struct cg_redis_handle *handle)
{
    return cg_redis_trusts(handle) && !cg_redis_journal_owes(handle->redis->journal) &&
           is_within_lease(handle);
}

static const char *why_not_within_lease(struct cg_redis *redis)
{
    struct cg_redis_trust *trust = &redis->trust;
    struct cg_lease lease;
    lock(trust);
    lease = trust->lease;
    unlock(trust);
    if (lease.terms.binding && lease.told && lease.others_lapsed)
        return "lapsed member";
    lease.terms.binding = lease.terms.replaceable = false;
    int64_t until_ms = cg_lease_trusted_until_ms(&lease);
    if (until_ms != INT64_MAX && (until_ms == INT64_MIN || trust->now_ms() >= until_ms))
        return "not replicated";
    return "no heartbeat"; /* or none that was answered in time */
}

const char *cg_redis_trust_why(const struct cg_redis_handle *handle)
{
    for (size_t i = 0; i < handle->node_count; i++)
        if (handle->nodes[i]->greeted && handle->nodes[i]->breaker.state != CG_BREAKER_CLOSED)
            return "breaker open";
    if (!cg_redis_trusts(handle))
        return "connecting";
    for (size_t i = 0; i < handle->node_count; i++)
        if (!handle->nodes[i]->believed)
            return "connecting";
    if (cg_redis_journal_owes(handle->redis->journal))
        return "journal";
    return is_within_lease(handle) ? NULL : why_not_within_lease(handle->redis);
}

uint32_t cg_redis_trust_hold_ms(struct cg_redis_handle *handle)
{
    struct cg_redis_trust *trust = &handle->redis->trust;
    lock(trust);
    uint32_t hold_ms = cg_lease_hold_ms(&trust->lease, trust->now_ms());
    unlock(trust);
    return hold_ms;
}

/* ---- the hello ---- */

static void send_hello(struct cg_redis_handle *handle, bool whole);

/* The servers that were greeted are still those that the hello spoke of. */
static bool is_current(const struct cg_redis_handle *handle)
{
    return !handle->closing && handle->hello_greetings == handle->greetings;
}

static void refuse(struct cg_redis_handle *handle, const redisReply *reply)
{
    struct cg_redis_node *node = cg_redis_bans_owner(handle);
    if (node == NULL)
        return;
    if (reply != NULL)
        cg_redis_node_complain(node, "the server cannot be used",
                               reply->type == REDIS_REPLY_ERROR ? reply->str
                                                                : "an unexpected reply");
    /* Greeted again, there is another hello. */
    cg_redis_node_give_up(node, "the server cannot be used");
}

static void believe(struct cg_redis_handle *handle, const struct cg_redis_epoch_reply *said)
{
    struct cg_redis_trust *trust = &handle->redis->trust;
    struct cg_lease_answer answer = {.sent_ms = handle->hello_sent_ms,
                                     .server_ms = said->server_ms,
                                     .others_lapsed = said->lapsed > 0};
    if (!cg_redis_rules_told(handle)) {
        send_hello(handle, false); /* the rules have changed meanwhile */
        return;
    }
    lock(trust);
    bool other = strcmp(trust->record, handle->record) != 0;
    if (other && handle->hello_belief != atomic_load(&trust->belief)) {
        unlock(trust);
        send_hello(handle, false); /* others were believed meanwhile, and took purges */
        return;
    }
    if (said->unknown)
        cg_redis_trust_unknown(handle->redis);
    if (other) {
        memcpy(trust->record, handle->record, sizeof(trust->record));
        atomic_fetch_add(&trust->belief, 1);
        cg_lease_move(&trust->lease);
    }
    handle->belief = atomic_load(&trust->belief);
    trust->has_greeted = true;
    if (said->renewed_history && handle->hello_strange > trust->strange_seen)
        trust->strange_seen = handle->hello_strange;
    trust->has_others = said->has_others;
    cg_lease_hear(&trust->lease, &answer, trust->now_ms());
    trust->due_ms = 0;
    trust->joins = true;
    cg_redis_trust_publish(handle->redis);
    unlock(trust);
    handle->trusted = true;
    for (size_t i = 0; i < handle->node_count; i++) {
        handle->nodes[i]->believed = true;
        cg_redis_node_settled(handle->nodes[i]);
    }
    if (said->renewed_history)
        cg_log(CG_LOG_INFO, "redis", "a new history begins: what was stored before is dead");
    cg_log(CG_LOG_INFO, "redis", "connected");
    cg_redis_deliver(handle);
    cg_redis_member_beat(handle);
}

/* On the same connection, so it is answered before the hello. */
static void on_rules_told(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    (void)index;
    handle->rules_told = !cg_redis_is_error(reply);
    if (!handle->rules_told && reply != NULL && reply->type == REDIS_REPLY_ERROR &&
        is_current(handle))
        refuse(handle, reply);
}

static void on_hello(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    struct cg_redis_epoch_reply said;
    if (!is_current(handle))
        return; /* another one follows, or has */
    if (cg_redis_is_noscript(reply) && index == 0)
        send_hello(handle, true);
    else if (handle->rules_told && cg_redis_epoch_reply_read(reply, &said))
        believe(handle, &said);
    else
        refuse(handle, reply);
}

/*
 * A standalone server that kept its run id has kept what it knew. One that replicates may have been
 * replaced by a replica, which took purges, and come back without them, all unseen by this process
 * if it did not hear of it for as long as that takes.
 */
static void send_hello(struct cg_redis_handle *handle, bool whole)
{
    struct cg_redis *redis = handle->redis;
    struct cg_redis_trust *trust = &redis->trust;
    struct cg_redis_order order = {.mode = "hello"};
    lock(trust);
    bool other = trust->record[0] != '\0' && strcmp(trust->record, handle->record) != 0;
    if (other || trust->strange != trust->strange_seen)
        order.mode = "renew";
    if (cg_lease_lapsed(&trust->lease, trust->now_ms()))
        order.vouched_within_ms = trust->lease.terms.failover_ms;
    order.starts = !trust->has_greeted;
    handle->hello_strange = trust->strange;
    handle->hello_belief = atomic_load(&trust->belief);
    handle->hello_sent_ms = trust->now_ms();
    unlock(trust);
    handle->hello_greetings = handle->greetings;
    handle->rules_told = false;
    if (!cg_redis_rules_tell(handle, false, true, on_rules_told, handle, 0) ||
        !cg_redis_epoch_send(handle, &order, whole, on_hello, handle, whole ? 1 : 0))
        refuse(handle, NULL);
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

void cg_redis_handle_greet_again(struct cg_redis_handle *handle)
{
    struct cg_redis_trust *trust = &handle->redis->trust;
    lock(trust);
    int64_t now_ms = trust->now_ms();
    bool due = cg_lease_lapsed(&trust->lease, now_ms) &&
               now_ms - handle->hello_sent_ms >= cg_lease_pace_ms(&trust->lease.terms);
    unlock(trust);
    if (!due)
        return;
    handle->greetings++; /* an answer to the hello before would count as sent now */
    send_hello(handle, false);
}

void cg_redis_handle_catch_up(struct cg_redis_handle *handle)
{
    struct cg_redis_trust *trust = &handle->redis->trust;
    if (!handle->trusted || cg_redis_trusts(handle))
        return;
    for (size_t i = 0; i < handle->node_count; i++)
        if (!handle->nodes[i]->greeted)
            return;
    lock(trust);
    bool again = strcmp(trust->record, handle->record) == 0 ||
                 cg_lease_lapsed(&trust->lease, trust->now_ms());
    unlock(trust);
    if (again) {
        handle->greetings++;
        send_hello(handle, false);
    } else if (handle->redis->peer.url.form == CG_REDIS_STANDALONE) {
        cg_redis_node_give_up(handle->nodes[0], "another server is believed by now");
    } else {
        cg_redis_topology_doubt(handle->topology);
    }
}

void cg_redis_handle_distrust(struct cg_redis_handle *handle)
{
    handle->trusted = false;
    for (size_t i = 0; i < handle->node_count; i++)
        handle->nodes[i]->believed = false;
}
