#include <stdlib.h>

#include "cachegate/assert.h"
#include "cachegate/redis_map.h"
#include "cachegate/version_value.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_journal.h"
#include "gateway/store/redis_parts.h"

enum { DAY_MS = 1000 * 60 * 60 * 24, LIFETIME_DAYS_MAX = 3650 };

static struct cg_redis_handle *handle_of(struct cg_store *store)
{
    return (struct cg_redis_handle *)store;
}

static void answer_unavailable(cg_store_view_fn answer, void *owner)
{
    struct cg_store_view view = {.result = CG_STORE_UNAVAILABLE};
    answer(owner, &view);
}

static void redis_lookup(struct cg_store *store, const struct cg_key *key,
                         const struct cg_instance *instances, size_t count, cg_store_view_fn answer,
                         void *owner)
{
    struct cg_redis_handle *handle = handle_of(store);
    if (!cg_redis_usable(handle)) {
        answer_unavailable(answer, owner);
        return;
    }
    struct cg_redis_call *call = cg_redis_call_create(handle, CG_REDIS_LOOKUP, owner);
    call->answer_view = answer;
    cg_redis_start_lookup(call, key, instances, count);
}

/* ---- prepare ---- */

static void on_tried(void *owner, size_t index, const redisReply *reply)
{
    (void)index;
    if (reply == NULL)
        ((struct cg_redis_call *)owner)->failed = true;
    cg_redis_call_step(owner); /* a full Redis refuses: the read that follows says what there is */
}

/* By Redis's clock a mark may still live, or the version may be another one by now. */
static void on_settled(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_call *call = owner;
    bool ended;
    if (cg_redis_call_wants_text(call, reply)) {
        cg_redis_call_change(call, index, true, on_settled);
    } else if (cg_redis_is_error(reply)) {
        call->failed = true;
    } else {
        cg_version_value_read(cg_redis_reply_str(reply), cg_now_ms(call->handle->clock),
                              &call->view.versions[index], &ended);
        /* Redis settled it by its own clock, so what it left is in flight. */
        if (ended)
            call->view.versions[index].state = CG_VERSION_BUSY;
    }
    cg_redis_call_step(call);
}

static void on_version(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_call *call = owner;
    bool ended = false;
    if (cg_redis_is_wrong_type(reply)) {
        cg_redis_call_change(call, index, false, on_settled); /* which removes it */
    } else if (cg_redis_is_error(reply)) {
        call->failed = true;
    } else {
        struct cg_str value = cg_redis_reply_str(reply);
        bool known = cg_version_value_read(value, cg_now_ms(call->handle->clock),
                                           &call->view.versions[index], &ended);
        if (ended || (!known && !cg_str_empty(value)))
            cg_redis_call_change(call, index, false, on_settled);
    }
    cg_redis_call_step(call);
}

static void on_epoch(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_call *call = owner;
    (void)index;
    if (cg_redis_is_error(reply))
        call->failed = true;
    else
        cg_redis_take_epoch(call, cg_redis_reply_str(reply));
    cg_redis_call_step(call);
}

/* Creates `key` if it is absent, then reads it and lets it live on. */
static void send_create(struct cg_redis_call *call, struct cg_str key, struct cg_str value,
                        cg_redis_reply_fn answer, size_t index)
{
    char number[24];
    struct cg_str life = cg_redis_lifetime(call->handle->redis, number);
    struct cg_redis_words words = {0};
    cg_redis_words_add(&words, CG_STR("SET"));
    cg_redis_words_add(&words, key);
    cg_redis_words_add(&words, value);
    cg_redis_words_add(&words, CG_STR("NX"));
    cg_redis_words_add(&words, CG_STR("PX"));
    cg_redis_words_add(&words, life);
    cg_redis_call_send(call, CG_REDIS_READS, key, &words, on_tried, index);
    words.count = 0;
    cg_redis_words_add(&words, CG_STR("GETEX"));
    cg_redis_words_add(&words, key);
    cg_redis_words_add(&words, CG_STR("PX"));
    cg_redis_words_add(&words, life);
    cg_redis_call_send(call, CG_REDIS_READS, key, &words, answer, index);
}

static void redis_prepare(struct cg_store *store, const struct cg_instance *instances, size_t count,
                          cg_store_view_fn answer, void *owner)
{
    struct cg_redis_handle *handle = handle_of(store);
    char key[CG_REDIS_KEY_MAX], epoch[CG_REDIS_KEY_MAX], value[CG_VERSION_VALUE_BYTES];
    CG_ASSERT(count <= CG_INSTANCES_MAX);
    if (!cg_redis_usable(handle)) {
        answer_unavailable(answer, owner);
        return;
    }
    struct cg_redis_call *call = cg_redis_call_create(handle, CG_REDIS_PREPARE, owner);
    call->answer_view = answer;
    call->instances = instances;
    cg_redis_call_views(call, count);
    for (size_t i = 0; i < count; i++) {
        struct cg_token token = cg_redis_new_token(handle);
        cg_version_value_write(&token, value);
        send_create(call, cg_redis_version_key(handle->redis, &instances[i], key),
                    cg_str_of(value, sizeof(value)), on_version, i);
    }
    struct cg_token random = cg_redis_new_token(handle);
    struct cg_epoch fresh = {0};
    memcpy(&fresh.generation, random.bytes, sizeof(fresh.generation));
    send_create(call, cg_redis_bans_key(handle->redis, "epoch", key),
                cg_redis_epoch_write(fresh, handle->record, epoch), on_epoch, 0);
    cg_redis_call_step(call);
}

