#include "gateway/store/redis_tracking.h"

#include <openssl/rand.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_parts.h"

enum {
    BEATS_PER_TIMEOUT = 3,
    BEAT_LIVES = 4, /* timeouts; long enough to be seen, then it is rubbish */
    HEX_BYTES = 2 * CG_DIGEST_BYTES,
};

/* A handle that joined. The one that listens has the connections. */
struct member {
    struct member *next;
    const void *id;
    struct cg_redis_tracking *tracking;
    h2o_context_t *context;
    struct cg_clock *clock;
    struct cg_sheet *sheet;
    bool listening;
    /* While it listens: when the next beat is due. Else: when to look whether nobody does. */
    struct cg_timer tick;
    struct cg_redis_topology *topology;
    struct cg_redis_node_settings node_settings;
    struct cg_redis_node *node; /* for heartbeats; NULL before there is a map */
    struct cg_redis_link link;  /* for pushes, as long as there is a node */
    bool refused;               /* its greeting failed, and was logged */
    bool subscribed;
    bool attached;
    bool was_up; /* since it was attached */
    char server[CG_REDIS_RUN_ID_MAX];
    uint64_t beat;   /* number of the last one */
    bool beat_is_on; /* sent and not seen yet */
    int64_t beat_sent_ms;
    struct cg_log_gate log_gate;
};

struct cg_redis_tracking {
    struct cg_redis *redis;
    struct cg_near_watch *watch;
    uint32_t timeout_ms;
    char beats[40]; /* of the process, within {bans} */
    /* What is watched. Not all of {bans}: other processes' heartbeats are none of our business. */
    char version_prefix[CG_REDIS_KEY_MAX], epoch_key[CG_REDIS_KEY_MAX],
        beat_prefix[CG_REDIS_KEY_MAX];
    pthread_mutex_t lock;
    struct member *members; /* under the lock */
    struct member *listener;
};

const char *cg_redis_server(struct cg_store *store)
{
    const struct cg_redis_handle *handle = (const struct cg_redis_handle *)store;
    if (!handle->one_shard || !cg_redis_usable(handle) || !handle->nodes[0]->believed ||
        !cg_redis_node_ready(handle->nodes[0]))
        return "";
    return handle->nodes[0]->run_id;
}

static void complain(struct member *member, const char *what, const char *why)
{
    char more[CG_LOG_HELD_MAX];
    uint64_t held;
    if (cg_log_gate_open(&member->log_gate, cg_clock_monotonic_ms(), &held))
        cg_log(CG_LOG_WARN, "tracking", "%s: %s%s%s", what,
               cg_redis_peer_shown(&member->tracking->redis->peer, why), cg_redis_remedy(why),
               cg_log_held(held, more));
}

static void forget_connection(struct member *member)
{
    member->subscribed = false;
    member->beat_is_on = false;
    if (!member->attached)
        return;
    member->attached = false;
    member->was_up = false;
    cg_near_watch_detach(member->tracking->watch);
    cg_count(member->sheet, CG_METRIC_TRACKING_LOST, 1);
}

static void lose(struct member *member, const char *why)
{
    complain(member, "near copies are strict until Redis tells of changes again", why);
    forget_connection(member);
    cg_redis_link_give_up(&member->link, why);
}

/* ---- heartbeats ---- */

static struct cg_str beat_name(const struct member *member, char room[CG_REDIS_KEY_MAX])
{
    char part[80];
    (void)snprintf(part, sizeof(part), "%s:%llu", member->tracking->beats,
                   (unsigned long long)member->beat);
    return cg_redis_bans_key(member->tracking->redis, part, room);
}

/* A refusal is as good as silence: it will not be pushed. */
static void on_beat_set(void *owner, size_t index, const redisReply *reply)
{
    struct member *member = owner;
    (void)index;
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        complain(member, "a heartbeat was refused", reply->str);
}

