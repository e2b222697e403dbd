/*
 * Claims (claims.h) over Redis: a key with a life for each, changed by one script, and a channel on
 * which their ends are told.
 *
 * A claim is sent with whatever else leaves in that turn of the loop, so it costs no trip of its
 * own beside a prepare. Each thread that ever claimed listens on a connection of its own (hiredis
 * speaks RESP2, which allows nothing else on it), to the first server of the map: a Cluster carries
 * messages to all. What was told while nobody listened is lost, so all who wait are woken whenever
 * the connection ends or begins.
 */
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_parts.h"

struct cg_redis_claims {
    struct cg_claims base;
    struct cg_redis_handle *handle;
    h2o_context_t *context;
    struct cg_waiting waiting;
    struct cg_redis_address address; /* of the first server of the map */
    bool has_address;
    bool wanted; /* somebody claimed */
    bool linked;
    bool subscribed;
    bool stopped;
    struct cg_redis_link link;
    struct cg_timer wake_all; /* from the loop: never inside a call */
    struct cg_log_gate log_gate;
};

/* One script on its way. What it says is its own: nobody waits for a renewal or an end. */
struct question {
    struct cg_redis_claims *claims;
    char what;
    struct cg_claim copy;
    struct cg_claim *claim; /* borrowed until answered; of a claim */
    cg_claim_fn answer;
    void *owner;
};

static struct cg_redis_claims *claims_of(struct cg_claims *base)
{
    return (struct cg_redis_claims *)base;
}

/* ---- the channel ---- */

static void tell(struct cg_redis_claims *claims, const char *const *items, size_t count,
                 cg_redis_reply_fn answer)
{
    struct cg_redis_words words = {0};
    for (size_t i = 0; i < count; i++)
        cg_redis_words_add(&words, cg_str_from(items[i]));
    (void)cg_redis_link_send(&claims->link, &words, answer, claims, 0);
}

static void on_wake_all(void *owner)
{
    struct cg_redis_claims *claims = owner;
    cg_waiting_wake_all(&claims->waiting);
}

static void on_greeted(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_claims *claims = owner;
    uint64_t held;
    (void)index;
    if (!cg_redis_is_error(reply) || claims->stopped)
        return;
    if (reply != NULL && cg_log_gate_open(&claims->log_gate, cg_clock_monotonic_ms(), &held))
        cg_log(CG_LOG_WARN, "redis",
               "cannot listen for what other gateways fetch, so their readers wait longer: %s",
               cg_redis_peer_shown(claims->link.peer, reply->str));
    cg_redis_link_give_up(&claims->link, "the greeting failed");
}

static void on_subscribed(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_claims *claims = owner;
    on_greeted(owner, index, reply);
    if (cg_redis_is_error(reply))
        return;
    claims->subscribed = true;
    cg_redis_link_settled(&claims->link);
    cg_waiting_wake_all(&claims->waiting);
}

static void on_open(void *owner)
{
    struct cg_redis_claims *claims = owner;
    char channel[CG_REDIS_KEY_MAX];
    cg_redis_link_authenticate(&claims->link, on_greeted, 0);
    tell(claims, (const char *const[]){"CLIENT", "SETNAME", "cachegate-wake"}, 3, on_greeted);
    struct cg_str name = cg_redis_wake_channel(claims->handle->redis, channel);
    channel[name.length] = '\0';
    tell(claims, (const char *const[]){"SUBSCRIBE", channel}, 2, on_subscribed);
}

static void on_closed(void *owner, const char *why)
{
    struct cg_redis_claims *claims = owner;
    (void)why;
    bool was = claims->subscribed;
    claims->subscribed = false;
    if (was && !claims->stopped)
        cg_timer_arm(claims->handle->clock, &claims->wake_all, 0);
}

static void on_push(void *owner, const redisReply *message)
{
    struct cg_redis_claims *claims = owner;
    struct cg_str name = cg_redis_reply_str(message->element[2]);
    if (name.length == CG_DIGEST_BYTES)
        cg_waiting_wake(&claims->waiting, (const uint8_t *)name.bytes);
}

static void unlink_channel(struct cg_redis_claims *claims)
{
    if (!claims->linked)
        return;
    claims->linked = false;
    cg_redis_link_stop(&claims->link);
    if (claims->subscribed)
        on_closed(claims, "");
}