/* ---- fill ---- */

static void on_filled(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_call *call = owner;
    (void)index;
    call->full = cg_redis_is_full(reply);
    call->failed = cg_redis_is_error(reply);
    if (!call->failed)
        cg_redis_stats_filled(call->handle->redis->stats, call->route,
                              cg_now_ms(call->handle->clock), call->lives_ms, call->replaced_ms);
    cg_redis_call_step(call);
}

/* So that what is overwritten is not counted twice. */
static void on_replaced(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_call *call = owner;
    (void)index;
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        call->replaced_ms = reply->integer;
    cg_redis_call_step(call);
}

static void ask_replaced(struct cg_redis_call *call, struct cg_str entry_key)
{
    struct cg_redis_words words = {0};
    if (!cg_redis_stats_on(call->handle->redis->stats))
        return;
    cg_redis_words_add(&words, CG_STR("PTTL"));
    cg_redis_words_add(&words, entry_key);
    cg_redis_call_send(call, CG_REDIS_READS, entry_key, &words, on_replaced, 0);
}

static void redis_fill(struct cg_store *store, const struct cg_key *key, struct cg_blob *entry,
                       uint64_t lifetime_ms, cg_store_done_fn answer, void *owner)
{
    struct cg_redis_handle *handle = handle_of(store);
    struct cg_redis_words words = {0};
    char name[CG_REDIS_KEY_MAX], life[24];
    const uint64_t longest_ms = (uint64_t)DAY_MS * LIFETIME_DAYS_MAX;
    if (!cg_redis_usable(handle)) {
        answer(owner, CG_STORE_UNAVAILABLE);
        return;
    }
    struct cg_redis_call *call = cg_redis_call_create(handle, CG_REDIS_FILL, owner);
    call->answer_done = answer;
    if (lifetime_ms > longest_ms)
        lifetime_ms = longest_ms;
    /* Redis keeps a key through the millisecond in which it expires. */
    lifetime_ms = lifetime_ms > 1 ? lifetime_ms - 1 : 1;
    struct cg_str entry_key = cg_redis_entry_key(handle->redis, key, name);
    call->lives_ms = lifetime_ms;
    call->route = key->route;
    ask_replaced(call, entry_key);
    cg_redis_words_add(&words, CG_STR("SET"));
    cg_redis_words_add(&words, entry_key);
    cg_redis_words_add(&words, cg_blob_str(entry));
    cg_redis_words_add(&words, CG_STR("PX"));
    cg_redis_words_add(&words, cg_redis_number(lifetime_ms, life));
    cg_redis_call_send(call, CG_REDIS_READS, entry_key, &words, on_filled, 0);
    cg_redis_call_step(call);
}

/* ---- purge, mark, release ---- */

static void redis_purge(struct cg_store *store, const struct cg_instance *instances, size_t count,
                        cg_store_done_fn answer, void *owner)
{
    struct cg_redis_handle *handle = handle_of(store);
    struct cg_redis_call *call = cg_redis_call_create(handle, CG_REDIS_CHANGE, owner);
    call->answer_done = answer;
    call->failed = !cg_redis_trusts(handle);
    cg_redis_start_changes(call, instances, count, CG_REDIS_PURGE);
}

static void redis_mark(struct cg_store *store, const struct cg_instance *instances, size_t count,
                       const struct cg_writer *writer, int64_t deadline_ms, cg_store_done_fn answer,
                       void *owner)
{
    struct cg_redis_handle *handle = handle_of(store);
    struct cg_redis_call *call = cg_redis_call_create(handle, CG_REDIS_CHANGE, owner);
    int64_t lives_ms = deadline_ms - cg_now_ms(handle->clock);
    call->answer_done = answer;
    call->failed = !cg_redis_trusts(handle);
    call->writer = *writer;
    call->lives_ms = lives_ms > 0 ? (uint64_t)lives_ms : 0;
    cg_redis_start_changes(call, instances, count, CG_REDIS_MARK);
}

static void redis_release(struct cg_store *store, const struct cg_instance *instances,
                          const bool *renew, size_t count, const struct cg_writer *writer,
                          cg_store_done_fn answer, void *owner)
{
    struct cg_redis_handle *handle = handle_of(store);
    struct cg_redis_call *call = cg_redis_call_create(handle, CG_REDIS_CHANGE, owner);
    call->answer_done = answer;
    call->failed = !cg_redis_trusts(handle);
    call->writer = *writer;
    call->renew = renew;
    cg_redis_start_changes(call, instances, count, CG_REDIS_KEEP);
}

