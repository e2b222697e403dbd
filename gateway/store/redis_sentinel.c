/*
 * The topology of a primary that sentinels watch: one shard that owns all slots.
 *
 * A look asks a sentinel for the address (SENTINEL GET-MASTER-ADDR-BY-NAME) and for the config
 * epoch, and then the server found what it is (ROLE), as "Guidelines for Redis clients with support
 * for Redis Sentinel" says. One more connection, to any sentinel, listens to +switch-master.
 */
#include <stdlib.h>

#include "cachegate/assert.h"
#include "gateway/base/clock.h"
#include "gateway/store/redis_scout.h"

enum { LISTEN_PING_MS = 2000, LISTEN_AGAIN_MS = 500 };

struct sentinel {
    struct cg_redis_scout scout;
    struct cg_redis_question questions[2];
    bool checking; /* the probe talks to the server, no more to the sentinel */
    struct cg_redis_address asked, found;
    bool is_primary;
    uint64_t epoch;
    struct cg_redis_map *seen;
    /* The ear: a subscription at one sentinel. */
    struct cg_redis_link ear;
    size_t ear_seed;
    bool ear_open, ear_failed;
    struct cg_timer ear_turn;
};

static const struct cg_redis_question role[] = {{{"ROLE"}, false}};

static bool is_text(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
}

/* ---- looking ---- */

static void read_address(struct sentinel *sentinel, const redisReply *reply)
{
    const char *name = sentinel->scout.peer->url.primary_name;
    struct cg_redis_probe *probe = &sentinel->scout.probe;
    uint64_t port;
    if (reply->type == REDIS_REPLY_NIL)
        cg_redis_probe_fail(probe, "knows no primary with the name %s", name);
    else if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
             !is_text(reply->element[0]) || !is_text(reply->element[1]) ||
             !cg_str_to_u64(cg_str_of(reply->element[1]->str, reply->element[1]->len), UINT16_MAX,
                            &port) ||
             !cg_redis_address_set(&sentinel->found,
                                   cg_str_of(reply->element[0]->str, reply->element[0]->len), port))
        cg_redis_probe_fail(probe, "gave an address for %s that makes no sense", name);
}

/* Names and values by turns. */
static void read_epoch(struct sentinel *sentinel, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return;
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *name = reply->element[i], *value = reply->element[i + 1];
        if (is_text(name) && is_text(value) && strcmp(name->str, "config-epoch") == 0)
            (void)cg_str_to_u64(cg_str_of(value->str, value->len), UINT64_MAX, &sentinel->epoch);
    }
}

static void on_answer(void *owner, size_t index, const redisReply *reply)
{
    struct sentinel *sentinel = owner;
    if (sentinel->checking)
        sentinel->is_primary = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
                               is_text(reply->element[0]) &&
                               strcmp(reply->element[0]->str, "master") == 0;
    else if (index == 0)
        read_address(sentinel, reply);
    else
        read_epoch(sentinel, reply);
}

static void on_end(void *owner, const char *why)
{
    struct sentinel *sentinel = owner;
    struct cg_redis_scout *scout = &sentinel->scout;
    const struct cg_redis_url *url = &scout->peer->url;
    char text[CG_REDIS_ADDRESS_TEXT_MAX], who[CG_REDIS_ADDRESS_TEXT_MAX + 16];
    bool checked = sentinel->checking;
    snprintf(who, sizeof(who), "%s %s", checked ? "server" : "sentinel",
             cg_redis_address_text(checked ? &sentinel->found : &sentinel->asked, text));
    if (why == NULL && checked && !sentinel->is_primary)
        why = "is not a primary, although a sentinel says so";
    if (why != NULL) {
        cg_redis_scout_failed(scout, who, why);
    } else if (!checked) {
        sentinel->checking = true;
        sentinel->is_primary = false;
        cg_redis_probe_start(&scout->probe, &sentinel->found, url->user, url->password, role, 1,
                             scout->turn);
    } else {
        snprintf(who, sizeof(who), "sentinel %s", cg_redis_address_text(&sentinel->asked, text));
        cg_redis_map_whole(sentinel->seen, &sentinel->found);
        (void)cg_redis_scout_found(scout, sentinel->seen, sentinel->epoch, who);
    }
}

static size_t count_candidates(const struct cg_redis_scout *scout)
{
    return scout->peer->url.seed_count;
}

static void ask(struct cg_redis_scout *scout)
{
    struct sentinel *sentinel = (struct sentinel *)scout;
    const struct cg_redis_url *url = &scout->peer->url;
    sentinel->checking = false;
    sentinel->epoch = 0;
    sentinel->asked = url->seeds[scout->next % url->seed_count];
    cg_redis_probe_start(&scout->probe, &sentinel->asked, url->sentinel_user,
                         url->sentinel_password, sentinel->questions, 2, scout->turn);
}

/* ---- listening ---- */

static void send_to_ear(struct sentinel *sentinel, const char *const *items, size_t count,
                        cg_redis_reply_fn answer)
{
    struct cg_redis_words words = {0};
    for (size_t i = 0; i < count; i++)
        cg_redis_words_add(&words, cg_str_from(items[i]));
    (void)cg_redis_link_send(&sentinel->ear, &words, answer, sentinel, 0);
}

/* Another sentinel, from the loop: the link may be in the middle of a reply. */
static void move_ear(struct sentinel *sentinel)
{
    if (sentinel->ear_failed)
        return;
    sentinel->ear_failed = true;
    sentinel->ear_open = false;
    cg_timer_arm(sentinel->scout.clock, &sentinel->ear_turn,
                 LISTEN_AGAIN_MS + cg_redis_scout_random(LISTEN_AGAIN_MS));
}