static void link_channel(struct cg_redis_claims *claims)
{
    struct cg_redis_handle *handle = claims->handle;
    if (claims->linked || !claims->wanted || !claims->has_address || claims->stopped)
        return;
    claims->linked = true;
    claims->link = (struct cg_redis_link){
        .peer = &handle->redis->peer,
        .address = claims->address,
        .context = claims->context,
        .clock = handle->clock,
        .timeout_ms = handle->redis->settings->store_timeout_ms,
        .on_open = on_open,
        .on_closed = on_closed,
        .on_push = on_push,
        .owner = claims,
    };
    cg_redis_link_start(&claims->link);
}

void cg_redis_claims_move(struct cg_redis_claims *claims, const struct cg_redis_map *map)
{
    bool stays = claims->has_address && map->shard_count > 0 &&
                 cg_redis_address_eq(&claims->address, &map->shards[0]);
    if (stays)
        return;
    unlink_channel(claims);
    claims->has_address = map->shard_count > 0;
    if (claims->has_address)
        claims->address = map->shards[0];
    link_channel(claims);
}

/* ---- the script ---- */

/*
 * A claim (claims.h): its holder and the digest of its versions, 16 bytes each; a holder of zeros
 * says that it is done. KEYS: the claim. ARGV: what to do (claim, insist, renew, end, stored),
 * holder, digest, how long it lives, the channel, the name that is told there. A claim answers 1
 * when it is granted, and how long the other lives and its digest when it is not. An end tells
 * everybody, whoever holds the claim by now: who fetched may have stored something.
 */
static const char text[] =
    "local what, holder, digest, lives = ARGV[1], ARGV[2], ARGV[3], ARGV[4]\n"
    "local value = redis.pcall('GET', KEYS[1])\n"
    "if type(value) ~= 'string' or #value ~= 32 then value = false end\n"
    "local mine = value and value:sub(1, 16) == holder\n"
    "local none = string.rep('\\0', 16)\n"
    "local claims = what == 'c' or what == 'i'\n"
    "if claims and value and not mine then\n"
    "  local theirs = value:sub(17)\n"
    "  if value:sub(1, 16) == none then\n"
    "    if what == 'c' and (digest == none or digest == theirs) then return {0, theirs} end\n"
    "  elseif digest == none or theirs == none or digest == theirs then\n"
    "    return {redis.call('PTTL', KEYS[1]), theirs}\n"
    "  end\n"
    "end\n"
    "if claims or (what == 'r' and mine) then\n"
    "  redis.call('SET', KEYS[1], holder .. digest, 'PX', lives)\n"
    "elseif what == 'e' or what == 's' then\n"
    "  if mine and what == 's' then\n"
    "    redis.call('SET', KEYS[1], none .. digest, 'PX', lives)\n"
    "  elseif mine then\n"
    "    redis.call('UNLINK', KEYS[1])\n"
    "  end\n"
    "  redis.call('PUBLISH', ARGV[5], ARGV[6])\n"
    "end\n"
    "return 1\n";
const struct cg_str cg_redis_claim_text = {text, sizeof(text) - 1};

static void answer_with(struct question *question, const struct cg_claim_answer *said)
{
    struct cg_redis_claims *claims = question->claims;
    struct cg_claim *claim = question->claim;
    if (claim != NULL && !claims->stopped) {
        struct cg_claim_answer answer = *said;
        claim->asked = false;
        if (answer.state == CG_CLAIM_HELD && claim->woken)
            answer.left_ms = 0;
        if (answer.state != CG_CLAIM_HELD || claim->woken)
            cg_waiting_remove(&claims->waiting, claim);
        question->answer(question->owner, &answer);
    }
    free(question);
}

static void on_answer(void *owner, size_t index, const redisReply *reply);

static bool send_script(struct question *question, bool whole)
{
    struct cg_redis_handle *handle = question->claims->handle;
    struct cg_redis *redis = handle->redis;
    const struct cg_claim *claim = &question->copy;
    struct cg_redis_words words = {0};
    char room[CG_REDIS_KEY_MAX], channel[CG_REDIS_KEY_MAX], lives[24];
    struct cg_str key = cg_redis_claim_key(redis, claim->id, room);
    cg_redis_script_begin(&words, &redis->claim_script, whole);
    cg_redis_words_add(&words, CG_STR("1"));
    cg_redis_words_add(&words, key);
    cg_redis_words_add(&words, cg_str_of(&question->what, 1));
    cg_redis_words_add(&words, cg_str_of((const char *)claim->holder, CG_DIGEST_BYTES));
    cg_redis_words_add(&words, cg_str_of((const char *)claim->digest, CG_DIGEST_BYTES));
    cg_redis_words_add(
        &words, cg_redis_number(question->what == 's' ? CG_CLAIM_DONE_MS : claim->lives_ms, lives));
    cg_redis_words_add(&words, cg_redis_wake_channel(redis, channel));
    cg_redis_words_add(&words, cg_str_of((const char *)claim->id, CG_DIGEST_BYTES));
    return cg_redis_send(handle, CG_REDIS_READS, key, &words, on_answer, question, 0);
}

