#include "gateway/store/redis_node.h"

#include <openssl/rand.h>
#include <stdlib.h>

#include "cachegate/assert.h"
#include "cachegate/redis_map.h"
#include "gateway/base/clock.h"

static uint32_t random_bits(void)
{
    uint32_t random;
    CG_ASSERT(RAND_bytes((unsigned char *)&random, sizeof(random)) == 1);
    return random;
}

static size_t count_channels(const struct cg_redis_node *node)
{
    return node->settings->two_channels ? CG_REDIS_LANES : 1;
}

void cg_redis_node_complain(struct cg_redis_node *node, const char *what, const char *why)
{
    char room[CG_REDIS_ADDRESS_TEXT_MAX], more[CG_LOG_HELD_MAX];
    uint64_t held;
    if (cg_log_gate_open(&node->log_gate, cg_clock_monotonic_ms(), &held))
        cg_log(CG_LOG_WARN, "redis", "%s: %s: %s%s%s", cg_redis_address_text(&node->address, room),
               what, cg_redis_peer_shown(node->settings->peer, why), cg_redis_remedy(why),
               cg_log_held(held, more));
}

static void tell(const struct cg_redis_node *node, enum cg_log_level level, const char *what)
{
    char room[CG_REDIS_ADDRESS_TEXT_MAX];
    cg_log(level, "redis", "%s: %s", cg_redis_address_text(&node->address, room), what);
}

/* ---- the breaker ---- */

static void arm_probe(struct cg_redis_node *node, int64_t now_ms)
{
    int64_t left_ms = node->breaker.until_ms - now_ms;
    cg_timer_arm(node->settings->clock, &node->probe, left_ms > 0 ? (uint32_t)left_ms : 0);
}

static void note_lost(struct cg_redis_node *node)
{
    int64_t now_ms = cg_clock_monotonic_ms();
    if (!cg_breaker_lose(&node->breaker, &node->settings->breaker, now_ms, random_bits()))
        return;
    tell(node, CG_LOG_WARN, "does not answer: the breaker is open");
    atomic_fetch_add(&node->settings->toll->breaker_openings, 1);
    arm_probe(node, now_ms);
}

static void on_probed(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_node *node = owner;
    (void)index;
    if (node->breaker.state != CG_BREAKER_HALF_OPEN)
        return;
    if (reply == NULL) {
        note_lost(node);
    } else if (cg_breaker_win(&node->breaker)) {
        tell(node, CG_LOG_INFO, "answers again: the breaker is closed");
    }
}

/* Without a connection the next greeting closes the breaker. */
static void on_probe(void *owner)
{
    struct cg_redis_node *node = owner;
    struct cg_redis_words words = {0};
    int64_t now_ms = cg_clock_monotonic_ms();
    if (!node->greeted || node->breaker.state != CG_BREAKER_OPEN)
        return;
    if (!cg_breaker_probe(&node->breaker, now_ms)) {
        arm_probe(node, now_ms);
        return;
    }
    cg_redis_words_add(&words, CG_STR("PING"));
    if (!cg_redis_link_send(&node->channels[0].link, &words, on_probed, node, 0))
        note_lost(node);
}

/* ---- replicas ---- */

struct waiter {
    cg_redis_reply_fn answer;
    void *owner;
    size_t index;
};

struct cg_redis_wait {
    struct cg_redis_node *node; /* outlives its channels */
    uint32_t replicas;
    size_t count, capacity;
    struct waiter *waiters; /* owned */
};

static void end_wait(struct cg_redis_wait *wait, const redisReply *reply)
{
    if (wait == NULL)
        return;
    for (size_t i = 0; i < wait->count; i++)
        wait->waiters[i].answer(wait->waiters[i].owner, wait->waiters[i].index, reply);
    free(wait->waiters);
    free(wait);
}

static void on_waited(void *owner, size_t index, const redisReply *reply)
{
    const struct cg_redis_wait *wait = owner;
    (void)index;
    if (reply != NULL && reply->type == REDIS_REPLY_ERROR)
        cg_redis_node_complain(wait->node, "store.wait_replicas needs WAIT", reply->str);
    else if (reply != NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer < wait->replicas)
        cg_redis_node_complain(wait->node, "not replicated",
                               "fewer replicas than store.wait_replicas have the last change");
    end_wait(owner, reply);
}