static void on_ear_reply(void *owner, size_t index, const redisReply *reply)
{
    struct sentinel *sentinel = owner;
    (void)index;
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        move_ear(sentinel);
    } else if (!sentinel->ear_open && !sentinel->ear_failed) {
        sentinel->ear_open = true;
        cg_timer_arm(sentinel->scout.clock, &sentinel->ear_turn, LISTEN_PING_MS);
        /* What was said before we listened. */
        cg_redis_scout_told(&sentinel->scout, sentinel->ear_seed);
    }
}

static void on_greeted(void *owner, size_t index, const redisReply *reply)
{
    (void)index;
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
        move_ear(owner);
}

static void on_ear_open(void *owner)
{
    struct sentinel *sentinel = owner;
    const struct cg_redis_url *url = &sentinel->scout.peer->url;
    if (url->sentinel_user[0] != '\0')
        send_to_ear(sentinel,
                    (const char *const[]){"AUTH", url->sentinel_user, url->sentinel_password}, 3,
                    on_greeted);
    else if (url->sentinel_password[0] != '\0')
        send_to_ear(sentinel, (const char *const[]){"AUTH", url->sentinel_password}, 2, on_greeted);
    send_to_ear(sentinel, (const char *const[]){"SUBSCRIBE", "+switch-master"}, 2, on_ear_reply);
}

/* Why, the looks say too. */
static void on_ear_closed(void *owner, const char *why)
{
    (void)why;
    move_ear(owner);
}

/* `name old-host old-port new-host new-port` */
static void on_ear_push(void *owner, const redisReply *message)
{
    struct sentinel *sentinel = owner;
    const redisReply *text = message->element[2];
    struct cg_str name, rest = {NULL, 0};
    if (text->type == REDIS_REPLY_STRING)
        rest = cg_str_of(text->str, text->len);
    if (cg_str_split(&rest, ' ', &name) &&
        cg_str_eq(name, cg_str_from(sentinel->scout.peer->url.primary_name)))
        cg_redis_scout_told(&sentinel->scout, sentinel->ear_seed);
}

static void start_ear(struct sentinel *sentinel)
{
    const struct cg_redis_scout *scout = &sentinel->scout;
    const struct cg_redis_url *url = &scout->peer->url;
    sentinel->ear_failed = false;
    sentinel->ear_open = false;
    sentinel->ear = (struct cg_redis_link){
        .peer = scout->peer,
        .address = url->seeds[sentinel->ear_seed % url->seed_count],
        .context = scout->probe.context,
        .clock = scout->clock,
        .timeout_ms = scout->probe.timeout_ms,
        .on_open = on_ear_open,
        .on_closed = on_ear_closed,
        .on_push = on_ear_push,
        .owner = sentinel,
        .failures = scout->turn,
    };
    cg_redis_link_start(&sentinel->ear);
}

static void on_ear_turn(void *owner)
{
    struct sentinel *sentinel = owner;
    if (sentinel->ear_open) {
        send_to_ear(sentinel, (const char *const[]){"PING"}, 1, on_ear_reply);
        cg_timer_arm(sentinel->scout.clock, &sentinel->ear_turn, LISTEN_PING_MS);
        return;
    }
    cg_redis_link_stop(&sentinel->ear);
    sentinel->ear_seed++;
    start_ear(sentinel);
}

/* ---- */

static void doubt(struct cg_redis_topology *topology)
{
    cg_redis_scout_doubt((struct cg_redis_scout *)topology);
}

static void destroy(struct cg_redis_topology *topology)
{
    struct sentinel *sentinel = (struct sentinel *)topology;
    cg_redis_scout_stop(&sentinel->scout);
    sentinel->ear_failed = true; /* what is answered by stopping arms nothing */
    cg_redis_link_stop(&sentinel->ear);
    cg_timer_disarm(sentinel->scout.clock, &sentinel->ear_turn);
    free(sentinel->seen);
    free(sentinel);
}

struct cg_redis_topology *cg_redis_sentinel_create(struct cg_redis_peer *peer,
                                                   struct st_h2o_context_t *context,
                                                   struct cg_clock *clock, uint32_t timeout_ms,
                                                   cg_redis_map_fn on_map, void *owner)
{
    static const struct cg_redis_topology_port port = {doubt, destroy};
    struct sentinel *sentinel = calloc(1, sizeof(*sentinel));
    CG_ASSERT(sentinel != NULL);
    sentinel->seen = calloc(1, sizeof(*sentinel->seen));
    CG_ASSERT(sentinel->seen != NULL);
    sentinel->questions[0] = (struct cg_redis_question){
        {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", peer->url.primary_name}, false};
    sentinel->questions[1] =
        (struct cg_redis_question){{"SENTINEL", "MASTER", peer->url.primary_name}, true};
    sentinel->scout.base.port = &port;
    sentinel->scout.ask = ask;
    sentinel->scout.count_candidates = count_candidates;
    sentinel->scout.probe.on_answer = on_answer;
    sentinel->scout.probe.on_end = on_end;
    cg_redis_scout_start(&sentinel->scout, peer, context, clock, timeout_ms, on_map, owner);
    sentinel->ear_turn = (struct cg_timer){.on_expiry = on_ear_turn, .owner = sentinel};
    sentinel->ear_seed = sentinel->scout.next;
    start_ear(sentinel);
    return &sentinel->scout.base;
}