static void send_beat(struct member *member)
{
    struct cg_redis_words words = {0};
    char name[CG_REDIS_KEY_MAX], life[24];
    member->beat++;
    cg_redis_words_add(&words, CG_STR("SET"));
    cg_redis_words_add(&words, beat_name(member, name));
    cg_redis_words_add(&words, CG_STR("1"));
    cg_redis_words_add(&words, CG_STR("PX"));
    cg_redis_words_add(&words,
                       cg_redis_number((uint64_t)member->tracking->timeout_ms * BEAT_LIVES, life));
    member->beat_sent_ms = cg_clock_monotonic_ms();
    member->beat_is_on = cg_redis_link_send(cg_redis_node_link(member->node, CG_REDIS_WRITES),
                                            &words, on_beat_set, member, 0);
}

static void on_beat_seen(struct member *member)
{
    member->beat_is_on = false;
    cg_near_watch_proven(member->tracking->watch, member->beat_sent_ms);
    if (member->was_up)
        return;
    member->was_up = true;
    cg_redis_link_settled(&member->link);
    cg_redis_node_settled(member->node);
    cg_log(CG_LOG_INFO, "tracking", "Redis tells of changes");
}

/* Late by the clock of this loop counts as lost: what is pushed may be late by as much. */
static void beat(struct member *member)
{
    struct cg_redis_tracking *tracking = member->tracking;
    if (!member->attached)
        return;
    bool late = member->beat_is_on &&
                cg_clock_monotonic_ms() - member->beat_sent_ms > (int64_t)tracking->timeout_ms;
    if (late || (member->was_up && !cg_near_watch_is_up(tracking->watch)))
        lose(member, "no heartbeat was seen in time");
    else if (!member->beat_is_on && member->node->greeted)
        send_beat(member);
}

static void attach(struct member *member)
{
    if (member->attached || !member->subscribed || !member->node->greeted)
        return;
    member->attached = true;
    member->was_up = false;
    memcpy(member->server, member->node->run_id, sizeof(member->server));
    cg_near_watch_attach(member->tracking->watch, member->server);
    send_beat(member);
}

/* ---- pushes ---- */