static void read_holder(const redisReply *reply, struct cg_claim_answer *said)
{
    struct cg_str digest = cg_redis_reply_str(reply->element[1]);
    if (reply->element[0]->type != REDIS_REPLY_INTEGER || digest.length != CG_DIGEST_BYTES)
        return;
    said->state = CG_CLAIM_HELD;
    said->left_ms = reply->element[0]->integer > 0 ? (uint32_t)reply->element[0]->integer : 0;
    memcpy(said->digest, digest.bytes, CG_DIGEST_BYTES);
}

static void on_answer(void *owner, size_t index, const redisReply *reply)
{
    struct question *question = owner;
    struct cg_claim_answer said = {.state = CG_CLAIM_UNKNOWN};
    (void)index;
    if (cg_redis_is_noscript(reply) && !question->claims->stopped && send_script(question, true))
        return;
    if (reply != NULL && reply->type == REDIS_REPLY_INTEGER)
        said.state = CG_CLAIM_GRANTED;
    else if (reply != NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2)
        read_holder(reply, &said);
    answer_with(question, &said);
}

static void ask(struct cg_redis_claims *claims, char what, const struct cg_claim *claim,
                struct cg_claim *waits, cg_claim_fn answer, void *owner)
{
    struct question *question = calloc(1, sizeof(*question));
    CG_ASSERT(question != NULL);
    *question = (struct question){claims, what, *claim, waits, answer, owner};
    if (!cg_redis_usable(claims->handle) || !send_script(question, false))
        answer_with(question, &(struct cg_claim_answer){.state = CG_CLAIM_UNKNOWN});
}

/* ---- the port ---- */

/* It listens before it asks: messages and answers come on two connections, in any order. */
static void redis_claim(struct cg_claims *base, struct cg_claim *claim, cg_claim_fn answer,
                        void *owner)
{
    struct cg_redis_claims *claims = claims_of(base);
    claims->wanted = true;
    link_channel(claims);
    claim->asked = true;
    claim->woken = false;
    cg_waiting_add(&claims->waiting, claim);
    ask(claims, claim->insists ? 'i' : 'c', claim, claim, answer, owner);
}

static void redis_renew(struct cg_claims *base, const struct cg_claim *claim)
{
    ask(claims_of(base), 'r', claim, NULL, NULL, NULL);
}

static void redis_end(struct cg_claims *base, struct cg_claim *claim, enum cg_claim_end how)
{
    struct cg_redis_claims *claims = claims_of(base);
    cg_waiting_remove(&claims->waiting, claim);
    if (how != CG_CLAIM_WITHDRAWN)
        ask(claims, how == CG_CLAIM_STORED ? 's' : 'e', claim, NULL, NULL, NULL);
}

static const struct cg_claims_port redis_claims_port = {redis_claim, redis_renew, redis_end};

/* ---- life ---- */

struct cg_redis_claims *cg_redis_claims_create(struct cg_redis_handle *handle,
                                               h2o_context_t *context)
{
    struct cg_redis_claims *claims = calloc(1, sizeof(*claims));
    CG_ASSERT(claims != NULL);
    claims->base.port = &redis_claims_port;
    claims->handle = handle;
    claims->context = context;
    claims->wake_all = (struct cg_timer){.on_expiry = on_wake_all, .owner = claims};
    return claims;
}

void cg_redis_claims_stop(struct cg_redis_claims *claims)
{
    claims->stopped = true;
    unlink_channel(claims);
    cg_timer_disarm(claims->handle->clock, &claims->wake_all);
}

void cg_redis_claims_destroy(struct cg_redis_claims *claims)
{
    free(claims);
}

struct cg_claims *cg_redis_claims_of(struct cg_store *store)
{
    return &((struct cg_redis_handle *)store)->claims->base;
}