/* ---- bans ---- */

static void redis_ban(struct cg_store *store, const struct cg_ban *bans, size_t count,
                      cg_store_done_fn answer, void *owner)
{
    struct cg_redis_handle *handle = handle_of(store);
    struct cg_redis_call *call = cg_redis_call_create(handle, CG_REDIS_BAN, owner);
    call->answer_done = answer;
    call->failed = !cg_redis_trusts(handle);
    cg_redis_start_bans(call, bans, count);
}

static void redis_flush(struct cg_store *store, cg_store_done_fn answer, void *owner)
{
    static const struct cg_ban everything; /* borrowed until the answer */
    redis_ban(store, &everything, 1, answer, owner);
}

/* ---- what is reported ---- */

static void redis_stats(struct cg_store *store, struct cg_store_stats *ret_stats)
{
    struct cg_redis_handle *handle = handle_of(store);
    const struct cg_store_fleet *fleet = cg_redis_reporter_fleet(handle->reporter);
    *ret_stats = (struct cg_store_stats){
        .entries = fleet == NULL ? 0 : fleet->keys,
        .bans = handle->bans == NULL ? 0 : cg_bans_count(handle->bans),
        .lost_commands = atomic_load(&handle->redis->toll.lost_commands),
        .breaker_openings = atomic_load(&handle->redis->toll.breaker_openings),
        .fleet = fleet,
    };
}

/* What it changes now is acknowledged, whether or not what it reads is believed. */
static bool takes_changes(const struct cg_redis_handle *handle)
{
    for (size_t i = 0; i < handle->node_count; i++)
        if (!handle->nodes[i]->believed || !cg_redis_node_ready(handle->nodes[i]))
            return false;
    return cg_redis_trusts(handle);
}

static bool all_ready(const struct cg_redis_handle *handle)
{
    return takes_changes(handle) && cg_redis_usable(handle);
}

static bool redis_reachable(struct cg_store *store)
{
    return takes_changes(handle_of(store));
}

static uint32_t redis_unpurged_hold_ms(struct cg_store *store)
{
    return cg_redis_trust_hold_ms(handle_of(store));
}

/* The worst of them. */
static const char *breaker_of(const struct cg_redis_handle *handle)
{
    enum cg_breaker_state worst = handle->node_count == 0 ? CG_BREAKER_OPEN : CG_BREAKER_CLOSED;
    for (size_t i = 0; i < handle->node_count; i++) {
        enum cg_breaker_state state = handle->nodes[i]->breaker.state;
        if (state == CG_BREAKER_OPEN || worst == CG_BREAKER_CLOSED)
            worst = state;
    }
    return cg_breaker_name(worst);
}

static void list_servers(const struct cg_redis_handle *handle, struct cg_store_health *health)
{
    _Static_assert((int)CG_STORE_SERVERS_MAX >= (int)CG_REDIS_SHARDS_MAX, "all have room");
    _Static_assert((int)CG_STORE_SERVER_TEXT >= (int)CG_REDIS_ADDRESS_TEXT_MAX, "and their names");
    for (size_t i = 0; i < handle->node_count; i++) {
        const struct cg_redis_node *node = handle->nodes[i];
        struct cg_store_server *server = &health->servers[health->server_count++];
        char room[CG_REDIS_ADDRESS_TEXT_MAX];
        (void)snprintf(server->address, sizeof(server->address), "%s",
                       cg_redis_address_text(&node->address, room));
        server->connected = node->greeted;
        server->breaker = cg_breaker_name(node->breaker.state);
    }
}

static void redis_health(struct cg_store *store, struct cg_store_health *ret_health)
{
    struct cg_redis_handle *handle = handle_of(store);
    const struct cg_store_fleet *fleet = cg_redis_reporter_fleet(handle->reporter);
    memset(ret_health, 0, sizeof(*ret_health));
    ret_health->backend = "redis";
    ret_health->available = all_ready(handle);
    /* A handle that is seldom used knows less than the reports do. */
    ret_health->latency_ms = fleet == NULL ? handle->latency_ms : fleet->latency_ms;
    ret_health->breaker = breaker_of(handle);
    ret_health->journal = cg_redis_journal_length(handle->redis->journal);
    ret_health->why = ret_health->available ? NULL : cg_redis_trust_why(handle);
    list_servers(handle, ret_health);
}

const struct cg_store_port cg_redis_port = {
    .lookup = redis_lookup,
    .prepare = redis_prepare,
    .fill = redis_fill,
    .purge = redis_purge,
    .mark = redis_mark,
    .release = redis_release,
    .ban = redis_ban,
    .flush = redis_flush,
    .seals = true,
    .stats = redis_stats,
    .reachable = redis_reachable,
    .claims = cg_redis_claims_of,
    .unpurged_hold_ms = redis_unpurged_hold_ms,
    .announce = cg_redis_rules_announce,
    .health = redis_health,
};
