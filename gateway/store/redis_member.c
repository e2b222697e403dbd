#include "cachegate/assert.h"
#include "cachegate/redis_slot.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_journal.h"
#include "gateway/store/redis_parts.h"

/*
 * Heartbeats. Every handle has a timer, and the first whose timer finds one due sends it for the
 * process; when its connection fails, another's timer finds the next. One heartbeat goes to all
 * primaries: the script on the members to the owner of the epoch, to each other one a PING, or
 * where replicas are waited for a small write. It counts when all have answered, so a member that
 * is heard vouches for all of them.
 */
enum { TICKS_PER_PACE = 4, LEAVE_TURN_MS = 10, LEAVE_MS_MAX = 1000 };

static struct cg_redis_heartbeat *heartbeat_of(struct cg_redis_handle *handle)
{
    return &handle->heartbeat;
}

static void lock(struct cg_redis_trust *trust)
{
    CG_ASSERT(pthread_mutex_lock(&trust->lock) == 0);
}

static void unlock(struct cg_redis_trust *trust)
{
    CG_ASSERT(pthread_mutex_unlock(&trust->lock) == 0);
}

/* ---- what it was answered ---- */

static void end(struct cg_redis_handle *handle)
{
    struct cg_redis_heartbeat *heartbeat = heartbeat_of(handle);
    struct cg_redis_trust *trust = &handle->redis->trust;
    if (heartbeat->failed || handle->closing)
        return;
    heartbeat->answer.replicated = handle->wait_replicas > 0 && heartbeat->replicated;
    lock(trust);
    if (cg_redis_trusts(handle)) { /* else it says nothing of the servers that are believed now */
        if (heartbeat->unknown)
            cg_redis_trust_unknown(handle->redis);
        trust->has_others = heartbeat->has_others;
        cg_lease_hear(&trust->lease, &heartbeat->answer, trust->now_ms());
        if (heartbeat->joins && heartbeat->answer.renewed)
            trust->joins = false;
        cg_redis_trust_publish(handle->redis);
    }
    unlock(trust);
}

static void step(struct cg_redis_handle *handle)
{
    struct cg_redis_heartbeat *heartbeat = heartbeat_of(handle);
    CG_ASSERT(heartbeat->remaining > 0);
    if (--heartbeat->remaining == 0)
        end(handle);
}

static void send_script(struct cg_redis_handle *handle, bool whole);

/* The process ends: nothing depends on the answer. */
static void on_told(void *owner, size_t index, const redisReply *reply)
{
    (void)owner;
    (void)index;
    (void)reply;
}

static void on_beat(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    struct cg_redis_heartbeat *heartbeat = heartbeat_of(handle);
    struct cg_redis_epoch_reply said;
    if (cg_redis_is_noscript(reply) && index == 0 && !handle->closing) {
        send_script(handle, true);
    } else if (!cg_redis_epoch_reply_read(reply, &said)) {
        heartbeat->failed = true;
    } else {
        heartbeat->unknown = said.unknown && !heartbeat->joins;
        heartbeat->has_others = said.has_others;
        if (said.record_differs)
            cg_redis_topology_doubt(handle->topology);
        if (said.rules_untold)
            cg_redis_rules_tell_again(handle);
        heartbeat->answer.server_ms = said.server_ms;
        heartbeat->answer.renewed = said.joined;
        heartbeat->answer.others_lapsed = said.lapsed > 0;
    }
    step(handle);
}

static void on_other(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    (void)index;
    if (cg_redis_is_error(reply))
        heartbeat_of(handle)->failed = true;
    step(handle);
}

static void on_replicas(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_handle *handle = owner;
    (void)index;
    if (!cg_redis_is_replicated(handle, reply))
        heartbeat_of(handle)->replicated = false;
    step(handle);
}

/* ---- sending ---- */

static void expect(struct cg_redis_handle *handle, bool sent)
{
    if (sent)
        heartbeat_of(handle)->remaining++;
    else
        heartbeat_of(handle)->failed = true;
}

static void wait_for_replicas(struct cg_redis_handle *handle, struct cg_redis_node *node)
{
    if (handle->wait_replicas > 0)
        expect(handle, cg_redis_send_wait(handle, node, on_replicas, handle, 0));
}

static void send_script(struct cg_redis_handle *handle, bool whole)
{
    const struct cg_redis_heartbeat *heartbeat = heartbeat_of(handle);
    struct cg_redis_order order = {.mode = heartbeat->joins ? "join" : "beat",
                                   .lease_ends_ms = heartbeat->ends_ms};
    struct cg_redis_node *node = cg_redis_bans_owner(handle);
    expect(handle, cg_redis_epoch_send(handle, &order, whole, on_beat, handle, whole ? 1 : 0));
    if (node != NULL)
        wait_for_replicas(handle, node);
}

/* A key that belongs to the node, so that what its replicas have can be asked for. */
static bool send_write(struct cg_redis_handle *handle, struct cg_redis_node *node)
{
    struct cg_redis_words words = {0};
    char room[CG_REDIS_KEY_MAX], part[32], life[24];
    for (unsigned i = 0; i < CG_REDIS_SLOTS; i++) {
        (void)snprintf(part, sizeof(part), "beat:{%u}", i);
        struct cg_str key = cg_redis_plain_key(handle->redis, part, room);
        if (cg_redis_owner_of(handle, key) != node)
            continue;
        cg_redis_words_add(&words, CG_STR("SET"));
        cg_redis_words_add(&words, key);
        cg_redis_words_add(&words, CG_STR("1"));
        cg_redis_words_add(&words, CG_STR("PX"));
        cg_redis_words_add(&words, cg_redis_lifetime(handle->redis, life));
        return cg_redis_send_to(handle, CG_REDIS_WRITES, node, &words, on_other, handle, 0);
    }
    return false;
}