static void on_leaving(void *owner)
{
    struct cg_redis_channel *channel = owner;
    const struct cg_redis_node_settings *settings = channel->node->settings;
    struct cg_redis_wait *wait = channel->wait;
    struct cg_redis_words words = {0};
    char replicas[24], timeout[24];
    uint32_t timeout_ms = settings->timeout_ms / 2; /* those behind have to be in time too */
    if (wait == NULL)
        return;
    channel->wait = NULL;
    (void)snprintf(replicas, sizeof(replicas), "%u", wait->replicas);
    (void)snprintf(timeout, sizeof(timeout), "%u", timeout_ms == 0 ? 1 : timeout_ms);
    cg_redis_words_add(&words, CG_STR("WAIT"));
    cg_redis_words_add(&words, cg_str_from(replicas));
    cg_redis_words_add(&words, cg_str_from(timeout));
    if (!cg_redis_link_send(&channel->link, &words, on_waited, wait, 0))
        end_wait(wait, NULL);
}

static void lose_wait(struct cg_redis_channel *channel)
{
    struct cg_redis_wait *wait = channel->wait;
    channel->wait = NULL;
    end_wait(wait, NULL);
}

bool cg_redis_node_wait(struct cg_redis_node *node, uint32_t replicas, cg_redis_reply_fn answer,
                        void *owner, size_t index)
{
    struct cg_redis_channel *channel = &node->channels[CG_REDIS_WRITES];
    CG_ASSERT(node->settings->two_channels);
    if (!cg_redis_node_ready(node))
        return false;
    if (channel->wait == NULL) {
        channel->wait = calloc(1, sizeof(*channel->wait));
        CG_ASSERT(channel->wait != NULL);
        channel->wait->node = node;
    }
    struct cg_redis_wait *wait = channel->wait;
    if (wait->replicas < replicas)
        wait->replicas = replicas;
    if (wait->count == wait->capacity) {
        wait->capacity = wait->capacity == 0 ? 8 : wait->capacity * 2;
        wait->waiters = realloc(wait->waiters, wait->capacity * sizeof(wait->waiters[0]));
        CG_ASSERT(wait->waiters != NULL);
    }
    wait->waiters[wait->count++] = (struct waiter){answer, owner, index};
    cg_redis_link_leave(&channel->link);
    return true;
}

/* ---- what its replies say of it ---- */

static bool says(const redisReply *reply, const char *word)
{
    return strstr(reply->str, word) != NULL; /* a script has it in the middle */
}

static void judge(struct cg_redis_channel *channel, const redisReply *reply)
{
    static const char *const no_primary[] = {"READONLY ", "MASTERDOWN ", "NOAUTH ", "LOADING ",
                                             " is busy running a script"};
    struct cg_redis_node *node = channel->node;
    bool doubtful = says(reply, "CLUSTERDOWN ");
    for (size_t i = 0; i < sizeof(no_primary) / sizeof(no_primary[0]); i++) {
        if (!says(reply, no_primary[i]))
            continue;
        /* Greeted again it is refused until it is of use. */
        cg_redis_node_complain(node, "the server cannot be used", reply->str);
        channel->refused = true;
        cg_redis_link_give_up(&channel->link, "it cannot be used");
        doubtful = true;
    }
    if (doubtful)
        node->settings->on_doubt(node->settings->owner, node);
}

static void on_reply(void *owner, const redisReply *reply)
{
    struct cg_redis_channel *channel = owner;
    struct cg_redis_node *node = channel->node;
    if (reply == NULL)
        atomic_fetch_add(&node->settings->toll->lost_commands, 1);
    /* Half-open, only the probe decides. */
    if (node->breaker.state == CG_BREAKER_CLOSED) {
        if (reply == NULL)
            note_lost(node);
        else
            (void)cg_breaker_win(&node->breaker);
    }
    if (channel->greeted && reply != NULL && reply->type == REDIS_REPLY_ERROR)
        judge(channel, reply);
}

/* ---- the greeting ---- */

/* Its late reply is swallowed, and the connection may well live on: the greeting would never end.
 */