static bool read_hex(struct cg_str text, struct cg_instance *ret_instance)
{
    if (text.length != HEX_BYTES)
        return false;
    for (size_t i = 0; i < CG_DIGEST_BYTES; i++) {
        int high = cg_hex_digit(text.bytes[2 * i]), low = cg_hex_digit(text.bytes[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret_instance->id[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void take_key(struct member *member, struct cg_str key)
{
    struct cg_redis_tracking *tracking = member->tracking;
    struct cg_str versions = cg_str_from(tracking->version_prefix);
    struct cg_instance instance;
    char name[CG_REDIS_KEY_MAX];
    if (cg_str_starts_with(key, versions)) {
        if (read_hex(cg_str_skip(key, versions.length), &instance))
            cg_near_watch_instance_changed(tracking->watch, &instance);
    } else if (cg_str_eq(key, cg_str_from(tracking->epoch_key))) {
        cg_near_watch_epoch_changed(tracking->watch);
    } else if (member->beat_is_on && cg_str_eq(key, beat_name(member, name))) {
        on_beat_seen(member);
    }
}

/* The third element is a list of keys, or nothing after FLUSHALL and FLUSHDB. */
static void on_push(void *owner, const redisReply *message)
{
    struct member *member = owner;
    const redisReply *keys = message->element[2];
    cg_count(member->sheet, CG_METRIC_PUSHES, 1);
    if (keys->type != REDIS_REPLY_ARRAY) {
        cg_near_watch_all_changed(member->tracking->watch);
        return;
    }
    for (size_t i = 0; i < keys->elements; i++)
        take_key(member, cg_redis_reply_str(keys->element[i]));
}

/* ---- the greeting ---- */

static void tell(struct member *member, const char *const *items, size_t count,
                 cg_redis_reply_fn answer)
{
    struct cg_redis_words words = {0};
    for (size_t i = 0; i < count; i++)
        cg_redis_words_add(&words, cg_str_from(items[i]));
    (void)cg_redis_link_send(&member->link, &words, answer, member, 0);
}

/* False: the greeting is over, and failed. A late reply is swallowed, and the connection may live
 * on: it is given up then, as it will never be greeted. */
static bool is_good(struct member *member, const redisReply *reply)
{
    if (reply == NULL)
        cg_redis_link_give_up(&member->link, "the greeting was not answered in time");
    if (reply == NULL || member->refused)
        return false;
    if (reply->type != REDIS_REPLY_ERROR)
        return true;
    member->refused = true;
    complain(member, "the server does not tell of changes", reply->str);
    cg_redis_link_give_up(&member->link, "the greeting failed");
    return false;
}

static void on_step(void *owner, size_t index, const redisReply *reply)
{
    (void)index;
    (void)is_good(owner, reply);
}

static void on_subscribed(void *owner, size_t index, const redisReply *reply)
{
    struct member *member = owner;
    (void)index;
    if (!is_good(member, reply))
        return;
    member->subscribed = true;
    attach(member);
}

static void on_id(void *owner, size_t index, const redisReply *reply)
{
    struct member *member = owner;
    const struct cg_redis_tracking *tracking = member->tracking;
    char id[24];
    (void)index;
    if (!is_good(member, reply))
        return;
    id[cg_redis_number((uint64_t)reply->integer, id).length] = '\0';
    const char *const words[] = {"CLIENT", "TRACKING",
                                 "ON",     "REDIRECT",
                                 id,       "BCAST",
                                 "PREFIX", tracking->version_prefix,
                                 "PREFIX", tracking->epoch_key,
                                 "PREFIX", tracking->beat_prefix};
    tell(member, words, sizeof(words) / sizeof(words[0]), on_step);
    tell(member, (const char *const[]){"SUBSCRIBE", "__redis__:invalidate"}, 2, on_subscribed);
}

static void on_open(void *owner)
{
    struct member *member = owner;
    member->refused = false;
    cg_redis_link_authenticate(&member->link, on_step, 0);
    tell(member, (const char *const[]){"CLIENT", "SETNAME", "cachegate-tracking"}, 3, on_step);
    tell(member, (const char *const[]){"CLIENT", "ID"}, 2, on_id);
}

static void on_closed(void *owner, const char *why)
{
    struct member *member = owner;
    if (member->attached)
        complain(member, "near copies are strict until Redis tells of changes again", why);
    forget_connection(member);
}

/* ---- the node ---- */

static void on_greeted(void *owner, struct cg_redis_node *node)
{
    struct member *member = owner;
    if (member->attached && strcmp(member->server, node->run_id) != 0)
        lose(member, "the heartbeats go to another server");
    attach(member);
}

static void doubt(void *owner, struct cg_redis_node *node)
{
    struct member *member = owner;
    (void)node;
    cg_redis_topology_doubt(member->topology);
}

static void disconnect(struct member *member)
{
    if (member->node == NULL)
        return;
    forget_connection(member);
    cg_redis_link_stop(&member->link);
    member->node = cg_redis_node_destroy(member->node);
}

static void on_map(void *owner, const struct cg_redis_map *map)
{
    struct member *member = owner;
    struct cg_redis_peer *peer = &member->tracking->redis->peer;
    if (map->shard_count == 1 && member->node != NULL &&
        cg_redis_address_eq(&member->node->address, &map->shards[0]))
        return;
    disconnect(member);
    if (map->shard_count != 1)
        return;
    member->link = (struct cg_redis_link){
        .peer = peer,
        .address = map->shards[0],
        .context = member->context,
        .clock = member->clock,
        .timeout_ms = member->node_settings.timeout_ms,
        .on_open = on_open,
        .on_closed = on_closed,
        .on_push = on_push,
        .owner = member,
    };
    member->node = cg_redis_node_create(&member->node_settings, &map->shards[0]);
    cg_redis_link_start(&member->link);
}

/* ---- who listens ---- */

static void begin_to_listen(struct member *member)
{
    struct cg_redis *redis = member->tracking->redis;
    const struct cg_settings *settings = redis->settings;
    member->listening = true;
    member->node_settings = (struct cg_redis_node_settings){
        .peer = &redis->peer,
        .context = member->context,
        .clock = member->clock,
        .timeout_ms = settings->store_timeout_ms,
        .toll = &redis->toll,
        .breaker = {settings->breaker_failures, settings->breaker_open_ms,
                    settings->breaker_open_longest_ms},
        .on_greeted = on_greeted,
        .on_lost = doubt,
        .on_doubt = doubt,
        .owner = member,
    };
    member->topology = cg_redis_topology_create(&redis->peer, member->context, member->clock,
                                                settings->store_timeout_ms, on_map, member);
}

static void on_tick(void *owner)
{
    struct member *member = owner;
    struct cg_redis_tracking *tracking = member->tracking;
    cg_timer_arm(member->clock, &member->tick, tracking->timeout_ms / BEATS_PER_TIMEOUT + 1);
    if (member->listening) {
        beat(member);
        return;
    }
    CG_ASSERT(pthread_mutex_lock(&tracking->lock) == 0);
    bool free_place = tracking->listener == NULL;
    if (free_place)
        tracking->listener = member;
    CG_ASSERT(pthread_mutex_unlock(&tracking->lock) == 0);
    if (free_place)
        begin_to_listen(member);
}

void cg_redis_tracking_join(struct cg_redis_tracking *tracking, const void *member_id,
                            struct st_h2o_context_t *context, struct cg_clock *clock,
                            struct cg_sheet *sheet)
{
    struct member *member = calloc(1, sizeof(*member));
    CG_ASSERT(member != NULL);
    member->id = member_id;
    member->tracking = tracking;
    member->context = context;
    member->clock = clock;
    member->sheet = sheet;
    member->tick = (struct cg_timer){.on_expiry = on_tick, .owner = member};
    CG_ASSERT(pthread_mutex_lock(&tracking->lock) == 0);
    member->next = tracking->members;
    tracking->members = member;
    CG_ASSERT(pthread_mutex_unlock(&tracking->lock) == 0);
    cg_timer_arm(clock, &member->tick, 0);
}

void cg_redis_tracking_leave(struct cg_redis_tracking *tracking, const void *member_id)
{
    CG_ASSERT(pthread_mutex_lock(&tracking->lock) == 0);
    struct member **at = &tracking->members;
    while ((*at)->id != member_id)
        at = &(*at)->next;
    struct member *member = *at;
    *at = member->next;
    CG_ASSERT(pthread_mutex_unlock(&tracking->lock) == 0);
    cg_timer_disarm(member->clock, &member->tick);
    if (member->listening) {
        member->topology = cg_redis_topology_destroy(member->topology);
        disconnect(member);
        /* Only now: two must never feed the watch. */
        CG_ASSERT(pthread_mutex_lock(&tracking->lock) == 0);
        tracking->listener = NULL;
        CG_ASSERT(pthread_mutex_unlock(&tracking->lock) == 0);
    }
    free(member);
}

/* ---- life ---- */

bool cg_redis_tracking_is_possible(const struct cg_redis *redis)
{
    return redis->peer.url.form != CG_REDIS_CLUSTER;
}

struct cg_redis_tracking *cg_redis_tracking_create(struct cg_redis *redis,
                                                   struct cg_near_watch *watch)
{
    const struct cg_instance none = {{0}};
    uint64_t random;
    struct cg_redis_tracking *tracking = calloc(1, sizeof(*tracking));
    CG_ASSERT(tracking != NULL && cg_redis_tracking_is_possible(redis));
    tracking->redis = redis;
    tracking->watch = watch;
    tracking->timeout_ms = redis->settings->tracking_timeout_ms;
    CG_ASSERT(RAND_bytes((unsigned char *)&random, sizeof(random)) == 1);
    (void)snprintf(tracking->beats, sizeof(tracking->beats), "beat:%016llx",
                   (unsigned long long)random);
    size_t length = cg_redis_version_key(redis, &none, tracking->version_prefix).length;
    tracking->version_prefix[length - HEX_BYTES] = '\0';
    tracking->epoch_key[cg_redis_bans_key(redis, "epoch", tracking->epoch_key).length] = '\0';
    length = cg_redis_bans_key(redis, tracking->beats, tracking->beat_prefix).length;
    tracking->beat_prefix[length] = '\0';
    CG_ASSERT(pthread_mutex_init(&tracking->lock, NULL) == 0);
    return tracking;
}

struct cg_redis_tracking *cg_redis_tracking_destroy(struct cg_redis_tracking *tracking)
{
    if (tracking == NULL)
        return NULL;
    CG_ASSERT(tracking->members == NULL);
    CG_ASSERT(pthread_mutex_destroy(&tracking->lock) == 0);
    free(tracking);
    return NULL;
}