static bool send_ping(struct cg_redis_handle *handle, struct cg_redis_node *node)
{
    struct cg_redis_words words = {0};
    cg_redis_words_add(&words, CG_STR("PING"));
    return cg_redis_send_to(handle, CG_REDIS_READS, node, &words, on_other, handle, 0);
}

static bool all_ready(const struct cg_redis_handle *handle)
{
    for (size_t i = 0; i < handle->node_count; i++)
        if (!handle->nodes[i]->believed || !cg_redis_node_ready(handle->nodes[i]))
            return false;
    return cg_redis_trusts(handle) && handle->node_count > 0;
}

/*
 * Whoever owes purges does not renew what makes the others believe; it is asked again after the
 * moment of sending was noted, since a thread that adds a purge looks at that moment afterwards.
 */
static bool take(struct cg_redis_handle *handle)
{
    struct cg_redis *redis = handle->redis;
    struct cg_redis_trust *trust = &redis->trust;
    struct cg_redis_heartbeat *heartbeat = heartbeat_of(handle);
    bool binds = trust->lease.terms.binding;
    if (binds && cg_redis_journal_owes(redis->journal))
        return false;
    lock(trust);
    int64_t now_ms = trust->now_ms();
    bool due = now_ms >= trust->due_ms && !cg_lease_lapsed(&trust->lease, now_ms);
    if (due) {
        uint32_t pace_ms = cg_lease_pace_ms(&trust->lease.terms);
        trust->due_ms = now_ms + pace_ms - pace_ms / TICKS_PER_PACE;
        heartbeat->ends_ms = cg_lease_send(&trust->lease, now_ms);
        heartbeat->joins = trust->joins;
        heartbeat->answer = (struct cg_lease_answer){.sent_ms = now_ms};
    }
    unlock(trust);
    return due && !(binds && cg_redis_journal_owes(redis->journal));
}

void cg_redis_member_beat(struct cg_redis_handle *handle)
{
    struct cg_redis_heartbeat *heartbeat = heartbeat_of(handle);
    if (heartbeat->remaining > 0 || !all_ready(handle))
        return;
    cg_redis_handle_greet_again(handle);
    if (!take(handle))
        return;
    struct cg_redis_node *owner = cg_redis_bans_owner(handle);
    heartbeat->remaining = 1;
    heartbeat->failed = heartbeat->unknown = false;
    heartbeat->replicated = true;
    for (size_t i = 0; i < handle->node_count; i++) {
        struct cg_redis_node *node = handle->nodes[i];
        if (node == owner)
            continue;
        if (handle->wait_replicas == 0) {
            expect(handle, send_ping(handle, node));
            continue;
        }
        expect(handle, send_write(handle, node));
        wait_for_replicas(handle, node);
    }
    send_script(handle, false);
    step(handle);
}

/* ---- the timer ---- */

/* Often enough that none is late, and not in step with other threads and gateways. */
static uint32_t pause_ms(struct cg_redis_handle *handle)
{
    struct cg_token random = cg_redis_new_token(handle);
    uint32_t half_ms =
        cg_lease_pace_ms(&handle->redis->trust.lease.terms) / (2 * TICKS_PER_PACE) + 1;
    return half_ms + random.bytes[0] * half_ms / 256;
}

static void on_tick(void *owner)
{
    struct cg_redis_handle *handle = owner;
    cg_redis_handle_catch_up(handle);
    cg_redis_deliver(handle);
    cg_redis_member_beat(handle);
    cg_timer_arm(handle->clock, &handle->heartbeat.timer, pause_ms(handle));
}

void cg_redis_member_start(struct cg_redis_handle *handle)
{
    struct cg_redis_heartbeat *heartbeat = heartbeat_of(handle);
    heartbeat->timer = (struct cg_timer){.on_expiry = on_tick, .owner = handle};
    cg_timer_arm(handle->clock, &heartbeat->timer, pause_ms(handle));
}

void cg_redis_member_stop(struct cg_redis_handle *handle)
{
    cg_timer_disarm(handle->clock, &handle->heartbeat.timer);
}

/* ---- a good end ---- */

static void on_left(void *owner, size_t index, const redisReply *reply)
{
    (void)index;
    (void)reply;
    ((struct cg_redis_handle *)owner)->has_left = true;
}

void cg_redis_member_leave(struct cg_redis_handle *handle)
{
    const struct cg_redis_order order = {.mode = "leave"};
    struct cg_redis_node *node = cg_redis_bans_owner(handle);
    int64_t started_ms = cg_clock_monotonic_ms();
    uint32_t patience_ms = handle->node_settings.timeout_ms;
    if (patience_ms > LEAVE_MS_MAX)
        patience_ms = LEAVE_MS_MAX;
    if (node == NULL || !node->believed || cg_redis_journal_owes(handle->redis->journal) ||
        !cg_redis_rules_tell(handle, true, true, on_told, handle, 0) ||
        !cg_redis_epoch_send(handle, &order, true, on_left, handle, 0))
        return;
    cg_redis_link_push(cg_redis_node_link(node, CG_REDIS_WRITES));
    while (!handle->has_left && cg_clock_monotonic_ms() - started_ms < patience_ms)
        h2o_evloop_run(handle->node_settings.context->loop, LEAVE_TURN_MS);
}