static bool is_lost(struct cg_redis_channel *channel, const redisReply *reply)
{
    if (reply == NULL)
        cg_redis_link_give_up(&channel->link, "the greeting was not answered in time");
    return reply == NULL;
}

static void refuse(struct cg_redis_channel *channel, const char *what, const redisReply *reply)
{
    if (reply == NULL || channel->refused) /* lost, which was logged */
        return;
    channel->refused = true;
    cg_redis_node_complain(channel->node, what,
                           reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected reply");
    cg_redis_link_give_up(&channel->link, "the greeting failed");
}

/* The value of `name` among the lines of INFO; empty when it is not there. */
static struct cg_str find_line(const redisReply *reply, const char *name)
{
    struct cg_str line, rest = {NULL, 0};
    if (reply->type == REDIS_REPLY_STRING)
        rest = cg_str_of(reply->str, (size_t)reply->len);
    while (cg_str_split(&rest, '\n', &line)) {
        if (!cg_str_starts_with(line, cg_str_from(name)))
            continue;
        line = cg_str_skip(line, strlen(name));
        if (cg_str_ends_with(line, CG_STR("\r")))
            line.length--;
        return line;
    }
    return (struct cg_str){NULL, 0};
}

/* Both channels must lead to the same process: a name can stand for several servers. */
static void on_channel_greeted(struct cg_redis_channel *channel)
{
    struct cg_redis_node *node = channel->node;
    channel->greeted = true;
    for (size_t i = 0; i < count_channels(node); i++) {
        struct cg_redis_channel *other = &node->channels[i];
        if (!other->greeted)
            return;
        if (strcmp(other->run_id, channel->run_id) != 0) {
            cg_redis_node_give_up(node, "its two connections lead to two servers");
            return;
        }
    }
    memcpy(node->run_id, channel->run_id, sizeof(node->run_id));
    node->greeted = true;
    (void)cg_breaker_close(&node->breaker);
    cg_timer_disarm(node->settings->clock, &node->probe);
    node->settings->on_greeted(node->settings->owner, node);
}

/* It answers, but what we are going to ask is not for it. */
static const char *judge_mode(const struct cg_redis_channel *channel, const redisReply *reply)
{
    struct cg_str mode = find_line(reply, "redis_mode:");
    if (cg_str_empty(mode))
        mode = find_line(reply, "server_mode:"); /* Valkey */
    if (cg_str_eq(mode, CG_STR("sentinel")))
        return "it is a sentinel; name it in redis+sentinel://";
    if (cg_str_eq(mode, CG_STR("cluster")) &&
        channel->node->settings->peer->url.form != CG_REDIS_CLUSTER)
        return "it is a node of a Cluster; name it in redis+cluster://";
    return NULL;
}

static void on_replication(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_channel *channel = owner;
    (void)index;
    if (is_lost(channel, reply) || channel->refused)
        return;
    struct cg_str role = find_line(reply, "role:");
    if (cg_str_eq(role, CG_STR("master"))) {
        on_channel_greeted(channel);
        return;
    }
    if (!cg_str_empty(role)) {
        channel->refused = true;
        cg_redis_node_complain(channel->node, "the server cannot be used", "it is a replica");
        cg_redis_link_give_up(&channel->link, "it is a replica");
        channel->node->settings->on_doubt(channel->node->settings->owner, channel->node);
        return;
    }
    refuse(channel, "the server does not tell its role (INFO)", reply);
}

static void on_server(void *owner, size_t index, const redisReply *reply)
{
    struct cg_redis_channel *channel = owner;
    (void)index;
    if (is_lost(channel, reply) || channel->refused)
        return;
    const char *why = judge_mode(channel, reply);
    if (why != NULL) {
        channel->refused = true;
        cg_redis_node_complain(channel->node, "the server cannot be used", why);
        cg_redis_link_give_up(&channel->link, why);
        return;
    }
    struct cg_str run_id = find_line(reply, "run_id:");
    if (cg_str_empty(run_id) || run_id.length >= sizeof(channel->run_id) ||
        cg_str_find(run_id, ':') < run_id.length) {
        refuse(channel, "the server does not tell its run id (INFO)", reply);
        return;
    }
    memcpy(channel->run_id, run_id.bytes, run_id.length);
    channel->run_id[run_id.length] = '\0';
}

/* `index`: 1 when the connection is of no use without it. */
static void on_step(void *owner, size_t index, const redisReply *reply)
{
    if (index != 0 && reply != NULL && reply->type == REDIS_REPLY_ERROR)
        refuse(owner, "the server refuses us", reply);
}

static void greet(struct cg_redis_channel *channel, const char *const *items, size_t count,
                  cg_redis_reply_fn answer, size_t index)
{
    struct cg_redis_words words = {0};
    for (size_t i = 0; i < count; i++)
        cg_redis_words_add(&words, cg_str_from(items[i]));
    (void)cg_redis_link_send(&channel->link, &words, answer, channel, index);
}

static void on_open(void *owner)
{
    struct cg_redis_channel *channel = owner;
    const struct cg_redis_url *url = &channel->node->settings->peer->url;
    char database[24];
    channel->refused = false;
    channel->run_id[0] = '\0';
    cg_redis_link_authenticate(&channel->link, on_step, 1);
    if (url->database != 0) {
        (void)snprintf(database, sizeof(database), "%u", url->database);
        greet(channel, (const char *const[]){"SELECT", database}, 2, on_step, 1);
    }
    greet(channel, (const char *const[]){"CLIENT", "SETNAME", "cachegate"}, 3, on_step, 0);
    greet(channel, (const char *const[]){"INFO", "server"}, 2, on_server, 0);
    greet(channel, (const char *const[]){"INFO", "replication"}, 2, on_replication, 0);
}

static void on_closed(void *owner, const char *why)
{
    struct cg_redis_channel *channel = owner;
    struct cg_redis_node *node = channel->node;
    channel->greeted = false;
    node->greeted = false;
    node->believed = false;
    if (!channel->refused)
        cg_redis_node_complain(node, "no connection", why);
    if (cg_breaker_cut(&node->breaker, &node->settings->breaker, cg_clock_monotonic_ms(),
                       random_bits()))
        atomic_fetch_add(&node->settings->toll->breaker_openings, 1);
    node->settings->on_lost(node->settings->owner, node);
    lose_wait(channel);
}

/* ---- nodes ---- */

struct cg_redis_node *cg_redis_node_create(const struct cg_redis_node_settings *settings,
                                           const struct cg_redis_address *address)
{
    struct cg_redis_node *node = calloc(1, sizeof(*node));
    CG_ASSERT(node != NULL);
    node->settings = settings;
    node->address = *address;
    node->probe = (struct cg_timer){.on_expiry = on_probe, .owner = node};
    for (size_t i = 0; i < count_channels(node); i++) {
        struct cg_redis_channel *channel = &node->channels[i];
        channel->node = node;
        channel->link = (struct cg_redis_link){
            .peer = settings->peer,
            .address = *address,
            .context = settings->context,
            .clock = settings->clock,
            .timeout_ms = settings->timeout_ms,
            .on_open = on_open,
            .on_closed = on_closed,
            .on_reply = on_reply,
            .on_leaving = on_leaving,
            .owner = channel,
        };
        cg_redis_link_start(&channel->link);
    }
    return node;
}

struct cg_redis_node *cg_redis_node_destroy(struct cg_redis_node *node)
{
    if (node == NULL)
        return NULL;
    node->greeted = false;
    node->believed = false;
    for (size_t i = 0; i < count_channels(node); i++) {
        cg_redis_link_stop(&node->channels[i].link);
        lose_wait(&node->channels[i]);
    }
    /* Only now: a probe that was lost with its connection arms the next one. */
    cg_timer_disarm(node->settings->clock, &node->probe);
    free(node);
    return NULL;
}

struct cg_redis_link *cg_redis_node_link(struct cg_redis_node *node, enum cg_redis_lane lane)
{
    return &node->channels[node->settings->two_channels ? lane : CG_REDIS_READS].link;
}

void cg_redis_node_settled(struct cg_redis_node *node)
{
    for (size_t i = 0; i < count_channels(node); i++)
        cg_redis_link_settled(&node->channels[i].link);
}

void cg_redis_node_give_up(struct cg_redis_node *node, const char *why)
{
    for (size_t i = 0; i < count_channels(node); i++)
        cg_redis_link_give_up(&node->channels[i].link, why);
}
